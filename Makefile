# What each target does: DESIGN in docs/design.md, more in CONTRIBUTING.md. Every target sets up all it needs.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
STAMP := .venv/.ready
# Tests wait more than they work. One at a time is handed out, so that browser tests stay the last of each process.
PARALLEL := -n 2 --maxschedchunk=1

# For test-worlds: how many simulated clusters, and the first seed.
WORLDS ?= 1000000
FIRST ?= 0

.PHONY: help setup run demo test check test-faults test-worlds bench lock format clean

help: ## shows this list
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(STAMP) ## everything into .venv

$(STAMP): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Tocsin needs Python 3.11 or newer; say which with: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@# The lock names all there is: to let pip look for more is to let tomorrow's release of one break this.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

run: setup ## runs the agent of this machine, page on http://127.0.0.1:8340
	@$(BIN)/tocsin agent $(ARGS)

demo: setup ## a three-node cluster on this machine, pages on 8340, 8341, 8342
	@$(BIN)/tocsin demo $(ARGS)

test: setup ## installs what tests need, runs the tests
	@tests/install-tools
	$(BIN)/python -m pytest -m "not faults" $(PARALLEL) $(ARGS)

check: setup ## lint, format, types, contracts, coverage of the core
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@tests/check-scripts
	$(BIN)/python -m pytest -q tests/core --cov=tocsin.core --cov-fail-under=100 --cov-report=term

test-faults: setup ## the long fault matrix
	@tests/install-tools
	$(BIN)/python -m pytest -m faults $(ARGS)

test-worlds: setup ## a million simulated clusters, or as many as WORLDS=; FIRST= is the first seed
	$(BIN)/python -m tests.worlds --worlds $(WORLDS) --first $(FIRST)

bench: setup ## the benchmarks behind docs/performance.md
	@benchmarks/install-tools
	$(BIN)/python -m benchmarks

format: setup ## mends what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# No host of a package index and no path goes into the lock file: pip takes both from its own settings.
lock: setup ## renews requirements.lock
	test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --quiet --upgrade --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate \
	  --extra tui --group dev --output-file requirements.lock

clean: ## removes what was built, but not .venv
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
