"""``tocsin top`` against real agents: what is seen, the keys, failover, refreshes."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from tests.cli.commands import TOCSIN, clean_environment
from tests.cli.conftest import Cluster, pair
from tests.monitor.feeds import FeedNode
from tocsin.monitor.tui.app import Top
from tocsin.monitor.tui.looks import Looks
from tocsin.monitor.tui.rows import Rows
from tocsin.monitor.tui.screens import Details, Help


@pytest.fixture(scope="module")
def agents(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two agents that know each other; the last test ends one of them."""
    with pair(tmp_path_factory.mktemp("agents"), clean_environment()) as cluster:
        yield cluster


def emit(url: str, type: str, subject: str, status: str | None = None, **data: Any) -> None:
    """Publishes an event."""
    payload = {**data, **({"status": status} if status else {})}
    event = {"specversion": "1.0", "id": os.urandom(8).hex(), "source": "/test", "type": type}
    body = json.dumps({**event, "subject": subject, "data": payload}).encode()
    headers = {"Content-Type": "application/cloudevents+json"}
    with urllib.request.urlopen(urllib.request.Request(f"{url}/api/v1/events", body, headers), timeout=5):
        pass


async def until(pilot: Pilot[None], what: Callable[[], object]) -> None:
    """Waits until something is seen."""
    async with asyncio.timeout(20):
        while not what():
            await pilot.pause(0.02)


def words(app: Top) -> str:
    """The banner."""
    return str(app._banner.content)


def rows(app: Top, name: str) -> Rows:
    """One of the tables."""
    return {"problems": app.problems, "resources": app.resources, "events": app.latest}[name]


def seen(app: Top) -> str:
    """All text on the screen."""
    return "\n".join("".join(s.text for s in line) for line in app.screen._compositor.render_strips())


def subjects(app: Top, name: str = "resources") -> list[str]:
    """The subjects of a table."""
    return [line.thing.subject for line in rows(app, name).sheet.lines]


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
async def test_page(agents: Cluster, size: tuple[int, int]) -> None:
    """Banner, tree, problems, table and events are there, in a small and in a large terminal, live."""
    app = Top([agents.url()])
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: "2 of 2 nodes up" in words(app) or "node1" in subjects(app))
        emit(agents.url(), "job.failed", "reindex", "failed", summary="reindex has failed")
        await until(pilot, lambda: "DEGRADED" in words(app) and "reindex" in subjects(app, "events"))
        await until(pilot, lambda: "✖ Failed" in seen(app))
        assert "Live via node1" in words(app)
        screen = seen(app)
        for text in (
            "default",
            "Overview",
            "Services",
            "Needs attention",
            "2 nodes",
            "Latest events",
            "Quit",
        ):
            assert text in screen
        # Generators do not run on these agents: nothing is known of their services, and that is no 0.
        assert "◌ Services – unknown" in screen
        emit(agents.url(), "job.gone", "reindex", "gone")
        await until(pilot, lambda: "reindex" not in subjects(app, "problems"))


async def test_refresh_keeps_selection_and_scroll(agents: Cluster) -> None:
    """News above, below and of the chosen line leave it chosen, in the same place of the screen."""
    for number in range(30):
        emit(agents.url(), "job.done", f"j{number:02}", "ok", summary="done")
    app = Top([agents.url()])
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.live.cluster and len(app.live.cluster.known.of("")) >= 30)
        navigation = app.navigation
        await pilot.press("end", "enter")
        await until(pilot, lambda: len(subjects(app)) >= 30)
        table, events = rows(app, "resources"), rows(app, "events")
        assert app.focused is table
        await pilot.press(*["down"] * 20)
        events.choose(9)
        await pilot.pause()
        chosen, height = table.chosen, table.at - round(table.scroll_y)
        event, event_height = events.chosen, events.at - round(events.scroll_y)
        assert chosen
        assert event
        assert table.scroll_y > 0
        emit(agents.url(), "job.done", "a-first", "ok", summary="before all others")
        emit(agents.url(), "job.gone", "j29", "gone")
        emit(agents.url(), "job.done", chosen.thing.subject, "warning", summary="late")
        await until(pilot, lambda: "a-first" in subjects(app) and table.chosen)
        await until(pilot, lambda: table.chosen and table.chosen.status == "warning")
        await until(pilot, lambda: events.sheet.lines[0].cells[3] == "late")

        assert table.chosen
        assert table.chosen.key == chosen.key
        assert table.at - round(table.scroll_y) == height
        assert events.chosen
        assert (events.chosen.key, events.at - round(events.scroll_y)) == (event.key, event_height)
        assert app.focused is table
        assert navigation.cursor_node
        assert navigation.cursor_node.data == app.scope
        for subject in ("a-first", *(f"j{number:02}" for number in range(30))):
            emit(agents.url(), "job.gone", subject, "gone")


async def test_an_event_without_status_fetches_nothing(agents: Cluster) -> None:
    """Only what can change the board has it fetched."""
    app = Top([agents.url()])
    async with app.run_test() as pilot:
        await until(pilot, lambda: app.live.cluster and app.live.state == "live")
        await pilot.pause(1)  # what the start itself asks for is over
        board = app.live.cluster
        emit(agents.url(), "job.progress", "backup", summary="half of it")
        await until(pilot, lambda: "backup" in subjects(app, "events"))
        await pilot.pause(0.5)
        assert app.live.cluster is board
        emit(agents.url(), "job.done", "backup", "ok")
        await until(pilot, lambda: app.live.cluster is not board)
        emit(agents.url(), "job.gone", "backup", "gone")


