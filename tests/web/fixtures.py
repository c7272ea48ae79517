"""A node as the web stage sees one, of the real board, buffer, bus, recent list and measures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from tocsin.core.board import Board
from tocsin.core.buffer import Buffer
from tocsin.core.bus import Arrival, Burst, Bus
from tocsin.core.event import Draft, report, seal
from tocsin.core.measures import Measures
from tocsin.core.recent import Recent
from tocsin.web.node import Settings

NOON = datetime(2026, 11, 23, 14, 32, 7, tzinfo=UTC)

#: Texts that must never become markup, script, or a lie about what stands beside them.
HOSTILE = (
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "'><script>alert(1)</script>",
    "javascript:alert(1)",
    "{{ 7*7 }}{% raw %}",
    "</title></style></textarea><iframe src=javascript:alert(1)>",
    "a\u202etxt.exe\u2066b",
    'https://evil.example/" onmouseover=alert(1) x="',
    "&lt;b&gt; &amp;amp;",
    "  --><!--[CDATA[ ]]>",
)


class FakeTime:
    """The time of a test."""

    def __init__(self) -> None:
        self.wall = NOON

    def text(self, ago: float = 0.0) -> str:
        return (self.wall - timedelta(seconds=ago)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class WebNode:
    """What implements :class:`tocsin.web.node.Node` in tests; events are told by :meth:`tell`."""

    def __init__(self, name: str = "node1", cluster: str = "atlas", *, buffered: bool = True) -> None:
        self.cluster, self.name = cluster, name
        self.time = FakeTime()
        self.buffer: Buffer | None = Buffer("k3f9.1") if buffered else None
        self.board, self.bus = Board(), Bus()
        self.recent, self.measures = Recent(), Measures()
        self.settings = Settings(allow_anonymous=True)
        self.told: dict[str, int] = {}
        self.unsure: tuple[str, ...] = ()
        self.reason = ""

    def now(self) -> float:
        return (self.time.wall - NOON).total_seconds() + 1000

    def wall(self) -> str:
        return self.time.text()

    def publish(self, drafts: Sequence[Draft]) -> list[str]:
        return [self.tell(draft) for draft in drafts]

    def readiness(self) -> str:
        return self.reason

    def degraded(self) -> tuple[str, ...]:
        return self.unsure

    def urls(self) -> dict[str, str]:
        return {self.name: "http://127.0.0.1:8340"}

    def feeds(self) -> dict[str, str]:
        return self.urls()

    def counters(self) -> Mapping[str, float | Mapping[str, float]]:
        return {}

    def forget(self, node: str) -> bool:
        self.board.forget(node)
        return True

    # -- what happens in a test ------------------------------------------------------------

    def tell(self, draft: Draft, origin: str = "node1", ago: float = 0.0) -> str:
        """An event of an origin arrives, ``ago`` seconds before now."""
        seq = self.told[origin] = self.told.get(origin, 0) + 1
        at = self.time.text(ago)
        event = seal(draft, cluster=self.cluster, origin=origin, incarnation=1, seq=seq, time=at)
        arrival = Arrival(event, self.now())
        self.board.fold(event)
        number = self.buffer.append(arrival, self.now(), at) if self.buffer is not None else 0
        self.recent.add(number, event, at)
        self.bus.publish(Burst.of([arrival]))
        return event.sequence

    def say(
        self,
        type: str,
        subject: str,
        status: str | None,
        summary: str,
        attributes: dict[str, Any] | None = None,
        *,
        node: str = "node1",
        ago: float = 0.0,
    ) -> str:
        """A resource's new state is told: of a node by node1, of anything else by its own node."""
        about = type.startswith("node.")
        draft = report(type, subject, status, summary, attributes, node=node)
        return self.tell(draft, "node1" if about else node, ago)

    def measure(self, node: str, until: float, load: float) -> None:
        """An hour of measured values that end ``until`` seconds before now."""
        now = self.time.wall.timestamp()
        for n in range(360):
            at = now - 3600 + n * 10
            if at > now - until:
                break
            wave = math.sin(n / 17 + load) * 6 + math.sin(n / 5) * 2
            values = {
                "cpu": max(0.0, min(100.0, load + wave)),
                "memory": 40 + load / 2,
                "disk": 30 + load / 2,
                "disk:/": 30 + load / 2,
                "disk:/var": 20 + load / 4,
                "load1": load / 50,
                "network_in": (load + wave) * 100_000,
                "network_out": (load - wave) * 40_000,
            }
            self.measures.add(node, values, at)


