"""The supervisor: one generator's failure is its own, told once per change, and tried again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.generators.bench import NODE, Bench
from tocsin.core.errors import GeneratorUnavailable
from tocsin.core.event import report
from tocsin.core.ports import Desk
from tocsin.generators.registry import REGISTRY, Registration
from tocsin.generators.supervisor import Supervisor

Run = Callable[[Desk], Any]


class Scripted:
    """A generator whose lives are given: each is awaited in turn, the last for ever."""

    def __init__(self, *lives: Run) -> None:
        self.lives = list(lives)
        self.settings: Mapping[str, Any] | None = None

    def __call__(self, settings: Mapping[str, Any]) -> Scripted:
        self.settings = settings
        return self

    async def run(self, desk: Desk) -> None:
        life = self.lives.pop(0) if len(self.lives) > 1 else self.lives[0]
        await life(desk)


async def well(desk: Desk) -> None:
    """A life without trouble."""
    desk.running()
    await asyncio.Event().wait()


async def crash(desk: Desk) -> None:
    """A life that ends with a bug."""
    raise ValueError("the kernel said something odd")


async def ends(desk: Desk) -> None:
    """A life that just ends."""
    return


async def unavailable(desk: Desk) -> None:
    """A life on a host that lacks the source."""
    raise GeneratorUnavailable("no such socket")


async def half(desk: Desk) -> None:
    """A life that sees less than it should."""
    desk.degraded("half blind")
    await asyncio.Event().wait()


def registration(name: str, *lives: Run) -> Registration:
    """A generator with these lives."""
    return Registration(name=name, factory=Scripted(*lives), kinds=(name,))


class Supervised:
    """Runs a supervisor over scripted generators."""

    def __init__(self, bench: Bench, *registrations: Registration, **options: Any) -> None:
        self.supervisor = Supervisor(bench.desk, registrations, retry_first=0.01, retry_most=0.05, **options)

    async def __aenter__(self) -> Supervisor:
        self.supervisor.start()
        return self.supervisor

    async def __aexit__(self, *_: object) -> None:
        await self.supervisor.stop()


async def test_health_is_on_the_board_silently_when_all_is_well() -> None:
    """At the very first start a running generator is a fine resource and no event."""
    bench = Bench()
    async with Supervised(bench, registration("fans", well)) as supervisor:
        assert await supervisor.first_dump(2.0)

    found = bench.resource("agent", "generator/fans")
    assert (found.status, found.summary) == ("ok", "generator fans is running")
    assert found.attributes == {"state": "running", "reason": "", "kinds": ["fans"]}
    assert bench.events == []


@pytest.mark.parametrize(
    ("life", "type", "status", "reason"),
    [
        (unavailable, "agent.generator-unavailable", "unknown", "no such socket"),
        (half, "agent.generator-degraded", "warning", "half blind"),
        (crash, "agent.generator-failed", "failed", "ValueError: the kernel said something odd"),
        (ends, "agent.generator-failed", "failed", "it ended"),
    ],
)
async def test_what_is_wrong_is_told_once(life: Run, type: str, status: str, reason: str) -> None:
    """However often it is tried again, one trouble is one event, with its reason."""
    bench = Bench()
    tries = 0

    async def counted(desk: Desk) -> None:
        nonlocal tries
        tries += 1
        await life(desk)

    async with Supervised(bench, registration("fans", counted)) as supervisor:
        assert await supervisor.first_dump(2.0)
        await asyncio.sleep(0.2)

    assert bench.said() == [(type, "generator/fans")]
    assert bench.events[0].payload().attributes["reason"] == reason
    assert bench.resource("agent", "generator/fans").status == status
    assert supervisor.health()["fans"][1] == reason
    assert tries == 1 if life is half else tries > 2


async def test_recovery_is_told_once() -> None:
    """A generator that failed and is well again is one failure and one recovery."""
    bench = Bench()
    async with Supervised(bench, registration("fans", crash, crash, well)):
        await bench.event("agent.generator-recovered", "generator/fans")

    assert [type for type, _ in bench.said()] == ["agent.generator-failed", "agent.generator-recovered"]
    assert bench.resource("agent", "generator/fans").status == "ok"


async def test_one_that_fails_does_not_disturb_another() -> None:
    """Beside one that crashes all the time another publishes as ever."""

    async def speaks(desk: Desk) -> None:
        desk.running()
        for n in range(5):
            desk.publish(report("lamp.on", f"lamp{n}", "ok", "on"))
            await asyncio.sleep(0.01)
        await asyncio.Event().wait()

    bench = Bench()
    async with Supervised(bench, registration("fans", crash), registration("lamps", speaks)):
        await bench.event("lamp.on", "lamp4")

    assert bench.resource("agent", "generator/lamps").status == "ok"


async def test_cancelled_by_itself_it_is_started_again() -> None:
    """A generator that is cancelled, but not by the supervisor, has failed."""

    async def cancelled(desk: Desk) -> None:
        raise asyncio.CancelledError

    bench = Bench()
    async with Supervised(bench, registration("fans", cancelled, well)):
        await bench.event("agent.generator-recovered", "generator/fans")


async def test_a_factory_that_fails_is_fenced_too() -> None:
    """A wrong setting of a generator does not stop the agent."""

    def factory(settings: Mapping[str, Any]) -> Any:
        return float(settings["fans.speed"])

    bench = Bench()
    fans = Registration(name="fans", factory=factory)
    async with Supervised(bench, fans, settings={"fans.speed": "fast"}) as supervisor:
        assert await supervisor.first_dump(2.0)

    assert bench.resource("agent", "generator/fans").status == "failed"


async def test_disabled_is_shown_and_what_it_reported_is_gone() -> None:
    """A generator that is switched off says so, and what an earlier life saw is not kept as if known."""
    bench = Bench()
    bench.board.fold(bench_event(bench))
    second = Bench(first_start=False, board=bench.board, life=2)
    async with Supervised(second, registration("fans", crash), disabled=("fans",)) as supervisor:
        assert await supervisor.first_dump(0.1)

    assert [type for type, _ in second.said()] == ["fans.removed", "agent.generator-disabled"]
    assert supervisor.health() == {"fans": ("disabled", "switched off in the configuration")}


def bench_event(bench: Bench) -> Any:
    """An event that a generator published in an earlier life."""
    bench.desk(registration("fans", well)).publish(report("fans.on", "fan1", "ok", "on"))
    return bench.events[-1]


async def test_the_first_dump_is_waited_for_so_long_and_no_longer() -> None:
    """One that says nothing does not hold up the agent for ever."""

    async def silent(desk: Desk) -> None:
        await asyncio.Event().wait()

    async with Supervised(Bench(), registration("fans", silent)) as supervisor:
        assert not await supervisor.first_dump(0.05)
        assert supervisor.health() == {"fans": ("starting", "")}


async def test_settings_reach_the_factory() -> None:
    """Each generator gets all settings, keyed <generator>.<key>."""
    scripted = Scripted(well)
    fans = Registration(name="fans", factory=scripted)
    async with Supervised(Bench(), fans, settings={"fans.speed": 3}) as supervisor:
        assert await supervisor.first_dump(2.0)

    assert scripted.settings == {"fans.speed": 3}


async def test_the_real_generators_all_say_how_they_are() -> None:
    """On any host each registered generator runs or says why not, within seconds."""
    bench = Bench()
    supervisor = Supervisor(bench.desk)
    supervisor.start()
    try:
        assert await supervisor.first_dump(8.0)
    finally:
        await supervisor.stop()

    states = {name: state for name, (state, _) in supervisor.health().items()}
    assert states.keys() == {r.name for r in REGISTRY}
    assert set(states.values()) <= {"running", "unavailable", "degraded"}
    assert {r.subject for r in bench.board.section(NODE) if r.kind == "agent"} == {
        f"generator/{r.name}" for r in REGISTRY
    }
