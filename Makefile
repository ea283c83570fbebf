# make demo: the whole journey on the synthetic catalogue.   make test: the default test suite.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup slim demo test format lint lock audit sbom clean

setup: .venv/ready

# Each file that is installed has a hash in locks/. Of torch pip would take the package index's build before any other,
# so that one for CPUs is tried first; pip check misses something where it is a build for CUDA.
LOCKED := install --quiet --require-hashes --no-deps --requirement
.venv/ready: pyproject.toml $(wildcard locks/*.txt)
	@echo "Installing 2 GB of packages into .venv, which takes some minutes."
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip $(LOCKED) locks/torch.txt 2>/dev/null || true
	$(BIN)/python -m pip $(LOCKED) locks/all.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	$(BIN)/python -m pip check >/dev/null || $(BIN)/python -m pip $(LOCKED) locks/cuda.txt
	$(BIN)/python -m pip check
	touch $@

# What a server needs, without torch: an environment that tests/server/test_without_torch.py serves from.
slim: .venv/slim/ready

.venv/slim/ready: pyproject.toml locks/serve.txt
	$(PYTHON) -m venv .venv/slim
	.venv/slim/bin/python -m pip $(LOCKED) locks/serve.txt
	.venv/slim/bin/python -m pip install --quiet --no-deps --editable .
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

# The packages of pyproject.toml with the hashes of all their files. Versions stay unless ARGS=--upgrade. The builds in
# locks/torch.txt are added by hand: `pip hash FILE`.
LOCK := uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-annotate \
  --custom-compile-command 'make lock' $(ARGS)
lock: setup
	$(BIN)/$(LOCK) pyproject.toml --all-extras --output-file locks/all.txt
	$(BIN)/$(LOCK) pyproject.toml --extra serve --constraint locks/all.txt --output-file locks/serve.txt
	sed -n 's/^\(torch==[^ ]*\).*/\1/p' locks/all.txt >.venv/torch.in
	sed -n 's/^\([^ =]*\)==.*/\1/p' locks/all.txt | grep -vx torch >.venv/locked.in
	$(BIN)/$(LOCK) .venv/torch.in --no-config --excludes .venv/locked.in --no-emit-package torch --output-file locks/cuda.txt

# Known vulnerabilities of the packages in locks/.
audit: setup
	$(BIN)/python .ci/audit.py --requirement locks/all.txt --requirement locks/cuda.txt $(ARGS)

# Every installed package with its version and licence, as CycloneDX.
sbom: setup
	$(BIN)/cyclonedx-py environment $(BIN)/python --pyproject pyproject.toml --mc-type library \
	  --output-reproducible --output-file sbom.json

clean:
	rm -rf .venv demo-out .pytest_cache .mypy_cache .ruff_cache
