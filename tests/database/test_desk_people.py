"""Elders, users and the record as the desk serves them, by three roles, on both databases."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote

import pytest
from aiohttp import ClientResponse, DummyCookieJar
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application, Request

from agent_desk.app import desk_app
from agent_desk.rights import ROLES, Right
from agent_desk.routes import ROUTES
from control import Controller
from home import Home
from settings import Addresses, Settings, Trunk
from sql.models import DeskSession, Recording, User
from sql.rescue_contacts import wanted
from tests.database.centre import NOW, Centre, arrived, ended, need
from tests.desk.test_access import example
from workflows.events import KnownTerminal

PAGE = {"Accept": "text/html", "Accept-Language": "zh-CN"}
CSRF = "a form of ours"
Posted = Mapping[str, str | list[str]]


class Desk:
    """The desk in the hands of one role. `page` reads, `send` posts a form."""

    def __init__(self, client: TestClient[Request, Application], role: str) -> None:
        self._client = client
        self.cookies = {"Cookie": f"careline-8080={role}"} if role else {}

    async def get(self, path: str, **headers: str) -> ClientResponse:
        return await self._client.get(
            path, headers=PAGE | self.cookies | headers, allow_redirects=False
        )

    async def page(self, path: str, status: int = 200) -> str:
        return await self._text(await self.get(path), status)

    async def post(self, path: str, form: Posted, csrf: str = CSRF) -> ClientResponse:
        fields = [
            (name, one)
            for name, value in {"csrf": csrf, **form}.items()
            for one in (value if isinstance(value, list) else [value])
        ]
        return await self._client.post(
            path, data=fields, headers=PAGE | self.cookies, allow_redirects=False
        )

    async def send(self, path: str, form: Posted, status: int = 303) -> str:
        """Where it leads, or the page that came instead."""
        answer = await self.post(path, form)
        text = await self._text(answer, status)
        return str(answer.headers["Location"]) if status == 303 else text

    @staticmethod
    async def _text(answer: ClientResponse, status: int) -> str:
        text = await answer.text()
        assert answer.status == status, text
        return text


@pytest.fixture
async def client(centre: Centre, tmp_path: Path) -> AsyncIterator[TestClient[Request, Application]]:
    """The desk with one user of each role who is signed in; its controller is away."""
    async with centre.database.writing() as session:
        for number, role in enumerate(ROLES, 1):
            session.add(
                User(id=number, name=role, password="", role=role, created_at=NOW, is_active=True)
            )
        await session.flush()
        for number, role in enumerate(ROLES, 1):
            now = datetime.now(UTC)
            token = hashlib.sha256(role.encode()).hexdigest()
            session.add(
                DeskSession(token=token, user_id=number, csrf=CSRF, created_at=now, seen_at=now)
            )
    if not centre.database.is_sqlite:
        await centre.rows("SELECT setval('user_account_id_seq', 10)")
    trunk = Trunk(name="carrier", host="192.0.2.10:5060", registers=True, username="u",
                  password="hush-trunk")  # fmt: skip
    home = Home(tmp_path)
    home.prepare()
    served = TestClient(
        cookie_jar=DummyCookieJar(),
        server=TestServer(
            desk_app(
                settings=Settings(addresses=Addresses(), trunks=(trunk,)),
                home=home,
                database=centre.database,
                controller=Controller(tmp_path / "nobody", "secret"),
                asterisk_http="127.0.0.1:1",
            )
        ),
    )
    await served.start_server()
    yield served
    await served.close()


@pytest.fixture
def admin(client: TestClient[Request, Application]) -> Desk:
    return Desk(client, "admin")


@pytest.fixture
def supervisor(client: TestClient[Request, Application]) -> Desk:
    return Desk(client, "supervisor")


@pytest.fixture
def seat(client: TestClient[Request, Application]) -> Desk:
    return Desk(client, "seat")


def elder_form(**more: str | list[str]) -> dict[str, str | list[str]]:
    return {
        "full_name": "王秀英", "sex": "female", "birth_date": "1944-03-21", "version": "1",
        "numbers": ["0374-1234567", ""], "addr_district": "魏都区", "addr_street": "文峰街道",
        "contacts.0.name": "王芳", "contacts.0.relation": "女儿", "contacts.0.priority": "2",
        "contacts.0.is_emergency": "yes", "contacts.0.phones": ["139 0000 0001", "0374-7654321"],
        "contacts.1.name": "李强", "contacts.1.relation": "邻居", "contacts.1.priority": "1",
        "contacts.1.is_emergency": "yes", "contacts.1.phones": ["13900000002", ""],
        "contacts.2.name": "", "contacts.2.phones": ["", ""], "contacts.2.priority": "3",
        "terminals.0.serial_no": "T-77", "terminals.0.type": "one_key",
        "terminals.0.phone": "13700000077", "terminals.0.status": "active",
        "terminals.1.serial_no": "", "terminals.1.type": "one_key", "terminals.1.phone": "",
        **more,
    }  # fmt: skip


async def entered(seat: Desk) -> str:
    """The address of an elder with two contacts and a terminal."""
    return (await seat.send("/elders/new", elder_form())).partition("?")[0]


class FormFields(HTMLParser):
    """What a browser would send back of the page's form, nothing touched."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, str | list[str]] = {}
        self._text = self._select = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        name, value = given.get("name") or "", given.get("value") or ""
        if tag == "textarea":
            self._text = name
        elif tag == "select":
            self._select = name
        elif tag == "option" and ("selected" in given or self._select not in self.found):
            self.found[self._select] = value
        elif tag == "input" and (given.get("type") != "checkbox" or "checked" in given):
            self._add(name, value)

    def _add(self, name: str, value: str) -> None:
        known = self.found.get(name, [])
        is_many = name == "numbers" or name.endswith("phones")
        self.found[name] = [*known, value] if is_many else value

    def handle_data(self, data: str) -> None:
        if self._text:
            self.found[self._text] = data
            self._text = ""

    def handle_endtag(self, tag: str) -> None:
        self._text = self._text if tag != "textarea" else ""


