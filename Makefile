# `make demo` runs the whole pipeline on simulated data, `make test` the tests except the slow ones,
# `make test-all` all tests.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: environment demo dist check-dist docs test test-slow test-all test-oldest lint clean

environment: $(VENV)/.complete

# The marker files .installed and .complete are written last, so that make repeats an interrupted
# installation.
$(VENV)/.installed: setup.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.complete: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@

demo: $(VENV)/.installed
	PATH="$(abspath $(BIN)):$$PATH" bash scripts/demo.sh demo

# The documentation site, in build/site. Broken links and unknown names of Python objects are errors.
docs: environment
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

test: environment lint docs
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

# Slow tests: whole pipelines on real files, the examples of the docs, training in several processes.
test-slow: environment
	$(BIN)/python -m pytest -n 2 --dist loadfile -m slow

test-all: test test-slow

# A quick part of the suite with the oldest versions of all dependencies that setup.py allows.
test-oldest:
	bash scripts/test_oldest_versions.sh .venv-oldest

lint: environment
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

# Wheel and source distribution.
dist: environment
	rm -rf dist
	$(BIN)/python -m build --outdir dist .

# Test of the wheel in a new environment, outside the checkout.
check-dist: dist
	bash scripts/check_distribution.sh dist

clean:
	rm -rf demo build dist .venv-oldest
