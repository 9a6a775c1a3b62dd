"""The door's parts that need no browser: patience, rights, paths and hosts."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent_desk.access import local_path
from agent_desk.pages.calls import kept_file
from agent_desk.passwords import Passwords, Patience, hash_password
from agent_desk.rights import EVERY, Right, Visitor, may


class Watch:
    """A clock that the test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def visitor(role: str) -> Visitor:
    return Visitor(user_id=1, name="li", role=role, token="t", csrf="c")


def test_a_few_tries_are_free_then_each_waits_longer_up_to_a_minute() -> None:
    watch = Watch()
    patience = Patience(watch)
    for _ in range(5):
        assert patience.wait_s("li", "10.0.0.1") == 0
    waits = []
    for _ in range(8):
        wait = patience.wait_s("li", "10.0.0.1")
        assert patience.wait_s("li", "10.0.0.1") == wait, "asking while waiting costs nothing"
        waits.append(wait)
        watch.now += wait
        assert patience.wait_s("li", "10.0.0.1") == 0
    assert waits == sorted(waits)
    assert waits[0] <= 3
    assert 60 <= waits[-1] <= 61


def test_guessing_one_name_does_not_lock_its_owner_out_elsewhere() -> None:
    patience = Patience(Watch())
    for _ in range(5):
        patience.wait_s("li", "10.0.0.66")
    assert patience.wait_s("LI", "10.0.0.66") > 0
    assert patience.wait_s("li", "10.0.0.1") == 0


def test_one_address_cannot_try_name_after_name() -> None:
    patience = Patience(Watch())
    tries = [patience.wait_s(f"name{n}", "10.0.0.66") for n in range(40)]
    assert tries[:20] == [0] * 20
    assert any(tries[20:])


def test_the_right_password_is_forgiven() -> None:
    patience = Patience(Watch())
    for _ in range(5):
        patience.wait_s("li", "10.0.0.1")
    patience.forget("li", "10.0.0.1")
    assert patience.wait_s("li", "10.0.0.1") == 0


async def test_passwords_and_unknown_users() -> None:
    passwords = Passwords()
    kept = hash_password("老人平安 2026")
    assert await passwords.check(kept, "老人平安 2026")
    assert not await passwords.check(kept, "something else")
    assert not await passwords.check(None, "nobody has this password")
    assert not await passwords.check("not a hash", "anything")


def test_rights() -> None:
    assert may(None, Right.ANYONE)
    for right in EVERY - {Right.ANYONE}:
        assert not may(None, right)
        assert may(visitor("admin"), right)
        assert not may(visitor("adm1n"), right), "a misspelt role opens nothing"


@pytest.mark.parametrize(
    ("target", "goes_to"),
    [
        ("/calls?number=1", "/calls?number=1"),
        ("https://example.org/", "/"),
        ("//example.org/", "/"),
        ("/\\example.org", "/"),
        ("javascript:alert(1)", "/"),
        ("calls", "/"),
        ("/a\r\nSet-Cookie: x=1", "/"),
        ("", "/"),
    ],
)
def test_the_sign_in_leads_nowhere_else(target: str, goes_to: str) -> None:
    assert local_path(target) == goes_to


def test_only_files_below_the_folder_are_recordings(tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    (folder / "2026").mkdir(parents=True)
    good = folder / "2026" / "a.opus"
    good.write_bytes(b"sound")
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    (folder / "link.opus").symlink_to(secret)
    assert kept_file(folder, "2026/a.opus") == good
    for bad in (
        "../secret",
        str(secret),
        "2026/../../secret",
        "link.opus",
        "2026",
        "b.opus",
        "a\0b",
    ):
        assert kept_file(folder, bad) is None, bad
