# Everything sets itself up in virtual environments inside this folder; nothing but Python (3.11 or later) is needed.
#
#   make demo                  index a small rendered library, show neighbours, write a playlist
#   make demo MUSIC=~/Music    the same on your own music (it is only read)
#   make test, make check      what every change has to pass

PYTHON ?= python3
# Tests of the model and its training need torch; a CPU build is enough. Where the default build for your system
# brings a GPU runtime you do not want, name another: make test TORCH='torch==2.13.0+cpu --index-url URL-OF-CPU-BUILDS'
TORCH ?= torch==2.13.0

LIGHT := .venv
DEV := .venv-dev
# Twice quiet: warnings are left out, errors are not.
PIP_INSTALL = -m pip install --quiet --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: demo test check clean help

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(LIGHT)/ready  ## index a small library, show neighbours, write a playlist; MUSIC=folder for your own
	@MUSIC='$(subst ','\'',$(MUSIC))' $(LIGHT)/bin/python scripts/demo.py

test: $(DEV)/ready  ## all tests
	$(DEV)/bin/python -m pytest

check: $(DEV)/ready  ## style, types, import architecture, documentation, and the wheel in a bare environment
	$(DEV)/bin/ruff check .
	$(DEV)/bin/ruff format --check .
	$(DEV)/bin/mypy
	$(DEV)/bin/python -m pytest tests/test_architecture.py
	$(DEV)/bin/python -m pytest tests/test_docs.py
	$(DEV)/bin/python scripts/check_wheel.py

clean:  ## remove the environments, the demo and every cache
	rm -rf $(LIGHT) $(DEV) demo build dist .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

define python_is_usable
command -v $(firstword $(PYTHON)) >/dev/null 2>&1 || { \
  echo "no $(PYTHON) was found: install Python 3.11 or later, or name one: make PYTHON=/path/to/python3" >&2; exit 1; }; \
$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
  echo "$$($(PYTHON) --version) is too old: Nearfield needs 3.11 or later; name another: make PYTHON=python3.12" >&2; exit 1; }; \
$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
  echo "$(PYTHON) cannot make virtual environments: install its venv module (on Debian and Ubuntu: python3-venv)," >&2; \
  echo "or name another Python: make PYTHON=/path/to/python3" >&2; exit 1; }
endef

# The stamp is written last, so an installation cut short is begun again from nothing.
$(LIGHT)/ready: pyproject.toml
	@$(python_is_usable)
	@echo "setting up $(LIGHT), once; this takes a minute or two"
	@rm -rf $(LIGHT)
	@$(PYTHON) -m venv $(LIGHT)
	@$(LIGHT)/bin/python $(PIP_INSTALL) --editable .
	@touch $@

$(DEV)/ready: pyproject.toml
	@$(python_is_usable)
	@echo "setting up $(DEV) with torch and the test tools, once; this takes a few minutes"
	@rm -rf $(DEV)
	@$(PYTHON) -m venv $(DEV)
	@$(DEV)/bin/python $(PIP_INSTALL) $(TORCH)
	@$(DEV)/bin/python $(PIP_INSTALL) --editable '.[train,formats,dev]'
	@touch $@
