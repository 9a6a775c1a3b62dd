"""The systemd units of one Careline, as text.

careline-asterisk stands alone: no other unit stops or restarts it, so that calls go on while the
rest is restarted or replaced. careline.target is the rest, and what one restarts for an upgrade:
careline-prepare (migrations, rendering; Asterisk reads the new files), then the three processes.
All of it runs as one ordinary user who can write in the home and nowhere else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from asterisk_conf.instance import START_SCRIPT
from starter import HUNG_AFTER_S

HARDENING: Final = """\
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
"""
NO_CAPABILITY: Final = "CapabilityBoundingSet=\n"
LOW_PORTS: Final = (
    "# The desk may be set to port 443.\n"
    "CapabilityBoundingSet=CAP_NET_BIND_SERVICE\nAmbientCapabilities=CAP_NET_BIND_SERVICE\n"
)
CPU_WEIGHT: Final = {"asterisk": 900, "controller": 900, "desk": 900, "worker": 30}
"""What precedence.py says where nobody runs services; 100 is everybody else's."""
WHAT: Final = {
    "controller": "calls and processes",
    "desk": "web desk",
    "worker": "recordings",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """Who runs what, and where. `config` is the settings file when it is not the home's own."""

    user: str
    home: Path
    checkout: Path
    python: Path
    config: Path | None = None

    def run(self, *words: str) -> str:
        """A line that starts one of our programs in this home."""
        config = ("--config", str(self.config)) if self.config else ()
        line = (str(self.python), *words, "--home", str(self.home), *config)
        return " ".join(quoted(word) for word in line)


def quoted(word: str) -> str:
    """One word of a line that systemd runs: what means something there is taken literally."""
    word = word.replace("\\", "\\\\").replace("%", "%%").replace("$", "$$").replace('"', '\\"')
    return word if re.fullmatch(r"[\w@%+=:,./-]+", word, re.ASCII) else f'"{word}"'


def path(place: Path) -> str:
    """A path as a setting of its own, where quotes would be part of it."""
    return str(place).replace("%", "%%")


def units(plan: Plan) -> dict[str, str]:
    """Every unit: file name → text."""
    made = {
        "careline.target": target(),
        "careline-asterisk.service": asterisk(plan),
        "careline-prepare.service": prepare(plan),
        "careline-logs.service": logs(plan),
        "careline-logs.timer": LOGS_TIMER,
    }
    return made | {f"careline-{name}.service": process(plan, name) for name in WHAT}


def target() -> str:
    wanted = " ".join(f"careline-{name}.service" for name in ("asterisk", *WHAT))
    return f"""\
# Written by ./careline install.
[Unit]
Description=Careline
Wants={wanted} careline-logs.timer

[Install]
WantedBy=multi-user.target
"""


def asterisk(plan: Plan) -> str:
    script = plan.home / "asterisk" / START_SCRIPT
    return f"""\
# Written by ./careline install. It is no part of careline.target: stopping or restarting that
# leaves the calls alone. `systemctl stop careline-asterisk` ends them.
[Unit]
Description=Careline: Asterisk
Wants=careline-prepare.service
After=careline-prepare.service network-online.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
# Until careline-prepare has succeeded for the first time there is nothing to start.
TimeoutStartSec=infinity
ExecStartPre=/bin/sh -c "until test -e \"$$0\"; do sleep 1; done" {quoted(str(script))}
ExecStart=/bin/sh {quoted(str(script))}
# Its own database goes from memory to the disk; what cannot be copied now stays in memory.
ExecStopPost=-/bin/sh {quoted(str(script))} put-away
WorkingDirectory={path(plan.home)}
Restart=always
RestartSec=500ms
TimeoutStopSec=10
OOMScoreAdjust=-500
CPUWeight={CPU_WEIGHT["asterisk"]}
{_sandbox(plan)}{NO_CAPABILITY}
[Install]
WantedBy=multi-user.target
"""


def prepare(plan: Plan) -> str:
    return f"""\
# Written by ./careline install.
[Unit]
Description=Careline: database and configuration made ready
PartOf=careline.target
After=network-online.target postgresql.service
Wants=network-online.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={plan.run("-m", "launch.settle")}
WorkingDirectory={path(plan.checkout)}
Restart=on-failure
RestartSec=5
{_sandbox(plan)}{NO_CAPABILITY}"""


def process(plan: Plan, name: str) -> str:
    capability = LOW_PORTS if name == "desk" else NO_CAPABILITY
    # While the database is away the controller is not ready, and handles emergencies all the same.
    start_limit = "infinity" if name == "controller" else "60"
    return f"""\
# Written by ./careline install.
[Unit]
Description=Careline: {WHAT[name]}
PartOf=careline.target
Wants=careline-prepare.service
After=careline-prepare.service careline-asterisk.service
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart={plan.run(str(plan.checkout / "app.py"), name)}
WorkingDirectory={path(plan.checkout)}
Restart=always
RestartSec=500ms
TimeoutStartSec={start_limit}
TimeoutStopSec=10
WatchdogSec={HUNG_AFTER_S}
WatchdogSignal=SIGKILL
CPUWeight={CPU_WEIGHT[name]}
{_sandbox(plan)}{capability}"""


def logs(plan: Plan) -> str:
    return f"""\
# Written by ./careline install.
[Unit]
Description=Careline: Asterisk's logs turned over

[Service]
Type=oneshot
ExecStart={Plan(plan.user, plan.home, plan.checkout, plan.python).run("-m", "launch.asterisk_logs")}
WorkingDirectory={path(plan.checkout)}
{_sandbox(plan)}{NO_CAPABILITY}"""


LOGS_TIMER: Final = """\
# Written by ./careline install.
[Unit]
Description=Careline: looks every ten minutes whether Asterisk's logs are long
PartOf=careline.target

[Timer]
OnActiveSec=10min
OnUnitActiveSec=10min
"""


def _sandbox(plan: Plan) -> str:
    return f"""\
User={plan.user}
Environment=HOME={path(plan.home)} LANG=C.UTF-8
UMask=0077
LimitNOFILE=65536
ReadWritePaths={path(plan.home)}
{HARDENING}"""
