"""What must be true of the logs of a chaos run, whatever was done to the cluster: V1 to V9.

Each rule is a function of a :class:`Run`; it returns a sentence for everything that breaks it. Times
are those of the monotonic clock, which all processes of a machine share.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

#: Seconds for what happens on a machine with much to do: a timer, an answer on its way.
SLACK = 2.5


class Accepted(NamedTuple):
    """An event that a node answered with 202: when the request began and ended."""

    key: str
    began: float
    ended: float

    @property
    def origin(self) -> str:
        return self.key.partition("/")[0]

    @property
    def sequence(self) -> str:
        return self.key.partition("/")[2]


class Told(NamedTuple):
    """A line of a monitor's log: an event, a gap, or the monitor's own restart (neither)."""

    at: float
    key: str = ""
    reason: str = ""
    lost: Mapping[str, list[str]] = {}
    node: str = ""

    def covers(self, event: Accepted) -> bool:
        """Whether it is a gap that tells this event as lost, or may do."""
        if not self.reason:
            return False
        if not self.lost:
            return event.began <= self.at
        first, last = self.lost.get(event.origin, ("~", ""))
        return first <= event.sequence <= last


@dataclass
class Log:
    """What a monitor was told. ``origins``: whose events it asked for."""

    name: str
    told: list[Told]
    origins: frozenset[str]
    #: Whether it may repeat what it was at when it was stopped: at least once.
    repeats: bool = False
    #: Whether ``at`` is when it was told, not when somebody read its output.
    exact: bool = True

    @property
    def gaps(self) -> list[Told]:
        return [line for line in self.told if line.reason]


class Ended(NamedTuple):
    """A node's agent ended at ``at`` and was started again at ``back``."""

    node: str
    at: float
    back: float
    #: By SIGTERM; the rest are kills.
    clean: bool


class Apart(NamedTuple):
    """Something kept two nodes from each other: a cut on some rail, or one of them was not there."""

    nodes: frozenset[str]
    began: float
    ended: float


@dataclass
class Run:
    """All that is known about one run."""

    retain: float
    accepted: list[Accepted]
    logs: list[Log]
    #: The lines of the watchers, by the URL of their node.
    watched: dict[str, list[dict[str, Any]]]
    names: dict[str, str]
    ended: list[Ended] = field(default_factory=list)
    apart: list[Apart] = field(default_factory=list)
    #: Where the filtered reader was in the end, and where its node was a while before.
    filtered: tuple[str, str] = ("", "")

    @cached_property
    def held(self) -> dict[str, set[str]]:
        """Which nodes were seen to have numbered an event, by its key."""
        held: dict[str, set[str]] = defaultdict(set)
        for url, lines in self.watched.items():
            for line in lines:
                for _, key in line.get("page", line.get("window", ())):
                    held[key].add(self.names[url])
        return held

    @cached_property
    def died(self) -> set[str]:
        """Accepted events that were lost with the last agent that had them: nobody is left who could tell.

        Each agent that had it ended before the others could get it: they were kept from those that had it.
        But an agent that is killed in the instant after it accepted an event may be the only one to know.
        """
        return {event.key for event in self.accepted if self._dead(event)}

    def _dead(self, event: Accepted) -> bool:
        had = self.held[event.key] | {event.origin}
        ends = []
        for node in had:
            later = [end for end in self.ended if end.node == node and end.at >= event.began]
            if not later:
                return False
            ends.append(min(later, key=lambda end: end.at))
        last = max(ends, key=lambda end: end.at)
        if len(had) == 1 and not last.clean and last.at < event.ended + SLACK:
            return True
        others = set(self.names.values()) - had
        return last.at < event.began + self.retain and all(
            self._kept(other, had, event.began, last.at) for other in others
        )

    def _kept(self, node: str, had: set[str], began: float, ended: float) -> bool:
        return any(
            node in each.nodes and each.nodes & had and each.began <= ended and each.ended >= began
            for each in self.apart
        )

    def windows(self, url: str, after: float) -> Iterator[dict[str, Any]]:
        """A node's windows from then on, until its agent ended."""
        ends = [end.at for end in self.ended if end.node == self.names[url] and end.at >= after]
        for line in self.watched[url]:
            if "window" in line and after <= line["began"] and line["at"] < min(ends, default=float("inf")):
                yield line


def missed(run: Run) -> Iterator[tuple[Log, Accepted]]:
    """What monitors asked for and were neither told, nor told that it is lost."""
    for log in run.logs:
        told = {line.key for line in log.told}
        for event in run.accepted:
            wanted = event.origin in log.origins and event.key not in told
            if wanted and not any(gap.covers(event) for gap in log.gaps):
                yield log, event


def v1_no_silent_miss(run: Run) -> Iterator[str]:
    """Every accepted event is delivered, or told as lost, to every monitor that asked for it."""
    for log, event in missed(run):
        if event.key not in run.died:
            yield f"{log.name} was never told of {event.key}, nor that it is lost"


def repeated(log: Log) -> tuple[list[str], int]:
    """What was told twice; and how often that was what a monitor was at when it was stopped."""
    found, own, told = list[str](), 0, set[str]()
    last, again = "", False
    for line in log.told:
        if not line.key:
            again = again or not line.reason
        elif line.key not in told:
            told.add(line.key)
            last, again = line.key, False
        elif log.repeats and again and line.key == last:
            own, again = own + 1, False
        else:
            found.append(line.key)
    return found, own


def v2_no_duplicate(run: Run) -> Iterator[str]:
    """No monitor is told an event twice, across nodes and restarts."""
    for log in run.logs:
        for key in repeated(log)[0]:
            yield f"{log.name} was told {key} twice"


