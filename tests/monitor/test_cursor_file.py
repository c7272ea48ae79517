"""monitor/cursor_file.py, progress.py, items.py: what survives a crash, and what is then repeated."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from tests.monitor.feeds import FeedNode
from tests.monitor.test_sync import short, take
from tocsin.core.errors import ConfigError
from tocsin.core.follow import Gap, News, Position
from tocsin.monitor import Event, Monitor
from tocsin.monitor.cursor_file import CursorFile, Saved
from tocsin.monitor.items import items_of
from tocsin.monitor.progress import Progress


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the cursor file is."""
    return tmp_path / "cursor"


def crash(monitor: Monitor) -> None:
    """The process is gone: nothing more is written."""
    for name in ("done", "flush"):
        setattr(monitor._progress, name, lambda *_: None)
    monitor.close()


def test_save_and_load(path: Path) -> None:
    """What was saved is loaded, and no temporary file is left."""
    file = CursorFile(path)
    assert file.load() is None
    file.save(Position("a.1:5", {"n1": "7"}), {"n1": "8"})
    assert file.load() == Saved("a.1:5", {"n1": "7"}, {"n1": "8"})
    assert [p.name for p in path.parent.iterdir()] == ["cursor"]


@pytest.mark.parametrize("content", [b"", b"a.1:5", b'{"cursor":5}', b'{"cursor":"a:1","version":2}'])
def test_damaged(path: Path, content: bytes) -> None:
    """A file that is no cursor file stops the monitor: beginning at now would miss events silently."""
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=str(path)):
        Monitor("http://127.0.0.1:1", cursor_file=path)


def test_a_save_that_fails_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk leaves the position saved before, and no half-written file."""
    file = CursorFile(path)
    file.save(Position("a.1:5", {}), {})

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        file.save(Position("a.1:6", {}), {})
    assert file.load() == Saved("a.1:5", {}, {})
    assert [p.name for p in path.parent.iterdir()] == ["cursor"]


def test_full_disk(path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """At least once goes on without a disk, and says so; at most once must not begin what is not noted."""
    progress = Progress(CursorFile(path), lambda: 0.0)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    progress.done(Position("a.1:5", {}))
    assert "would repeat events" in caplog.text
    with pytest.raises(OSError, match="No space"):
        progress.may_begin({"origin": "n1", "sequence": "1"})


def test_position_between_the_events_of_an_answer() -> None:
    """In the middle of an answer the cursor stays and seen moves; the gap comes last."""
    events: tuple[dict[str, Any], ...] = tuple({"origin": "n1", "sequence": str(i)} for i in (1, 2))
    before, after = Position("a:1", {"n2": "5"}), Position("a:3", {"n1": "2", "n2": "9"})
    items = list(items_of(News(events, events, Gap("replica")), before, after))
    assert [item.after for item in items] == [
        Position("a:1", {"n1": "1", "n2": "5"}),
        Position("a:1", {"n1": "2", "n2": "5"}),
        after,
    ]
    assert [item.what for item in items_of(News(), before, after)] == [None]
    assert list(items_of(News(), before, before)) == []


def test_goes_on_where_it_was(one: FeedNode, path: Path) -> None:
    """A monitor that is started again goes on behind what it had handled, also in the middle of an answer."""
    one.events("n1", 1, 10)
    with Monitor(one.url, after="0", limit=4, cursor_file=path) as monitor:
        assert take(monitor, 5) == [f"n1/{i}" for i in range(1, 6)]
    # The fifth was handed on, but the sixth not asked for: it may be repeated, nothing else.
    with Monitor(one.url, after="0", cursor_file=path) as monitor:
        assert take(monitor, 6) == [f"n1/{i}" for i in range(5, 11)]
        assert [short(item) for item in monitor.catch_up()] == []
    one.do("event", "n1", 11)
    with Monitor(one.url, since=1000, cursor_file=path) as monitor:
        assert [short(item) for item in monitor.catch_up()] == ["n1/11"]


def test_goes_on_at_another_node(one: FeedNode, two: FeedNode, path: Path) -> None:
    """The file holds what was seen, so that it works at another node too."""
    one.events("n1", 1, 3)
    two.do("event", "n2", 1)
    two.events("n1", 1, 4)
    with Monitor(one.url, after="0", cursor_file=path) as monitor:
        assert len([short(item) for item in monitor.catch_up()]) == 3
    with Monitor(two.url, cursor_file=path) as monitor:
        assert [short(item) for item in monitor.catch_up()] == ["n2/1", "n1/4"]


def test_an_idle_filtered_reader_does_not_age(one: FeedNode, path: Path) -> None:
    """What a filter hides moves the saved cursor too: a day of it, and the reader is not told a gap."""
    with Monitor(one.url, on="service.*", after="0", cursor_file=path) as monitor:
        list(monitor.catch_up())
        one.events("n1", 1, 5, "adapter.down")
        list(monitor.catch_up())
    one.do("prune")
    one.do("event", "n1", 6, "service.failed")
    with Monitor(one.url, on="service.*", cursor_file=path) as monitor:
        assert [short(item) for item in monitor.catch_up()] == ["n1/6"]


def test_at_least_once_and_at_most_once(one: FeedNode, path: Path) -> None:
    """After a crash inside a handler: the one is called with that event again, the other never."""
    one.events("n1", 1, 3)
    calls: list[str] = []

    def handlers(monitor: Monitor, crash_at: str) -> None:
        @monitor.on("*", at_most_once=True)
        def most(event: Event) -> None:
            calls.append(f"most {short(event)}")

        @monitor.on("*")
        def least(event: Event) -> None:
            calls.append(f"least {short(event)}")
            if short(event) == crash_at:
                crash(monitor)
                raise KeyboardInterrupt
            if short(event) == "n1/3":
                monitor.close()

    first = Monitor(one.url, after="0", cursor_file=path)
    handlers(first, "n1/2")
    with pytest.raises(KeyboardInterrupt):
        first.run()
    assert calls == ["most n1/1", "least n1/1", "most n1/2", "least n1/2"]
    calls.clear()
    second = Monitor(one.url, after="0", cursor_file=path)
    handlers(second, "")
    with second:
        second.run()
    assert calls[-3:] == ["least n1/2", "most n1/3", "least n1/3"]
    assert "most n1/1" not in calls
    assert "most n1/2" not in calls
