"""Every form of the route table: refused without right or token, on record when it acts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import pytest
from playwright.sync_api import APIResponse, Browser, BrowserContext, Page
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from agent_desk.rights import ROLES, Right
from agent_desk.routes import CALL, CASE, CASE_FILE, ELDER, ORDER, PLAN, ROUTES, USER
from sql.models import AuditEntry
from tests.desk.centre import Centre
from tests.desk.conftest import Desk, sign_in
from tests.desk.rescue_case import CARD, Case
from tests.desk.rescued import Rescue
from tests.desk.test_calls import fresh_number
from tests.observer import wait_until
from workflows.commands import WriteRecord

Form = Mapping[str, str]
Sent = tuple[str, Form]

RIGHTS: Final = {path: right for method, path, _, right in ROUTES if method == "POST"}
SILENT: Final = {
    f"{CALL}/draft": "what is typed is nobody's deed before it is sent",
    f"{CASE_FILE}/draft": "neither is this",
    "/menu/try": "a trial changes nothing",
    "/phone/line": "the seat that it belongs to is on record already",
}
HOOKS: Final = frozenset({"/hooks/twilio", "/hooks/gateway"})
"""No forms: no browser sends them, and each proves who it is by itself (test_hooks.py)."""
ELSEWHERE: Final = HOOKS | {"/practice/call", "/practice/rhythm", f"{CALL}/emergency"}
"""Only where a town plays, or Asterisk runs: test_practice.py and test_real_call.py look whether
they are on record."""


@dataclass
class Place:
    """What stands in the addresses: an elder, a call and orders of its own for each form."""

    page: Page
    centre: Centre
    cases: list[Case] = field(default_factory=list)

    def call(self) -> str:
        self.number = fresh_number()
        self.uid = self.centre.enter_whole_elder("蒋玉芬", self.number)
        return self.centre.call(self.number, ago_s=600).whole().id

    def case_file(self) -> Rescue:
        return Rescue(self.centre).whole()

    def order(self) -> str:
        self.page.goto(f"/calls/{self.call()}")
        return self.page.locator("#linked-orders a").first.inner_text()

    def hidden(self, path: str, *names: str) -> dict[str, str]:
        self.page.goto(path)
        form = self.page.locator("main form").last
        return {name: form.locator(f"[name={name}]").first.input_value() for name in names}

    def open_order_id(self) -> Sent:
        self.call()
        call = self.centre.call(self.number, ago_s=60).whole().id
        self.page.goto(f"/calls/{call}")
        order = self.page.locator("#open-orders [name=order_id]").first.input_value()
        return f"/calls/{call}/orders/choose", {"order_id": order}

    def caller(self) -> Sent:
        number = fresh_number()
        for name in ("陈国富", "李桂英"):
            self.centre.enter_elder(name, number)
        call = self.centre.call(number, ago_s=60).whole().id
        self.page.goto(f"/calls/{call}")
        return f"/calls/{call}/caller", {
            "elder_id": self.page.locator("#caller button[name=elder_id], [name=elder_id]")
            .first.get_attribute("value") or ""
        }  # fmt: skip

    def edit(self) -> Sent:
        self.call()
        path = f"/elders/{self.uid}/edit"
        return path, {
            **self.hidden(path, "version"), "full_name": "蒋玉芳", "numbers": fresh_number(),
        }  # fmt: skip

    def tested(self) -> Sent:
        self.call()
        phone = self.hidden(f"/elders/{self.uid}", "phone_id")
        return f"/elders/{self.uid}/tested", {**phone, "result": "reachable"}

    def user(self, what: str, form: Form) -> Sent:
        name = f"用户{fresh_number()}"
        self.centre.add_user(name, "seat")
        self.page.goto("/users")
        link = self.page.get_by_role("link", name=name).get_attribute("href")
        return f"{link}/{what}", form

    def rescue(self, wish: str, form: Form) -> Sent:
        """A wish in an emergency with two elders to choose from, 120 being called."""
        case = Case(self.centre).open().known(CARD, replace(CARD, uid="E00000009")).seat("1002")
        case.call("ambulance")
        if wish == "again":
            case.doubt("B")
        said = {"LEG": case.leg("ambulance").id, "CHANNEL": case.of_seat("1002")}
        if wish.startswith("message-"):
            said["MESSAGE"] = case.card_is_lost("contact/1")
        if wish in ("close", "follow-up"):
            case.end()
            case.wish(WriteRecord, text="120 到场，送医")
        if wish == "follow-up":
            case.close()
        self.cases.append(case)
        # What a seat does in an emergency is on record a moment after it is on the disk.
        wait_until(
            lambda: on_record(self.centre, case.id) == case.wishes, 10, "the case is on record"
        )
        return f"/rescue/{case.id}/{wish}", {k: said.get(v, v) for k, v in form.items()}

    def menu(self, path: str) -> Sent:
        given = self.hidden("/menu", "version")
        return path, {**given, "key": "5", "service": "information", "queue": "hotline"}

    def plan(self) -> Sent:
        given = self.hidden("/plans/lost?change=1", "version")
        return "/plans/lost", {**given, "steps": "A 叫 110\nB 陪着老人"}


FORMS: Final[dict[str, Callable[[Place], Sent]]] = {
    f"{CALL}/orders": lambda it: (
        f"/calls/{it.call()}/orders", {"order_id": "a" * 31 + "1", "content": "送餐"}
    ),
    f"{CALL}/orders/choose": Place.open_order_id,
    f"{CALL}/wrap-up": lambda it: (
        f"/calls/{it.call()}/wrap-up",
        {"wrap_up_id": "a" * 32, "order_id": "b" * 32, "call_class": "other"},
    ),
    f"{CALL}/caller": Place.caller,
    f"{CALL}/draft": lambda it: (f"/calls/{it.call()}/draft", {"note": "问"}),
    f"{ORDER}/judge": lambda it: (f"/orders/{it.order()}/judge", {"content": "理发"}),
    f"{ORDER}/close": lambda it: (f"/orders/{it.order()}/close", {"answer": "已答复"}),
    f"{ORDER}/cancel": lambda it: (f"/orders/{it.order()}/cancel", {"reason": "重复"}),
    **{
        f"{CASE}/{wish}": lambda it, wish=wish, form=form: it.rescue(wish, form)  # type: ignore[misc]
        for wish, form in {
            "call": {"party": "contact/1"},
            "drop": {"leg": "LEG"},
            "move": {"channel": "CHANNEL", "room": "elder"},
            "mute": {"channel": "CHANNEL", "muted": "yes"},
            "mark": {"leg": "LEG", "mark": "told"},
            "note": {"note_id": "a" * 32, "text": "清醒"},
            "plan": {"kind": "fall", "version": "1"},
            "tick": {"step": "identity"},
            "card": {"uid": "E00000009"},
            "again": {},
            "private": {"so": "yes"},
            "safe": {"so": "yes"},
            "stop-calling": {"reason": "家属已在老人身边"},
            "message": {"party": "contact/1"},
            "message-again": {"message": "MESSAGE"},
            "message-left": {"message": "MESSAGE"},
            "record": {"text": "120 送医，家属陪同"},
            "close": {"outcome": "rescued", "changes": "无变更"},
            "follow-up": {"text": "已出院，能下床"},
        }.items()
    },
    f"{CASE_FILE}/record": lambda it: (f"/cases/{it.case_file().id}/record", {"record": "已送医"}),
    f"{CASE_FILE}/close": lambda it: (
        f"/cases/{it.case_file().recorded().id}/close", {"outcome": "rescued", "changes": "无变更"}
    ),
    f"{CASE_FILE}/follow-up": lambda it: (
        f"/cases/{it.case_file().recorded().closed().id}/follow-up", {"follow_up": "在家休养"}
    ),
    f"{CASE_FILE}/message": lambda it: (
        f"/cases/{(case := it.case_file().id)}/message", {"message": f"{case}-M2", "do": "leave"}
    ),
    f"{CASE_FILE}/draft": lambda it: (f"/cases/{it.case_file().id}/draft", {"record": "写到一半"}),
    "/elders/new": lambda it: ("/elders/new", {"full_name": "蒋", "numbers": fresh_number()}),
    f"{ELDER}/edit": Place.edit,
    f"{ELDER}/tested": Place.tested,
    PLAN: Place.plan,
    "/menu": lambda it: it.menu("/menu"),
    "/menu/try": lambda it: it.menu("/menu/try"),
    "/phone/seat": lambda it: ("/phone/seat", {"seat": "1002", "take_over": "1002"}),
    "/phone/line": lambda it: ("/phone/line", {}),
    "/phone/leave": lambda it: ("/phone/leave", {}),
    "/users": lambda it: (
        "/users",
        {"name": fresh_number(), "role": "seat", "password": "three words are easy"},
    ),
    f"{USER}/role": lambda it: it.user("role", {"role": "supervisor"}),
    f"{USER}/password": lambda it: it.user("password", {"password": "three words are easy"}),
    f"{USER}/active": lambda it: it.user("active", {"active": "no"}),
    "/sign-out": lambda it: ("/sign-out", {}),
}  # fmt: skip
"""Forms that do something, by their route; the seat's stand in the order in which they are used."""