def fields_of(page: str) -> dict[str, str | list[str]]:
    reader = FormFields()
    reader.feed(page[page.index('class="card form"') :])
    return reader.found


# ── rights ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.row("ROL-02", part="pages")
async def test_each_role_sees_its_own_menu_and_no_hidden_page(
    client: TestClient[Request, Application],
) -> None:
    menus = {}
    for role, rights in ROLES.items():
        desk = Desk(client, role)
        menus[role] = set(re.findall(r'class="place" href="([^"]+)"', await desk.page("/orders")))
        for method, path, _, right in ROUTES:
            if method == "GET" and right not in rights:
                assert (await desk.get(example(path))).status == 403, (role, path)
        for path in menus[role]:
            await desk.page(path)
    assert menus["admin"] > menus["supervisor"] > menus["seat"]
    assert {"/users", "/settings", "/record"} <= menus["admin"] - menus["supervisor"]
    said = await Desk(client, "seat").page("/users", 403)
    assert "您的角色没有这项权限" in said


async def test_a_form_of_another_role_changes_nothing(seat: Desk, centre: Centre) -> None:
    form = {"name": "周悦", "role": "admin", "password": "three words are easy"}
    await seat.send("/users", form, 403)
    await seat.send("/users/1/active", {"active": "no"}, 403)
    assert len(await centre.rows("SELECT id FROM user_account WHERE is_active")) == 3


async def test_a_forged_cookie_and_a_missing_token_are_told_in_words(
    client: TestClient[Request, Application], seat: Desk
) -> None:
    forged = await Desk(client, "f0rged").get("/elders")
    assert (forged.status, forged.headers["Location"]) == (303, "/sign-in?next=/elders")
    said = await Desk(client, "f0rged").post("/elders/new", elder_form())
    assert said.status == 401
    assert "您尚未登录，或离开时间过长" in await said.text()
    for token in ("", "guess"):
        said = await seat.post("/elders/new", elder_form(), csrf=token)
        assert said.status == 403
        assert "表单已过期，或不是本工作台生成的" in await said.text()


# ── users ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.row("UI-09")
async def test_a_user_is_added_changed_and_shown_out_at_once(
    client: TestClient[Request, Application], admin: Desk, centre: Centre
) -> None:
    form = {"name": "周悦", "role": "seat", "password": "three words are easy"}
    page = await admin.send("/users", form)
    sign_in = {"name": "周悦", "password": "three words are easy"}
    door = Desk(client, "")
    ((name, cookie),) = (await door.get("/sign-in")).cookies.items()
    assert name.startswith("careline-visit")
    visit = cookie.value
    door.cookies = {"Cookie": f"{name}={visit}"}
    answer = await door.post("/sign-in", sign_in, csrf=visit)
    assert answer.status == 303
    zhou = Desk(client, answer.cookies["careline-8080"].value)
    await zhou.page("/users", 403)
    await admin.send(f"{page}/role", {"role": "admin"})
    assert "周悦" in await zhou.page("/users")
    await admin.send(f"{page}/active", {"active": "no"})
    assert (await zhou.get("/users")).status == 303
    assert (await door.post("/sign-in", sign_in, csrf=visit)).status == 401
    await admin.send(f"{page}/active", {"active": "yes"})
    await admin.send(f"{page}/password", {"password": "other words that I know"})
    assert (await door.post("/sign-in", sign_in, csrf=visit)).status == 401
    history = await admin.page(page)
    for told in ("登录", "设置新密码", "<del>坐席</del>", "<ins>管理员</ins>"):
        assert told in history
    everything = str(await centre.rows("SELECT * FROM audit_entry"))
    assert "argon2" not in everything
    assert "words" not in everything


