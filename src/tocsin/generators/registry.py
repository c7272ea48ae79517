"""The generators of Tocsin: one line each. To add a source, add a file and a line here.

How to write one is told in ``docs/generators.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from msgspec import Struct, field

from tocsin.core.ports import Desk
from tocsin.generators.adapters import Adapters
from tocsin.generators.load import Load
from tocsin.generators.services import Services
from tocsin.generators.storage import Storage

__all__ = ["REGISTRY", "Generator", "Registration"]


class Generator(Protocol):
    """Observes one part of this node."""

    async def run(self, desk: Desk) -> None:
        """Observes until it is cancelled, on the event loop's thread.

        Raises :exc:`~tocsin.core.errors.GeneratorUnavailable` where the host lacks the source. Any
        other exception, and returning, count as a failure; either way it is started again later.
        """


class Registration(Struct, frozen=True, kw_only=True):
    """What the agent must know of a generator before it runs."""

    name: str
    #: Makes it from the settings, keyed ``<generator>.<key>``; absent keys have documented defaults.
    factory: Callable[[Mapping[str, Any]], Generator]
    #: The kinds of resources it reports; none for one that only measures.
    kinds: tuple[str, ...] = ()
    #: The type of the event that says of a kind's resource that it is not there any more.
    gone_type: Mapping[str, str] = field(default_factory=dict)
    #: Which subjects of those kinds are its own (``*`` and ``?``): publishers may report others.
    subjects: str = "*"
    #: Attributes that alone are no change: their new values are not worth an event.
    volatile: frozenset[str] = frozenset()
    #: Types after which the source itself leaves the resource alone: they end flapping at once.
    final: frozenset[str] = frozenset()


REGISTRY: Final[tuple[Registration, ...]] = (
    Registration(
        name="adapters",
        factory=Adapters,
        kinds=("adapter",),
        gone_type={"adapter": "adapter.removed"},
    ),
    Registration(
        name="storage",
        factory=Storage,
        kinds=("storage",),
        gone_type={"storage": "storage.unmounted"},
        subjects="/*",
        volatile=frozenset({"used_percent", "inodes_percent", "size", "free"}),
    ),
    Registration(
        name="services",
        factory=Services,
        kinds=("service",),
        gone_type={"service": "service.removed"},
        subjects="*.service",
        volatile=frozenset({"enabled", "description"}),
        final=frozenset({"service.failed"}),
    ),
    Registration(name="load", factory=Load),
)
