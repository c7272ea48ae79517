"""``tocsin top``: the page in a terminal."""

from __future__ import annotations

import sys

from tocsin.cli.usage import node_urls
from tocsin.core.errors import TocsinError

__all__ = ["top"]


def top(*, url: list[str] | None = None) -> int:
    """Shows the page in a terminal: the cluster, its subsystems, problems and events, live.

    It needs the extra `tui` (Textual): pip install 'tocsin[tui]'. The key ? lists the keys. It asks on as
    long as no node answers, and says since when; with NO_COLOR shapes and words say what colours would.
    Exit codes: 0 quit; 1 no terminal, or no Textual; 2 wrong usage.

    :param url: The URL of a node; several: when one fails the next goes on; default: TOCSIN_URL, else
        http://127.0.0.1:8340.
    """
    urls = node_urls(url)
    try:
        import textual  # noqa: F401
    except ModuleNotFoundError:
        raise TocsinError(
            "tocsin top needs Textual, which is not installed: pip install 'tocsin[tui]'"
        ) from None
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise TocsinError("tocsin top needs a terminal; for programs and files there is tocsin status")
    from tocsin.monitor.tui.app import Top

    app = Top(urls)
    app.run()
    return app.return_code or 0
