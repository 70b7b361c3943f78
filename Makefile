# make demo                                 index real pictures, search them, show the result
# make demo DIR=~/Pictures QUERY=beach.jpg  the same on your own
# make test                                 every check and every test
#
# Every target sets up .venv by itself; it needs python3 (3.11 or later) with venv, and nothing else.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
WHOLE := .venv/.whole
SOURCES := src tests scripts benches examples

.DEFAULT_GOAL := help
.PHONY: help demo test lint docs bench clean

help:
	@sed -n 's/^# //p' $(MAKEFILE_LIST)
	@echo 'also: make lint, make docs, make bench, make clean'

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'lookalike needs Python 3.11 or later: make PYTHON=python3.12 ...' >&2; exit 1; }
	@echo 'setting up .venv (once; about 1.1 GB)'
	@$(PYTHON) -m venv .venv || \
		{ echo 'python3 has no venv; on Debian: apt install python3-venv' >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,heif,metrics,plot,tables]'
	@touch $@

$(WHOLE): $(READY)
	@echo 'adding Keras and TensorFlow, which the tests need (once; about 1.7 GB)'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all,dev]'
	@touch $@

demo: $(READY)
	@$(BIN)/python scripts/demo.py

test: $(WHOLE) lint
	$(BIN)/python -m pytest

lint: $(READY)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy src scripts benches examples
	$(BIN)/python scripts/make_cli_docs.py --check

docs: $(READY)
	$(BIN)/python scripts/make_cli_docs.py

bench: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	$(BIN)/python benches/run.py

clean:
	rm -rf .venv .demo .mypy_cache .pytest_cache .ruff_cache build dist
