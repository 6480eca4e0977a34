# `make up` and `make test` need make and python3 (3.11 or newer, with venv), and nothing else.
#
#   make up     the cluster in the foreground, with a live table; Ctrl-C stops all of it (ARGS="--port-base 8000" and the like)
#   make test   every test (ARGS="tests/wire -k inline"; COVERAGE=1 for which lines ran)
#   make fast   compile the hot modules (needs gcc); `make plain` runs from the sources again
#   make check  what CI runs besides the tests: format, lint, types, import rules, what mypyc takes

PYTHON ?= python3
BIN := .venv/bin

.PHONY: up test check fast plain bytecode clean

up: .venv/installed bytecode
	@$(BIN)/shardlab up $(ARGS)

test: .venv/installed-dev bytecode
	@scripts/test $(ARGS)

check: .venv/installed-dev
	@scripts/check

fast: .venv/installed-dev
	@scripts/build-fast

plain:
	@scripts/build-fast --remove

# The stamps: pip runs only when what it would install has changed.
.venv/installed: requirements.txt pyproject.toml | $(BIN)/python
	@$(call install,requirements.txt)

.venv/installed-dev: requirements-dev.txt pyproject.toml | $(BIN)/python
	@$(call install,requirements-dev.txt)
	@touch .venv/installed

# The lock has everything, setuptools too, so the project itself is installed without looking anything up.
define install
echo "installing $(1) into .venv ..."
$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $(1)
$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
  --config-settings editable_mode=compat --editable .
touch $@
endef

# Ten processes that start at once would each compile the same modules first.
bytecode: | $(BIN)/python
	@$(BIN)/python -m compileall -q cluster lab node proxy runtime sentinel wire

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Shardlab needs Python 3.11 or newer; '$(PYTHON)' is not (make PYTHON=python3.12 ...)" >&2; exit 1; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }

clean: plain
	rm -rf .venv .shardlab build *.egg-info .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
