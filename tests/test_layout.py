"""The layout of the project: what may import what, that each part has its test, what no file may name."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "tocsin"
CORE = sorted(path for path in (SOURCE / "core").glob("*.py") if path.name != "__init__.py")

#: What core may import: values, rules, text. Whatever knows a clock, a socket, a file or chance is missing.
ALLOWED = {
    "__future__", "abc", "base64", "binascii", "bisect", "collections", "contextlib", "copy", "dataclasses",
    "datetime", "enum", "fnmatch", "functools", "hashlib", "heapq", "ipaddress", "itertools", "json", "math",
    "msgspec", "operator", "re", "statistics", "string", "struct", "sys.intern", "textwrap", "tocsin",
    "types", "typing", "unicodedata", "zlib",
}  # fmt: skip


def _tracked(*patterns: str) -> list[Path]:
    command = ["git", "ls-files", "-z", "--", *patterns]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("not a checkout: no list of the project's files")
    return [ROOT / name for name in done.stdout.split("\0") if name]


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = (node.module or "").partition(".")[0]
            # Of the interpreter's own module one function is nothing but values: the one that shares words.
            found |= {f"sys.{alias.name}" for alias in node.names} if module == "sys" else {module}
    return found


def _after_import(module: str) -> set[str]:
    code = f"import sys; before = set(sys.modules); import {module}; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.split()}


def test_the_core_imports_values_and_rules_only() -> None:
    """Nothing in core can read a clock, open a socket or a file, or throw dice."""
    assert {} == {path.name: more for path in CORE if (more := _imports(path) - ALLOWED)}


def test_importing_tocsin_loads_no_third_party_package_but_msgspec() -> None:
    """A program that only wants the version or an error's name pays for nothing else."""
    # msgspec itself takes typing_extensions where it is installed.
    known = sys.stdlib_module_names | {"tocsin", "msgspec", "typing_extensions"}
    assert set() == _after_import("tocsin") - known
    assert set() == _after_import("tocsin.core.event") - known


def test_only_one_file_knows_zenoh() -> None:
    """The engine can be exchanged by writing one file."""
    knowing = [path.relative_to(SOURCE) for path in SOURCE.rglob("*.py") if "zenoh" in _imports(path)]
    assert [Path("forwarder/zenoh.py")] == knowing


def test_threads_cross_into_the_loop_in_one_line() -> None:
    """``call_soon_threadsafe`` stands in one file of the forwarder."""
    crossing = [path.name for path in (SOURCE / "forwarder").glob("*.py") if _crosses(path)]
    assert ["crossing.py"] == crossing


def _crosses(path: Path) -> bool:
    return "call_soon_threadsafe(" in path.read_text()


def _acts(path: Path) -> bool:
    """Whether a file has a function that does something."""
    functions = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]
    return any(not isinstance(line, ast.Expr | ast.Pass) for each in functions for line in each.body)


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.stem)
def test_every_module_of_the_core_has_its_own_test(path: Path) -> None:
    """core/x.py is tested by core/test_x.py, one to one; a file that only declares needs none."""
    assert not _acts(path) or (ROOT / "tests" / "core" / f"test_{path.name}").exists()


def test_no_file_is_longer_than_can_be_read_at_once() -> None:
    """400 lines are enough for one thing."""
    long = {
        str(path.relative_to(ROOT)): lines
        for path in _tracked("src/*.py")
        if (lines := len(path.read_text().splitlines())) > 400
    }
    assert {} == long


def test_every_source_file_says_what_it_is() -> None:
    """Each begins with a docstring."""
    silent = [path for path in _tracked("src/*.py") if ast.get_docstring(ast.parse(path.read_text())) is None]
    assert [] == silent


def test_no_file_names_a_package_index_or_a_path_of_one_machine() -> None:
    """A checkout works wherever it lies, with whatever index pip and uv are set up for."""
    index = r"\b(?:pypi|pythonhosted|npmjs|deb\.debian)\.(?:org|com)\b"
    machine = rf"{re.escape(str(ROOT))}/|(?<![\w.<-])/(?:work)/"
    named = []
    for path in _tracked():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        named += [f"{path}: {found[0]}" for found in re.finditer(f"{index}|{machine}", text)]
    assert [] == named


def test_the_lock_file_holds_what_the_project_asks_for() -> None:
    """Every dependency of pyproject.toml is in requirements.lock; `make lock` renews it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = list(project["project"]["dependencies"])
    for group in (
        *project["dependency-groups"].values(),
        *project["project"]["optional-dependencies"].values(),
    ):
        wanted += [each for each in group if isinstance(each, str)]
    names = {re.split(r"[^a-z0-9-]", each, maxsplit=1)[0] for each in wanted}
    locked = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    assert set() == names - locked
