"""Asking others about a silent node before it is called down (DESIGN.md section 5, liveness).

A node that one of them hears lives: only the direct path to it is broken. They are asked three at a time,
in turn, and at last soon enough for the answers to come before the node is called down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import isfinite
from typing import Final

from tocsin.core.liveness import ASK_FOR, Liveness
from tocsin.core.messages import Heard, Probe, encode

__all__ = ["AT_A_TIME", "Probing"]

#: How many nodes are asked at a time.
AT_A_TIME: Final = 3
#: Seconds between two looks at who is silent.
_LOOK_EVERY: Final = 0.1


class Probing:
    """Who has been asked about whom, and what follows from the answers."""

    def __init__(self, liveness: Liveness, number: Callable[[], int]) -> None:
        """``number()`` is a new number for each question of this node."""
        self._liveness, self._number = liveness, number
        self._next_look = float("-inf")
        #: Of each silent node when it was asked about last, and how many nodes have been asked so far.
        self._asked: dict[str, tuple[float, int]] = {}
        #: Open questions: number → about whom, asked when.
        self._open: dict[int, tuple[str, float]] = {}

    def tick(self, now: float, period: float) -> Iterator[tuple[str, bytes]]:
        """What to ask now, and whom."""
        if now < self._next_look:
            return
        self._next_look = now + _LOOK_EVERY
        if self._open:
            self._open = {n: question for n, question in self._open.items() if now - question[1] <= ASK_FOR}
        silent = self._liveness.silent(now, period)
        if self._asked:
            self._asked = {name: self._asked[name] for name in silent if name in self._asked}
        living: list[str] = []
        for name, every in silent.items():
            at, count = self._asked.get(name, (float("-inf"), 0))
            if now - at < every:
                continue
            living = living or self._liveness.living(now, period)
            if not living:
                return
            number = self._number()
            self._open[number] = (name, now)
            asked = min(AT_A_TIME, len(living))
            self._asked[name] = (now, count + asked)
            for k in range(asked):
                yield living[(count + k) % len(living)], encode(Probe, number, name)

    def answer(self, question: Probe, now: float) -> bytes:
        """What this node hears of the one that is asked about."""
        incarnation, age = self._liveness.age(question.about, now)
        return encode(Heard, question.number, question.about, incarnation, age)

    def heard(self, answer: Heard, now: float) -> None:
        """An answer; one that comes late, or that nobody asked for, counts for nothing."""
        about, asked_at = self._open.get(answer.number, ("", now))
        if about == answer.about and now - asked_at <= ASK_FOR and isfinite(answer.age) and answer.age >= 0:
            # The age was true when the answer left: to count it from the question is on the safe side.
            self._liveness.others_hear(about, answer.incarnation, asked_at - answer.age)
