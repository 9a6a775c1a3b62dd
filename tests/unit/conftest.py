"""Unit tests are quick: chance gets fewer tries here than a night would give it."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("unit", max_examples=50, deadline=None, database=None)
settings.load_profile("unit")