def quiet(name: str = "node1") -> WebNode:
    """A cluster of one node on which all is well."""
    node = WebNode(name)
    node.say("node.joined", name, "ok", f"{name} is up", {"state": "up"}, node=name, ago=20_000)
    _parts(node, name, 1)
    node.measure(name, 0, 12)
    return node


def busy() -> WebNode:
    """A cluster of five nodes on which several things are wrong: the one of the pictures."""
    node = WebNode()
    for number in range(1, 6):
        name = f"node{number}"
        node.say("node.joined", name, "ok", f"{name} is up", {"state": "up"}, node=name, ago=20_000)
        _parts(node, name, number)
        node.measure(name, 660 if number == 4 else 0, (34, 22, 44, 30, 91)[number - 1])
    _history(node)
    return node


def _parts(node: WebNode, name: str, number: int) -> None:
    agent = {"url": f"http://10.0.0.{number}:8340", "version": "0.1.0", "buffer": True, "started": "x"}
    node.say("agent.started", "agent", "ok", f"the agent of {name} has started", agent, node=name, ago=19_999)
    for kind, what in (("adapters", "adapter"), ("storage", "storage"), ("services", "service")):
        health = {"state": "running", "reason": "", "kinds": [what]}
        about = f"generator/{kind}"
        node.say(
            "agent.generator-recovered",
            about,
            "ok",
            f"generator {kind} is running",
            health,
            node=name,
            ago=19_998,
        )
    for eth in ("eth0", "eth1", "eth2"):
        card = {
            "admin": "up",
            "operational": "up",
            "index": 2,
            "mac": f"02:00:00:00:0{number}:0{eth[-1]}",
            "mtu": 1500,
            "kind": "",
            "addresses": [f"10.{eth[-1]}.0.{number}/24", f"fd00:{eth[-1]}::{number}/64"],
            "speed": 10000,
        }
        node.say("adapter.up", eth, "ok", f"{eth} is up at 10000 Mb/s", card, node=name, ago=19_997)
    for point in ("/", "/var"):
        disk = {"state": "ok", "device": "/dev/vda1", "fstype": "ext4", "access": "rw", "size": 64 << 30}
        node.say("storage.mounted", point, "ok", f"{point} is mounted", disk, node=name, ago=19_996)
    for unit in ("web", "orders-db", "payments", "mail")[: 2 + number % 3]:
        service = {"state": "running", "description": f"The {unit} service", "pid": 4000 + number}
        node.say(
            "service.started",
            f"{unit}.service",
            "ok",
            f"{unit}.service is running",
            service,
            node=name,
            ago=19_995,
        )


def _history(node: WebNode) -> None:
    say = node.say
    down = {"admin": "up", "operational": "lowerlayerdown", "mtu": 1500, "addresses": ["10.1.0.2/24"]}
    say(
        "node.down",
        "node4",
        "failed",
        "node4 is down: no sign of life on any rail",
        {"state": "down"},
        node="node4",
        ago=10_000,
    )
    say("node.up", "node4", "ok", "node4 is up", {"state": "up"}, node="node4", ago=9_200)
    for minute in range(58, 0, -1):
        for n in range(1 + (minute * 7) % 4 + (20 if minute in (10, 11) else 0)):
            bad = minute in (10, 11) and n < 8
            draft = Draft(type="backup.step", subject=f"s{n}", severity="error" if bad else "info")
            node.tell(draft, "node3", ago=minute * 60 + n / 10)
    say("adapter.no-carrier", "eth1", "warning", "eth1 has no carrier", down, node="node2", ago=1347)
    full = {
        "state": "filling",
        "device": "/dev/vda2",
        "fstype": "ext4",
        "access": "rw",
        "size": 64 << 30,
        "used_percent": 91,
    }
    say("storage.filling", "/var", "warning", "/var is filling up: 91 % used", full, node="node5", ago=576)
    say(
        "node.suspect",
        "node4",
        "warning",
        "node4 does not answer; waiting",
        {"state": "suspect"},
        node="node4",
        ago=664,
    )
    say(
        "node.down",
        "node4",
        "failed",
        "node4 is down: no sign of life on any rail",
        {"state": "down"},
        node="node4",
        ago=659,
    )
    failed = {
        "state": "failed",
        "result": "exit-code",
        "exit_status": 1,
        "restarts": 3,
        "description": "Search",
    }
    say(
        "service.failed",
        "search.service",
        "failed",
        "search.service failed: exit status 1 (3 restarts)",
        failed,
        node="node5",
        ago=615,
    )
    say(
        "service.started",
        "payments.service",
        "ok",
        "payments.service is running",
        {"state": "running", "description": "The payments service"},
        node="node5",
        ago=620,
    )
    say("deploy.finished", "web", None, "web 4.2 is on all nodes", node="node3", ago=23)
