# Two commands do all the set-up: `make demo` and `make test`.
# `make test PYTHON=python3.13` has an environment of its own, .venv-3.13, beside the usual one.
ifdef PYTHON
VENV := .venv-$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
else
PYTHON := python3
VENV := .venv
endif
BIN := $(VENV)/bin
.DEFAULT_GOAL := help
MAKEFLAGS += --jobs=2  # Debian and Python packages come at the same time

.PHONY: help demo test docs lint tools soak bench clean

help: ## Show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:[^#]*##/\t/' | expand -t 12

$(VENV)/installed: pyproject.toml
	@sh tools/venv.sh "$(PYTHON)" "$(VENV)"
	$(BIN)/pip install --quiet --editable .
	@touch $@

$(VENV)/tested: $(VENV)/installed
	$(BIN)/pip install --quiet --group dev
	@touch $@

tools: ## Install what tests need besides Python packages
	@sh tools/packages.sh systemd-analyze:systemd faketime:faketime chromium:chromium

demo: $(VENV)/installed ## Sandbox, daemon, real files, result
	$(BIN)/deriva-watch demo

# Also where the environment says otherwise: without byte code every process compiles all again.
export PYTHONDONTWRITEBYTECODE :=

$(VENV)/compiled: $(VENV)/tested $(shell find src tests -name '*.py')
	@$(BIN)/python -m pytest --collect-only -qq >/dev/null 2>&1 || true  # once, not in each worker
	@touch $@

# Tests wait as long as they work: four at a time keep two cores busy.
test: $(VENV)/compiled tools ## Every test, and the house rules
	$(BIN)/python -m pytest -n 4 --dist worksteal

docs: $(VENV)/tested ## The documentation, in build/docs
	$(BIN)/sphinx-build -q -W -n --keep-going -b html docs build/docs

lint: $(VENV)/tested ## The house rules alone
	$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy && $(BIN)/lint-imports

soak: $(VENV)/compiled tools ## A kill at every call, 200 storms, every mutation, many more specs, trees and interleavings
	SOAK=1 $(BIN)/python -m pytest -q -n 4 --dist worksteal --hypothesis-profile=soak \
	  tests/oracle/test_generated.py tests/core/patterns tests/core/test_json_text.py \
	  tests/core/test_readers_of_others.py tests/edges/disk/test_foreign_database.py \
	  tests/edges/journal/test_journal_machine.py $$(grep -rl SOAK --include='test_*.py' tests)

bench: $(VENV)/tested ## One table: ours, deriva-py, a bare client; ROWS=small,one ROUNDS=3 AGAINST=src
	$(BIN)/python -m bench $(if $(ROWS),--rows $(ROWS)) $(if $(ROUNDS),--rounds $(ROUNDS)) \
	  $(if $(BYTES),--bytes $(BYTES)) $(if $(COUNTS),--counts $(COUNTS)) \
	  $(if $(AGAINST),--against $(AGAINST)) $(if $(OUT),--out $(OUT))

clean: ## Remove what the targets above made
	rm -rf .venv .venv-* build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