async def test_keys(agents: Cluster) -> None:
    """Tree, find, one part only, details, help and quit, by the keyboard alone."""
    emit(agents.url(), "job.failed", "needle", "failed", summary="a needle in the hay")
    app = Top([agents.url()])
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "needle" in subjects(app, "problems") and subjects(app, "events"))
        await pilot.press("down", "right", "down")
        await until(pilot, lambda: app.scope == ("node", "node1", ""))
        assert app.navigation.cursor_node
        await pilot.press("left", "left")
        await until(pilot, lambda: app.scope == ("node", "", ""))
        assert not app.navigation.cursor_node.is_expanded
        await pilot.press("slash", *"needle")
        await until(pilot, lambda: subjects(app) == ["needle"])
        await pilot.press("enter")
        assert app.focused is rows(app, "resources")
        await pilot.press("enter")
        assert isinstance(app.screen, Details)
        assert "a needle in the hay" in seen(app)
        await pilot.press("escape", "escape")
        assert not app.scope.find
        assert not app._find.value
        for key, part in (("p", "problems"), ("e", "events")):
            await pilot.press(key)
            assert app.focused is rows(app, part)
            assert [each.id for each in app.query(Rows) if each.display] == [part]
        await pilot.press("s")
        assert all(each.display for each in app.query(Rows))
        await pilot.press("question_mark")
        assert isinstance(app.screen, Help)
        await pilot.press("q")
        await pilot.press("q")
    assert app.return_code == 0
    emit(agents.url(), "job.gone", "needle", "gone")


async def test_no_color(agents: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """With NO_COLOR there is no colour on the screen, and the chosen line is still seen."""
    monkeypatch.setenv("NO_COLOR", "1")
    app = Top([agents.url()], looks=Looks({"NO_COLOR": "1"}, "utf-8"))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "node1" in subjects(app))
        await pilot.press("enter")
        await pilot.pause()
        styles = [s.style for line in app.screen._compositor.render_strips() for s in line if s.style]
        for style in styles:
            assert style.color is None or style.color.is_default
            assert style.bgcolor is None or style.bgcolor.is_default
        assert any(style.reverse for style in styles)


async def test_gap(one: FeedNode) -> None:
    """A gap stands among the events; a node that tells no board leaves everything unknown."""
    one.events("n1", 1, 2)
    app = Top([one.url])
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: len(app.latest.sheet.lines) == 2)
        one.do("mark", "n1", 3, 4)
        await until(pilot, lambda: len(app.latest.sheet.lines) == 3)
        assert app.latest.sheet.lines[0].cells[3].startswith("events may have been missed (replica")
        await until(pilot, lambda: app.live.trouble)
        assert "UNKNOWN" in words(app)


async def test_nobody_there() -> None:
    """Where no node answers nothing is fine, and it says whom it asks."""
    app = Top(["http://127.0.0.1:9"])
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "127.0.0.1:9" in words(app))
        assert "UNKNOWN" in words(app)
        assert "Live" not in words(app)
        assert "●" not in seen(app)


def test_without_textual(tmp_path: Path) -> None:
    """Without Textual: one sentence that says how to get it, exit code 1."""
    (tmp_path / "textual.py").write_text("raise ModuleNotFoundError('textual')")
    env = clean_environment()
    env["PYTHONPATH"] = os.pathsep.join([str(tmp_path), *sys.path])
    done = subprocess.run([*TOCSIN, "top"], capture_output=True, text=True, env=env, timeout=30)
    assert (done.returncode, done.stdout) == (1, "")
    assert (
        done.stderr == "tocsin: tocsin top needs Textual, which is not installed: pip install 'tocsin[tui]'\n"
    )


def test_without_terminal() -> None:
    """In a pipe: one sentence, exit code 1."""
    done = subprocess.run(
        [*TOCSIN, "top"], capture_output=True, text=True, env=clean_environment(), timeout=30
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert "needs a terminal" in done.stderr


def test_in_a_terminal(agents: Cluster) -> None:
    """The command itself, in a terminal: it shows the cluster, and q quits with exit code 0."""
    master, slave = pty.openpty()
    env = clean_environment() | {"TERM": "xterm-256color"}
    command = [*TOCSIN, "top", "--url", agents.url()]
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=env)
    os.close(slave)
    try:
        shown = b""
        while b"Live via" not in shown:
            shown += os.read(master, 65536)
        os.write(master, b"q")
        while True:
            try:
                if not os.read(master, 65536):
                    break
            except OSError:  # the other end is closed
                break
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
        os.close(master)


async def test_failover(agents: Cluster) -> None:
    """When a node dies the next goes on; when none is left the page is stale, and its verdict unknown."""
    app = Top([agents.url(0), agents.url(1)])
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "Live via node1" in words(app))
        agents.kill(0)
        await until(pilot, lambda: "Live via node2" in words(app) and app.live.is_home)
        emit(agents.url(1), "job.done", "after", "ok")
        await until(pilot, lambda: "after" in subjects(app, "events"))
        agents.kill(1)
        await until(pilot, lambda: "Stale since" in words(app))
        assert "UNKNOWN" in words(app)
        assert "Last known" in words(app)
        assert "Live" not in words(app)
