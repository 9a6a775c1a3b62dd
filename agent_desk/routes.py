"""The map of the desk: every route with the right that it asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from aiohttp import web

from agent_desk.access import Handler
from agent_desk.pages import (
    board,
    calls,
    case_closing,
    case_export,
    cases,
    elders,
    guide,
    hooks,
    menus,
    orders,
    phone,
    plans,
    practice,
    record,
    rescue,
    rescue_acts,
    seat,
    seats,
    settings,
    sign_in,
    users,
    wrap_up,
)
from agent_desk.rights import Right

STATIC: Final = Path(__file__).parent / "static"

CALL: Final = r"/calls/{call_id:[A-Za-z0-9._\-]{1,80}}"
ORDER: Final = r"/orders/{order_no:[0-9\-]{1,20}}"
CASE_FILE: Final = r"/cases/{case_id:[A-Za-z0-9._\-]{1,96}}"
ELDER: Final = r"/elders/{uid:[A-Z0-9\-]{1,20}}"
PLAN: Final = r"/plans/{kind:[a-z_]{1,20}}"
CASE: Final = r"/rescue/{case_id:[A-Za-z0-9._\-]{1,80}}"
USER: Final = r"/users/{user_id:[0-9]{1,9}}"

ROUTES: Final[tuple[tuple[str, str, Handler, Right], ...]] = (
    ("GET", "/healthz", board.healthz, Right.ANYONE),
    ("GET", "/sign-in", sign_in.show, Right.ANYONE),
    ("POST", "/sign-in", sign_in.sign_in, Right.ANYONE),
    ("POST", "/sign-out", sign_in.sign_out, Right.SIGNED_IN),
    ("GET", "/", board.show, Right.WATCH_BOARD),
    ("GET", "/feed", board.feed, Right.WATCH_BOARD),
    ("GET", "/calls", calls.index, Right.READ_CALLS),
    ("GET", CALL, calls.show, Right.READ_CALLS),
    ("GET", f"{CALL}/recording", calls.recording, Right.HEAR_RECORDINGS),
    ("POST", f"{CALL}/orders", calls.open_order, Right.WRITE_ORDERS),
    ("POST", f"{CALL}/orders/choose", calls.choose_order, Right.WRITE_ORDERS),
    ("POST", f"{CALL}/wrap-up", wrap_up.save, Right.WRAP_UP_CALLS),
    ("POST", f"{CALL}/caller", calls.name_caller, Right.WRAP_UP_CALLS),
    ("POST", f"{CALL}/emergency", rescue.declare, Right.RESCUE),
    ("GET", "/rescue", rescue.index, Right.WATCH_BOARD),
    ("GET", "/rescue/wall", rescue.wall, Right.WATCH_BOARD),
    ("GET", "/rescue/mine", rescue.mine, Right.RESCUE),
    ("GET", CASE, rescue.show, Right.RESCUE),
    ("GET", f"{CASE}/feed", rescue.feed, Right.RESCUE),
    *(("POST", f"{CASE}/{name}", act, Right.RESCUE) for name, act in rescue_acts.WISHES.items()),
    ("POST", f"{CASE}/stop-calling", rescue_acts.stop_calling, Right.STOP_CALLING),
    ("GET", "/seat", seat.show, Right.READ_CALLS),
    ("POST", f"{CALL}/draft", wrap_up.keep_draft, Right.WRAP_UP_CALLS),
    ("GET", "/orders", orders.index, Right.READ_ORDERS),
    ("GET", ORDER, orders.show, Right.READ_ORDERS),
    ("POST", f"{ORDER}/judge", orders.judge, Right.WRITE_ORDERS),
    ("POST", f"{ORDER}/close", orders.close, Right.WRITE_ORDERS),
    ("POST", f"{ORDER}/cancel", orders.cancel, Right.WRITE_ORDERS),
    ("GET", "/cases", cases.index, Right.READ_CASES),
    # Before the page, whose address would take the ending for a part of the case's number.
    ("GET", f"{CASE_FILE}.json", case_export.as_json, Right.READ_CASES),
    ("GET", CASE_FILE, cases.show, Right.READ_CASES),
    ("GET", f"{CASE_FILE}/print", case_export.printed, Right.READ_CASES),
    (
        "GET",
        CASE_FILE + r"/legs/{number:[0-9]{1,4}}/recording",
        cases.recording,
        Right.HEAR_RECORDINGS,
    ),
    ("POST", f"{CASE_FILE}/record", case_closing.write_record, Right.WRITE_CASES),
    ("POST", f"{CASE_FILE}/close", case_closing.close, Right.WRITE_CASES),
    ("POST", f"{CASE_FILE}/follow-up", case_closing.follow_up, Right.WRITE_CASES),
    ("POST", f"{CASE_FILE}/message", case_closing.decide_message, Right.WRITE_CASES),
    ("POST", f"{CASE_FILE}/draft", case_closing.keep_draft, Right.WRITE_CASES),
    ("GET", "/elders", elders.index, Right.READ_ELDERS),
    ("GET", "/elders/new", elders.new, Right.EDIT_ELDERS),
    ("POST", "/elders/new", elders.enter, Right.EDIT_ELDERS),
    ("GET", ELDER, elders.show, Right.READ_ELDERS),
    ("GET", f"{ELDER}/edit", elders.edit, Right.EDIT_ELDERS),
    ("POST", f"{ELDER}/edit", elders.change, Right.EDIT_ELDERS),
    ("POST", f"{ELDER}/tested", elders.note_test, Right.EDIT_ELDERS),
    ("GET", "/plans", plans.index, Right.READ_PLANS),
    ("GET", PLAN, plans.show, Right.READ_PLANS),
    ("POST", PLAN, plans.change, Right.CHANGE_PLANS),
    ("GET", f"{PLAN}.json", plans.as_json, Right.READ_PLANS),
    ("GET", "/menu", menus.show, Right.CHANGE_MENUS),
    ("POST", "/menu", menus.change, Right.CHANGE_MENUS),
    ("POST", "/menu/try", menus.try_out, Right.CHANGE_MENUS),
    ("GET", "/phone", phone.show, Right.USE_PHONE),
    ("POST", "/phone/seat", phone.sit, Right.USE_PHONE),
    ("POST", "/phone/leave", phone.leave, Right.USE_PHONE),
    ("POST", "/phone/line", phone.line, Right.USE_PHONE),
    ("GET", phone.PATH, phone.sip, Right.USE_PHONE),
    ("GET", "/seats", seats.index, Right.READ_SEATS),
    ("GET", "/users", users.index, Right.MANAGE_USERS),
    ("POST", "/users", users.add, Right.MANAGE_USERS),
    ("GET", USER, users.show, Right.MANAGE_USERS),
    ("POST", f"{USER}/role", users.change_role, Right.MANAGE_USERS),
    ("POST", f"{USER}/password", users.set_password, Right.MANAGE_USERS),
    ("POST", f"{USER}/active", users.set_active, Right.MANAGE_USERS),
    ("GET", "/record", record.index, Right.READ_RECORD),
    ("GET", "/settings", settings.show, Right.READ_SETTINGS),
    ("GET", "/practice", practice.show, Right.PRACTISE),
    ("GET", "/practice/now", practice.now, Right.PRACTISE),
    ("POST", "/practice/call", practice.call, Right.PRACTISE),
    ("POST", "/practice/rhythm", practice.rhythm, Right.PRACTISE),
    ("POST", "/hooks/twilio", hooks.twilio, Right.ANYONE),
    ("POST", "/hooks/gateway", hooks.gateway, Right.ANYONE),
    ("GET", "/help", guide.show, Right.ANYONE),
    ("GET", r"/help/{page:[a-z\-]{1,20}}", guide.show, Right.ANYONE),
)


def add_routes(app: web.Application) -> dict[web.AbstractRoute, Right]:
    """Put every route into the application; returns the right that each one asks for."""
    rights: dict[web.AbstractRoute, Right] = {}
    for method, path, handler, right in ROUTES:
        resource = app.router.add_resource(path)
        for one in ("GET", "HEAD") if method == "GET" else (method,):
            rights[resource.add_route(one, handler)] = right
    static = app.router.add_static("/static", STATIC)
    spoken = app.router.add_static("/spoken", menus.SPOKEN / "zh")
    return rights | dict.fromkeys(static, Right.ANYONE) | dict.fromkeys(spoken, Right.CHANGE_MENUS)
