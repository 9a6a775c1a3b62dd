"""The one writer of the record of what people did (AUD-01), in the transaction that does it.

Who writes a register calls `note`; what a command does to a case the store itself puts on record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from sql import codec
from sql.models import AuditEntry
from workflows.commands import Command

Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does it: the user's name, from which address, by which right."""

    name: str
    address: str = ""
    permission: str = ""


def note(
    session: AsyncSession,
    actor: Actor,
    at: datetime,
    action: str,
    subject: str,
    subject_id: str,
    *,
    before: Values | None = None,
    after: Values | None = None,
    why: str = "",
) -> None:
    """Put on record what is done in this transaction. Of `before` and `after`, which are JSON
    objects, only what differs is kept."""
    said = _entry(actor, before or {}, after or {}, why)
    session.add(AuditEntry(at=at, action=action, subject=subject, subject_id=subject_id, **said))


def of_command(process: str, command: Command, before: Values, after: Values) -> dict[str, Any]:
    """The values of the entry for a command that turned the case `before` into `after`, both as
    JSON objects. What changes another case only is told by the words of the command itself."""
    actor = Actor(command.by, command.address, command.permission)
    said = _entry(actor, before, after, getattr(command, "reason", ""))
    if not said["after"]:
        own = {field.name for field in fields(Command)}
        said["after"] = {
            name: value for name, value in codec.dump(command).items() if name not in own
        }
    whose = {"subject": process, "subject_id": command.case_id}
    return {"at": command.at, "action": type(command).__name__, **whose, **said}


def _entry(actor: Actor, before: Values, after: Values, why: str) -> dict[str, Any]:
    was, becomes = differences(before, after)
    return {
        "by": _keepable(actor.name, 64), "address": _keepable(actor.address, 64),
        "permission": actor.permission, "before": was, "after": becomes,
        "why": _keepable(why, 2000),
    }  # fmt: skip


def _keepable(text: str, longest: int) -> str:
    """What every database can keep: the record must not be why an emergency is not filled in."""
    return text.replace("\0", "")[:longest]


def differences(before: Values, after: Values) -> tuple[dict[str, Any], dict[str, Any]]:
    """What of both differs; a key that only one of them has is in that one alone."""
    missing = object()
    changed = [
        key for key in {**before, **after} if before.get(key, missing) != after.get(key, missing)
    ]
    return (
        {key: before[key] for key in changed if key in before},
        {key: after[key] for key in changed if key in after},
    )
