# run, test, check, lock, bench, bench-query (ARGS="--rows 200000"), soak (ROW=K1). PYTHON picks the interpreter (3.11 to 3.14), VENV the environment.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install -qq --require-hashes

.DELETE_ON_ERROR:
.PHONY: run test check lock bench bench-query soak clean

run: $(VENV)/run.stamp
	$(BIN)/python -m app serve

test: $(VENV)/project.stamp
	VENV=$(abspath $(VENV)) scripts/check
	VENV=$(abspath $(VENV)) scripts/test

check: $(VENV)/project.stamp
	VENV=$(abspath $(VENV)) scripts/check

lock: $(VENV)/dev.stamp
	VENV=$(abspath $(VENV)) scripts/lock

bench: $(VENV)/project.stamp
	@test -x bench/run || { echo "make bench: bench/run is not there" >&2; exit 1; }
	PATH="$(abspath $(BIN)):$$PATH" bench/run

bench-query: $(VENV)/project.stamp
	PATH="$(abspath $(BIN)):$$PATH" bench/query $(ARGS)

soak: $(VENV)/project.stamp
	VENV=$(abspath $(VENV)) scripts/soak $(ROW)

clean:
	rm -rf $(VENV) build dist .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))' 2>/dev/null || \
	  { echo "Python 3.11 to 3.14 is needed, and $(PYTHON) is not one: try make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# A stamp is newer than its lock when what is locked is installed.
# The command without an install of the project, so that `make run` needs nothing to build it.
$(VENV)/run.stamp: requirements.lock | $(BIN)/python
	$(PIP) -r requirements.lock
	@printf '#!/bin/sh\nPYTHONPATH="%s" exec "%s" -m app "$$@"\n' "$(CURDIR)" "$(abspath $(BIN))/python" >$(BIN)/verbatim
	@chmod +x $(BIN)/verbatim
	@touch $@

$(VENV)/dev.stamp: requirements-dev.lock | $(BIN)/python
	$(PIP) -r requirements-dev.lock
	@touch $@ $(VENV)/run.stamp

$(VENV)/project.stamp: pyproject.toml $(VENV)/dev.stamp
	$(BIN)/python -m pip --disable-pip-version-check install -qq --no-deps --no-build-isolation --editable .
	@touch $@
