# Two commands for a newcomer: `make demo` runs the whole pipeline, `make test` the whole test suite.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: environment demo dist check-dist docs test lint clean

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
	$(BIN)/python -m pytest -n 2 --dist loadfile

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
	rm -rf demo build dist
