# Two commands for a newcomer: `make demo` runs the whole pipeline, `make test` the whole test suite.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: environment demo docs test lint clean

environment: $(VENV)/.complete

# The stamp is written last, so that an interrupted installation is taken up again.
$(VENV)/.complete: setup.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@

demo: environment
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

clean:
	rm -rf demo build
