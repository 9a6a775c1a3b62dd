"""A wire between us and a PostgreSQL server, which can be cut, held, and can lose one answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path


class Wire:
    """Passes bytes both ways between our address and the server's socket."""

    def __init__(self, server: Path) -> None:
        self._server = server
        self._ends: set[asyncio.StreamWriter] = set()
        self._passes = asyncio.Event()
        self._passes.set()
        self.loses_next_commit = False
        """The server does the next commit, and the connection ends without its answer."""
        self.loses_next_question = False
        """The next commit never reaches the server, which sees the connection end instead."""
        self.lost = 0
        self.is_cut = False

    def hold(self) -> None:
        """Nothing passes and nothing ends, as with a machine that stands still."""
        self._passes.clear()

    def go_on(self) -> None:
        self._passes.set()

    def cut(self) -> None:
        self.is_cut = True
        for end in self._ends:
            end.transport.abort()

    def mend(self) -> None:
        self.is_cut = False

    async def carry(self, ours: asyncio.StreamReader, to_us: asyncio.StreamWriter) -> None:
        if self.is_cut:
            to_us.transport.abort()
            return
        theirs, to_them = await asyncio.open_unix_connection(self._server)
        ends = {to_us, to_them}
        self._ends |= ends
        try:
            with suppress(OSError):
                await self._pass_on(ours, to_us, theirs, to_them)
        finally:
            self._ends -= ends
            for end in ends:
                end.transport.abort()

    async def _pass_on(
        self,
        ours: asyncio.StreamReader,
        to_us: asyncio.StreamWriter,
        theirs: asyncio.StreamReader,
        to_them: asyncio.StreamWriter,
    ) -> None:
        losing = False

        async def ask() -> None:
            nonlocal losing
            while words := await ours.read(65536):
                await self._passes.wait()
                if self.loses_next_question and b"COMMIT" in words:
                    self.loses_next_question = False
                    return
                if self.loses_next_commit and b"COMMIT" in words:
                    losing, self.loses_next_commit = True, False
                to_them.write(words)

        async def answer() -> None:
            while words := await theirs.read(65536):
                await self._passes.wait()
                if losing:
                    assert b"COMMIT" in words, "the server said that it has done it"
                    self.lost += 1
                    return
                to_us.write(words)

        tasks = [asyncio.ensure_future(way()) for way in (ask, answer)]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def wire_to(folder: Path) -> AsyncIterator[tuple[Wire, int]]:
    """A wire to the server whose socket is in `folder`, and the port of its end on 127.0.0.1."""
    wire = Wire(folder / ".s.PGSQL.5432")
    server = await asyncio.start_server(wire.carry, "127.0.0.1", 0)
    try:
        yield wire, server.sockets[0].getsockname()[1]
    finally:
        server.close()
        wire.go_on()
        wire.cut()
