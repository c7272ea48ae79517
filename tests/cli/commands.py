"""How tests call the program."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable

_never = threading.Event()
TOCSIN = [sys.executable, "-m", "tocsin.cli"]


def clean_environment() -> dict[str, str]:
    """This environment without what would change what commands do."""
    dropped = ("TOCSIN_", "NO_COLOR", "STATE_DIRECTORY", "COLUMNS")
    return {name: value for name, value in os.environ.items() if not name.startswith(dropped)}


def wait_for(what: Callable[[], object], seconds: float = 15, *, told: Callable[[], str] = str) -> None:
    """Waits until something is true; fails after some seconds with what ``told`` returns."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, f"it did not happen within {seconds} s {told()}"
        _never.wait(0.02)
