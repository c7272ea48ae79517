"""The table of faults: each with a name, what it is, and where it happens.

Node 1 publishes most, node 3 serves. ``QUICK`` names those that ``make test`` runs, one after another on one
cluster; ``make test-faults`` runs all, each on a cluster of its own.
"""

from __future__ import annotations

from typing import Final

from tests.system.faults import injected as do
from tests.system.faults.run import Fault
from tests.tools.relay import Harm

__all__ = ["FAULTS", "QUICK"]

FAULTS: Final = (
    Fault("kill-serving", "kill -9 of a serving node, restart", 3, do.crash(3)),
    Fault("kill-origin", "kill -9 of the origin, restart", 1, do.crash(1)),
    Fault("kill-file", "the same with the buffer in a file", 1, do.crash(1), disk=True),
    Fault("crash-loop", "the origin dies four times while it starts", 1, do.crash(1, 0.1, 4)),
    Fault(
        "kill-two",
        "kill -9 of two of five at once",
        1,
        do.crash_together(1, 3),
        nodes=5,
        also=(3,),
        gaps=True,
    ),
    Fault("stop-origin", "SIGSTOP of the origin for 1 s (lease: 2 s)", 1, do.stop(1, 1)),
    Fault("stop-serving", "SIGSTOP of a serving node for 1 s", 3, do.stop(3, 1)),
    Fault("freeze-origin", "SIGSTOP of the origin for 4 s", 1, do.stop(1, 4)),
    Fault("freeze-serving", "SIGSTOP of a serving node for 8 s (down: 5 s)", 3, do.stop(3, 8)),
    Fault(
        "freeze-long",
        "SIGSTOP of a serving node for 7 s, 2 s retained",
        3,
        do.stop(3, 7),
        retain=2,
    ),
    Fault("one-way-out", "what the origin sends is lost for 4 s", 1, do.cut_off(1, 4, one_way=True)),
    Fault(
        "one-way-to-one",
        "what the origin sends to one node is lost for 4 s",
        3,
        do.cut_off(1, 4, to=3, one_way=True),
    ),
    Fault(
        "one-way-back",
        "what one node sends to the origin is lost for 4 s",
        3,
        do.cut_off(3, 4, to=1, one_way=True),
    ),
    Fault("one-way-serving", "what a serving node sends is lost for 4 s", 3, do.cut_off(3, 4, one_way=True)),
    Fault("rail-1", "rail 1 of the origin cut for 4 s", 1, do.cut_off(1, 4, 1), harmless=True),
    Fault("rails-in-turn", "rails of the origin cut in turn, 3 s each", 1, do.alternately(1, 3)),
    Fault("rail-dead", "rail 1 dead for all of five for 5 s", 1, do.rail_dies, nodes=5, harmless=True),
    Fault("cut-origin", "all rails of the origin cut for 4 s", 1, do.cut_off(1, 4)),
    Fault("cut-serving", "all rails of a serving node cut for 10 s", 3, do.cut_off(3, 10)),
    Fault(
        "cut-in-repair",
        "cut for 2.2 s, and twice in the midst of repair, for 1.2 and 2.5 s",
        3,
        do.cut_in_repair(3, 2.2, 1.2, 2.5),
    ),
    Fault(
        "cut-again",
        "cut three times for 2.5 s, up for 0.6 s between",
        3,
        do.cut_again(3, 2.5, 2.5, 2.5),
        gaps=True,
    ),
    Fault("cut-long", "all rails cut for 7 s, 2 s retained", 3, do.cut_off(3, 7), retain=2),
    Fault("triangle", "1 and 3 do not hear each other for 6 s, 2 hears both", 3, do.cut_off(1, 6, to=3)),
    Fault("split", "2 of 5 behind a wall for 6 s", 4, do.split(4, 5, seconds=6), nodes=5, also=(5,)),
    Fault("all-apart", "five nodes, none hears another for 6 s", 3, do.all_apart, nodes=5, also=(1, 2, 4, 5)),
    Fault("flap-rail", "rail 1 flaps each 0.7 s, 10 times", 3, do.flap(3, 1), harmless=True),
    Fault("flap-both", "both rails flap together each 0.7 s, 10 times", 3, do.flap(3, 1, 2)),
    Fault("ifdown", "both interfaces of the origin set down for 3 s", 1, do.interface_down(1, 1, 2)),
    Fault(
        "ifdown-rail",
        "one interface of the origin set down for 3 s",
        1,
        do.interface_down(1, 1),
        harmless=True,
    ),
    Fault("unplugged", "both cables of a serving node pulled for 3 s", 3, do.unplugged(3, 1, 2)),
    Fault("no-address", "both addresses of a serving node removed for 4 s", 3, do.address_removed),
    Fault(
        "loss", "30 % of packets lost on both rails of the origin", 1, do.cable(1, 1, 2, harm=Harm(loss=0.3))
    ),
    Fault(
        "loss-rail",
        "30 % of packets lost on one rail of the origin",
        1,
        do.cable(1, 1, harm=Harm(loss=0.3)),
        harmless=True,
    ),
    Fault("twice", "30 % of packets delivered twice", 3, do.cable(3, 1, 2, harm=Harm(twice=0.3))),
    Fault(
        "reorder",
        "packets reordered: 20 to 60 ms, 30 % overtake",
        3,
        do.cable(3, 1, 2, harm=Harm(early=0.3, delay=0.02, jitter=0.04)),
    ),
    Fault("corruption", "a bit flipped in 10 % of packets", 1, do.cable(1, 1, 2, harm=Harm(flip=0.1))),
    Fault(
        "bad-cable",
        "10 % lost, 10 % twice, 5 % with a flipped bit, reordered",
        3,
        do.cable(3, 1, 2, harm=Harm(0.1, 0.1, 0.05, 0.2, 0.01, 0.02), seconds=4),
    ),
    Fault("slow-rail", "one rail of the origin at 64 kbit/s", 1, do.slow_link(1, 1), harmless=True),
    Fault("slow-both", "both rails of a serving node at 64 kbit/s", 3, do.slow_link(3, 1, 2)),
    Fault("mtu", "packets > 600 bytes vanish, both rails of the origin", 1, do.black_hole(1, 1, 2)),
    Fault(
        "mtu-rail",
        "packets > 600 bytes vanish on one rail of the origin",
        1,
        do.black_hole(1, 1),
        harmless=True,
    ),
    Fault("resets", "all connections of the origin reset each 0.4 s", 1, do.resets(1, 3, 1, 2)),
    Fault("refused", "everything to a serving node answered by RST for 4 s", 3, do.refuses),
    Fault(
        "disk-full",
        "disk of state and buffer file full for 3 s",
        3,
        do.disk_full(3),
        harmless=True,
        disk=True,
    ),
    Fault("disk-full-origin", "the same at the origin", 1, do.disk_full(1), harmless=True, disk=True),
    Fault("disk-full-start", "kill -9 and restart on a full disk", 3, do.disk_full_at_start, disk=True),
    Fault("descriptors", "no descriptors left and all links reset", 3, do.no_descriptors(3)),
    Fault("descriptors-origin", "the same at the origin", 1, do.no_descriptors(1)),
    Fault("starved", "5 % of a processor for a serving node", 3, do.no_processor(3)),
    Fault("starved-origin", "5 % of a processor for the origin", 1, do.no_processor(1)),
    Fault("clock", "clock of the origin stepped by -2 h, +2 h, back", 1, do.clock_steps(1), clock=True),
    Fault("clock-serving", "the same at a serving node", 3, do.clock_steps(3), clock=True),
    Fault(
        "clock-crash",
        "kill -9 of the origin, its clock 2 h behind after that",
        1,
        do.clock_back_and_crash,
        clock=True,
    ),
)


