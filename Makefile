# make demo: the whole journey on the synthetic catalogue.   make test: the default test suite.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup slim demo test format lint sbom clean

setup: .venv/ready

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

# What a server needs, without torch: an environment that tests/server/test_without_torch.py serves from.
slim: .venv/slim/ready

.venv/slim/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv/slim
	.venv/slim/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[serve]'
	touch $@

demo: setup
	$(BIN)/kaleidobert demo --out demo-out $(ARGS)

# One thread each: sums, and so whole trainings, are then the same to the last digit whatever else the machine does.
test: setup
	OMP_NUM_THREADS=1 KALEIDOBERT_SLIM=$(wildcard .venv/slim/bin/python) $(BIN)/python -m pytest -n 2 $(ARGS)

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# Every installed package with its version and licence, as CycloneDX: what to ask a database of vulnerabilities about.
sbom: setup
	$(PYTHON) -m venv .venv/sbom
	.venv/sbom/bin/python -m pip install --quiet 'cyclonedx-bom==7.5.0'
	.venv/sbom/bin/cyclonedx-py environment $(BIN)/python --pyproject pyproject.toml --mc-type library \
	  --output-reproducible --output-file sbom.json

clean:
	rm -rf .venv demo-out .pytest_cache .mypy_cache .ruff_cache
