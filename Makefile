# Two commands for everyone: `make run` and `make test`. Both set up .venv first when it is missing or out of date.
PYTHON ?= python3
CONFIG ?= configs/lstm.yaml
BIN := .venv/bin
# Anything after the configuration, such as ARGS="--quick --device cpu".
ARGS ?=
# The slowest first, since they run beside each other. .pre-commit-config.yaml has the same ones.
LINTERS := mypy lint-imports vulture codespell ruff-format ruff-check

.PHONY: help setup run check test lint nightly references clean $(LINTERS)

help:
	@echo "make run [CONFIG=configs/cnn.yaml] [ARGS=--quick]   measure a network on this machine"
	@echo "make check                                          lint, types, import contracts, the quick tests"
	@echo "make test                                           the same with all tests"
	@echo "make nightly [ARGS='--set params.fused=false']      measure small networks, compare with the nights before"
	@echo "make references                                     remake the float64 references of the correctness gate"
	@echo "make clean                                          remove .venv and caches; results/ stays"

run: .venv/.run
	$(BIN)/gpuprof run $(CONFIG) $(ARGS)
	@echo "Next: . .venv/bin/activate, then gpuprof show -v last, gpuprof demo (a comparison), gpuprof help compare"

# Spread test by test: the quick ones share nothing that takes long to make. One that takes long lacks its mark.
check: .venv/.test lint
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow" --timeout 30

test: .venv/.test lint
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: .venv/.test
	@$(MAKE) --no-print-directory --jobs 2 --keep-going --output-sync $(LINTERS)

vulture codespell:
	$(BIN)/$@

# Scripts without a suffix are each called __main__, of which there may be one at a time.
mypy:
	$(BIN)/mypy
	$(BIN)/mypy scripts/first_light

lint-imports:
	$(BIN)/lint-imports --no-logo

ruff-format:
	$(BIN)/ruff format --check .

ruff-check:
	$(BIN)/ruff check .

# Small and on the CPU: what a timer does on a GPU with `gpuprof schedule render`. CPUs are noisy, so that only what is
# 30% slower counts.
NIGHTLY ?= configs/lstm.yaml configs/rnn.yaml
nightly: .venv/.run
	$(BIN)/python scripts/compare_nightly $(NIGHTLY) --quick --device cpu --set threads=1 --set batch_size=1 --least 0.3 $(ARGS)

references: .venv/.run
	$(BIN)/python scripts/make_references.py

setup: .venv/.test

# uv installs twice as fast; where it cannot be had, pip does the same.
.venv/.run: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet uv \
	  && $(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode -e . \
	  || $(BIN)/python -m pip install --quiet -e .
	touch $@

.venv/.test: .venv/.run
	$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --group dev \
	  || $(BIN)/python -m pip install --quiet --group dev
	touch $@

clean:
	rm -rf .venv .ruff_cache .mypy_cache .import_linter_cache .hypothesis
