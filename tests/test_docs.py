"""The documents say what the code does: every setting, command and route is there, none that is not."""

import re
from pathlib import Path

import pytest

from tocsin.cli.docs import documents
from tocsin.cli.tree import VERBS, tree
from tocsin.config import load
from tocsin.settings import RAIL, SETTINGS
from tocsin.web.openapi import describe

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("path", documents())
def test_made_from_the_code(path):
    """What is made from the code is up to date; `python -m tocsin.cli.docs` renews it."""
    assert (ROOT / path).read_text("utf-8") == documents()[path]


def test_every_setting_has_a_row():
    """The reference has a row for each setting, and no other."""
    rows = re.findall(r"^\| `([a-z_.]+)` \|", documents()["docs/reference/settings.md"], re.MULTILINE)

    assert sorted(rows) == sorted([*SETTINGS, *(f"rails.{key}" for key in RAIL)])


def test_every_command_has_a_heading():
    """The reference has a heading for each command, and no other."""
    headings = re.findall(r"^## `tocsin ([a-z-]+)`$", documents()["docs/reference/commands.md"], re.MULTILINE)

    assert headings == [name for name, _, _ in VERBS]


def test_every_route_has_a_heading():
    """The reference has a heading for each route of the interface that the description has."""
    headings = re.findall(r"^## `([A-Z]+) (/\S*)`$", documents()["docs/reference/http.md"], re.MULTILINE)

    paths = describe()["paths"]
    assert headings == [(method.upper(), path) for path, methods in paths.items() for method in methods]


def test_flags_of_the_agent():
    """The agent has the flags that the settings say, a file to read, and the rails."""
    arguments = tree(["agent"])["agent"].assemble_argument_collection()

    flags = {argument.names[0] for argument in arguments}

    assert flags == {setting.flag for setting in SETTINGS.values() if setting.flag} | {"--config", "--rail"}


def test_example_is_right(tmp_path):
    """The example is a complete configuration, as it is and with every setting taken into use."""
    text = documents()["packaging/tocsin.toml"]
    used = re.sub(r"^#(?! )", "", text, flags=re.MULTILINE)
    used = used.replace("allow_anonymous = false", "allow_anonymous = true")
    (tmp_path / "as_it_is.toml").write_text(text, "utf-8")
    (tmp_path / "used.toml").write_text(used, "utf-8")

    as_it_is = load(tmp_path / "as_it_is.toml", {}, hostname="host1")
    in_use = load(tmp_path / "used.toml", {}, hostname="host1")

    assert as_it_is == load(None, {}, hostname="host1", default_file=tmp_path / "none")
    assert [rail.listen for rail in in_use.rails] == ["tcp/10.1.0.1:7447"]
    assert in_use.buffer == as_it_is.buffer


@pytest.mark.parametrize("path", sorted(ROOT.glob("docs/*.md")), ids=lambda path: path.name)
def test_configurations_in_documents_are_right(path, tmp_path):
    """Every configuration that a document shows can be used as it is, without a warning."""
    blocks = re.findall(r"^```toml\n(.*?)^```", path.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    for number, block in enumerate(blocks):
        file = tmp_path / f"{number}.toml"
        file.write_text(block, "utf-8")
        assert load(file, {}, hostname="host1").warnings == ()
