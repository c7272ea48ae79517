"""What can happen to a cluster, from begin to heal, as functions; :mod:`.listed` is the table of them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Final, TypeAlias

from tests.system.cluster import until
from tests.system.faults.machine import full, starved, without_descriptors
from tests.system.faults.network import (
    bad_cable,
    cut,
    pause,
    reset,
    resetting,
    slow,
    switch_rules,
    without_large,
)
from tests.system.faults.run import Bed
from tests.tools.relay import Harm

BOTH: Final = (1, 2)
TWO_HOURS: Final = 7200
#: How many events of how many bytes are to be filled, and at which rate: eight seconds of it.
BACKLOG: Final = (2000, 1000)
REPAIR_RATE: Final = "2mbit"
Inject: TypeAlias = Callable[[Bed], None]


# -- the process ------------------------------------------------------------------


def crash(node: int, away: float = 0.5, times: int = 1) -> Inject:
    """Kill -9, and a restart after a while."""

    def inject(on: Bed) -> None:
        for _ in range(times):
            on.kill(node)
            pause(away)
            on.start(node)
            if times > 1:
                pause(0.8)  # in the midst of starting, or just after

    return inject


def crash_together(*nodes: int) -> Inject:
    """Kill -9 of several at once."""

    def inject(on: Bed) -> None:
        for node in nodes:
            on.kill(node)
        pause(1)
        on.start(*nodes)

    return inject


def stop(node: int, seconds: float) -> Inject:
    """SIGSTOP, and SIGCONT."""

    def inject(on: Bed) -> None:
        on.cluster.pause(node)
        pause(seconds)
        on.cluster.resume(node)

    return inject


# -- the network ------------------------------------------------------------------


def cut_off(node: int, seconds: float, *rails: int, to: int | None = None, one_way: bool = False) -> Inject:
    """A cut of a node from one other, or all, on rails, or all."""

    def inject(on: Bed) -> None:
        with cut(on.net, node, *rails, to=[to], one_way=one_way):
            pause(seconds)

    return inject


def alternately(node: int, seconds: float) -> Inject:
    """Each rail in turn, without a pause between."""

    def inject(on: Bed) -> None:
        for rail in on.net.rails:
            cut_off(node, seconds, rail)(on)

    return inject


def cut_again(node: int, *seconds: float) -> Inject:
    """Cut off again and again, healed between for as long as links need to come back, or nearly so."""

    def inject(on: Bed) -> None:
        for each in seconds:
            cut_off(node, each)(on)
            pause(0.6)

    return inject


def cut_in_repair(node: int, first: float, *again: float) -> Inject:
    """Cut off while much is published, healed, and cut off again each time some of that was filled.

    The rails are slow meanwhile, with short queues: so filling takes seconds, and a cut ends it at once.
    """

    def inject(on: Bed) -> None:
        with slow(on.net, node, *on.net.rails, rate=REPAIR_RATE, queue="50ms"):
            with cut(on.net, node):
                backlog = [each.sequence for each in on.flow.publishers[0].surge(*BACKLOG)]
                pause(first)
                before = _filled(on, node), backlog[0]
            for each in again:
                until(partial(_more, on, node, *before), 30, f"node{node} has more than {before}")
                with cut(on.net, node):
                    pause(each)
                    _, has = before = _filled(on, node), on.cluster.seen(node, 1)
                missing = f"{backlog[0]} to {backlog[-1]}"
                assert backlog[0] < has < backlog[-1], f"not cut in the repair of {missing}, but at {has}"

    return inject


def _more(on: Bed, node: int, filled: float, has: str) -> bool:
    """Whether a node has got more events by asking than that, and has more of node 1's."""
    return _filled(on, node) > filled and on.cluster.seen(node, 1) > has


def _filled(on: Bed, node: int) -> float:
    return on.cluster.counted(node, "events_filled_total")


def flap(node: int, *rails: int, times: int = 10) -> Inject:
    """Rails that come and go faster than a link notices."""

    def inject(on: Bed) -> None:
        for _ in range(times):
            cut_off(node, 0.4, *rails)(on)
            pause(0.3)

    return inject


def split(*minority: int, seconds: float) -> Inject:
    """Some nodes on the one side of a wall, all others on the other."""

    def inject(on: Bed) -> None:
        others = [node for node in on.net.nodes if node not in minority]
        with ExitStack() as stack:
            for node in minority:
                stack.enter_context(cut(on.net, node, to=others))
            pause(seconds)

    return inject


