"""Requests that are held: each is let go of once, whatever comes together."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from tests.web.nodes import Node
from tocsin.core.interest import EVERYTHING
from tocsin.web.hold import Holding

#: More than are answered in one go.
MANY = 600


class Poll:
    """A held request that counts how often it is let go of."""

    def __init__(self, released: Counter[int]) -> None:
        self.interests, self.number, self.tick = EVERYTHING, 0, 0
        self._released = released

    def release(self) -> None:
        self._released[id(self)] += 1


async def test_news_while_the_time_of_many_is_over() -> None:
    """Hundreds are on their way out when an event comes: all, and those that go on waiting, go once."""
    errors: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, error: errors.append(error))
    node, released = Node(), Counter[int]()
    holding = Holding(lambda: node.buffer, 2 * MANY)
    polls = [Poll(released) for _ in range(MANY + 1)]
    for poll in polls:
        holding.add(poll, EVERYTHING, 0, 1 if poll is not polls[-1] else 1000)
    holding._pass()  # some have gone, the rest goes in the next turns of the loop
    assert MANY > sum(released.values()) > 0
    node.happen("service.failed")
    holding._settle()
    async with asyncio.timeout(10):
        while len(released) <= MANY:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.25)  # two more ticks

    assert (errors, {1}, MANY + 1) == ([], set(released.values()), len(released))
    holding.close()
