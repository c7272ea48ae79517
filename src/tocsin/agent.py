"""The agent of a node: the composition root. :class:`Agent` reads like the drawing in DESIGN.md section 2.

Generators publish on the local bus. On the bus, in this order: the board (current state, always first),
the buffer (which gives the number), the recent events for people, the feed (which wakes those who
wait), the forwarder (which sends what is this node's own over all rails, and publishes what comes).
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import uvloop

from tocsin import __version__, logs
from tocsin.core.board import Board
from tocsin.core.bus import Arrival, Burst, Bus, Loss
from tocsin.core.errors import ConfigError, EventError, TocsinError
from tocsin.core.event import Draft, Event, report
from tocsin.core.measures import Measures
from tocsin.core.publisher import Publisher
from tocsin.core.recent import Recent
from tocsin.core.replica import Replica
from tocsin.core.walltime import WallTime
from tocsin.forwarder.forwarder import Forwarder
from tocsin.forwarder.zenoh import left_behind
from tocsin.generators.desk import DeskOfAgent
from tocsin.generators.registry import Registration
from tocsin.generators.supervisor import Supervisor
from tocsin.kept import caps, make_buffer
from tocsin.parts import feeds, generator_settings, here, kinds_added, make_rails, metrics, urls, web_settings
from tocsin.server import Server, listen, notify_systemd
from tocsin.settings import Config
from tocsin.storage.state import State, StateFile
from tocsin.web.app import create_app
from tocsin.web.node import NotReady

__all__ = ["Agent", "run"]

log = logs.get(__name__)

#: How long the generators' first dump is waited for before this node may be asked for its section. Seconds.
_FIRST_DUMP: Final = 3.0
_HOUSEKEEPING: Final = 1.0
#: The state file is renewed this often where its content changed, in seconds.
_SAVE_EVERY: Final = 30.0


class Agent:
    """One node: everything that runs on it, and how it is connected."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.cluster, self.name = config.cluster.name, config.node.name
        self.settings = web_settings(config)
        self._state_file = StateFile(Path(config.node.state_dir) if config.node.state_dir else None)
        self._state = self._state_file.load()
        self._first_start = not self._state.stamp
        self._ready_at: float | None = None
        self._clash = ""
        self._wall = WallTime()
        self._saved_at = self.now()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

        self.bus = Bus()
        self.board = Board()
        self.recent, self.measures = Recent(), Measures()
        self.publisher = Publisher(self.cluster, self.name)
        self._brought: list[str] = []
        self.kept = make_buffer(config, self._state.incarnation, self.now())
        self.buffer = self.kept.buffer
        self.replica = self._make_replica()
        self._know_from_the_start()

        self.bus.subscribe_bursts(self._to_board)
        self.bus.subscribe_bursts(self._to_buffer, self._mark_in_buffer)
        self.app = create_app(self)  # its feed wakes behind the buffer
        self.kept.revive(self.replica, self.recent, self.app, self.now())
        self.forwarder = Forwarder(self.replica, make_rails(config), self)
        self.bus.subscribe_bursts(self._to_log, self._log_loss)
        self.supervisor = Supervisor(
            self._make_desk, disabled=config.generators.disabled, settings=generator_settings(config)
        )

    # -- the parts -------------------------------------------------------------------------

    def _make_replica(self) -> Replica:
        return Replica(
            self.name,
            now=self.now(),
            wall_ms=round(time.time() * 1000),
            names=self.config.cluster.nodes,
            seen=self._state.names,
            stored_incarnation=self._state.incarnation,
            stored_last=self._state.last,
            stored_clean=self._state.clean,
            **caps(self.config),
            down_after=self.config.cluster.down_after,
            alone=not self.config.rails,
            section=lambda origin: (self.board.stamp(origin), self.board.section(origin)),
        )

    def _make_desk(self, registration: Registration) -> DeskOfAgent:
        return DeskOfAgent(
            registration,
            node=self.name,
            board=self.board,
            publish=self._publish_local,
            state=self.board.state,
            measure=self._measure,
            first_start=lambda: self._first_start and not self.replica.opened,
        )

    def _know_from_the_start(self) -> None:
        for name in [*self.replica.liveness.members, self.name]:
            self.board.set_node(self.replica.liveness.resource(name, self.wall()))
        if self._state.stamp:
            self.board.replace(self.name, self._state.stamp, self._state.section)

    # -- the bus ---------------------------------------------------------------------------

    def _to_board(self, burst: Burst) -> None:
        for event, first_of_kind in self.board.fold_burst(burst):
            if first_of_kind and event.origin == self.name:
                self._brought.append(event.kind)
            if event.type == "node.forgotten":
                self.measures.forget(event.node)

    def _to_buffer(self, burst: Burst) -> None:
        self.kept.take(burst, self.recent, self.now(), self.wall())

    def _mark_in_buffer(self, loss: Loss) -> None:
        self.kept.mark(loss, self.now(), self.wall())

    def _to_log(self, burst: Burst) -> None:
        if not log.enabled("info"):
            return
        for event in burst.events:
            if event.origin == self.name and event.incarnation == self.publisher.incarnation:
                log.info(event.type, subject=event.subject, severity=event.severity, sequence=event.sequence)

    def _log_loss(self, loss: Loss) -> None:
        if not loss.elsewhere:
            log.warning("events lost", origin=loss.origin, first=loss.first, last=loss.last)

    # -- publishing ------------------------------------------------------------------------

    def publish(self, drafts: Sequence[Draft]) -> list[str]:
        """Publishes all drafts or none; returns their sequences. Raises EventTooLarge, NotReady."""
        if not self.publisher.open:
            raise NotReady(self.readiness())
        events, now = self.publisher.seal(drafts, self.wall()), self.now()
        self.bus.publish(Burst.of([Arrival(event, now) for event in events], follow=True))
        brought, self._brought = self._brought, []
        for draft in kinds_added(self.name, brought):
            self._publish_local(draft)
        return [event.sequence for event in events]

    def publish_report(self, draft: Draft) -> None:
        """Publishes what the replica has to say of other nodes."""
        self._publish_local(draft)

    def _publish_local(self, draft: Draft) -> None:
        if not self.publisher.open:
            self.publisher.wait(draft)
            return
        try:
            self.publish([draft])
        except EventError as error:
            log.error("an event of this node was refused", type=draft.type, subject=draft.subject, why=error)

    def _measure(self, values: Mapping[str, float]) -> None:
        self.replica.measures |= {name: round(value, 3) for name, value in values.items()}
        self.measures.add(self.name, values, time.time())

    # -- what the forwarder needs (tocsin.forwarder.forwarder.Host) --------------------------

    def now(self) -> float:
        """Monotonic seconds."""
        return time.monotonic()

    def wall(self) -> str:
        """Wall time, RFC 3339 UTC with microseconds; for people only."""
        return self._wall.text(time.time_ns())

    def base(self, origin: str, sequence: str) -> None:
        """Nothing of ``origin`` up to and including ``sequence`` is held here."""
        self.kept.base(origin, sequence)

    def skip(self, origin: str, sequence: str) -> None:
        """An event of ``origin`` is no news here and gets no number."""
        self.kept.skip(origin, sequence)

    def begin(self, incarnation: int, previous: str) -> None:
        """The incarnation of this life is known: it is kept before anything is published under it."""
        was = self._state
        self._previous = {
            "incarnation": int(previous[:13] or 0),
            "last": int(previous[14:] or 0),
            "clean": was.clean,
        }
        self._state = msgspec.structs.replace(was, incarnation=incarnation, last=0, clean=False)
        self._kept = self._state_file.save(self._state)
        if self.publisher.open:  # not the first life of this run: others knew of a later one
            self.publisher.begin(incarnation, self.replica.own.known)

    def ready(self) -> None:
        """History is numbered: publishing begins, the feed answers, the generators take stock."""
        self._ready_at = self.now()
        waiting = self.publisher.begin(self.replica.incarnation)
        self._publish_local(self._started_draft())
        for draft in waiting:
            self._publish_local(draft)
        self._spawn(self._take_stock())

    def _started_draft(self) -> Draft:
        attributes = {**here(self.config), "started": self.wall()}
        if self._previous["incarnation"]:
            attributes["previous"] = self._previous
        words = (
            "" if self._kept else "; its state directory cannot be written: a restart will be told less well"
        )
        words = f"the agent of {self.name} has started{words}"
        return report("agent.started", "agent", "ok" if self._kept else "warning", words, attributes)

    async def _take_stock(self) -> None:
        if self.board.section(self.name) and self.board.stamp(self.name) and self._previous["incarnation"]:
            self._first_start = False
        self.supervisor.start()
        self._state_rails()
        await self.supervisor.first_dump(_FIRST_DUMP)
        self.forwarder.open()
        log.info("ready", url=self.config.node.url, incarnation=self.replica.incarnation)
        notify_systemd("READY=1")

    def _state_rails(self) -> None:
        """States the rails of this life; what a former life said of its rails is over."""
        for old in self.board.section(self.name):
            if old.kind == "rail" and old.status != "ok":
                self._publish_local(report("rail.up", old.subject, "gone", "this agent has just started"))
        for draft in self.forwarder.watch.resources():
            if self.board.own(self.name, "rail", draft.subject) is None:
                self._publish_local(draft)

    def clash(self, name: str, *, yields: bool) -> None:
        """Another living node has this node's name; ``yields``: this one stays off the rails."""
        words = f"another living node is called {name}; give the younger another name (node.name, --name)"
        self._clash = words if yields else ""
        log.error("name clash: the younger stays off the rails", younger=yields, do=words)

    def measured(self, node: str, values: dict[str, float]) -> None:
        """Measured values of another node."""
        self.measures.add(node, values, time.time())

    def late(self, event: Event) -> None:
        """An event of a life that is over: it is not numbered any more, and counted."""
        log.warning("event of an earlier life came late", origin=event.origin, sequence=event.sequence)

    # -- what the web needs (tocsin.web.node.Node) -------------------------------------------

    def readiness(self) -> str:
        """Empty when ready, else the reason in words."""
        if self._clash:
            return self._clash
        joining = "this node is joining the cluster and fetching its history"
        return "" if self._ready_at is not None else joining

    def degraded(self) -> tuple[str, ...]:
        """Names of the nodes whose events may be incomplete here."""
        return self.replica.degraded()

    def urls(self) -> dict[str, str]:
        """Public base URL of every node known."""
        return urls(self.board, self.config)

    def feeds(self) -> dict[str, str]:
        """Public base URL of every node known whose buffer has the events of all; the living first."""
        return feeds(self.board, self.config)

    def counters(self) -> Mapping[str, float | Mapping[str, float]]:
        """What the agent counts, for /metrics."""
        return {**metrics(self.publisher, self.forwarder, self.now()), **self.kept.counters()}

    def forget(self, node: str) -> bool:
        """Removes a name that is not a living node; False if there is none such."""
        member = self.replica.liveness.members.get(node)
        if member is None or self.replica.liveness.hears(node, self.now(), self.replica.period):
            return False
        words = f"{node} was removed by an operator at {self.name}"
        self.publish([report("node.forgotten", node, "gone", words, {"state": "forgotten"}, node=node)])
        return True

    # -- running -----------------------------------------------------------------------------

    async def run(self) -> int:
        """Runs until SIGTERM or SIGINT; returns the exit code."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        server = Server(self.app)
        server.start(listen(self.config.node.address))
        # What was made until now lives as long as the agent: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        self.forwarder.start()
        self._housekeeping()
        log.info(
            "started", node=self.name, cluster=self.cluster, version=__version__, page=self.config.node.url
        )
        await stop.wait()
        notify_systemd("STOPPING=1")
        await self._stop(server)
        return 0

    async def _stop(self, server: Server) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await self.supervisor.stop()
        if self.publisher.open:
            self._publish_local(report("agent.stopping", "agent", None, f"{self.name} is being stopped"))
        self.app.close()
        await asyncio.gather(self.forwarder.stop(), server.stop())
        for task in self._tasks:
            task.cancel()
        self.kept.close()
        if self.publisher.open:
            self._keep(clean=True)
            self._state_file.save(self._state)
        log.info("stopped", node=self.name)

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a task of the agent failed", why=repr(task.exception()))

    def _housekeeping(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_HOUSEKEEPING, self._housekeeping)
        now = self.now()
        self.kept.tend(now, self._publish_local)
        if now - self._saved_at >= _SAVE_EVERY and self.publisher.open:
            self._saved_at = now
            self._keep(clean=False)
            self._spawn(self._save())

    async def _save(self) -> None:
        # On a thread: a slow disk must not delay an event.
        await asyncio.to_thread(self._state_file.save, self._state)

    # -- what outlives it ----------------------------------------------------------------------

    def _keep(self, *, clean: bool) -> None:
        now = time.time()
        heard = set(self.replica.liveness.living(self.now(), self.replica.period))
        names = {n: now if n in heard else self._state.names.get(n, now) for n in self.replica.names()}
        self._state = State(
            incarnation=self.replica.incarnation,
            last=self.publisher.last,
            clean=clean,
            names=names,
            stamp=self.board.stamp(self.name),
            section=self.board.section(self.name),
        )


def run(config: Config) -> int:
    """Runs the agent of this node until it is told to stop; returns the exit code."""
    logs.setup(config.log.level, config.log.format)
    for warning in config.warnings:
        log.warning(warning)

    async def main() -> int:
        return await Agent(config).run()

    try:
        code = uvloop.run(main())
    except ConfigError:
        raise
    except TocsinError as error:
        log.error("the agent cannot run", why=error)
        return 1
    finally:
        logs.shutdown()
    if left_behind():
        os._exit(code)  # a rail hangs in its engine, which would abort at the interpreter's end
    return code
