"""Printing goes on beside the desk: it ends in time, fetches nothing, and says when it fails."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from agent_desk import printing

LONG = "<p>老人跌倒，右腿疼，意识清楚。</p>" * 20_000


@pytest.fixture
def listener() -> Iterator[tuple[str, list[str]]]:
    """A server that somebody's text names, and what was asked of it."""
    asked: list[str] = []

    class Listening(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Listening)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()
    server.server_close()


def programs() -> list[str]:
    """The programs that this one has started and that live."""
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text("ascii").split()


async def test_a_page_reaches_for_nothing_that_it_names(
    listener: tuple[str, list[str]], tmp_path: Path
) -> None:
    url, asked = listener
    secret = tmp_path / "secret.svg"
    secret.write_text('<svg xmlns="http://www.w3.org/2000/svg"><text>geheim</text></svg>', "utf-8")
    html = (
        f'<link rel="stylesheet" href="{url}/a.css"><style>@import "{url}/b.css";'
        f'@font-face {{ font-family: x; src: url("{url}/c.woff") }}</style>'
        f'<img src="{url}/d.png"><img src="{secret.as_uri()}"><p>颐铃'
    )
    bare = await printing.as_pdf("<p>颐铃")
    pdf = await printing.as_pdf(html)
    assert pdf.startswith(b"%PDF")
    assert asked == []
    assert b"/Image" not in pdf
    assert abs(len(pdf) - len(bare)) < 500, "there is nothing in it but the text"


async def test_what_takes_too_long_is_ended_and_leaves_no_program_behind() -> None:
    before = programs()
    with pytest.raises(printing.NotPrinted, match="longer than"):
        await printing.as_pdf(LONG, within_s=3)
    assert programs() == before


async def test_others_go_on_while_it_prints() -> None:
    turns = 0
    printing_it = asyncio.create_task(printing.as_pdf("<p>颐铃</p>" * 200))
    while not printing_it.done():
        turns += 1
        await asyncio.sleep(0.01)
    assert (await printing_it).startswith(b"%PDF")
    # Were it made in here, nobody else would have had a turn.
    assert turns > 10


async def test_a_machine_that_cannot_print_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(printing.NotPrinted, match="ended with 1"):
        await printing.as_pdf("<p>颐铃</p>")
