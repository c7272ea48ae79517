"""Runs a test in network and mount namespaces of its own, as root or not.

    @in_namespaces
    async def test_a_link(self) -> None: ...

Outside, the decorated test starts pytest again for itself alone under ``unshare``; inside, its body
runs on uvloop, as the agent does. What it does to links and mounts is gone when it ends.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

_INSIDE = "TOCSIN_TEST_INSIDE"
#: What the configuration names; loading all that is installed takes a second.
_PLUGINS = ("pytest_asyncio.plugin", "pytest_timeout")
_ROOT = Path(__file__).parents[2]


def _unshare() -> list[str]:
    command = ["unshare", "--net", "--mount", "--propagation", "private"]
    return command if os.geteuid() == 0 else [*command, "--user", "--map-root-user"]


@functools.cache
def _missing() -> str:
    for tool in ("unshare", "ip", "mount"):
        if shutil.which(tool) is None:
            return f"not installed: {tool}"
    tried = subprocess.run([*_unshare(), "true"], capture_output=True, text=True)
    return f"no namespaces here: {tried.stderr.strip()}" if tried.returncode else ""


def in_namespaces(body: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Makes a test of a coroutine function that takes no fixtures."""

    def test(*arguments: object) -> None:
        if os.environ.get(_INSIDE):
            uvloop.run(body(*arguments))
            return
        if _missing():
            pytest.skip(_missing())
        name = os.environ["PYTEST_CURRENT_TEST"].rpartition(" ")[0]
        pytest_alone = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        for plugin in _PLUGINS:
            pytest_alone += ["-p", plugin]
        ran = subprocess.run(
            [*_unshare(), *pytest_alone, name],
            env={**os.environ, _INSIDE: "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            cwd=_ROOT,
            capture_output=True,
            text=True,
            timeout=50,
        )
        assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"

    test.__name__, test.__qualname__, test.__doc__ = body.__name__, body.__qualname__, body.__doc__
    test.__module__ = body.__module__
    return test


def sh(command: str) -> None:
    """Runs a command line of a test."""
    subprocess.run(command, shell=True, check=True, capture_output=True, text=True)
