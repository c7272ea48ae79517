"""An automated control system: acts when a service fails anywhere in the cluster.

    python examples/control_system.py http://node1:8340 http://node2:8340 http://node3:8340

Each failure is acted on at least once, also if this program or the node that it asks is killed; acting
twice for one failure is avoided by remembering the key of the last one. Whoever is called by telephone is
called at most once. After a gap the state of the cluster is read anew: that is what a gap is for.
"""

# ruff: noqa: T201 (an example prints)
from __future__ import annotations

import json
import sys
import urllib.request

from tocsin.monitor import Event, Gap, Monitor, key_of

urls = sys.argv[1:] or ["http://127.0.0.1:8340"]
monitor = Monitor(urls, cursor_file="control-system.cursor")
acted_on: dict[str, str] = {}


def repair(node: str, service: str) -> None:
    """Where your system would restart the service or move its work to another node."""
    print(f"repair: {service} on {node}", flush=True)


@monitor.on("service.failed")
def on_failure(event: Event) -> None:
    """At least once: recognise what was acted on before a crash."""
    thing = f"{event['node']}/{event['subject']}"
    if acted_on.get(thing) != key_of(event):
        repair(event["node"], event["subject"])
        acted_on[thing] = key_of(event)


@monitor.on("node.down", at_most_once=True)
def call_someone(event: Event) -> None:
    """At most once: rather not at all than twice in one night."""
    print(f"call the person on duty: {event['node']} is down", flush=True)


@monitor.on_gap
def start_over(gap: Gap) -> None:
    """Events may have been missed, so look at what is."""
    print(f"gap ({gap.reason}): reading the board of {monitor.node}", flush=True)
    with urllib.request.urlopen(f"{monitor.node}/api/v1/board", timeout=10) as answer:  # noqa: S310 (a URL of ours)
        for resource in json.load(answer)["resources"]:
            if resource["kind"] == "service" and resource["status"] == "failed":
                repair(resource["node"], resource["subject"])


@monitor.on_state
def tell_state(state: str, node: str) -> None:
    """No news and no contact are not the same."""
    print(f"{state}: {node} {monitor.trouble}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    with monitor:
        monitor.run()
