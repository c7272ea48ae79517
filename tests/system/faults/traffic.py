"""Steady traffic into a cluster and readers at every node, which note down what they did and were told."""

from __future__ import annotations

import http.client
import itertools
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Final

from tests.system.cluster import PORT, Cluster, until
from tests.system.faults.judge import Accepted, Told, covers
from tests.system.netns import PUBLIC, TEST
from tocsin.monitor import Gap, Monitor

__all__ = ["Publisher", "Reader", "Traffic", "traffic"]

#: Seconds that a publisher waits for an answer before it posts the same events again.
_PATIENCE: Final = 1.0
#: Seconds between two posts of a publisher.
_PERIOD: Final = 0.05
#: Events that are posted at once in a surge.
_BATCH: Final = 250
#: Seconds that a reader lets its answers be held; a node that is frozen has failed 5 s after that.
_WAIT: Final = 2.0
_HEADERS: Final = {"Content-Type": "application/cloudevents-batch+json"}
_ids = itertools.count(1)


class Publisher:
    """Posts events at one node, at a steady rate; what was not answered is posted again."""

    def __init__(self, cluster: Cluster, node: int, a_second: int) -> None:
        self.node, self.accepted = node, list[Accepted]()
        self._many = max(1, round(a_second * _PERIOD))
        self._period = self._many / a_second
        self._address = cluster.net.address(node, PUBLIC)
        self._origin = cluster.name(node)
        self._connection: http.client.HTTPConnection | None = None
        self._stop = threading.Event()
        self._surge = deque[list[dict[str, Any]]]()
        self._thread = cluster.net.thread(TEST, self._work)

    def surge(self, many: int, size: int) -> list[Accepted]:
        """Posts so many events of so many bytes besides, and waits until they are accepted; returns them."""
        events = [_event(data={"summary": "x" * size}) for _ in range(many)]
        ids = {event["id"] for event in events}
        self._surge += [events[at : at + _BATCH] for at in range(0, many, _BATCH)]
        until(lambda: ids <= {each.id for each in list(self.accepted)}, 30, f"{many} events are accepted")
        return sorted((each for each in self.accepted if each.id in ids), key=lambda each: each.sequence)

    def stop(self) -> None:
        """Ends it; what is under way is still posted until it is accepted."""
        self._stop.set()

    def join(self) -> None:
        """Waits for the end."""
        self._thread.join(60)
        assert not self._thread.is_alive(), f"{self._origin} does not accept events any more"

    def _work(self) -> None:
        due = time.monotonic()
        while not self._stop.is_set():
            while self._surge:
                self._publish(self._surge.popleft())
            self._publish([_event() for _ in range(self._many)])
            due = max(due + self._period, time.monotonic() - 1)
            self._stop.wait(max(0.0, due - time.monotonic()))
        self._drop()

    def _publish(self, batch: list[dict[str, Any]]) -> None:
        """Until it is accepted. The same events again are the same to the cluster: their ids are kept."""
        begun = datetime.now(UTC).isoformat()
        body = json.dumps([{**event, "time": begun} for event in batch])
        give_up = time.monotonic() + 40
        while time.monotonic() < give_up:
            with suppress(OSError, http.client.HTTPException, ValueError):
                sequences = self._post(body)
                now = time.monotonic()
                self.accepted += [
                    Accepted(event["id"], self._origin, sequence, now)
                    for event, sequence in zip(batch, sequences, strict=True)
                ]
                return
            self._drop()
            threading.Event().wait(0.05)

    def _post(self, body: str) -> list[str]:
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self._address, PORT, timeout=_PATIENCE)
        self._connection.request("POST", "/api/v1/events", body, _HEADERS)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status != 202:
            raise ValueError(f"{answer.status}: {text!r}")
        return list(json.loads(text)["sequences"])

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _event(**attributes: Any) -> dict[str, Any]:
    return {
        **attributes,
        "specversion": "1.0",
        "type": "test.tick",
        "source": "/test",
        "id": f"t{next(_ids)}",
    }


class Reader:
    """A real monitor of one node, or of several in this order; notes down all that it is told."""

    def __init__(self, cluster: Cluster, *nodes: int) -> None:
        self.nodes, self.told = nodes, list[Told | Gap]()
        self._ids = set[str]()
        self.error: BaseException | None = None
        self._monitor = Monitor([cluster.url(node) for node in nodes], wait=_WAIT)
        self._thread = cluster.net.thread(TEST, self._work)

    def __str__(self) -> str:
        return "reader of " + ", ".join(f"node{node}" for node in self.nodes)

    @property
    def started(self) -> bool:
        """Whether it has its first cursor: from then on it must be told everything."""
        return self._monitor.heard is not None

    def knows(self, event: Accepted) -> bool:
        """Whether it was told an event, or that it may lack it."""
        return event.id in self._ids or any(
            covers(each, event) for each in self.told if isinstance(each, Gap)
        )

    def close(self) -> None:
        """Ends it."""
        self._monitor.close()
        self._thread.join(30)
        if self.error is not None:
            raise self.error

    def _work(self) -> None:
        try:
            for each in self._monitor:
                self.told.append(told := each if isinstance(each, Gap) else _told(each))
                if isinstance(told, Told):
                    self._ids.add(told.id)
        except BaseException as error:  # raised in close
            self.error = error


def _told(event: dict[str, str]) -> Told:
    mine = event["type"] == "test.tick"
    delay = datetime.fromisoformat(event["recordedtime"]) - datetime.fromisoformat(event["time"])
    identity = event["id"] if mine else ""
    return Told(identity, event["origin"], event["sequence"], time.monotonic(), delay.total_seconds())


class Traffic:
    """A publisher and a reader at each node, and a reader that may move on from the node that is hit."""

    def __init__(self, cluster: Cluster, hit: int, rates: Callable[[int], int]) -> None:
        nodes = list(cluster.net.nodes)
        others = [node for node in nodes if node != hit]
        self.readers = [*(Reader(cluster, node) for node in nodes), Reader(cluster, hit, *others)]
        self.publishers = list[Publisher]()
        until(lambda: all(each.started for each in self.readers), 20, "all readers have begun")
        self.publishers += [Publisher(cluster, node, rates(node)) for node in nodes]

    @property
    def accepted(self) -> list[Accepted]:
        """All that was accepted so far."""
        return [each for publisher in self.publishers for each in list(publisher.accepted)]

    def last(self) -> dict[str, str]:
        """The highest sequence that was accepted so far, of each origin."""
        found: dict[str, str] = {}
        for each in self.accepted:
            found[each.origin] = max(each.sequence, found.get(each.origin, ""))
        return found

    def stop(self) -> None:
        """No more events; all that were begun are accepted when it returns."""
        for each in self.publishers:
            each.stop()
        for each in self.publishers:
            each.join()

    def close(self) -> None:
        """Ends publishers and readers."""
        for publisher in self.publishers:
            publisher.stop()
        for reader in self.readers:
            reader.close()


@contextmanager
def traffic(cluster: Cluster, hit: int, rates: Callable[[int], int]) -> Iterator[Traffic]:
    """Traffic, ended with the block; ``rates`` gives the events a second of a node."""
    made = Traffic(cluster, hit, rates)
    try:
        yield made
    finally:
        made.close()