@pytest.fixture(scope="module")
def admin(browser: Browser, desk: Desk) -> Iterator[BrowserContext]:
    context = browser.new_context(locale="zh-CN", base_url=desk.url)
    page = context.new_page()
    sign_in(page)
    page.wait_for_url("**/")
    yield context
    context.close()


@pytest.fixture(scope="module")
def strangers(browser: Browser, desk: Desk, centre: Centre) -> Iterator[dict[str, BrowserContext]]:
    """Somebody of each role, signed in; also of a role that nobody knows, which has no right."""
    contexts = {}
    for role in ("seat", "supervisor", "nobody"):
        name = f"{role} of every form"
        centre.add_user(name, role)
        contexts[role] = context = browser.new_context(locale="zh-CN", base_url=desk.url)
        page = context.new_page()
        sign_in(page, name=name)
        page.wait_for_url("**/")
    yield contexts
    for context in contexts.values():
        context.close()


def on_record(centre: Centre, subject: str = "") -> int:
    """How much is on record; of this subject alone, when one is named."""

    async def count(session: AsyncSession) -> int:
        entries = select(func.count()).select_from(AuditEntry)
        if subject:
            entries = entries.where(AuditEntry.subject_id == subject)
        return await session.scalar(entries) or 0

    return centre.read(count)


