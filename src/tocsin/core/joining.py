"""This node's own part: it listens, begins a life, joins, announces itself (DESIGN.md section 5).

Between :class:`~tocsin.core.intake.Intake`, which holds what comes of others, and
:class:`~tocsin.core.replica.Replica`, which decides what messages mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from tocsin.core.board import Resource
from tocsin.core.bus import Loss
from tocsin.core.effects import Base, Begin, Clash, Lose, Publish, Send
from tocsin.core.event import report
from tocsin.core.intake import Intake
from tocsin.core.lives import MAX_INCARNATION, Life
from tocsin.core.messages import Announce, Entry, Goodbye, Hello, Message, encode
from tocsin.core.origin import Origin
from tocsin.core.probing import Probing
from tocsin.core.relaying import Relaying
from tocsin.core.sequence import incarnation_of, seq_of, sequence_of
from tocsin.core.telling import entries_of_silent, some
from tocsin.core.twin import Twin, clash_report

__all__ = ["JOIN_AT_MOST", "RENEW_EVERY", "Joining"]

#: A node that hears nobody within this time is alone, and ready. Seconds.
_ALONE_AFTER: Final = 3.0
#: Joining ends after this in any case, in seconds.
JOIN_AT_MOST: Final = 10.0
_HELLO_EVERY: Final = 0.2
#: Of two lives above the same one the second does not know the first: the clock tells them apart, a little,
#: and better where the state was lost, so that nobody would know. In milliseconds that may lie between them.
_SPREAD: Final = 1000
_SPREAD_OF_RENEWED: Final = 1_000_000
#: Seconds between two announces while a younger twin is heard.
_INSIST_EVERY: Final = 0.25
#: Seconds between two lives that this node begins because others know of a later one.
RENEW_EVERY: Final = 5.0


class Joining(Intake):
    """The lives of this node itself."""

    def __init__(
        self,
        me: str,
        *,
        now: float,
        wall_ms: int,
        names: Iterable[str] = (),
        seen: Iterable[str] = (),
        stored_incarnation: int = 0,
        stored_last: int = 0,
        stored_clean: bool = True,
        retain: float = 300.0,
        max_events: int = 100_000,
        max_bytes: int = 64 << 20,
        down_after: float = 5.0,
        alone: bool = False,
        section: Callable[[str], tuple[str, list[Resource]]] = lambda origin: ("", []),
    ) -> None:
        """``alone``: there are no rails. ``section(origin)``: the board's stamp and section of an origin.

        ``stored_last``: how far the former life came; not ``stored_clean``: perhaps further.
        """
        super().__init__(
            me,
            now=now,
            names=names,
            seen=seen,
            stored=(stored_incarnation, stored_last),
            stored_clean=stored_clean,
            first_number=wall_ms * 1000,
            retain=retain,
            max_events=max_events,
            max_bytes=max_bytes,
            down_after=down_after,
            section=section,
        )
        self._started, self._wall_ms, self._alone = now, wall_ms, alone
        self.opened = self.clashed = False
        self.previous = ""
        self.measures: dict[str, float] = {}
        self._next_announce = self._next_hello = self._next_prune = self._next_look = now
        self._renewed_at = now
        self._twin = Twin()
        #: Nodes that say that they have joined.
        self._settled: set[str] = set()
        self._probing = Probing(self.liveness, self._repair.number)
        self._relaying = Relaying(me)
        self._asked_about = ""

    @property
    def incarnation(self) -> int:
        """This life's incarnation; 0 while listening."""
        return self.own.incarnation

    # -- what others know of it ------------------------------------------------------

    def _on_entry_of_mine(self, entry: Entry) -> bool:
        """What others hold of this node's own lives; whether that is all there is to do about it."""
        if entry.incarnation >= MAX_INCARNATION:
            return True  # nothing could follow it: nobody has lived then
        if (entry.incarnation, entry.last) >= self._told_of_me:
            self._told_of_me, self._end_told = (entry.incarnation, entry.last), True
        if self.ready and entry.incarnation < self.incarnation:
            self._learn_own_end(entry)
        return self.ready or entry.incarnation >= (self.incarnation or MAX_INCARNATION)

    def _learn_own_end(self, entry: Entry) -> None:
        """Others hold more of this node's last life than it knew: too late to be numbered before this one."""
        mine = self.origins.setdefault(self.me, Origin(self.me))
        life, end = mine.get(entry.incarnation), self.previous or sequence_of(0, 0)
        left = max(
            mine.left.get(entry.incarnation, 0),
            seq_of(end) if incarnation_of(end) == entry.incarnation else 0,
            life.accepted if life is not None else 0,
        )
        if entry.incarnation >= incarnation_of(end) and entry.last > left:
            mine.leave(entry.incarnation, entry.last)
            self._lose_late(self.me, entry.incarnation, left, entry.last)

    def _lose_late(self, name: str, incarnation: int, left: int, last: int) -> None:
        first, end = sequence_of(incarnation, left + 1), sequence_of(incarnation, last)
        self._out.append(Lose(Loss(name, first, end, late=True)))

    # -- starting --------------------------------------------------------------------

    def _on_own_name(self, message: Message, now: float) -> None:
        if self.incarnation and isinstance(message, Hello):
            # It listens: this is what it listens for.
            self._out.append(Send(self._announce([], answer=True), self.me))
        if self._twin.heard(message, self.incarnation, now):
            self.clashed = True
            if self.incarnation:
                self._out.append(Send(encode(Goodbye, self.me, self.incarnation, self.own.known), self.me))
            self._out.append(Clash(self.me, yields=True))
            return
        if self._twin.to_be_told(message, self.incarnation, now):
            self._out += [Clash(self.me, yields=False), Publish(clash_report(self.me))]
        if isinstance(message, Announce | Goodbye):
            self._on_twin(message, now)

    def _on_twin(self, message: Announce | Goodbye, now: float) -> None:
        """A younger twin yields once it is sure of this one; and all are to know that this one lives."""
        if 0 < self.incarnation < message.incarnation < MAX_INCARNATION:
            self._told_of_me = max(self._told_of_me, (message.incarnation, message.last))
            self._next_announce = now

    def _listen(self, now: float) -> None:
        if not self._alone and now >= self._next_hello:
            self._next_hello = now + _HELLO_EVERY
            self._out.append(Send(self._hello(now)))
        if self._alone or now >= self._started + self.period:
            self._begin(now)

    def _hello(self, now: float) -> bytes:
        # By the middle of the listening everybody has answered who can be heard: of the rest others know.
        if now < self._started + self.period / 2 or not self.liveness.living(now, self.period):
            return encode(Hello, self.me)
        return encode(Hello, self.me, self._others(now)[0], self._unknown(now))

    def _begin(self, now: float) -> None:
        wall_ms = min(self._wall(now), MAX_INCARNATION)
        incarnation, last = self._told_of_me
        if incarnation:
            self.previous = sequence_of(incarnation, last)
        self.own = Life(self.me, max(self._above(incarnation, now), wall_ms), 0)
        if self.me in self.origins:
            for life in self.origins[self.me].lives.values():
                life.closed = True
        self._out.append(Begin(self.incarnation, self.previous))
        self._next_announce = now
        if self._alone:
            self._end_joining(now)

    def _wall(self, now: float) -> int:
        """Milliseconds of wall time, as far as the clock was right at the start."""
        return self._wall_ms + round((now - self._started) * 1000)

    def _above(self, incarnation: int, now: float, spread: int = _SPREAD) -> int:
        """An incarnation above one that is known of, and hardly one that nobody living knows of."""
        return min(incarnation + 1 + self._wall(now) % spread, MAX_INCARNATION)

    def _renew_if_outlived(self, now: float) -> None:
        """Others know of a later life of this node: what it tells in this one they would never hand on.

        Its clock and its state were lost, and nobody could tell when it listened. So it begins a life above.
        A twin that is near is another matter: one of the two yields.
        """
        told, (incarnation, last) = self._told_of_me, (self.incarnation, self.own.known)
        if not self.opened or told <= (incarnation, last) or now - self._renewed_at < RENEW_EVERY:
            return
        if self._twin.near(now, self.period):
            return
        self._renewed_at = now
        self._twin.pass_over()
        past = self.origins.setdefault(self.me, Origin(self.me, fresh=False))
        past.lives[incarnation], past.current = self.own, max(past.current, incarnation)
        self.previous = sequence_of(*told)
        # Its number 1 is a loss: so every reader, here and elsewhere, is told that events may be missing,
        # also one who saw the later life first and takes what this one told for old.
        self.own = Life(self.me, self._above(told[0], now, _SPREAD_OF_RENEWED), 1)
        self._out.append(Begin(self.incarnation, self.previous))
        first = sequence_of(told[0], last + 1 if told[0] == incarnation else 1)
        self._out.append(Lose(Loss(self.me, first, self.own.sequence(1))))
        words = (
            f"others know of a later life of {self.me} than this one was: a new one has begun,"
            f" and of the {last} events before it they may have had none"
        )
        self._out.append(Publish(report("agent.renewed", "agent", None, words, severity="warning")))
        self._next_announce = now
        self._announce_if_due(now)
        # Behind the announce, so that nobody takes this node for stopped: how the life before ended.
        self._out.append(Send(encode(Goodbye, self.me, incarnation, last)))

    def _join(self, now: float) -> None:
        living = self.liveness.living(now, self.period)
        waited = now - self._started
        heard = self.liveness.not_down(now, self.period)
        if heard and waited < JOIN_AT_MOST:
            self._ask_for_own_past(now)
            if any(not self._joined(self.origins[name]) for name in self.origins):
                return
            if any(name not in self._announced_at for name in living):
                return
        elif not heard and waited < _ALONE_AFTER:
            return
        self._end_joining(now)

    def _ask_for_own_past(self, now: float) -> None:
        """Of its last life this node itself may know more than the others have told."""
        past = self.origins.get(self.me)
        if self.previous and past is not None and not past.fresh:
            _, life = self._life(self.me, incarnation_of(self.previous), now)
            if life is not None:
                life.closed = True
                life.learn(seq_of(self.previous), now)

    def _joined(self, origin: Origin) -> bool:
        """Whether all that can be had of an origin is here.

        A section that could not be had in time holds up nobody: of a node that has just started, too, there
        is none yet, and where several start at once each of them would wait for the others.
        """
        if self._sections.wanted(origin.name) and not origin.doubtful:
            return False
        if origin.fresh:
            return not origin.recalled and not origin.holders
        # What comes after the current one of this node's own former lives is to be had as well.
        return not origin.life.missing and (origin.name != self.me or origin.next_life() is None)

    def _end_joining(self, now: float) -> None:
        self._close_own_past(now)
        self._become_ready(now)

    def _close_own_past(self, now: float) -> None:
        """This life's events come next: what is not here of the former lives is missed for good.

        If nobody knows how far the last of them came, its readers may lack some of it: number 0 of this life
        stands for that.
        """
        past, last = self.origins.get(self.me), seq_of(self.previous) if self.previous else 0
        end_known = last > 0 and self._end_told
        if past is None or past.fresh:
            if self.previous:
                self._out.append(Base(self.me, self.previous if end_known else self.own.sequence(0)))
            return
        if self.previous:  # others may know of less
            self._past(self.previous, self.me).learn(last, now)
        while past.life.missing or past.next_life():
            if past.life.missing:
                self._give_up(past, past.life, now)
            else:
                past.move_on(now)
            self._hand_on(past.life.ready(), now)
        if not end_known or not past.life.known:
            self._staged.append(Loss(self.me, self.own.sequence(0), self.own.sequence(0)))

    # -- what goes out -------------------------------------------------------------------

    def _announce_if_due(self, now: float) -> None:
        if self._alone or now < self._next_announce:
            return
        insists = self._told_of_me[0] > self.incarnation and self._twin.near(now, self.period)
        every = min(self.period, _INSIST_EVERY) if insists else self.period
        self._next_announce = max(self._next_announce + every, now)
        others, ended = self._others(now)
        self._out.append(Send(self._announce(others, self._unknown(now), ended)))

    def _others(self, now: float) -> tuple[list[Entry], list[str]]:
        return entries_of_silent(self.origins.values(), self.liveness, now, self.period)

    def _unknown(self, now: float) -> list[str]:
        """Some nodes, others each time, that are not heard and of whose events nothing is known here."""
        names = set(self.liveness.unheard(now, self.period))
        if not self.ready:  # what the peers say of the members is not taken over yet
            names |= self._sections.members.keys() - {self.me, *self.liveness.living(now, self.period)}
        unknown = sorted(n for n in names if n not in self.origins or self.origins[n].fresh)
        told = some(unknown, self._asked_about)
        self._asked_about = told[-1] if told else ""
        return told

    def _announce(
        self,
        others: list[Entry],
        unknown: Sequence[str] = (),
        ended: Sequence[str] = (),
        *,
        answer: bool = False,
    ) -> bytes:
        own = self.own
        return encode(
            Announce, self.me, own.incarnation, own.first_held, own.known, self.period,
            self.opened, self.previous, others, self.measures, unknown, answer, ended,
        )  # fmt: skip
