"""A living twin: another node that speaks under this node's name.

A newcomer that hears one stays off the rails; if it is found later, the younger yields (DESIGN.md
section 5, incarnation). What is heard for a moment only are copies on several rails, or the remains of
this node's own former life. Who yields says goodbye to the other, which then begins a life above it: some
may have left the elder's life for the younger's.
"""

from __future__ import annotations

from typing import Final

from tocsin.core.event import Draft, report
from tocsin.core.member import missing
from tocsin.core.messages import Announce, Events, Goodbye, Hello, Message

__all__ = ["FORGOTTEN", "LASTS", "Twin", "clash_report"]

#: For so long the own name must be heard before that is called a clash, in seconds …
LASTS: Final = 0.15
#: … and after so long without it what was heard before does not count.
FORGOTTEN: Final = 5.0


class Twin:
    """Remembers since when this node's own name is heard."""

    def __init__(self) -> None:
        self._since = self._at = float("-inf")
        self._said = False
        #: The life of the twin that said goodbye last.
        self._gone = 0

    def near(self, now: float, period: float) -> bool:
        """Whether the own name was heard within the last three announces."""
        return now - self._at <= missing(period)

    def pass_over(self) -> None:
        """This node begins a life above the twin's, of which nothing was heard any more."""
        self._at = float("-inf")

    def heard(self, message: Message, incarnation: int, now: float) -> bool:
        """The own name was heard; whether this node (``incarnation``; 0 while it listens) has to yield."""
        if isinstance(message, Goodbye):
            self._gone = message.incarnation
            self.pass_over()
            return False
        if isinstance(message, Announce | Events) and message.incarnation == self._gone:
            return False  # a copy, on a slower rail
        if now - self._at > FORGOTTEN:
            self._since, self._said = now, False
        self._at = now
        younger = isinstance(message, Announce) and message.incarnation < incarnation
        return (younger or not incarnation) and now - self._since >= LASTS

    def to_be_told(self, message: Message, incarnation: int, now: float) -> bool:
        """After that: whether this node, which goes on, has to say so. Once a clash, not once a message.

        A later life than its own is none of its former ones, so one message is enough: the twin may yield
        before there is another.
        """
        later = isinstance(message, Announce | Goodbye) and message.incarnation > incarnation
        newcomer = isinstance(message, Hello) and now - self._since >= LASTS
        if self._said or not incarnation or not (later or newcomer):
            return False
        self._said = True
        return True


def clash_report(name: str) -> Draft:
    """What the elder of two twins tells everybody: the other one is off the rails, and can tell nobody."""
    words = (
        f"another node is called {name}, too: it began later and stays off the rails; give it its own name"
    )
    return report("agent.clash", "agent", None, words, severity="error")
