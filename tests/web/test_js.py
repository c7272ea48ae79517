"""The browser's modules without a browser: ``node --test`` over the tables that Python passes too."""

from __future__ import annotations

import gzip
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


@pytest.mark.may_skip
def test_types() -> None:
    """The JSDoc types hold, where the TypeScript compiler is at hand."""
    if (tsc := shutil.which("tsc")) is None:
        pytest.skip("tsc is missing: npm install --global typescript")
    options = "--noEmit --allowJs --checkJs --strict --noImplicitAny false --target esnext --module esnext"
    options += " --moduleResolution bundler --lib esnext,dom,dom.iterable"
    files = [str(STATIC / "page.js"), str(STATIC / "embed.js")]
    run = subprocess.run([tsc, *options.split(), *files], capture_output=True, text=True, timeout=50)
    assert run.returncode == 0, run.stdout


def code(file: Path) -> str:
    """A module without comments and indentation, whose size does not depend on how well it is explained."""
    text = re.sub(r"/\*\*.*?\*/", "", file.read_text(), flags=re.DOTALL)
    return re.sub(r"\n\s+", "\n", re.sub(r"\s+//\s[^\n]*", "", text))


def test_size() -> None:
    """What a page loads to be live stays small: 10 KB, compressed and without comments."""
    files = ("follow.js", "monitor.js", "live-frame.js", "morph.js")
    size = len(gzip.compress("".join(code(STATIC / name) for name in files).encode(), 9))
    assert size <= 10 * 1024, f"{size} bytes"


@pytest.mark.parametrize("file", sorted(STATIC.glob("*.js")), ids=lambda file: file.name)
def test_only_morph_parses_html(file: Path) -> None:
    """Text of events cannot become markup: HTML is parsed in morph.js only, and nothing is evaluated."""
    found = re.findall(SINKS, file.read_text())
    assert found == (["createPolicy", "innerHTML"] if file.name == "morph.js" else [])
