"""Unit tests are quick: chance gets fewer tries here than a night would give it, and no test waits
for the disk."""

from __future__ import annotations

import gc
import os

import pytest
from hypothesis import settings

MEMORY = "/dev/shm"
if os.access(MEMORY, os.W_OK):
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", MEMORY)

settings.register_profile("unit", max_examples=30, deadline=None, database=None)
settings.load_profile("unit")


@pytest.fixture(autouse=True)
def _quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """No machine loses its power here. That what must last is written through is asked of the real
    system call in tests/database."""
    monkeypatch.setattr(os, "fsync", lambda _file: None)


def pytest_collection_finish() -> None:
    """What was loaded lives to the end: looking through it for rubbish again and again took a fifth
    of the time."""
    gc.freeze()
