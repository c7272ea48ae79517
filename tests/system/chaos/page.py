"""The browser of a chaos run: a page of node 1 in a real Chromium, with a handler on its monitor."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Self

from playwright.sync_api import sync_playwright

from tests.system.cluster import Cluster

_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
_LIVE = "() => document.body.dataset.monitor === 'live'"
_LISTEN = """() => import('/static/page.js').then(({ monitor }) => {
  window.told = [];
  const say = line => window.told.push({ at: performance.now() / 1000, ...line });
  monitor.on('test.*', event => say({ told: `${event.origin}/${event.sequence}` }));
  monitor.addEventListener('gap', ({ detail: { reason, lost, node } }) => say({ gap: reason, lost, node }));
})"""


class Page:
    """A context manager; :meth:`open` it when the nodes serve."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def __enter__(self) -> Self:
        self._playwright = sync_playwright().start()
        script = self.cluster.script("/usr/bin/chromium")
        self._browser = self._playwright.chromium.launch(executable_path=str(script), args=_FLAGS)
        self._page = self._browser.new_page()
        return self

    def open(self) -> None:
        """Loads the page; from now on it tells what it is told."""
        self._page.goto(f"{self.cluster.url(1)}/nodes")
        self._page.wait_for_function(_LIVE, timeout=90_000)
        self._page.evaluate(_LISTEN)

    def lines(self) -> list[dict[str, Any]]:
        """What it was told so far."""
        return list(self._page.evaluate("() => window.told"))

    def end(self) -> float:
        """It must be live, and show the board as it is. Returns how far its clock is behind ours."""
        self._page.wait_for_function(_LIVE, timeout=90_000)
        self._page.locator("#banner", has_text="3 of 3 up").wait_for(timeout=90_000)
        return time.monotonic() - float(self._page.evaluate("() => performance.now() / 1000"))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._browser.close()
        self._playwright.stop()