def last_entry(centre: Centre) -> AuditEntry:
    async def newest(session: AsyncSession) -> AuditEntry:
        found = await session.scalar(select(AuditEntry).order_by(AuditEntry.id.desc()).limit(1))
        assert found
        return found

    return centre.read(newest)


def token_of(context: BrowserContext) -> str:
    """The token of this sign-in's forms: every page has it, also one that refuses."""
    page = context.pages[0]
    page.goto("/help")
    text = page.context.request.get("/nothing", headers={"Accept": "text/html"}).text()
    found = re.search(r'name="csrf" value="([^"]+)"', text)
    assert found
    return found[1]


def post(context: BrowserContext, path: str, form: Form) -> APIResponse:
    return context.request.post(path, form=dict(form), max_redirects=0)


def test_every_form_is_in_the_table() -> None:
    """A form that is added later is walked too."""
    assert set(FORMS) | ELSEWHERE | {"/sign-in"} == set(RIGHTS)


@pytest.mark.parametrize("route", FORMS)
def test_a_form_does_nothing_without_right_or_token_and_is_on_record_with_them(
    admin: BrowserContext, strangers: dict[str, BrowserContext], centre: Centre, route: str
) -> None:
    place = Place(admin.pages[0], centre)
    path, form = FORMS[route](place)
    before = on_record(centre)
    token = {"csrf": token_of(admin)}
    for wrong in ({}, {"csrf": ""}, {"csrf": "guess"}, {"csrf": token_of(strangers["seat"])}):
        assert post(admin, path, {**form, **wrong}).status == 403
    for role, context in strangers.items():
        if RIGHTS[route] not in ROLES.get(role, frozenset()) and RIGHTS[route] is not Right.ANYONE:
            assert post(context, path, {**form, "csrf": token_of(context)}).status == 403, role
    assert on_record(centre) == before, "nothing was done"
    answer = post(admin, path, {**form, **token})
    assert answer.status < 400, answer.text()
    if route in SILENT:
        assert on_record(centre) == before, SILENT[route]
        return
    wait_until(lambda: on_record(centre) > before, 10, "it is on record")
    for case in place.cases:
        case.end()
    centre.forget_menus()
    entry = last_entry(centre)
    assert entry.by == "admin"
    assert entry.address == "127.0.0.1"
    assert entry.permission == RIGHTS[route].value
