"""Understands the command line, makes the machine ready for it, and hands over."""

from __future__ import annotations

import argparse
import compileall
import os
import signal
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from launch import asterisk_tree, machine, steps, tasks
from launch.steps import CHECKOUT, SetupError, is_root, say
from launch.venv import Environment, Kind, base_python

CANNOT_PREPARE: Final = 2
INTERRUPTED: Final = 130
QUIETLY: Final = 2
"""Also where nothing can be written."""


@dataclass(frozen=True, slots=True)
class Wants:
    """What has to be on the machine before a command can begin."""

    environment: Kind
    packages: tuple[str, ...] = ()
    asterisk: bool = False


def wants_to_run() -> Wants:
    """What running Careline needs."""
    return Wants(Kind.RUN, machine.RUN_PACKAGES, asterisk=True)


def wants_to_test(parts: Sequence[str]) -> Wants:
    """What the tests of these parts need: those without a telephone do without Asterisk."""
    packages = [name for part in parts for name in machine.TEST_PACKAGES[part]]
    if set(parts) <= {"unit", "database"}:
        return Wants(Kind.DEV, tuple(packages))
    return Wants(Kind.DEV, (*machine.RUN_PACKAGES, *packages), asterisk=True)


def make_ready(wants: Wants) -> None:
    """Do the steps that are still to be done; when there are none this takes milliseconds."""
    environment = Environment()
    first = list(machine.asterisk_packages()) if wants.asterisk else []
    if not environment.is_ready(wants.environment) and not base_python().has_ensurepip:
        first.append("python3-venv")
    to_unpack = "mmdebstrap" in first
    lacking = machine.missing([*first, *wants.packages])
    begin = tuple(name for name in lacking if name in first)
    side_by_side: list[Callable[[], object]] = []
    if is_root():
        machine.install(begin)
        rest = tuple(name for name in lacking if name not in first)
        side_by_side.append(lambda: machine.install(rest))
    else:
        machine.install(lacking)
    if to_unpack:
        side_by_side.append(asterisk_tree.unpack)
    side_by_side.append(lambda: environment.make(wants.environment))
    side_by_side.append(compile_modules)
    all_of(side_by_side)
    if wants.asterisk:
        machine.make_user()
        asterisk_tree.find()


def compile_modules(checkout: Path = CHECKOUT) -> None:
    """Compile what is ours, unless it is: those who serve may not write here, and each of them
    would do it anew at every start."""
    if base_python().version != f"{sys.version_info.major}.{sys.version_info.minor}":
        return
    for room in tasks.ROOMS:
        compileall.compile_dir(checkout / room, quiet=QUIETLY)
    for module in checkout.glob("*.py"):
        compileall.compile_file(module, quiet=QUIETLY)


def all_of(work: Sequence[Callable[[], object]]) -> None:
    """Run the steps at once; the first that fails ends the others."""
    # What they make is read by the user whom Asterisk runs as, whatever root's mask.
    mask = os.umask(0o022)
    try:
        _side_by_side(work)
    finally:
        os.umask(mask)


def _side_by_side(work: Sequence[Callable[[], object]]) -> None:
    with ThreadPoolExecutor(max_workers=len(work)) as pool:
        try:
            futures = [pool.submit(step) for step in work]
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        except BaseException:
            # From here on a second Ctrl-C must not cut short the clearing away.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            steps.stop_all()
            raise


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="careline", description="A contact centre for elderly people who live at home."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="make the machine ready and run Careline")
    run.add_argument("--home", type=Path, help="where everything is kept (database, recordings, …)")
    run.add_argument("--config", type=Path, help="the settings file (default: careline.toml)")
    run.add_argument(
        "--practice", action="store_true", help="with invented elders, and no carrier at all"
    )
    install = commands.add_parser("install", help="write systemd units that run Careline")
    install.add_argument("--home", type=Path, help="where everything is kept")
    install.add_argument("--config", type=Path, help="the settings file (default: the home's own)")
    install.add_argument("--user", help="whom everything runs as (default: careline)")
    install.add_argument("--root", type=Path, help="write under this folder instead of /")
    doctor = commands.add_parser("doctor", help="say what is wrong, and what to do about it")
    doctor.add_argument("--home", type=Path, help="the home to look at")
    doctor.add_argument("--config", type=Path, help="the settings file")
    doctor.add_argument("--json", action="store_true", help="for programs")
    prepare = commands.add_parser("prepare", help="make the machine ready and stop")
    prepare.add_argument("--tests", action="store_true", help="for the tests too")
    test = commands.add_parser(
        "test", help="run the tests", epilog="What stands after -- goes to pytest as it is."
    )
    test.add_argument("parts", nargs="*", metavar="PART", help=" | ".join(machine.PARTS))
    test.add_argument("--full", action="store_true", help="every fault in every stage of a call")
    commands.add_parser("check", help="run the linters, the type checker and their like")
    rows = commands.add_parser("rows", help="print which requirement rows the tests show")
    rows.add_argument("--json", action="store_true", help="for programs")
    bench = commands.add_parser("bench", help="measure how fast Careline is on this machine")
    bench.add_argument("words", nargs=argparse.REMAINDER, metavar="NAME [--json]")
    return parser


