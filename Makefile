# SPDX-License-Identifier: Apache-2.0
# make            shows the targets
PYTHON ?= python3
BIN = .venv/bin
SETUP = PYTHON="$(PYTHON)" sh scripts/setup

.PHONY: help demo test test-full fuzz fuzz-ops all-digits lint types format ci bitstream table docs dist clean

help:
	@echo "make demo        install, and take the digits model from PyTorch to RTL and an ECP5 project"
	@echo "make bitstream   after make demo: build the project's bitstream (some minutes)"
	@echo "make test        all tests but the slow ones"
	@echo "make test-full   all tests"
	@echo "make fuzz        2,048 random models on random machines, on every level (some tens of minutes)"
	@echo "make fuzz-ops    20,000 Graphs of ops in any order in the interpreter, 64 in RTL (about an hour)"
	@echo "make all-digits  1,797 real images through RTL, every tensor equal (minutes)"
	@echo "make lint        ruff"
	@echo "make types       pyright"
	@echo "make ci          lint, types, docs and tests, as CI runs them"
	@echo "make format      rewrite the sources with ruff"
	@echo "make table       rewrite the generated parts of README.md and docs/"
	@echo "make docs        the pages as a site: build/docs/index.html"
	@echo "make dist        the source distribution and the wheel, the same bytes for the same commit"
	@echo "make clean       remove what was generated, but not .venv"

demo:
	@$(SETUP) all
	@$(BIN)/python scripts/demo.py build/demo

bitstream:
	@$(SETUP) all
	@$(BIN)/hlsgen bitstream build/demo

test:
	@$(SETUP) all,dev
	HLSGEN_REQUIRE_TOOLS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -q -m "not slow"

test-full:
	@$(SETUP) all,dev
	HLSGEN_REQUIRE_TOOLS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -q

fuzz:
	@$(SETUP) all,dev
	$(BIN)/python -m benchmarks.fuzz --cases 2048 --seed 0

fuzz-ops:
	@$(SETUP) all,dev
	$(BIN)/python -m benchmarks.fuzz --composed --cases 20000 --seed 0 --levels program
	$(BIN)/python -m benchmarks.fuzz --composed --cases 64 --seed 1 --levels program,csim
	$(BIN)/python -m benchmarks.fuzz --composed --cases 288 --seed 1 --levels program,rtl
	$(BIN)/python -m benchmarks.fuzz --integers --cases 20000 --seed 0 --levels program
	$(BIN)/python -m benchmarks.fuzz --integers --cases 288 --seed 1 --levels program,csim,rtl

all-digits:
	@$(SETUP) all,dev
	$(BIN)/python -m benchmarks.all_digits

lint:
	@$(SETUP) all,dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types:
	@$(SETUP) all,dev
	$(BIN)/pyright

ci: lint types docs test

format:
	@$(SETUP) all,dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

table:
	@$(BIN)/python scripts/table.py
	@set -e; for page in map api errors tutorial picture; do $(BIN)/python -m scripts.$$page; done

docs:
	@$(SETUP) all,dev
	$(BIN)/python -m scripts.site build/docs

dist:
	@$(SETUP) all,dev
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python -m build --no-isolation --outdir build/dist

clean:
	rm -rf build .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './.venv/*' -exec rm -rf {} +
