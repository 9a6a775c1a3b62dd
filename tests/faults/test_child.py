"""A process that hangs on its way up is started once more; the controller never is."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from launch import child
from launch.child import Child

APP = """
import pathlib, sys, time
starts = pathlib.Path(__file__).with_name("starts")
with starts.open("a") as file:
    file.write("x")
if len(starts.read_text()) == 1:
    print("ready", flush=True)
else:
    time.sleep(60)
"""


@pytest.mark.parametrize(("name", "is_patient"), [("desk", False), ("controller", True)])
async def test_one_that_was_started_again_and_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, is_patient: bool
) -> None:
    (tmp_path / "app.py").write_text(APP, "utf-8")
    for what, value in (("CHECKOUT", tmp_path), ("BEAT_S", 0.05), ("START_LIMIT_S", 20)):
        monkeypatch.setattr(child, what, value)
    one = Child(name, (), tmp_path)
    await one.spawn()
    await one.serves()
    keeping = asyncio.ensure_future(one.keep())

    async def starts(number: int) -> None:
        while len((tmp_path / "starts").read_text("utf-8")) < number:  # noqa: ASYNC110 - a file
            await asyncio.sleep(0.05)

    try:
        async with asyncio.timeout(20):
            await starts(2)
        with pytest.raises(TimeoutError) if is_patient else contextlib.nullcontext():
            async with asyncio.timeout(4 if is_patient else 20):
                await starts(3)
    finally:
        keeping.cancel()
        await one.stop()
