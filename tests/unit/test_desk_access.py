"""The door's parts that need no browser: patience, rights, paths and hosts."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from argon2 import PasswordHasher

from agent_desk import passwords
from agent_desk.access import local_path, only_known_hosts
from agent_desk.passwords import Passwords, Patience, hash_password
from agent_desk.playing import kept_file
from agent_desk.rights import EVERY, Right, Visitor, may
from agent_desk.sessions import Sessions
from settings import Addresses, Settings
from sql.engine import Database


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


async def test_passwords_and_unknown_users(monkeypatch: pytest.MonkeyPatch) -> None:
    # What makes guessing dear makes this test slow.
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=32))
    door = Passwords()
    kept = hash_password("老人平安 2026")
    assert await door.check(kept, "老人平安 2026")
    assert not await door.check(kept, "something else")
    assert not await door.check(None, "nobody has this password")
    assert not await door.check("not a hash", "anything")


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
        ("//[", "/"),
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


@pytest.mark.parametrize(
    ("addresses", "host", "is_answered"),
    [
        ({}, "127.0.0.1:8080", True),
        ({}, "localhost:8080", True),
        ({}, "[::1]:8080", True),
        ({}, "evil.example", False),
        ({}, "[", False),
        ({"desk_proxy": "desk.example.org"}, "desk.example.org", True),
        ({"desk_proxy": "desk.example.org"}, "evil.example", False),
        # A proxy that is known by its address knows the names by itself.
        ({"desk_proxy": "192.0.2.7"}, "desk.example.org", True),
        # With our own certificate a foreign name fails before it gets here.
        ({"desk_certificate": "c.pem", "desk_key": "k.pem"}, "desk.example.org", True),
    ],
)
async def test_known_hosts(addresses: dict[str, str], host: str, is_answered: bool) -> None:
    settings = Settings(addresses=Addresses(**addresses))

    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response()

    asked = only_known_hosts(settings)(
        make_mocked_request("GET", "/", headers={"Host": host}), handler
    )
    if is_answered:
        assert (await asked).status == 200
    else:
        with pytest.raises(web.HTTPMisdirectedRequest):
            await asked


def test_the_cookie_is_secure_behind_tls_and_belongs_to_one_port() -> None:
    database = Database("sqlite+aiosqlite:///never-opened.db")
    bare = Sessions(database, Settings())
    proxied = Sessions(
        database, Settings(addresses=Addresses(desk="127.0.0.1:8443", desk_proxy="desk.example"))
    )
    assert not bare.secure
    assert proxied.secure
    assert bare.cookie != proxied.cookie
    answer = web.Response()
    proxied.give(answer, "value")
    cookie = answer.cookies[proxied.cookie]
    assert cookie["secure"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
