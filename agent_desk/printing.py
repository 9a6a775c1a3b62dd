"""A page as PDF: made by a program of its own, with little time and no way to anywhere.

`python -m agent_desk.printing` reads HTML from stdin and writes the PDF to stdout. A text that
somebody typed is in it, so nothing that it names is fetched: neither a file nor an address.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

WITHIN_S: Final = 60.0
AT_ONCE: Final = 1
"""A machine that rescues has better to do than to print for several people."""
ROOT: Final = Path(__file__).parent.parent

_turn: Final = asyncio.Semaphore(AT_ONCE)


class NotPrinted(Exception):
    """No PDF came of it; the text is for the log."""


async def as_pdf(html: str, *, within_s: float = WITHIN_S) -> bytes:
    """The page as PDF. Raises NotPrinted, also when that takes longer than `within_s`."""
    try:
        async with asyncio.timeout(within_s), _turn:
            return await _made(html)
    except TimeoutError:
        raise NotPrinted(f"it took longer than {within_s:.0f} s") from None


async def _made(html: str) -> bytes:
    printer = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agent_desk.printing",
        cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        pdf, said = await printer.communicate(html.encode("utf-8", "replace"))
    finally:
        if printer.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                printer.kill()
            await printer.wait()
    if printer.returncode != 0 or not pdf.startswith(b"%PDF"):
        last = said.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise NotPrinted(f"the printer ended with {printer.returncode}: {last[:300]}")
    return pdf


def refuse(url: str, *_more: Any, **_named: Any) -> Any:
    """What WeasyPrint asks for whatever the page names."""
    raise ValueError(f"a printed page fetches nothing: {url[:100]}")


def main(html: str, write: Callable[[bytes], object]) -> None:
    # Below everything else: a call must not wait for a print, nor for one that nobody waits for.
    os.nice(10)
    resource.setrlimit(resource.RLIMIT_CPU, (int(WITHIN_S), int(WITHIN_S)))
    import weasyprint

    # Only a fetcher of WeasyPrint's own kind is asked for what it would else open by itself.
    fetcher = type("Refusing", (weasyprint.urls.URLFetcher,), {"fetch": staticmethod(refuse)})()
    write(weasyprint.HTML(string=html, url_fetcher=fetcher).write_pdf())


if __name__ == "__main__":
    main(sys.stdin.buffer.read().decode("utf-8"), sys.stdout.buffer.write)
