# Everything runs in a virtual environment of its own, made on first use.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: help demo test test-slow lint format check lock demo-assets smoke-online schema benchmarks clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(INSTALLED): requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("quantbench needs Python 3.11 or newer: make PYTHON=python3.11 ...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(INSTALLED) ## a complete sweep of two small models; leaves two cards below runs/
	$(BIN)/quantbench demo

test: $(INSTALLED) ## the tests, without the slow ones, in two processes
	$(BIN)/python -m pytest

test-slow: $(INSTALLED) ## base-size models and other minutes of work
	$(BIN)/python -m pytest -n 0 -m slow

lint: $(INSTALLED) ## lint, format, strict types, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test ## everything that must be clean before a commit

format: $(INSTALLED) ## write the code in the one format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

schema: $(INSTALLED) ## write the JSON Schema that the examples point to
	$(BIN)/quantbench schema > examples/sweep.schema.json

benchmarks: $(INSTALLED) ## start-up time, and what unpadded evaluation gains
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/unpadded_evaluation.py

smoke-online: $(INSTALLED) ## prove the two examples on the real hub (needs a network)
	$(BIN)/python scripts/online_smoke.py

demo-assets: $(INSTALLED) ## train the bundled models again
	$(BIN)/python scripts/make_demo_assets.py

lock: ## resolve requirements.in into requirements.txt
	$(PYTHON) -m venv .lock-venv
	.lock-venv/bin/pip install --quiet torch==2.13.0
	.lock-venv/bin/pip install --quiet -r requirements.in
	echo '# Every package at the version that was tested, for Linux. Made by `make lock`.' > requirements.txt
	.lock-venv/bin/pip list --format=freeze | grep -viE '^(pip|setuptools)=' | sed 's/+cpu//' >> requirements.txt
	rm -r .lock-venv

clean: ## remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
