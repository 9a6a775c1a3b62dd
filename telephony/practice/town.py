"""The town as data: who lives there, why they call, and what everybody says.

Both files are read and checked at the start; what is wrong is named with its place.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

HERE: Final = Path(__file__).resolve().parent
SPEECH: Final = HERE / "speech"
"""Has a folder `zh`, as the prompts have."""

Number = Annotated[str, Field(pattern=r"^\d{3,15}$")]
Word = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{0,20}$")]
Script = tuple[str, ...]
Voice = Literal["grandma", "granny", "grandpa", "uncle", "woman", "man"]

NOISES: Final = ("room", "breath", "beep")


class BadTown(ValueError):
    """A file of the town cannot be used; the text says which and why."""


class Part(BaseModel):
    """What every part has in common: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Contact(Part):
    """Whom an elder's emergency calls, and what that telephone does."""

    name: str
    relation: str
    number: Number
    does: Literal["family", "mailbox", "busy", "nobody"]
    voice: Literal["woman", "man"]


class Elder(Part):
    """One who lives in the town. Times are seconds."""

    name: str
    sex: Literal["female", "male"]
    born: date
    number: Number
    street: str
    compound: str
    building: str
    unit: str
    floor: str
    room: str
    landmark: str
    way_in: str
    lives: Literal["alone", "with_spouse", "with_children"]
    risks: Annotated[str, Field(min_length=1)]
    diseases: str = ""
    medication: str = ""
    remark: str
    voice: Voice
    calls_about: tuple[Word, ...]
    patience_s: Annotated[int, Field(ge=10, le=600)] = 150
    terminal: str = ""
    contacts: tuple[Contact, ...] = ()


class Scene(Part):
    """Why an elder calls: the number, the key in the menu, and what is said to a person."""

    name: Word
    title: str
    english: str
    number: Literal["hotline", "emergency", "landline_report", "complaints"]
    key: Annotated[str, Field(pattern=r"^[0-9]?$")] = ""
    weight: Annotated[int, Field(ge=0, le=100)]
    lines: Script


class Service(Part):
    """Somebody else who answers. `number` is a telephone number, or a number of the site.

    `kind` says what those are who can send somebody to an elder: the centre's responders.
    """

    name: str
    kind: Literal["", "station", "committee", "doctor", "hospital", "property", "other"] = ""
    number: Annotated[str, Field(pattern=r"^(ambulance|fire|police|\d{3,15})$")]
    voice: Voice
    lines: Script


class Speaker(Part):
    """Whoever has one script; `voice` where everybody has the same."""

    lines: Script
    voice: Voice = "woman"


class VoiceMade(Part):
    """How a voice is rendered (ivr/render_town.py)."""

    speaker: str
    pace: float
    deeper: float


class Town(Part):
    """All of it."""

    district: str
    elders: tuple[Elder, ...]
    voices: dict[str, VoiceMade]
    scenes: tuple[Scene, ...]
    elder: Speaker
    robot: Speaker
    family: Speaker
    mailbox: Speaker
    services: tuple[Service, ...]

    @model_validator(mode="after")
    def _fits_together(self) -> Town:
        known = {scene.name for scene in self.scenes}
        for elder in self.elders:
            if unknown := set(elder.calls_about) - known:
                raise ValueError(f"{elder.name} calls about {sorted(unknown)}, which is no scene")
        for name, lines in self._scripts():
            for line in lines:
                if line.startswith("("):
                    direction(line, name)
        return self

    def _scripts(self) -> Iterator[tuple[str, Script]]:
        for scene in self.scenes:
            yield scene.name, scene.lines
        for service in self.services:
            yield service.number, service.lines
        for one in ("elder", "robot", "family", "mailbox"):
            yield one, getattr(self, one).lines

    def scene(self, name: str) -> Scene | None:
        return next((scene for scene in self.scenes if scene.name == name), None)


def read(folder: Path = HERE) -> Town:
    """The town. Raises BadTown."""
    whole: dict[str, object] = {}
    for name in ("people.toml", "scripts.toml"):
        try:
            whole |= tomllib.loads((folder / name).read_text("utf-8"))
        except (OSError, ValueError) as cause:
            raise BadTown(f"{folder / name}: {cause}") from None
    try:
        return Town.model_validate(whole)
    except ValidationError as wrong:
        first = wrong.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise BadTown(f"{folder}: {place}: {first['msg']}") from None


def direction(line: str, script: str) -> str:
    """A line in brackets as a step of the dialplan."""
    word, _, value = line.strip("()").partition(" ")
    match word, value:
        case ("listen", ""):
            return "listen"
        case ("wait", seconds) if seconds.isascii() and seconds.isdecimal():
            return f"wait={seconds}"
        case ("press", key) if key in set("0123456789"):
            return f"press={key}"
        case (noise, "") if noise in NOISES:
            return f"say=noise/{noise}"
    raise ValueError(f"{script}: {line} is nothing that can be done; see the top of scripts.toml")


def steps(name: str, lines: Sequence[str], voice: str) -> str:
    """A script as the dialplan walks it (asterisk_conf/town): `say=FILE:listen:wait=8`.

    Whoever has spoken listens, but for the last line: then the receiver is put down.
    """
    told: list[str] = []
    for number, line in enumerate(lines, start=1):
        if line.startswith("("):
            told.append(direction(line, name))
        else:
            told += [f"say={voice}/{name}-{number}", "listen"]
    if told[-1] == "listen":
        told[-1] = "wait=1"
    return ":".join(told)