async def test_what_is_wrong_with_a_user_is_said_and_no_password_is_repeated(admin: Desk) -> None:
    for form, fault in (
        ({"name": "ADMIN", "role": "seat", "password": "three words are easy"}, "已被使用"),
        ({"name": "周悦", "role": "seat", "password": "kurz!9"}, "至少输入 10 个字符"),
        ({"name": "周悦", "role": "king", "password": "three words are easy"}, "请从列表中选择"),
        ({"name": " ", "role": "seat", "password": "three words are easy"}, "此项必填"),
    ):
        said = await admin.send("/users", form, 422)
        assert fault in said
        assert form["password"] not in said
    await admin.page("/users/999", 404)


async def test_the_last_admin_stays(admin: Desk) -> None:
    assert "最后一位在用的管理员" in await admin.send("/users/1/active", {"active": "no"}, 409)
    assert "最后一位在用的管理员" in await admin.send("/users/1/role", {"role": "seat"}, 409)
    await admin.page("/users")


# ── elders ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.row("PER-17")
@pytest.mark.row("PER-18")
async def test_an_elder_is_kept_with_everything_and_the_form_gives_it_all_back(
    seat: Desk, centre: Centre
) -> None:
    whole = elder_form(
        landmark="春秋广场公交站东", entry_route="南门进", entry_route_checked_on="2026-03-01",
        risk_plan="跌倒过两次", living_arrangement="alone", medication_state="阿司匹林",
    )  # fmt: skip
    page = (await seat.send("/elders/new", whole)).partition("?")[0]
    shown = await seat.page(page)
    for told in (
        "春秋广场公交站东", "南门进", "2026-03-01 核对", "跌倒过两次", "独居", "阿司匹林",
        "王芳", "女儿", "139 0000 0001", "0374-7654321", "T-77",
        "小区、楼号、单元、楼层、房号",
    ):  # fmt: skip
        assert told in shown, told
    assert shown.index("李强") < shown.index("王芳"), "in the order of their places"
    again = fields_of(await seat.page(f"{page}/edit"))
    await seat.send(f"{page}/edit", again)
    assert await centre.rows("SELECT version FROM elder") == [{"version": 1}]
    numbers = await centre.rows("SELECT number FROM contact_phone ORDER BY number")
    assert [row["number"] for row in numbers] == [
        "+8613900000001", "+8613900000002", "+863747654321",
    ]  # fmt: skip


@pytest.mark.row("PER-19")
@pytest.mark.row("AUD-01", part="desk")
async def test_a_changed_number_counts_from_the_next_call_and_the_former_is_kept(
    seat: Desk, centre: Centre
) -> None:
    page = await entered(seat)
    form = fields_of(await seat.page(f"{page}/edit"))
    form["numbers"] = ["13812345678"]
    form["contacts.0.phones"] = ["13911111111"]
    await seat.send(f"{page}/edit", form)
    call = await centre.play(arrived(caller="+8613812345678"))
    assert [elder.name for elder in call.elders] == ["王秀英"]
    former = await centre.play(arrived("c2", caller="+863741234567"))
    assert former.elders == ()
    history = await seat.page(page)
    assert "<del>0374-1234567</del> → <ins>13812345678</ins>" in history
    assert "李强（邻居） 13900000002" in history
    (entry,) = await centre.rows("SELECT * FROM audit_entry WHERE action = 'changed'")
    assert (entry["by"], entry["address"], entry["permission"]) == (
        "seat", "127.0.0.1", "edit elders",
    )  # fmt: skip


