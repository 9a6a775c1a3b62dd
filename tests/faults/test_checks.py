"""`./careline check` is itself checked: what it is there to find, it finds."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, Table

import asterisk_conf.render
from launch.check_rendered import dialplan_faults, migration_faults
from sql.models import Base
from tests.house import ROOT

LINTER = Path(sys.executable).parent / "lint-imports"


def test_a_dialplan_that_leads_nowhere_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert dialplan_faults(tmp_path) == ""
    templates = tmp_path / "templates"
    shutil.copytree(asterisk_conf.render.TEMPLATES, templates)
    with (templates / "extensions.conf.j2").open("a", encoding="utf-8") as file:
        file.write("\n[broken]\nexten => s,1,Goto(no-such-context,s,1)\n same => n,Hangup(\n")
    monkeypatch.setattr(asterisk_conf.render, "TEMPLATES", templates)
    said = dialplan_faults(tmp_path)
    assert "extensions.conf" in said
    assert "no-such-context" in said


def test_a_column_that_no_migration_makes_is_found(tmp_path: Path) -> None:
    forgotten = Table("forgotten", Base.metadata, Column("id", Integer, primary_key=True))
    try:
        assert "forgotten" in migration_faults(tmp_path)
    finally:
        Base.metadata.remove(forgotten)


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("workflows/order.py", "import sqlalchemy", "Decisions depend on nothing around them"),
        ("telephony/lease.py", "import sql.engine", "Telephony and menus reach the database"),
        ("agent_desk/desk.py", "import telephony.ami", "Rooms know only what lies below them"),
        ("controller.py", "", ""),
        ("telephony/rescue.py", "import panoramisk", "panoramisk stands behind telephony.ami"),
        ("telephony/lease.py", "import asterisk.agi", "pyst2 stands behind telephony.fastagi"),
    ],
)
def test_an_import_across_the_lines_is_found(
    tmp_path: Path, file: str, line: str, contract: str
) -> None:
    """In a copy of the checkout; without the import the copy is sound."""
    for path in (*ROOT.glob("*.py"), ROOT / "pyproject.toml"):
        shutil.copy(path, tmp_path)
    for room in ("agent_desk", "asterisk_conf", "ivr", "launch", "recordings", "sql", "telephony",
                 "workflows"):  # fmt: skip
        shutil.copytree(ROOT / room, tmp_path / room, ignore=only_python)
    with (tmp_path / file).open("a", encoding="utf-8") as source:
        source.write(f"\n{line}\n")
    ended = subprocess.run(
        [LINTER, "--no-cache"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (ended.returncode == 0) == (not line), ended.stdout
    broken = [told for told in ended.stdout.splitlines() if " BROKEN" in told]
    assert (contract in "\n".join(broken)) if line else broken == []


def only_python(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if Path(folder, name).is_file() and not name.endswith(".py")]