def all_apart(on: Bed) -> None:
    """No node hears any other."""
    with ExitStack() as stack:
        for node in on.net.nodes:
            stack.enter_context(cut(on.net, node))
        pause(6)


def rail_dies(on: Bed) -> None:
    """The switch of rail 1 is dead for all."""
    on.net.switch_off(1)
    pause(5)
    on.net.switch_on(1)


def interface_down(node: int, *rails: int, seconds: float = 3) -> Inject:
    """``ip link set … down``, as an administrator does."""

    def inject(on: Bed) -> None:
        for rail in rails:
            on.net.link_down(node, on.net.interface(rail))
        pause(seconds)
        for rail in rails:
            on.net.link_up(node, on.net.interface(rail))

    return inject


def unplugged(node: int, *rails: int) -> Inject:
    """No carrier."""

    def inject(on: Bed) -> None:
        for rail in rails:
            on.net.unplug(node, rail)
        pause(3)
        for rail in rails:
            on.net.plug(node, rail)

    return inject


def address_removed(on: Bed) -> None:
    """The address of node 3 on both rails is gone for a while."""
    for verb, seconds in (("del", 4), ("add", 0)):
        for rail in BOTH:
            on.net.ip(3, f"address {verb} {on.net.address(3, rail)}/24 dev {on.net.interface(rail)}")
        pause(seconds)


def cable(node: int, *rails: int, harm: Harm, seconds: float = 6) -> Inject:
    """A relay that harms frames."""

    def inject(on: Bed) -> None:
        with bad_cable(on.cluster, node, *rails, harm=harm):
            pause(seconds)

    return inject


def slow_link(node: int, *rails: int) -> Inject:
    """64 kbit/s in both directions; the events alone are four times as much."""

    def inject(on: Bed) -> None:
        with slow(on.net, node, *rails):
            pause(8)

    return inject


def black_hole(node: int, *rails: int) -> Inject:
    """What is larger than 600 bytes disappears."""

    def inject(on: Bed) -> None:
        with switch_rules(on.net, *without_large(on.net, node, *rails)):
            pause(8)

    return inject


def resets(node: int, seconds: float, *rails: int) -> Inject:
    """All connections are reset again and again, as soon as they are there."""

    def inject(on: Bed) -> None:
        for _ in range(round(seconds / 0.4)):
            for rail in rails:
                reset(on.net, node, rail)
            pause(0.4)

    return inject


def refuses(on: Bed) -> None:
    """Whatever arrives at node 3 is answered with a reset."""
    with resetting(on.net, 3, *BOTH):
        pause(4)


# -- the machine ------------------------------------------------------------------


def disk_full(node: int, seconds: float = 3) -> Inject:
    """State and buffer file of a node cannot grow."""

    def inject(on: Bed) -> None:
        with full(on.disks[node]):
            pause(seconds)

    return inject


def disk_full_at_start(on: Bed) -> None:
    """The disk is full when node 3 dies, and when it starts again."""
    with full(on.disks[3]):
        pause(1)
        on.kill(3)
        on.start(3)
        pause(4)


def no_descriptors(node: int, seconds: float = 3) -> Inject:
    """No new descriptor, and all links are reset, so that new ones would be needed."""

    def inject(on: Bed) -> None:
        with without_descriptors(on.cluster.pid(node)):
            for rail in on.net.rails:
                reset(on.net, node, rail)
            pause(seconds)

    return inject


def no_processor(node: int) -> Inject:
    """A node gets 5 % of a processor."""

    def inject(on: Bed) -> None:
        with starved(on.cluster.pid(node), 5):
            pause(6)

    return inject


def clock_steps(node: int, seconds: float = 1.5) -> Inject:
    """Two hours back, two hours ahead, and right again."""

    def inject(on: Bed) -> None:
        for ahead in (-TWO_HOURS, TWO_HOURS, 0):
            on.clocks[node].set(ahead)
            pause(seconds)

    return inject


def clock_back_and_crash(on: Bed) -> None:
    """Node 1 dies; when it starts again its clock is two hours behind."""
    on.kill(1)
    on.clocks[1].set(-TWO_HOURS)
    on.start(1)
    pause(4)
