"""The registry: each line is complete, and documented."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tocsin.core.event import KINDS_OF_GENERATORS
from tocsin.generators.registry import REGISTRY, Registration

DOCS = (Path(__file__).parents[2] / "docs" / "generators.md").read_text()


def test_names_are_unique() -> None:
    """Names are used in settings and on the board; each kind has one generator."""
    names = [r.name for r in REGISTRY]
    kinds = [kind for r in REGISTRY for kind in r.kinds]

    assert len(set(names)) == len(names)
    assert len(set(kinds)) == len(kinds)


@pytest.mark.parametrize("registration", REGISTRY, ids=lambda r: r.name)
def test_a_line_is_complete(registration: Registration) -> None:
    """Each kind is of the catalogue and has a type for what is gone; defaults make a generator."""
    assert set(registration.kinds) <= KINDS_OF_GENERATORS
    assert registration.gone_type.keys() == set(registration.kinds)
    assert all(type.startswith(f"{kind}.") for kind, type in registration.gone_type.items())
    assert registration.factory({}) is not None


@pytest.mark.parametrize("registration", REGISTRY, ids=lambda r: r.name)
def test_each_is_documented(registration: Registration) -> None:
    """Each generator has a heading in the docs, and each type that its code publishes is in the table."""
    folder = Path(__file__).parents[2] / "src" / "tocsin" / "generators"
    source = "".join(path.read_text() for path in folder.glob("*.py"))
    kinds = "|".join(registration.kinds)
    types = set(re.findall(rf'"((?:{kinds})\.[a-z-]+)"', source)) if kinds else set()

    assert f"### {registration.name}" in DOCS
    assert [type for type in sorted(types) if f"`{type}`" not in DOCS] == []
