"""Board sections: asked for after first contact, a new life and a loss; until then the origin waits.

A section is stamped with the sequence up to which it is true. It replaces the old one before the loss
gets its number, and only later events are folded on top (DESIGN.md section 5, board sections).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from tocsin.core.board import Resource
from tocsin.core.bus import Arrival, Loss
from tocsin.core.effects import Doubt, Effect, Lose, Publish, ReplaceSection, Send
from tocsin.core.errors import CodecError
from tocsin.core.event import report
from tocsin.core.messages import (
    MAX_MESSAGE_BYTES,
    AskSection,
    Section,
    encode,
    resources_from_wire,
    resources_to_wire,
)
from tocsin.core.origin import SECTION_PATIENCE, Gate, Origin
from tocsin.core.repair import Repair
from tocsin.core.sequence import incarnation_of, seq_of, sequence_of

__all__ = ["Sections", "Whole"]

_RETRY: Final = 0.3
_DOUBT_RETRY: Final = 1.0
#: Between two rounds of asking others for the section of an origin not heard: they may be in doubt, too.
_DOUBT_PAUSE: Final = 2.0


@dataclass(slots=True)
class Whole:
    """A section, all parts of it."""

    origin: str
    stamp: str
    resources: list[Resource]


class Sections:
    """Which sections are wanted, which parts have come, and what the peers say of the members."""

    def __init__(self, repair: Repair, section: Callable[[str], tuple[str, list[Resource]]]) -> None:
        self._repair = repair
        self._section = section
        self._joining: dict[str, Gate] = {}
        #: (sender, origin) → stamp, number of parts, and the parts that have come.
        self._parts: dict[tuple[str, str], tuple[str, int, dict[int, Section]]] = {}
        self.members: dict[str, tuple[str, int]] = {}

    # -- asking ----------------------------------------------------------------------

    def want(self, origin: Origin, loss: Loss | None, now: float, *, joining: bool, base: str = "") -> None:
        """From now on the origin waits for its section (while joining only the joining waits).

        The section must contain the loss, and all up to ``base``, of which nothing can be had.
        """
        stamp = max(base, loss.last if loss else sequence_of(origin.current, 0))
        gate = Gate(now + SECTION_PATIENCE, loss, stamp)
        if joining:
            gate.loss = None  # it is numbered with the rest of history, when the joining ends
            self._joining[origin.name] = gate
        else:
            origin.gate = gate

    def wanted(self, name: str) -> bool:
        """Whether the joining waits for this origin's section."""
        return name in self._joining

    def all_wanted(self) -> Collection[str]:
        """The origins whose sections the joining waits for."""
        return self._joining.keys()

    def sleep(self, seconds: float) -> None:
        """This node itself stood still for so long."""
        for gate in self._joining.values():
            gate.deadline += seconds

    def forget(self, name: str) -> None:
        """Nothing more of an origin is wanted."""
        self._joining.pop(name, None)
        self._drop_parts(name)

    def doubt_rest(self, origins: Mapping[str, Origin]) -> Iterator[Effect]:
        """Joining is over without these sections: nobody may take them from here before they have come."""
        for name in self._joining:
            if not origins[name].doubtful:
                origins[name].doubtful = True
                yield Doubt(name, f"{name} has not been asked for its present state yet")

    def tend(self, origin: Origin, living: Collection[str], now: float) -> Iterator[Effect]:
        """Asks, asks again, and gives up waiting."""
        gate = origin.gate or self._joining.get(origin.name)
        if gate is None:
            if not origin.doubtful or not _askable(origin, living):
                return
            if origin.name not in living and now < origin.ask_again:
                return
            gate = self._joining.setdefault(origin.name, Gate(now + _DOUBT_RETRY, stamp=origin.owed))
        if now >= gate.deadline:
            origin.ask_again = now + _DOUBT_PAUSE
            yield from self._give_up(origin, gate)
        elif now - gate.asked_at >= _RETRY:
            gate.asked_at = now
            number = self._repair.number()
            targets = _askable(origin, living)
            for at in range(min(2, len(targets))):
                target = targets[(number + at) % len(targets)]
                yield Send(encode(AskSection, number, origin.name), target)

    def _give_up(self, origin: Origin, gate: Gate) -> Iterator[Effect]:
        self.forget(origin.name)
        origin.owed = max(origin.owed, gate.stamp)
        if origin.gate is gate or not origin.doubtful:
            origin.doubtful = True
            yield Doubt(origin.name, f"{origin.name} cannot be asked for its present state")
        if origin.gate is gate:
            origin.gate = None
            if gate.loss:
                yield Lose(gate.loss)

    # -- using what came ---------------------------------------------------------------

    def assemble(self, sender: str, part: Section, origin: Origin, *, joining: bool) -> Whole | None:
        """Takes a part in; the whole section once all parts are here. Raises CodecError.

        Only what was asked for is kept, and of each sender the parts of its newest answer.
        """
        if part.part >= part.parts:
            raise CodecError(f"part {part.part} of {part.parts} of a section")
        if origin.gate is None and origin.name not in self._joining:
            return None
        if joining:
            self.members.update(part.members)
        stamp = sequence_of(part.incarnation, part.seq)
        was, count, parts = self._parts.get((sender, origin.name), ("", 0, {}))
        if stamp < was:
            return None
        if (stamp, part.parts) != (was, count):
            parts = {}
            self._parts[sender, origin.name] = stamp, part.parts, parts
        parts[part.part] = part
        if len(parts) < part.parts:
            return None
        self._drop_parts(origin.name)
        found: list[Resource] = []
        for number in range(part.parts):
            found += resources_from_wire(parts[number].resources, part.origin)
        return Whole(part.origin, stamp, found)

    def _drop_parts(self, name: str) -> None:
        for key in [k for k in self._parts if k[1] == name]:
            del self._parts[key]

    def use(self, origin: Origin, whole: Whole, *, joining: bool) -> Iterator[Effect]:
        """Replaces the section, and opens the gate if the section is recent enough for it."""
        gate = origin.gate
        asked = gate or self._joining.get(origin.name)
        if asked is None or whole.stamp < asked.stamp:
            return
        if not joining and not _can_fold_on(origin, whole.stamp):
            return
        later = [] if joining else [a.event for a in _accepted_after(origin, whole.stamp)]
        yield ReplaceSection(origin.name, whole.stamp, whole.resources, later)
        self._joining.pop(origin.name, None)
        origin.gate, origin.owed = None, ""
        if gate is not None and gate.loss is not None:
            yield Lose(gate.loss)
        if origin.doubtful:
            origin.doubtful = False
            if gate is None and not joining:
                # The board changed without an event: one that every frame is interested in says so.
                words = f"the present state of {origin.name} is known again"
                yield Publish(report("node.synced", origin.name, None, words, node=origin.name))

    # -- answering -----------------------------------------------------------------------

    def answer(
        self,
        sender: str,
        ask: AskSection,
        true_at: tuple[int, int] | None,
        members: dict[str, tuple[str, int]],
    ) -> Iterator[bytes]:
        """The parts of a section that is here, true at (incarnation, seq); None: at its stamp, if it has one.

        What was no news here is not folded and moves no stamp: the section is true beyond it.
        """
        if not self._repair.first_time(sender, -ask.number):
            return
        stamp, resources = self._section(ask.origin)
        if true_at is None and not stamp:
            return
        incarnation, seq = true_at or (incarnation_of(stamp), seq_of(stamp))
        parts: list[list[dict[str, object]]] = [[]]
        size = 0
        for resource in resources_to_wire(resources):
            length = len(msgspec.msgpack.encode(resource))
            if parts[-1] and size + length > MAX_MESSAGE_BYTES:
                parts.append([])
                size = 0
            parts[-1].append(resource)
            size += length
        for number, part in enumerate(parts):
            told = members if number == 0 else {}
            yield encode(Section, ask.origin, incarnation, seq, number, len(parts), part, told)


def _askable(origin: Origin, living: Collection[str]) -> list[str]:
    """Who can be asked for a section: the origin; where it is not heard anybody.

    Those who told of what they hold do not hear the origin either, and may be in doubt of it as well.
    """
    return [origin.name] if origin.name in living else list(living)


def _accepted_after(origin: Origin, stamp: str) -> Iterator[Arrival]:
    for incarnation in sorted(i for i in origin.lives if i <= origin.current):
        life = origin.lives[incarnation]
        for seq, arrival in life.held(life.first_held, life.accepted):
            if life.sequence(seq) > stamp:
                yield arrival


def _can_fold_on(origin: Origin, stamp: str) -> bool:
    """Whether no event between the section and what is accepted has been let go of already."""
    life = origin.life
    return stamp >= life.sequence(life.first_held - 1)
