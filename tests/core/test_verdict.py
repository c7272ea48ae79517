"""How a cluster is, as people are told."""

from __future__ import annotations

from typing import Any

import pytest

from tocsin.core.board import Resource
from tocsin.core.verdict import Known, know, node_words, span, status_of, wall_seconds, worst_of

OWN = ("node", "service", "agent")


def resource(
    kind: str, subject: str, status: str, *, node: str = "n1", since: str = "", **attributes: Any
) -> Resource:
    """A resource in short."""
    return Resource(node=node, kind=kind, subject=subject, status=status, since=since, attributes=attributes)


def node(name: str, state: str, status: str = "ok", **attributes: Any) -> Resource:
    """A node in a state."""
    return resource("node", name, status, node=name, state=state, **attributes)


def generator(state: str, status: str, *, node: str = "n1", kinds: Any = ("service",)) -> Resource:
    """The health of a generator."""
    return resource("agent", "generator/services", status, node=node, state=state, kinds=kinds)


def known(*resources: Resource) -> Known:
    """What they say."""
    return know(resources, OWN)


def names(resources: list[Resource]) -> list[str]:
    """Their subjects."""
    return [each.subject for each in resources]


def test_worst_first_then_newest_then_by_name() -> None:
    """What needs attention is in an order that does not jump; a strange status is unknown, never fine."""
    cluster = known(
        resource("service", "b", "warning", since="2026-01-01T10:00:00Z"),
        resource("service", "a", "warning", since="2026-01-01T10:00:00Z"),
        resource("service", "new", "warning", since="2026-01-01T11:00:00Z"),
        resource("service", "bad", "failed", since="not a time"),
        resource("service", "odd", "splendid"),
        resource("service", "well", "ok"),
    )
    assert ["bad", "new", "a", "b", "odd"] == names(cluster.troubled())
    assert ["odd"] == names(cluster.troubled(cluster.resources[4:]))
    assert "failed" == worst_of(cluster.resources)
    assert "ok" == worst_of([])
    assert "unknown" == status_of(cluster.resources[4])


@pytest.mark.parametrize("state", ["down", "left", "unknown"])
def test_what_a_node_that_is_away_hides_is_one_problem(state: str) -> None:
    """Its resources are unknown because of it: the node is told, they are not."""
    cluster = known(node("n1", state, "failed"), resource("service", "web", "unknown"))
    assert ["n1"] == names(cluster.troubled())
    assert cluster.is_consequence(cluster.resources[1])
    assert frozenset({"n1"}) == cluster.absent


def test_what_a_dead_generator_hides_is_one_problem() -> None:
    """The generator is told; not what it observed, nor itself taken for a consequence."""
    cluster = known(generator("failed", "failed"), resource("service", "web", "unknown"), node("n1", "up"))
    assert ["generator/services"] == names(cluster.troubled())
    assert ["n1"] == cluster.unobserved("service")
    alone = known(generator("failed", "unknown", kinds=["agent"]))
    assert ["generator/services"] == names(alone.troubled())
    assert not known(resource("service", "web", "unknown")).is_consequence(
        resource("service", "web", "unknown")
    )


def test_kinds_of_their_own_and_the_others() -> None:
    """What is not shown apart is one group."""
    cluster = known(resource("service", "web", "ok"), resource("job", "backup", "ok"))
    assert ["web"] == names(cluster.of("service"))
    assert ["backup"] == names(cluster.of(""))


@pytest.mark.parametrize(
    ("resources", "said"),
    [
        ([], ""),
        ([generator("disabled", "ok")], "switched off"),
        ([generator("running", "ok")], "none"),
        ([generator("degraded", "warning"), generator("disabled", "ok", node="n2")], "none"),
        ([generator("running", "ok", kinds=None)], ""),
        ([resource("service", "web", "ok")], "none"),
    ],
)
def test_why_there_is_nothing_of_a_kind(resources: list[Resource], said: str) -> None:
    """Somebody looks, it is switched off, or nobody knows; nodes need no generator."""
    assert said == known(*resources).observed("service")
    assert "none" == known(*resources).observed("node")


def test_the_whole_is_never_finer_than_what_is_known() -> None:
    """Trouble decides; without any, nothing at all or a kind in the dark is unknown."""
    up, running = node("n1", "up"), generator("running", "ok")
    assert "ok" == known(up, running).status(["node", "service"])
    assert "unknown" == known(up).status(["node", "service"])
    assert "unknown" == known().status([])
    assert "failed" == known(up, resource("service", "web", "failed")).status(["adapter"])


@pytest.mark.parametrize(
    ("of", "words"),
    [
        (node("n1", "up"), ("Up", "is up")),
        (node("n1", "suspect"), ("Suspect", "does not answer")),
        (node("n1", "strange", "warning"), ("Warning", "")),
    ],
)
def test_words_for_a_node(of: Resource, words: tuple[str, str]) -> None:
    """A word to stand beside its sign, and a sentence."""
    assert words == node_words(of)


def test_a_node_without_a_direct_path_answers_others() -> None:
    """It is not said that it does not answer: only some do not hear it."""
    word, sentence = node_words(node("n1", "suspect", "warning", path="indirect"))
    assert "Suspect" == word
    assert "no direct path" in sentence
    assert "does not answer" not in sentence


@pytest.mark.parametrize(
    ("iso", "seconds"),
    [
        ("1970-01-01T00:01:00Z", 60.0),
        ("1970-01-01T00:01:00", 60.0),
        ("1970-01-01T01:01:00+01:00", 60.0),
        ("yesterday", None),
        ("2026-13-01T00:00:00Z", None),
    ],
)
def test_wall_seconds(iso: str, seconds: float | None) -> None:
    """A time without a zone is in UTC; what cannot be read is none, and never an error."""
    assert seconds == wall_seconds(iso)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0 s"), (59.9, "59 s"), (60, "1 min"), (7200, "2 h"), (172_799, "47 h"), (172_800, "2 d")],
)
def test_span(seconds: float, text: str) -> None:
    """In the largest unit that still says enough."""
    assert text == span(seconds)