async def test_a_terminal_in_use_is_known_when_it_calls(seat: Desk, centre: Centre) -> None:
    page = await entered(seat)
    call = await centre.play(arrived(caller="+8613700000077"))
    assert [elder.name for elder in call.elders] == ["王秀英"]
    assert call.terminal == KnownTerminal(serial="T-77", type="one_key")
    form = fields_of(await seat.page(f"{page}/edit"))
    await seat.send(f"{page}/edit", {**form, "terminals.0.status": "retired"})
    after = await centre.play(arrived("c2", caller="+8613700000077"))
    assert (after.elders, after.terminal) == ((), None)
    # What has called stays on the call, and is said wherever the call is shown.
    kept = await centre.rows("SELECT id, terminal_serial, terminal_type FROM call_record")
    assert sorted(tuple(row.values()) for row in kept) == [
        ("c1", "T-77", "one_key"),
        ("c2", "", ""),
    ]
    said = "终端呼入：一键呼叫 T-77"
    assert [said in await seat.page(f"/calls/{one}") for one in ("c1", "c2")] == [True, False]
    assert said in await seat.page(page)


async def test_of_two_terminals_on_one_line_none_is_said_to_have_called(
    seat: Desk, centre: Centre
) -> None:
    second = {
        "serial_no": "T-78",
        "type": "smoke_alarm",
        "phone": "13700000077",
        "status": "active",
    }
    form = elder_form(**{f"terminals.1.{name}": value for name, value in second.items()})
    page = (await seat.send("/elders/new", form)).partition("?")[0]
    call = await centre.play(arrived(caller="+8613700000077"))
    assert [elder.name for elder in call.elders] == ["王秀英"]
    assert call.terminal is None
    assert "终端呼入" not in await seat.page(page)


async def test_the_second_editor_sees_what_changed_and_loses_nothing(
    seat: Desk, supervisor: Desk, centre: Centre
) -> None:
    page = await entered(seat)
    mine = fields_of(await seat.page(f"{page}/edit"))
    theirs = dict(mine)
    await supervisor.send(f"{page}/edit", {**theirs, "landmark": "老槐树"})
    mine |= {"landmark": "公交站", "contacts.0.name": "李<强>", "remark": "听力差"}
    said = await seat.send(f"{page}/edit", mine, 409)
    assert "supervisor" in said
    assert "<ins>老槐树</ins>" in said
    for kept in ("公交站</textarea>", 'value="李&lt;强&gt;"', "听力差</textarea>"):
        assert kept in said
    await seat.send(f"{page}/edit", fields_of(said) | {"contacts.0.name": "李强"})
    rows = await centre.rows("SELECT landmark, remark, version FROM elder")
    assert rows == [{"landmark": "公交站", "remark": "听力差", "version": 3}]


async def test_faults_stand_beside_their_fields_and_every_row_stays(seat: Desk) -> None:
    wrong: dict[str, str | list[str]] = {
        "numbers": [""], "contacts.0.name": "", "contacts.1.phones": ["120"],
        "terminals.0.phone": "不知道", "entry_route_checked_on": "2199-01-01", "landmark": "大槐树",
    }  # fmt: skip
    said = await seat.send("/elders/new", elder_form() | wrong, 422)
    for field in ("numbers", "contacts.0.name", "contacts.1.phones", "terminals.0.phone",
                  "entry_route_checked_on"):  # fmt: skip
        assert f'id="{field}-fault"' in said, field
    assert "救援电话不能作为联系人" in said
    for kept in ("大槐树</textarea>", 'value="139 0000 0001"', 'value="120"', 'value="不知道"'):
        assert kept in said


async def test_one_row_more_and_one_removed(seat: Desk, centre: Centre) -> None:
    said = await seat.send("/elders/new", elder_form(more="contacts", full_name=""), 200)
    assert 'name="contacts.3.name"' in said
    assert 'value="王芳"' in said
    page = await entered(seat)
    form = fields_of(await seat.page(f"{page}/edit"))
    await seat.send(f"{page}/edit", {**form, "contacts.0.remove": "yes"})
    rows = await centre.rows("SELECT name, priority FROM elder_contact")
    assert rows == [{"name": "王芳", "priority": 1}]
    assert len(await centre.rows("SELECT id FROM contact_phone")) == 2


async def test_a_contact_of_another_elder_stays_with_that_elder(seat: Desk, centre: Centre) -> None:
    await entered(seat)
    other = elder_form(**{"full_name": "刘德海", "contacts.0.id": "1", "terminals.0.id": "1"})
    await seat.send("/elders/new", other)
    owners = await centre.rows("SELECT elder_id FROM elder_contact ORDER BY id")
    assert [row["elder_id"] for row in owners] == [1, 1, 2, 2]


