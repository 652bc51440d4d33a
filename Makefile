# Two commands for a newcomer: `make demo` runs the whole pipeline, `make test` the test suite without
# its longest parts; `make test-all` runs these too.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: environment demo dist check-dist docs test test-slow test-all test-oldest lint clean

environment: $(VENV)/.complete

# The stamps are written last, so that an interrupted installation is taken up again.
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

# The site, in build/site; broken links and names that are gone end it with an error.
docs: environment
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

test: environment lint docs
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

# What takes longer: whole pipelines on real files, the examples of the docs, training in processes.
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

# Wheel and sdist.
dist: environment
	rm -rf dist
	$(BIN)/python -m build --outdir dist .

# The wheel alone, in an environment of its own and outside the checkout.
check-dist: dist
	bash scripts/check_distribution.sh dist

clean:
	rm -rf demo build dist .venv-oldest
