"""The browser's modules without a browser: ``node --test`` over the tables that Python passes too."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tocsin.core.errors import InterestError
from tocsin.core.interest import Interests
from tocsin.web.scripts import shortened

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "src" / "tocsin" / "web" / "static"
CASES: list[dict[str, Any]] = json.loads((ROOT / "tests" / "interest_cases.json").read_text())["cases"]
SINKS = (
    r"innerHTML|outerHTML|insertAdjacentHTML|setHTML|srcdoc|DOMParser|createContextualFragment"
    r"|document\.write|\beval\b|new Function|createPolicy"
)


def test_node() -> None:
    """The browser's monitor passes the tables of cases and its own tests."""
    if (node := shutil.which("node")) is None:
        pytest.skip("node is missing: install Debian's nodejs")
    files = sorted((ROOT / "tests" / "web" / "js").glob("*.test.mjs"))
    run = subprocess.run(
        [node, "--test", *map(str, files)],
        capture_output=True,
        text=True,
        timeout=50,
        env={"PATH": os.environ["PATH"]},
    )
    failures = [line for line in run.stdout.splitlines() if re.match(r"\s*(not ok|error:)", line)]
    assert run.returncode == 0, "\n".join([*failures, run.stdout[-3000:], run.stderr[-2000:]])
    assert re.search(r"^# pass [1-9]", run.stdout, re.MULTILINE), run.stdout[-500:]


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["on"])[:40])
def test_interest_cases(case: dict[str, Any]) -> None:
    """Python reads and matches interests as the table says, which the browser passes too."""
    on = case["on"] * case.get("repeat", 1)
    if case.get("error"):
        with pytest.raises(InterestError):
            Interests.parse(on)
        return
    interests = Interests.parse(on)
    assert [event for event in case.get("matches", []) if not interests.match(*event)] == []
    assert [event for event in case.get("others", []) if interests.match(*event)] == []
    if "frame" in case:
        assert interests.with_nodes().text == case["frame"]


def test_types() -> None:
    """The JSDoc types of all modules hold, by the rules of the TypeScript compiler at their strictest."""
    options = (
        "--noEmit --allowJs --checkJs --strict --skipLibCheck --target esnext --module esnext"
        " --moduleResolution bundler"
    )
    run = typescript("bin/tsc", *options.split(), *map(str, sorted(STATIC.glob("*.js"))))
    assert run.returncode == 0, run.stdout


def test_shortened_is_the_same_program(tmp_path: Path) -> None:
    """What is served of each module has the same syntax tree as what we wrote, but for private names."""
    pairs: list[str] = []
    for file in sorted(STATIC.glob("*.js")):
        short = tmp_path / file.name
        short.write_text(shortened(file.read_text()))
        pairs += [str(file), str(short)]
        assert len(short.read_text()) < 0.8 * len(file.read_text())
    run = typescript(ROOT / "tests" / "web" / "js" / "same_tree.cjs", *pairs)
    assert run.returncode == 0, run.stdout + run.stderr


def typescript(script: str | Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a script of the TypeScript package, or one of ours that uses it."""
    node, package = shutil.which("node"), ROOT / ".venv" / "node" / "node_modules" / "typescript"
    if node is None or not package.is_dir():
        pytest.skip("the TypeScript compiler is missing: run tests/install-tools")
    return subprocess.run(
        [node, str(package / script), *arguments],
        capture_output=True,
        text=True,
        timeout=50,
        env={"PATH": os.environ["PATH"], "NODE_PATH": str(package.parent)},
    )


@pytest.mark.parametrize("file", sorted(STATIC.glob("*.js")), ids=lambda file: file.name)
def test_only_morph_parses_html(file: Path) -> None:
    """Text of events cannot become markup: HTML is parsed in morph.js only, and nothing is evaluated."""
    found = re.findall(SINKS, file.read_text())
    assert found == (["createPolicy", "innerHTML"] if file.name == "morph.js" else [])
