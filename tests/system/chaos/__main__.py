"""``python -m tests.system.chaos [SEED [SECONDS]]``: a chaos run whose report goes to standard output."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from tests.system.chaos.page import Page
from tests.system.chaos.rules import broken
from tests.system.chaos.run import SETTINGS, Chaos
from tests.system.cluster import Cluster


def main(seed: str = "", seconds: str = "120") -> int:
    """Exit code 1 if a rule was broken; then it says how, and shows the agents' logs."""
    with tempfile.TemporaryDirectory() as directory:
        cluster = Cluster(Path(directory), settings=SETTINGS)
        try:
            chaos = Chaos(cluster, int(seed or time.time()), float(seconds))
            with Page(cluster) as page:
                chaos.page = page
                run = chaos.play(lose=True)
            print(chaos.report(run))
            wrong = [sentence for found in broken(run).values() for sentence in found]
            if wrong:
                print("\n".join(["", *wrong[:50], cluster.logs(300)]), file=sys.stderr)
            return 1 if wrong else 0
        finally:
            cluster.close()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