def _shorter(name: str, inject: do.Inject) -> Fault:
    return next(fault for fault in FAULTS if fault.name == name)._replace(inject=inject)


#: Node 3 has a clock and a disk of its own there, and its buffer in a file.
QUICK: Final = (
    _shorter("kill-serving", do.crash(3)),
    _shorter("kill-origin", do.crash(1)),
    _shorter("stop-origin", do.stop(1, 1)),
    _shorter("freeze-serving", do.stop(3, 3)),
    _shorter("one-way-to-one", do.cut_off(1, 3, to=3, one_way=True)),
    _shorter("rails-in-turn", do.alternately(1, 1.5)),
    _shorter("cut-in-repair", do.cut_in_repair(3, 2.2, 1.2)),
    _shorter("triangle", do.cut_off(1, 3, to=3)),
    _shorter("bad-cable", do.cable(3, 1, 2, harm=Harm(0.1, 0.1, 0.05, 0.2, 0.01, 0.02), seconds=2.5)),
    _shorter("resets", do.resets(1, 1.2, 1, 2)),
    _shorter("ifdown", do.interface_down(1, 1, 2, seconds=2)),
    _shorter("disk-full", do.disk_full(3, 1.5)),
    _shorter("descriptors", do.no_descriptors(3, 1.5)),
    _shorter("clock-serving", do.clock_steps(3, 1.2)),
)
