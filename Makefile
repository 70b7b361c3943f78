# make demo                                 index real pictures, search them, show the result
# make demo DIR=~/Pictures QUERY=beach.jpg  the same on your own
# make demo-elasticsearch                   the same pictures on a server that it starts and stops; needs Java and Maven
# make check                                lint, types, and all tests that need no server, no Keras and no Ray
# make test                                 every check and every test
# make package                              wheel and sdist, and `make check` with them in an empty environment
# make test-galleries                       a thousand random galleries against brute force
# make test-kills                           kill commands at 500 of the calls that change files
# make test-mutations                       open, search, check and repair 2,000 galleries that chance made wrong
# make test-faults                          kill nodes of a cluster at random moments, five times each fault
#
# Every target sets up .venv by itself; it needs python3 (3.11 or later) with venv, and nothing else.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
WHOLE := .venv/.whole
SOURCES := src tests scripts benches examples
# What is installed: this folder, or a wheel of it, which `make package` names.
PACKAGE ?= -e .

.DEFAULT_GOAL := help
.PHONY: help demo demo-elasticsearch check package test test-faults test-kills test-galleries test-mutations lint docs bench clean

help:
	@sed -n 's/^# //p' $(MAKEFILE_LIST)
	@echo 'also: make lint, make docs, make bench, make clean'

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'lookalike needs Python 3.11 or later: make PYTHON=python3.12 ...' >&2; exit 1; }
	@echo 'setting up .venv (once; about 1.1 GB)'
	@$(PYTHON) -m venv .venv || \
		{ echo 'python3 has no venv; on Debian: apt install python3-venv' >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt $(PACKAGE)'[dev,elasticsearch,heif,metrics,plot,tables]'
	@touch $@

$(WHOLE): $(READY)
	@echo 'adding Keras, TensorFlow, Ray and an S3 server, which the tests need (once; about 2 GB)'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt $(PACKAGE)'[tests]'
	@touch $@

demo: $(READY)
	@$(BIN)/python scripts/demo.py

demo-elasticsearch: $(READY)
	@$(BIN)/python scripts/demo_elasticsearch.py

check: $(READY) lint
	$(BIN)/python -m pytest -n 2 --quick

package: $(READY)
	rm -rf dist build/package
	$(BIN)/python -m build --outdir dist .
	mkdir -p build/package
	tar -xzf dist/lookalike-*.tar.gz -C build/package --strip-components=1
	$(MAKE) -C build/package check PACKAGE="$$(echo $(CURDIR)/dist/lookalike-*.whl)" PYTHON=$(PYTHON)

test: $(WHOLE) lint
	$(BIN)/python -m pytest -n 2

test-mutations: $(READY)
	LOOKALIKE_MUTATIONS=2000 $(BIN)/python -m pytest -v tests/stores/test_mutated.py

test-faults: $(WHOLE)
	LOOKALIKE_FAULT_ROUNDS=5 $(BIN)/python -m pytest -v tests/stores/elasticsearch/test_faults.py

test-galleries: $(WHOLE)
	LOOKALIKE_TEST_GALLERIES=1000 $(BIN)/python -m pytest -q tests/stores/test_random_galleries.py

test-kills: $(WHOLE)
	LOOKALIKE_FAULT_KILLS=500 $(BIN)/python -m pytest -v tests/faults

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
