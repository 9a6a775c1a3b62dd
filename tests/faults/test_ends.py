"""Ctrl-C ends everything that a start began, whenever it comes; and the desk speaks TLS."""

from __future__ import annotations

import contextlib
import json
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from launch.settle import INTERRUPTED
from tests.faults.test_start import refused, start_without_waiting
from tests.house import House, running, start, write_config
from tests.observer import wait_until
from tests.telephone import Block, claim_addresses


@pytest.fixture
def block() -> Iterator[Block]:
    with claim_addresses(160) as claimed:
        yield claimed


@pytest.fixture
def config(open_place: Path, block: Block) -> Path:
    return write_config(open_place / "careline.toml", block)


def test_one_ctrl_c_ends_everything_and_the_only_line_on_stdout_was_the_ready_one(
    open_place: Path, config: Path, block: Block
) -> None:
    with ended_afterwards(start(open_place / "home", config)) as house:
        only_one_line_and_one_ctrl_c(house, block)


def only_one_line_and_one_ctrl_c(house: House, block: Block) -> None:
    assert house.ready == {
        "ready": True,
        "desk": f"http://{block.centre}:8080",
        "sip": f"{block.centre}:5060",
        "home": str(house.home.root),
        "mode": "real",
    }
    assert len([line for line in house.living() if "app.py" in line]) == 3
    assert [line for line in house.living() if "asterisk.conf" in line]
    house.interrupt()
    assert house.wait_ended(30) == 0
    assert house.living() == []
    assert house.process.stdout is not None
    assert house.process.stdout.read() == ""


@contextlib.contextmanager
def ended_afterwards(house: House) -> Iterator[House]:
    """Whatever a test finds, nothing of the house lives on."""
    try:
        yield house
    finally:
        if house.process.poll() is None:
            house.process.kill()
        house.close()
        house.end_asterisk()


@pytest.mark.parametrize("sign", ["secrets/ami", "asterisk/run/started.pid"])
def test_ctrl_c_in_the_middle_of_a_start_leaves_nothing_running(
    open_place: Path, config: Path, sign: str
) -> None:
    with ended_afterwards(start_without_waiting(open_place / "home", config)) as house:
        wait_until((house.home.root / sign).exists, 30, f"{sign} in the new home")
        house.interrupt()
        assert house.wait_ended(40) in (0, INTERRUPTED)
        assert house.living() == []
        assert house.process.stderr is not None
        assert "Traceback" not in house.process.stderr.read()
    with running(house.home.root, config) as again:
        assert again.ready["ready"] is True


def self_signed(folder: Path, host: str) -> tuple[Path, Path]:
    """A certificate for this address and its key."""
    certificate, key = folder / "desk.pem", folder / "desk.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "30", "-subj", "/CN=desk.test", "-addext", f"subjectAltName=IP:{host}",
         "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    for file in (certificate, key):
        file.chmod(0o644)
    return certificate, key


def with_tls(config: Path, certificate: Path, key: Path) -> None:
    lines = f'desk_certificate = "{certificate}"\ndesk_key = "{key}"\n[[trunks]]'
    config.write_text(config.read_text("utf-8").replace("[[trunks]]", lines, 1), "utf-8")


def test_the_desk_is_served_with_the_certificate_of_the_settings(
    open_place: Path, config: Path, block: Block
) -> None:
    certificate, key = self_signed(open_place, block.centre)
    with_tls(config, certificate, key)
    with running(open_place / "home", config) as house:
        assert house.ready["desk"] == f"https://{block.centre}:8080"
        trusted = ssl.create_default_context(cafile=str(certificate))
        with urllib.request.urlopen(f"{house.ready['desk']}/sign-in", context=trusted) as page:
            assert page.status == 200
            assert "Secure" in page.headers["Set-Cookie"]
        doctor = subprocess.run(
            ["./careline", "doctor", "--json", "--home", house.home.root, "--config", config],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        said = json.dumps(json.loads(doctor.stdout), ensure_ascii=False)
        assert "certificate is good for 29 days" in said


def test_a_certificate_that_cannot_be_used_stops_the_start(
    open_place: Path, config: Path, block: Block
) -> None:
    """Not there; with another's key; and with a key that would ask for a password."""
    text = config.read_text("utf-8")
    certificate, key = self_signed(open_place, block.centre)
    foreign = self_signed(made_folder(open_place / "other"), block.centre)[1]
    locked = open_place / "locked.key"
    subprocess.run(
        ["openssl", "ec", "-in", key, "-aes256", "-passout", "pass:for-tests", "-out", locked],
        check=True, capture_output=True,
    )  # fmt: skip
    locked.chmod(0o644)
    for wrong in ((open_place / "none.pem", key), (certificate, foreign), (certificate, locked)):
        config.write_text(text, "utf-8")
        with_tls(config, *wrong)
        said = refused(open_place / "home", config)
        assert f"{config}: addresses.desk_certificate = '{wrong[0]}'" in said
        assert f"addresses.desk_key = '{wrong[1]}'" in said
        assert "right would be a certificate with its own key" in said


def made_folder(folder: Path) -> Path:
    folder.mkdir()
    return folder
