"""A datacenter script for cron: what went wrong since it ran last; exit code 1 if anything did.

    */10 * * * *  python /opt/datacenter_report.py /var/lib/report.cursor http://node1:8340 http://node2:8340

The first run begins with the last hour. Nothing is reported twice and nothing is left out silently.
"""

# ruff: noqa: T201 (an example prints)
from __future__ import annotations

import sys

from tocsin.monitor import Gap, Monitor, NoContact

cursor_file = sys.argv[1] if len(sys.argv) > 1 else "report.cursor"
urls = sys.argv[2:] or ["http://127.0.0.1:8340"]
trouble = False

try:
    with Monitor(urls, since=3600, cursor_file=cursor_file, patience=30) as monitor:
        for item in monitor.catch_up():
            if isinstance(item, Gap):
                trouble = True
                print(f"-- events may have been missed here ({item.reason}); see {monitor.node}")
            elif item["severity"] in {"warning", "error", "critical"}:
                trouble = True
                summary = (item["data"] or {}).get("summary", "") if isinstance(item["data"], dict) else ""
                print(item["time"], item["node"], item["type"], item.get("subject", ""), summary, sep="  ")
except NoContact as error:
    sys.exit(f"no node of the cluster answers: {error}")

sys.exit(1 if trouble else 0)
