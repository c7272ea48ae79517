"""A bench for generators: the agent's part of the desk, small and real (a board, sealed events)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from tocsin.core.board import Board, Resource
from tocsin.core.event import Draft, Event, seal
from tocsin.core.settle import Flapping
from tocsin.generators.desk import DeskOfAgent
from tocsin.generators.registry import REGISTRY, Generator, Registration

NODE = "node1"


def registered(name: str) -> Registration:
    """The registration of a generator."""
    return next(r for r in REGISTRY if r.name == name)


class Bench:
    """What an agent does with drafts: seals them, folds them into the board, keeps them."""

    def __init__(self, *, first_start: bool = True, board: Board | None = None, life: int = 1) -> None:
        self.board = board or Board()
        self.first_start = first_start
        self.events: list[Event] = []
        self.measures: list[Mapping[str, float]] = []
        self.health: list[tuple[str, str]] = []
        self._life = life
        self._news = asyncio.Event()

    def desk(self, registration: Registration, flapping: Flapping[Any] | None = None) -> DeskOfAgent:
        """A desk as the agent makes it, which notes health here."""
        desk = DeskOfAgent(
            registration,
            node=NODE,
            board=self.board,
            publish=self._publish,
            state=self.board.state,
            measure=self._measure,
            first_start=lambda: self.first_start,
            flapping=flapping,
        )
        desk.on_health = self._note_health
        return desk

    def _publish(self, draft: Draft) -> None:
        event = seal(
            draft,
            cluster="test",
            origin=NODE,
            incarnation=self._life,
            seq=len(self.events) + 1,
            time="2026-01-01T00:00:00.000000Z",
        )
        self.board.fold(event)
        self.events.append(event)
        self._news.set()

    def _measure(self, values: Mapping[str, float]) -> None:
        self.measures.append(values)
        self._news.set()

    def _note_health(self, state: str, reason: str) -> None:
        self.health.append((state, reason))
        self._news.set()

    def said(self, subject: str = "") -> list[tuple[str, str]]:
        """Type and subject of all events, or the types of one subject with their statuses."""
        if not subject:
            return [(e.type, e.subject) for e in self.events]
        return [(e.type, e.payload().status or "") for e in self.events if e.subject == subject]

    def resource(self, kind: str, subject: str) -> Resource:
        """A resource that must be on the board."""
        found = self.board.own(NODE, kind, subject)
        assert found is not None, f"{kind} {subject} is not on the board"
        return found

    async def until(self, true: Callable[[], bool], seconds: float = 20.0) -> None:
        """Waits until something is true, looked at after each event, measure and word on health."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not true():
                    self._news.clear()
                    await self._news.wait()
        assert true(), f"not within {seconds} s; events: {self.said()}, health: {self.health}"

    async def event(self, type: str, subject: str, seconds: float = 20.0) -> Event:
        """The last event of a type about a subject; waits for it."""

        def found() -> list[Event]:
            return [e for e in self.events if (e.type, e.subject) == (type, subject)]

        await self.until(lambda: bool(found()), seconds)
        return found()[-1]


class Running:
    """Runs a generator for the length of a ``with``; entered when its first dump is complete."""

    def __init__(
        self, bench: Bench, registration: Registration, settings: Mapping[str, Any] | None = None
    ) -> None:
        self._bench, self._registration = bench, registration
        self._generator: Generator = registration.factory(settings or {})

    async def __aenter__(self) -> asyncio.Task[None]:
        self._desk = self._bench.desk(self._registration)
        self._task = asyncio.create_task(self._generator.run(self._desk))
        self._task.add_done_callback(lambda _: self._bench._news.set())
        before = len(self._bench.health)
        await self._bench.until(lambda: self._task.done() or len(self._bench.health) > before)
        if self._task.done():
            self._task.result()
        return self._task

    async def __aexit__(self, *_: object) -> None:
        self._desk.close()
        self._task.cancel()
        await asyncio.wait([self._task])  # how it ended is the test's to look at
