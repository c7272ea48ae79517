"""Plays ``tests/follow_cases.json`` (the format is explained there) with the real state machines."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tocsin.core.follow import Follow, News, Reply, Request
from tocsin.core.frames import Frames
from tocsin.core.interest import Interests
from tocsin.core.sequence import sequence_of

TABLE = Path(__file__).parent.parent / "follow_cases.json"
OUTPUTS = ("asks", "handles", "gap", "refreshes", "refused")
INPUTS = ("answer", "fail", "hide", "show", "wake", "register", "unregister", "refreshed", "unrefreshed")
TOLERANCE = 0.001
_HEADERS = {
    "cursor": "tocsin-cursor",
    "poll": "tocsin-poll",
    "retry": "retry-after",
    "type": "content-type",
}


def cases() -> list[dict[str, Any]]:
    """The table."""
    return json.loads(TABLE.read_text())["cases"]


def long(text: str) -> str:
    """'n1/1-3' or '1-3' with the sequence in full."""
    head, slash, sequence = text.rpartition("/")
    incarnation, _, seq = sequence.partition("-")
    return head + slash + sequence_of(int(incarnation), int(seq))


def _event(text: str) -> dict[str, Any]:
    match = re.fullmatch(r"(\d+) (\w+)/(\S+) ([^@:]+)(?:@([^:]*))?(?::(.*))?", text)
    assert match, f"not an event: {text}"
    number, origin, sequence, type, node, subject = match.groups()
    return {
        "number": int(number),
        "origin": origin,
        "sequence": long(sequence),
        "type": type,
        "node": node or origin,
        "subject": subject or "",
    }


def _seen(seen: dict[str, str]) -> dict[str, str]:
    return {origin: long(sequence) for origin, sequence in seen.items()}


def _lost(lost: dict[str, Any]) -> dict[str, Any]:
    return {origin: tuple(map(long, pair)) for origin, pair in lost.items()}


def _body(body: Any) -> bytes:
    if not isinstance(body, dict):
        return str(body or "").encode()
    body = dict(body)
    if "seen" in body:
        body["seen"] = _seen(body["seen"])
    if "events" in body:
        body["events"] = [_event(e) if isinstance(e, str) else e for e in body["events"]]
    if "lost" in body:
        body["lost"] = _lost(body["lost"])
    return json.dumps(body).encode()


def _reply(answer: dict[str, Any]) -> Reply:
    headers = {name: answer[key] for key, name in _HEADERS.items() if key in answer}
    return Reply(answer["status"], headers, _body(answer.get("body")))


class Player:
    """A monitor with its frames, on a clock that the table moves."""

    def __init__(self, case: dict[str, Any]) -> None:
        options = dict(case["options"])
        if "seen" in options:
            options["seen"] = _seen(options["seen"])
        self.random = case.get("random", 0.5)
        self.follow = Follow(case["nodes"], **options)
        self.frames = Frames(options.get("after", ""))
        for name, frame in case.get("frames", {}).items():
            self.frames.register(name, Interests.parse(frame["on"]), frame["cursor"], 0.0)
        self.now = 0.0
        self.out: dict[str, Any] = {}
        #: (when, what) of all that began since the last step.
        self.began: list[tuple[float, str]] = []

    def play(self, step: dict[str, Any]) -> dict[str, Any]:
        """One step: what came out of it, in the table's form."""
        self.out, self.began = {}, []
        self._advance(step["at"])
        for name in INPUTS:
            if name in step:
                getattr(self, f"_{name}")(step[name])
        self._do_due()
        return self.out

    def _advance(self, to: float) -> None:
        while (due := min(self._follow_due(), self.frames.due)) <= to + TOLERANCE:
            self.now = max(self.now, due)
            self._do_due()
        self.now = max(self.now, to)

    def _follow_due(self) -> float:
        return float("inf") if self.follow.due is None else self.follow.due

    def _do_due(self) -> None:
        if self._follow_due() <= self.now:
            self.out.setdefault("asks", []).append(_asks(self.follow.ask(self.now)))
            self.began.append((self.now, "request"))
        for name in self.frames.ready(self.now):
            self.out.setdefault("refreshes", []).append(name)
            self.began.append((self.now, f"refresh of {name}"))

    def _take(self, news: News) -> None:
        self.frames.take(news, self.follow.cursor, self.now)
        if news.events:
            self.out["handles"] = [f"{e['origin']}/{e['sequence']}" for e in news.events]
        if news.gap:
            self.out["gap"] = {"reason": news.gap.reason, "lost": news.gap.lost}
        if news.refused:
            self.out["refused"] = news.refused["status"]

    def _answer(self, answer: dict[str, Any]) -> None:
        self._take(self.follow.answer(_reply(answer), self.now, self.random))

    def _fail(self, _why: str) -> None:
        self._take(self.follow.failed(self.now, self.random))

    def _hide(self, _: bool) -> None:
        self.follow.hide()

    def _show(self, _: bool) -> None:
        self.follow.show(self.now)

    def _wake(self, _: bool) -> None:
        self.follow.wake(self.now)

    def _register(self, frame: dict[str, str]) -> None:
        self.frames.register(frame["name"], Interests.parse(frame["on"]), frame["cursor"], self.now)

    def _unregister(self, name: str) -> None:
        self.frames.unregister(name)

    def _refreshed(self, frame: dict[str, str]) -> None:
        self.frames.refreshed(frame["name"], frame["cursor"], self.now)

    def _unrefreshed(self, name: str) -> None:
        self.frames.failed(name, self.now)


def _asks(request: Request) -> dict[str, Any]:
    asks: dict[str, Any] = {"node": request.node, "timeout": request.timeout}
    if request.body is not None:
        assert request.path == "/api/v1/events/resume"
        asks["resume"] = request.body
    else:
        assert request.path == "/api/v1/events"
        asks["get"] = request.query
    return asks


def expected(step: dict[str, Any]) -> dict[str, Any]:
    """What a step of the table says must come out, sequences in full."""
    out = {key: step[key] for key in OUTPUTS if key in step}
    if "asks" in out:
        asks = dict(out["asks"])
        if "seen" in asks.get("resume", {}):
            asks["resume"] = {**asks["resume"], "seen": _seen(asks["resume"]["seen"])}
        out["asks"] = [asks]
    if "handles" in out:
        out["handles"] = [long(key) for key in out["handles"]]
    if "gap" in out:
        out["gap"] = {"reason": out["gap"]["reason"], "lost": _lost(out["gap"]["lost"])}
    return out


def stated(step: dict[str, Any], player: Player) -> list[tuple[Any, Any]]:
    """(expected, actual) of what a step states besides."""
    pairs: list[tuple[Any, Any]] = []
    if "state" in step:
        pairs.append((step["state"], player.follow.state))
    if "position" in step:
        position = step["position"]
        pairs.append(((position["cursor"], _seen(position["seen"])), tuple(player.follow.position)))
    return pairs


def check(case: dict[str, Any]) -> None:
    """Plays a case and compares."""
    player = Player(case)
    for number, step in enumerate(case["steps"]):
        where = f"{case['name']}, step {number}, at {step['at']}"
        assert expected(step) == player.play(step), where
        for when, what in player.began:
            assert abs(when - step["at"]) < TOLERANCE, f"{where}: {what} at {when}"
        for wanted, actual in stated(step, player):
            assert wanted == actual, where