def default_home() -> Path:
    """Where a Careline keeps everything when it is not told."""
    if is_root():
        return Path("/var/lib/careline")
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "careline"


def _run(options: argparse.Namespace) -> int:
    make_ready(wants_to_run())
    practice = ["--practice"] if options.practice else []
    become(["-m", "launch.supervise", *_places(options, default_home()), *practice])


def _install(options: argparse.Namespace) -> int:
    make_ready(wants_to_run())
    user = ["--user", options.user] if options.user else []
    root = ["--root", str(options.root.absolute())] if options.root else []
    become(["-m", "launch.install", *_places(options, Path("/var/lib/careline")), *user, *root])


def _doctor(options: argparse.Namespace) -> int:
    # It only looks: an environment that services run in is not made anew under them.
    if not Environment().python.exists():
        make_ready(Wants(Kind.RUN))
    words = [*_places(options, default_home()), *(["--json"] if options.json else [])]
    become(["-m", "launch.doctor", *words])


def _places(options: argparse.Namespace, home: Path) -> list[str]:
    """The words that name the home and the settings file, whatever folder we are in."""
    words = ["--home", str((options.home or home).absolute())]
    return words + (["--config", str(options.config.absolute())] if options.config else [])


def _prepare(options: argparse.Namespace) -> int:
    make_ready(wants_to_run())
    if options.tests:
        make_ready(wants_to_test(machine.PARTS))
    say("the machine is ready")
    return 0


def _rows(options: argparse.Namespace) -> int:
    make_ready(Wants(Kind.DEV))
    become(["-m", "launch.rows", *(["--json"] if options.json else [])])


def _bench(options: argparse.Namespace) -> int:
    make_ready(Wants(Kind.DEV, machine.RUN_PACKAGES, asterisk=True))
    become(["-m", "tests.bench", *options.words])


def _check(_options: argparse.Namespace) -> int:
    make_ready(Wants(Kind.DEV))
    return tasks.check(Environment())


def _test(options: argparse.Namespace, for_pytest: Sequence[str]) -> int:
    unknown = [part for part in options.parts if part not in machine.PARTS]
    if unknown:
        raise SetupError(
            f"there is no part {unknown[0]!r}.\n    The parts are: {', '.join(machine.PARTS)}."
        )
    parts = tuple(dict.fromkeys(options.parts)) or machine.PARTS
    make_ready(wants_to_test(parts))
    if not options.parts:
        parts = tuple(part for part in parts if (CHECKOUT / "tests" / part).is_dir())
    if options.full and parts != ("faults",):
        raise SetupError("--full is for the faults alone.\n    Run ./careline test faults --full.")
    words = [*(["--full"] if options.full else []), *for_pytest]
    if len(parts) == 1:
        become(tasks.pytest_words(parts[0], words))
    return tasks.run_parts(Environment().python, parts, words)


def become(words: Sequence[str]) -> NoReturn:
    """Turn this process into the environment's Python, in the checkout."""
    python = str(Environment().python)
    os.chdir(CHECKOUT)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(python, [python, *words])  # noqa: S606 - there is no shell, and none is wanted


def _do(arguments: Sequence[str]) -> int:
    own, rest = _split(list(arguments))
    options = _parser().parse_args(own)
    if options.command == "test":
        return _test(options, rest)
    if rest:
        raise SetupError("only ./careline test takes words after --.")
    commands = {
        "run": _run, "install": _install, "doctor": _doctor, "prepare": _prepare,
        "rows": _rows, "bench": _bench, "check": _check,
    }  # fmt: skip
    return commands[options.command](options)


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Our own words, and those after `--`, which are for the program that is started."""
    if "--" not in arguments:
        return arguments, []
    at = arguments.index("--")
    return arguments[:at], arguments[at + 1 :]


def main(arguments: Sequence[str]) -> int:
    """The launcher's whole life; returns its exit code unless it became another program."""
    return guarded(lambda: _do(arguments))


def guarded(work: Callable[[], int]) -> int:
    """Do the work; whatever stops it becomes one clear message and an exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return work()
    except SetupError as error:
        say(str(error))
        return CANNOT_PREPARE
    except OSError as error:
        say(str(steps.from_os_error(error)))
        return CANNOT_PREPARE
    except KeyboardInterrupt:
        steps.stop_all()
        say("stopped; what was half done is made anew at the next start")
        return INTERRUPTED
