"""Bugs that simulated clusters found, each with a seed that finds it again: put back in, it shows at once.

The table of ``docs/proof.md``. A bug goes back in by replacing one method with what it was.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final, NamedTuple

from msgspec import structs

from tocsin.core import sections
from tocsin.core.intake import Intake
from tocsin.core.joining import Joining
from tocsin.core.lives import Life
from tocsin.core.messages import Announce
from tocsin.core.repair import Repair
from tocsin.core.replica import Replica

__all__ = ["BUGS", "Bug"]


class Bug(NamedTuple):
    """What was wrong, where, what stood there, and the schedule that shows it."""

    what: str
    of: Any
    method: str
    was: Any
    kind: str
    seed: int


def _nothing(*_: object) -> None:
    """It was not done at all."""


_on_ask_section = Replica._on_ask_section


def _section_of_a_doubtful_origin(replica: Replica, sender: str, message: Any, now: float) -> None:
    origin = replica.origins.get(message.origin)
    was, doubtful = origin, origin is not None and origin.doubtful
    if was is not None and doubtful:
        was.doubtful = False
    _on_ask_section(replica, sender, message, now)
    if was is not None and doubtful:
        was.doubtful = True


_look = Replica._look


def _renewed_last(replica: Replica, now: float) -> None:
    replica._tend_all(now)
    vars(replica)["_tend_all"] = _nothing
    _look(replica, now)
    del vars(replica)["_tend_all"]


def _only_the_origin(origin: Any, living: Any) -> list[str]:
    if origin.doubtful:
        return [origin.name] if origin.name in living else []
    return _askable(origin, living)


_askable = sections._askable
_help = Replica._help


def _silent_with_one_life_only(replica: Replica, sender: str, message: Any, now: float) -> None:
    if isinstance(message, Announce):
        lives = Counter(entry.origin for entry in message.others)
        ended = [name for name, count in lives.items() if count > 1]
        message = structs.replace(message, ended=ended)
    _help(replica, sender, message, now)


def _holders_first(origin: Any, living: Any) -> list[str]:
    return [name for name in origin.holders if name in living] or _askable(origin, living)


_give_up_section = sections.Sections._give_up


def _owing_nothing(kept: sections.Sections, origin: Any, gate: Any) -> Any:
    yield from _give_up_section(kept, origin, gate)
    origin.owed = ""


def _joined_with_sections_only(replica: Joining, origin: Any) -> bool:
    wanted = replica._sections.wanted(origin.name)
    if origin.fresh:
        return not origin.recalled and not origin.holders and not wanted
    return not origin.life.missing and not wanted


_hopeless = Repair.hopeless


def _hopeless_at_once(life: Life, *_: object) -> int:
    return life.known if life.hole_since is not None else 0


def _hopeless_without_suspects(life: Life, living: Any, _: object, now: float, retain: float) -> int:
    return _hopeless(life, living, lambda: living, now, retain)


def _hopeless_as_a_whole(life: Life, *others: Any) -> int:
    return life.known if _hopeless(life, *others) else 0


_joined = Joining._joined


def _joined_with_the_first_own_life(replica: Joining, origin: Any) -> bool:
    return _joined(replica, origin) or (origin.name == replica.me and not origin.life.missing)


BUGS: Final = [
    Bug(
        "a hole was given up before anybody was asked (no bug of ours: that it would be seen)",
        Repair, "hopeless", staticmethod(_hopeless_at_once), "plain", 0,
    ),
    Bug(
        "what a node held that had only fallen silent was given up",
        Repair, "hopeless", staticmethod(_hopeless_without_suspects), "plain", 17,
    ),
    Bug(
        "of a hole that had grown, what nobody had been asked for was given up with the rest",
        Repair, "hopeless", staticmethod(_hopeless_as_a_whole), "short", 34,
    ),
    Bug(
        "a node was ready before it had asked for the later ones of its own former lives",
        Joining, "_joined", _joined_with_the_first_own_life, "plain", 14,
    ),
    Bug(
        "a node that heard an origin never told one that did not what it knew of it",
        Replica, "_help", _nothing, "plain", 0,
    ),
    Bug(
        "a node that lacked events of an origin handed its section of it on",
        Replica, "_on_ask_section", _section_of_a_doubtful_origin, "file", 5,
    ),
    Bug(
        "what a node told in the moment in which it began a life above came before the loss in that",
        Replica, "_look", _renewed_last, "lost", 12169,
    ),
    Bug(
        "an origin in doubt that only others heard stayed in doubt",
        sections, "_askable", _only_the_origin, "short", 2,
    ),
    Bug(
        "a node whose joining ended without an origin's section handed an empty one on",
        sections.Sections, "doubt_rest", lambda *_: (), "file", 33,
    ),
    Bug(
        "a node that had lost its state and was heard again was not told of its later life",
        Replica, "_tell_of_later", _nothing, "lost", 61,
    ),
    Bug(
        "a section from before a loss ended the doubt that the loss had raised",
        sections.Sections, "_give_up", _owing_nothing, "plain", 1097,
    ),
    Bug(
        "nodes in doubt of an origin asked each other for its section, and never those who heard it",
        sections, "_askable", _holders_first, "plain", 734,
    ),
    Bug(
        "events of an origin with a former life were not passed on to who did not hear it",
        Replica, "_help", _silent_with_one_life_only, "plain", 956,
    ),
    Bug(
        "who came from a node that had left a life early, to one that had its end, was not told",
        Intake, "_warn", _nothing, "plain", 23519,
    ),
    Bug(
        "nodes that started at once, with a file each, waited for each other's sections",
        Joining, "_joined", _joined_with_sections_only, "file", 2174,
    ),
]  # fmt: skip