@pytest.mark.row("PER-18")
async def test_a_number_that_was_not_reached_is_flagged_and_called_last(
    seat: Desk, centre: Centre
) -> None:
    page = await entered(seat)
    (first,) = await centre.rows("SELECT id FROM contact_phone WHERE number = '+8613900000002'")
    before = await wanted(centre.database, "86", "0374")
    assert before["03741234567"] == ["13900000002", "13900000001", "03747654321"]
    await seat.send(f"{page}/tested", {"phone_id": str(first["id"]), "result": "unreachable"})
    assert "打不通" in await seat.page(page)
    now = await wanted(centre.database, "86", "0374", ["+863741234567", "+8613700000077"])
    last = ["13900000001", "03747654321", "13900000002"]
    assert now == dict.fromkeys(
        ("+863741234567", "863741234567", "03741234567", "1234567", "+8613700000077",
         "8613700000077", "13700000077"), last,
    )  # fmt: skip
    await seat.send(f"{page}/tested", {"phone_id": "4711", "result": "reachable"}, 409)
    form = fields_of(await seat.page(f"{page}/edit"))
    await seat.send(f"{page}/edit", {**form, "remark": "…"})
    assert "打不通" in await seat.page(page), "a number that stays keeps what was found"


@pytest.mark.parametrize(
    ("text", "is_found"),
    [
        ("秀", True), ("王秀英", True), ("0374-1234567", True), ("13900000001", True),
        ("１３７００００００７７", True), ("e000001", True), ("T-77", True), ("'", False),
        ("%", False), ("_", False), ('"', False), ("👵🏻", False), ("\\", False), ("\0", True),
        ("' OR 1=1 --", False), ("<script>", False), ("9" * 200, False), ("\ud800", False),
    ],
)  # fmt: skip
async def test_a_search_finds_what_it_says_whatever_it_is(
    seat: Desk, text: str, is_found: bool
) -> None:
    await entered(seat)
    said = await seat.page(f"/elders?text={quote(text.encode('utf-8', 'surrogatepass'))}")
    assert ("E000001" in said) == is_found
    assert "<script>" not in said.replace('<script type="module"', "")


async def test_an_emoji_and_a_rare_character_are_a_name_like_any_other(seat: Desk) -> None:
    await seat.send("/elders/new", elder_form(full_name="𠮷👵"))
    for text in ("𠮷", "👵"):
        assert "𠮷👵" in await seat.page(f"/elders?text={text}")


async def test_orders_are_found_by_state_and_text(seat: Desk, centre: Centre) -> None:
    wang = await centre.elder("王秀英")
    await centre.play(need("o1", elder=wang, content="送餐 100%"), need("o2"))
    for query, numbers in (
        ("text=100%25", ["20260301-0001"]), ("text=秀", ["20260301-0001"]), ("text=%25x", []),
        ("state=accepted", ["20260301-0002"]),
        ("state=nonsense", ["20260301-0002", "20260301-0001"]),
    ):  # fmt: skip
        said = await seat.page(f"/orders?{query}")
        assert re.findall(r'href="/orders/([\d-]+)"', said) == numbers, query


# ── the record ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.row("REC-02")
async def test_a_supervisor_plays_and_is_on_record_and_a_seat_may_not(
    seat: Desk, supervisor: Desk, admin: Desk, centre: Centre, tmp_path: Path
) -> None:
    await centre.play(arrived(), ended())
    kept = Home(tmp_path).recordings / "c1.opus"
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(b"OggS" * 500)
    async with centre.database.writing() as session:
        await session.merge(
            Recording(serial="c1", call_id="c1", state="kept", file="c1.opus", started_at=NOW)
        )
    assert (await seat.get("/calls/c1/recording")).status == 403
    assert "<audio" not in await seat.page("/calls/c1")
    assert "<audio" in await supervisor.page("/calls/c1")
    for begin in ("bytes=0-", "bytes=500-", "bytes=900-"):
        answer = await supervisor.get("/calls/c1/recording", Range=begin)
        assert answer.status == 206
    played = await centre.rows("SELECT by, subject_id FROM audit_entry WHERE action = 'played'")
    assert played == [{"by": "supervisor", "subject_id": "c1"}], "one playing, in many pieces"
    assert "播放录音" in await admin.page("/record?text=supervisor")
    assert "播放录音" not in await admin.page("/record?text=somebody")
    await supervisor.page("/record", 403)


async def test_the_settings_are_shown_without_their_secrets(admin: Desk) -> None:
    said = await admin.page("/settings")
    assert "rescue.live = false" in said
    assert "192.0.2.10:5060" in said
    assert "hush-trunk" not in said


def test_every_right_is_given_to_somebody() -> None:
    assert frozenset(Right) == ROLES["admin"] > ROLES["supervisor"] > ROLES["seat"]
