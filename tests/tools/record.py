"""Renews the recordings that the generators' parsers are tested on, on this machine, as root:

    unshare --net --mount --propagation private python -m tests.tools.record adapters storage
    python -m tests.tools.record services

Recorded are real answers of the kernel and of systemd; what is of this machine alone is left out.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dbus_fast import BusType
from dbus_fast.aio import MessageBus

from tests.tools.namespaces import sh
from tests.tools.systemd_box import SystemdBox
from tocsin.generators import rtnetlink, services

_FOLDER = Path(__file__).parents[1] / "recordings"

ADAPTER_STEPS = (
    "ip link set lo up",
    "ip link add west type veth peer name east",
    "ip link set west up",
    "ip link set east up",
    "ip addr add 10.9.0.1/24 dev west",
    "ip addr add 2001:db8::1/64 dev west nodad",
    "ip link set east down",
    "ip link set east up",
    "ip link set west mtu 1400",
    "ip link add office type bridge",
    "ip link set east master office",
    "ip link set east nomaster",
    "ip link set east name fast",
    "ip addr del 10.9.0.1/24 dev west",
    "ip link set west down",
    "ip link del west",
)


def adapters() -> None:
    """The datagrams of rtnetlink that each step brought, as hexadecimal; first a dump's."""
    with rtnetlink.open_socket(notices=True) as notices:
        lines = []
        for step in ADAPTER_STEPS:
            sh(step)
            asyncio.run(asyncio.sleep(0.3))  # the kernel tells of a carrier a little later
            lines.append({"step": step, "datagrams": [data.hex() for data in _waiting(notices)]})
    _write("adapters/steps.jsonl", "".join(json.dumps(line) + "\n" for line in lines))


def _waiting(notices: Any) -> list[bytes]:
    found = []
    while True:
        try:
            found.append(notices.recv(1 << 16))
        except BlockingIOError:
            return found


def storage() -> None:
    """The mount table with each kind of mount that is told apart."""
    folder = Path("/tmp/tocsin recording")
    sh(f"mkdir -p '{folder}'; mount -t tmpfs -o size=64m records '{folder}'")
    for name in ("full disk", "ro", "bind", "upper", "work", "merged"):
        (folder / name).mkdir()
    sh(f"mount -t tmpfs -o size=8m small '{folder}/full disk'")
    sh(f"mount -t tmpfs -o ro,size=4m image '{folder}/ro'")
    sh(f"mount --bind '{folder}/upper' '{folder}/bind'")
    sh(f"mount -t tmpfs -o size=1m over '{folder}/bind'")
    lines = Path("/proc/self/mountinfo").read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if line.split(b" ")[4].startswith((b"/proc", b"/sys", b"/dev", b"/tmp"))]
    kept += [line for line in lines if line.split(b" ")[4] == b"/"]
    sh(f"umount -R '{folder}'; rmdir '{folder}'")
    _write("storage/mountinfo", b"".join(kept).decode())


SERVICE_UNITS = {
    "web-site.service": "[Unit]\nDescription=A site\n[Service]\nExecStart=/bin/sleep 600\n",
    "broken.service": "[Service]\nExecStart=/bin/sh -c 'exit 3'\n",
    "loop.service": "[Service]\nExecStart=/bin/sh -c 'exit 7'\nRestart=always\nRestartSec=2\n",
    "job.service": "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n",
}
SERVICE_STEPS: tuple[tuple[str, ...], ...] = (
    ("start", "web-site.service"),
    ("kill", "-s", "KILL", "web-site.service"),
    ("start", "broken.service"),
    ("start", "loop.service"),
    ("start", "job.service"),
)


async def _properties() -> list[dict[str, Any]]:
    lines = []
    with SystemdBox(SERVICE_UNITS) as box:
        bus = await MessageBus(bus_address=box.address, bus_type=BusType.SYSTEM).connect()
        manager = services._Manager(bus)
        while not await manager.owner():
            await asyncio.sleep(0.05)
        for step in SERVICE_STEPS:
            box.systemctl(*step, check=False)
            await asyncio.sleep(0.4)
            found = await manager.properties(step[-1]) or {}
            lines.append({"step": " ".join(step), "path": services.path_of(step[-1]), "properties": found})
        bus.disconnect()
    return lines


def services_() -> None:
    """The properties of services after each step, as systemd gave them."""
    lines = asyncio.run(_properties())
    _write("services/properties.jsonl", "".join(json.dumps(line, sort_keys=True) + "\n" for line in lines))


def _write(name: str, text: str) -> None:
    path = _FOLDER / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    print(f"{path}: {len(text)} characters")


_ALL: dict[str, Callable[[], None]] = {"adapters": adapters, "storage": storage, "services": services_}

if __name__ == "__main__":
    for what in sys.argv[1:] or _ALL:
        _ALL[what]()
