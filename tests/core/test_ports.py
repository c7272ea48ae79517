"""The interfaces between the stages."""

from __future__ import annotations

import inspect

from tocsin.core import ports


def test_every_call_says_what_it_does() -> None:
    """Who implements a port, or calls it, needs no other file to know what is meant."""
    for name in ports.__all__:
        port = getattr(ports, name)
        calls = {key: value for key, value in vars(port).items() if not key.startswith("_")}
        assert calls
        assert inspect.getdoc(port)
        assert all(inspect.getdoc(call) for call in calls.values()), calls
