"""Measured values (``cpu``, ``memory`` in percent …) of all nodes over the last hour: shown, never events.

Each value is kept as means over slots of :data:`STEP` seconds in a ring, besides the last sample itself.
Times are wall seconds of the node that shows them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final

__all__ = ["MAX_NAMES", "SPAN", "STEP", "Measures"]

#: Seconds of one slot, and of all that is kept.
STEP: Final = 10.0
SPAN: Final = 3600.0
#: More names than the generators measure; a bound on what one node can make others keep.
MAX_NAMES: Final = 256


class _Ring:
    """One value of one node."""

    __slots__ = ("at", "count", "last", "slots")

    def __init__(self) -> None:
        self.slots: deque[tuple[float, float]] = deque(maxlen=round(SPAN / STEP))
        self.last, self.at, self.count = 0.0, 0.0, 0

    def add(self, value: float, at: float) -> None:
        slot = at - at % STEP
        if self.slots and slot < self.slots[-1][0]:
            # The clock was set back: what was drawn at times to come is worth nothing.
            self.slots.clear()
        self.last, self.at = value, at
        if self.slots and self.slots[-1][0] == slot:
            mean = self.slots[-1][1]
            self.count += 1
            self.slots[-1] = (slot, mean + (value - mean) / self.count)
        else:
            self.count = 1
            self.slots.append((slot, value))


class Measures:
    """The measured values of all nodes."""

    def __init__(self) -> None:
        self._rings: dict[str, dict[str, _Ring]] = {}

    def add(self, node: str, values: Mapping[str, float], at: float) -> None:
        """Takes in what a node measured. Names beyond :data:`MAX_NAMES` a node are left out."""
        rings = self._rings.setdefault(node, {})
        for name, value in values.items():
            if name not in rings:
                if len(rings) >= MAX_NAMES:
                    continue
                rings[name] = _Ring()
            rings[name].add(float(value), at)

    def forget(self, node: str) -> None:
        """Lets go of all that is known of a node."""
        self._rings.pop(node, None)

    def nodes(self) -> list[str]:
        """The nodes that have measured anything, by name."""
        return sorted(self._rings)

    def names(self, node: str) -> list[str]:
        """What a node measures, by name."""
        return sorted(self._rings.get(node, {}))

    def series(self, node: str, name: str) -> list[tuple[float, float]]:
        """Slots of :data:`STEP` seconds as (when it begins, mean), oldest first; empty if unknown."""
        ring = self._rings.get(node, {}).get(name)
        return list(ring.slots) if ring else []

    def latest(self, node: str, name: str, *, now: float | None = None, within: float = 30.0) -> float | None:
        """The last sample; None if there is none, or none within so many seconds before ``now``."""
        ring = self._rings.get(node, {}).get(name)
        if ring is None or (now is not None and now - ring.at > within):
            return None
        return ring.last

    def heard(self, node: str) -> float | None:
        """When a node's values last came; None if never."""
        return max((ring.at for ring in self._rings.get(node, {}).values()), default=None)
