"""``tocsin status`` and ``tocsin forget``: the board."""

import json

import pytest

from tests.cli.commands import wait_for
from tests.cli.conftest import free_port


@pytest.fixture
def board(tocsin, node):
    """Puts resources on the board; they are gone after the test."""
    subjects = []

    def put(subject, status, **more):
        words = [f"--{name}={value}" for name, value in more.items()]
        done = tocsin("emit", "job.told", "--subject", subject, "--status", status, "--url", node, *words)
        assert done.returncode == 0, done.stderr
        subjects.append(subject)

    yield put
    for subject in subjects:
        tocsin("emit", "job.gone", "--subject", subject, "--status", "gone", "--url", node)


def test_all_fine(tocsin, node):
    """A board on which all is fine: how many nodes are up, and the resources of each."""
    done = tocsin("status", "--url", node)

    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[:3] == ["1 of 1 nodes up", "", "node1"]
    assert lines[3].split()[:3] == ["ok", "node", "node1"]


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        (["ok"], 0),
        (["ok", "warning"], 1),
        (["warning", "failed", "unknown"], 2),
        (["unknown", "warning"], 3),
    ],
)
def test_exit_code(tocsin, node, board, statuses, code):
    """The exit code is that of the worst: 1 warnings, 2 failures, 3 unknown."""
    for number, status in enumerate(statuses):
        board(f"job{number}", status)

    assert tocsin("status", "--url", node).returncode == code
    assert tocsin("status", "--json", "--url", node).returncode == code


def test_json(tocsin, node, board):
    """One resource a line."""
    board("nightly", "warning", summary="took long")

    done = tocsin("status", "--json", "--url", node)

    resources = [json.loads(line) for line in done.stdout.splitlines()]
    [nightly] = [resource for resource in resources if resource["subject"] == "nightly"]
    assert (nightly["node"], nightly["kind"], nightly["status"]) == ("node1", "job", "warning")
    assert nightly["summary"] == "took long"
    assert "node" in {resource["kind"] for resource in resources}


def test_worst_first_and_aligned(tocsin, node, board):
    """Behind the node itself, what is worst comes first; the columns are aligned also with wide text."""
    board("a", "ok", summary="fine")
    board("漢字", "failed", summary="broken")

    lines = [line for line in tocsin("status", "--url", node).stdout.splitlines() if line.startswith("  ")]

    assert lines[0].split()[1] == "node"
    assert lines[1].split()[:3] == ["failed", "job", "漢字"]
    [fine] = [line for line in lines if " a " in line and "job" in line]
    # Two characters that take two places each.
    assert fine.index("fine") == lines[1].index("broken") + 2


def test_text_of_events_stays_text(tocsin, node, board):
    """What an event says cannot break a line or play tricks on a terminal."""
    board("tricky", "warning", data=json.dumps({"summary": "a\nb\x1b[31m\u202ec"}))

    done = tocsin("status", "--url", node)

    assert all(line.isprintable() for line in done.stdout.splitlines())
    assert "a\\nb\\x1b[31m\\u202ec" in done.stdout


def test_no_contact(tocsin):
    """Where no node answers the state is unknown: 3, whatever the reason."""
    done = tocsin("status", "--url", f"http://127.0.0.1:{free_port()}")

    assert (done.returncode, done.stdout) == (3, "")
    assert "connection refused" in done.stderr


def test_forget_nobody(tocsin, node):
    """Only a node that is known and not up can be forgotten; the exit code is 1."""
    for name in ("node9", "..", "a/b"):
        done = tocsin("forget", name, "--url", node)

        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f"tocsin: {name} is not forgotten: ")
        assert len(done.stderr.splitlines()) == 1

    assert tocsin("forget", "node9", "--url", node).stderr.endswith(
        "there is no node 'node9' in this cluster\n"
    )
    done = tocsin("forget", "node1", "--url", node)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "tocsin: node1 is not forgotten: node1 is up: only a node that is gone can be forgotten\n"
    )


@pytest.mark.slow
def test_forget_a_node_that_is_gone(tocsin, two_nodes):
    """A node that went for good is taken off the board, by any other."""
    two_nodes.kill(1)

    wait_for(lambda: tocsin("status", "--url", two_nodes.url()).returncode == 2, 20)
    assert "1 of 2 nodes up" in tocsin("status", "--url", two_nodes.url()).stdout

    wait_for(lambda: tocsin("forget", "node2", "--url", two_nodes.url()).returncode == 0, 20)

    assert "1 of 1 nodes up" in tocsin("status", "--url", two_nodes.url()).stdout
