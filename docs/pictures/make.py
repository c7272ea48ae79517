"""Takes the pictures of the README from a real cluster: ``python docs/pictures/make.py [URL]``.

Starts the demo (three agents on this machine, on free ports), waits until it is ready, publishes a few
events of an imaginary backup, and photographs the page with Chromium. With URL it photographs the page
there and publishes nothing.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
from playwright.sync_api import Browser, sync_playwright

HERE = Path(__file__).parent
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
SHOTS = (
    ("overview", "/", "light", 1400, 900),
    ("overview-dark", "/", "dark", 1400, 900),
    ("mobile", "/", "light", 390, 844),
)
#: So long the demo runs before the picture, in seconds: that there is something to see in the charts.
PATIENCE = float(os.environ.get("TOCSIN_PICTURE_AFTER", "45"))


def main() -> int:
    """Takes all pictures; returns the exit code."""
    if len(sys.argv) > 1:
        photograph(sys.argv[1].rstrip("/"))
        return 0
    port = free_ports(3)
    demo = subprocess.Popen([sys.executable, "-m", "tocsin.cli", "demo", "--port", str(port)])
    url = f"http://127.0.0.1:{port}"
    try:
        until_ready([f"http://127.0.0.1:{port + n}" for n in range(3)])
        tell(url)
        pause(PATIENCE)
        photograph(url)
    finally:
        demo.send_signal(signal.SIGINT)
        demo.wait(15)
    return 0


def free_ports(count: int) -> int:
    """The first of so many neighbouring ports that are free now."""
    for port in range(18340, 28340, 10):
        try:
            for n in range(count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port + n))
        except OSError:
            continue
        return port
    raise SystemExit("no free ports")


def until_ready(urls: list[str], limit: float = 60.0) -> None:
    """Waits until every node says that it is ready."""
    end = time.monotonic() + limit
    for url in urls:
        while not ready(url):
            if time.monotonic() > end:
                raise SystemExit(f"{url} does not become ready")
            pause(0.2)


def ready(url: str) -> bool:
    """Whether a node says that it is ready."""
    try:
        return httpx.get(f"{url}/readyz", timeout=2, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def pause(seconds: float) -> None:
    """Lets time pass."""
    threading.Event().wait(seconds)


def tell(url: str) -> None:
    """Publishes what a nightly backup would."""
    for type, subject, status, severity, summary in (
        ("backup.finished", "orders-db", "ok", "info", "orders-db was backed up in 41 s"),
        ("backup.slow", "mail", "warning", "warning", "mail takes long: 12 min so far"),
    ):
        event = {
            "specversion": "1.0",
            "id": f"{subject}-1",
            "source": "/backup",
            "type": type,
            "subject": subject,
            "severity": severity,
            "data": {"status": status, "summary": summary},
        }
        headers = {"content-type": "application/cloudevents+json"}
        answer = httpx.post(f"{url}/api/v1/events", json=event, headers=headers, trust_env=False)
        answer.raise_for_status()


def photograph(url: str) -> None:
    """Takes the pictures of one node's page, when it is live."""
    path = os.environ.get("TOCSIN_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        for name, page, scheme, width, height in SHOTS:
            shoot(browser, url + page, HERE / f"{name}.png", scheme, width, height)
        browser.close()


def shoot(browser: Browser, url: str, file: Path, scheme: str, width: int, height: int) -> None:
    """Takes one picture."""
    dark = scheme == "dark"
    context = browser.new_context(
        color_scheme="dark" if dark else "light", viewport={"width": width, "height": height}
    )
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector("body[data-monitor=live]")
    page.screenshot(path=file)
    context.close()
    sys.stdout.write(f"{file}\n")


if __name__ == "__main__":
    raise SystemExit(main())