def v3_per_origin_order(run: Run) -> Iterator[str]:
    """The events of an origin come in the order of their sequences."""
    for log in run.logs:
        last: dict[str, str] = {}
        for line in log.told:
            origin, _, sequence = line.key.partition("/")
            if sequence and sequence < last.get(origin, ""):
                yield f"{log.name} was told {line.key} behind {last[origin]}"
            if sequence:
                last[origin] = sequence


def v4_gaps_are_true(run: Run) -> Iterator[str]:
    """A gap tells something new, that its node really does not have; and there is no loop of gaps."""
    for log in run.logs:
        told: dict[str, str] = {}
        earlier = before = float("-inf")
        for line in log.told:
            origin, _, sequence = line.key.partition("/")
            if sequence:
                told[origin] = max(sequence, told.get(origin, ""))
            elif line.reason:
                yield from _false_gap(run, log, line, told)
                if log.exact and line.at < earlier + 0.9 and log.name != "stream":
                    yield f"{log.name} was told three gaps in {line.at - earlier:.2f} s"
                earlier, before = before, line.at


def _false_gap(run: Run, log: Log, gap: Told, told: Mapping[str, str]) -> Iterator[str]:
    for origin, (first, last) in gap.lost.items():
        if last <= told.get(origin, ""):
            yield f"{log.name} was told a gap up to {origin}/{last}, which it had been told already"
        lost = {
            event.key for event in run.accepted if event.origin == origin and first <= event.sequence <= last
        }
        lost -= {line.key for line in log.told if line.at <= gap.at}
        for window in run.windows(gap.node, gap.at) if gap.node else ():
            for key in lost & {key for _, key in window["window"]}:
                yield f"{log.name} was told that {key} is lost, and {run.names[gap.node]} has it"
        for line in log.told:
            if line.at > gap.at and line.key in lost:
                yield f"{log.name} was told {line.key} after it was told that it is lost"


def v5_future_cursor(run: Run) -> Iterator[str]:
    """A cursor ahead of the node is a gap at once (or the node is not ready)."""
    yield from _abuses(run, "future", {"future", "restarted"})


def v6_foreign_cursor(run: Run) -> Iterator[str]:
    """Another buffer's cursor and garbage are a gap at once, never an error of the server."""
    yield from _abuses(run, "foreign", {"foreign"})
    yield from _abuses(run, "text", {"foreign"})


def _abuses(run: Run, kind: str, reasons: set[str]) -> Iterator[str]:
    for url, lines in run.watched.items():
        for line in lines:
            if line.get("abuse") != kind or line["status"] == 503:
                continue
            if line["status"] != 410 or line["reason"] not in reasons:
                yield f"{run.names[url]} answered a {kind} cursor {line['status']} {line['reason']}"


def v7_retention(run: Run) -> Iterator[str]:
    """An event that a node has numbered is shown for T, and no longer than 2T, by the monotonic clock."""
    accepted = {event.key: event for event in run.accepted}
    for url, lines in run.watched.items():
        numbered: dict[str, dict[str, int]] = defaultdict(dict)
        for line in lines:
            buffer = line.get("cursor", "").partition(":")[0]
            if "page" in line:
                numbered[buffer].update({key: number for number, key in line["page"]})
            elif "window" in line:
                shown = {key for _, key in line["window"]}
                end = int(line["cursor"].rpartition(":")[2])  # a window ends before the first marker
                for key in numbered[buffer].keys() & accepted.keys() - shown:
                    if numbered[buffer][key] <= end and line["at"] < accepted[key].began + run.retain:
                        yield f"{run.names[url]} does not show {key}, which is younger than T"
                for key in shown & accepted.keys():
                    if line["began"] > accepted[key].ended + 2 * run.retain + SLACK:
                        yield f"{run.names[url]} still shows {key}, which is older than 2T"


def v8_bookmark(run: Run) -> Iterator[str]:
    """Who was told to be at N was told all up to N: no window shows an event that the pages left out."""
    for url, lines in run.watched.items():
        # Per buffer: what the pages gave, and the stretches of numbers that they claimed to cover.
        given: dict[str, set[tuple[int, str]]] = defaultdict(set)
        covered: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for line in lines:
            buffer, _, number = line.get("cursor", "").rpartition(":")
            old, _, after = line.get("after", "").rpartition(":")
            if "page" in line or ("after" in line and "reason" not in line):
                given[buffer] |= {(number, key) for number, key in line.get("page", ())}
                if old == buffer:
                    covered[buffer].append((int(after), int(number)))
        for line in lines:
            buffer = line.get("cursor", "").partition(":")[0]
            starts = sorted(covered[buffer])
            for number, key in line.get("window", ()):
                here = bisect_right(starts, (number - 1, 1 << 60)) - 1
                inside = here >= 0 and starts[here][0] < number <= starts[here][1]
                if inside and (number, key) not in given[buffer]:
                    yield f"{run.names[url]}: the pages passed number {number} without {key}"


def v9_filtered(run: Run) -> Iterator[str]:
    """A monitor to which everything is hidden moves on like the others."""
    reader, node = run.filtered
    (mine, _, at), (buffer, _, reached) = reader.rpartition(":"), node.rpartition(":")
    if mine != buffer or int(at or 0) < int(reached or 0):
        yield f"the filtered reader stayed at {reader or 'no cursor'}, its node is at {node}"


RULES = (
    v1_no_silent_miss,
    v2_no_duplicate,
    v3_per_origin_order,
    v4_gaps_are_true,
    v5_future_cursor,
    v6_foreign_cursor,
    v7_retention,
    v8_bookmark,
    v9_filtered,
)


def broken(run: Run) -> dict[str, list[str]]:
    """What breaks which rule."""
    return {rule.__name__: list(rule(run)) for rule in RULES}
