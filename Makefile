# Everything runs in .venv, which the targets make themselves. PYTHON names the interpreter to make it with.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo demo-ray test explore check bench bench-search bench-gpu clean

demo: $(VENV)/.demo  ## tune a real model on this machine
	$(BIN)/tuneport run examples/digits/job.yaml

demo-ray: $(VENV)/.demo  ## the same on a Ray cluster that is started for it on this machine
	$(BIN)/python -m pip install --quiet --editable '.[ray]'
	$(BIN)/tuneport run examples/digits/job.yaml --on ray

test: check  ## everything that is checked
	$(BIN)/python -m pytest -n auto --dist worksteal

explore: $(VENV)/.dev  ## property tests with other examples than ever before
	$(BIN)/python -m pytest -n auto --dist worksteal --hypothesis-profile=explore

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python tools/generate.py --check
	$(BIN)/python tools/native_schemas.py --check

bench: $(VENV)/.dev  ## overheads, as ratios in one run
	$(BIN)/python bench/engine.py
	$(BIN)/python bench/translate.py
	$(BIN)/python bench/clients.py
	$(BIN)/python bench/scale.py
	$(BIN)/python bench/transfer.py

bench-search: $(VENV)/.dev  ## the search core against Optuna, on models of scikit-learn
	$(BIN)/python bench/search.py
	$(BIN)/python bench/pausing.py

bench-gpu: $(VENV)/.dev  ## the packing of trials on a GPU; needs one, and torch in .venv
	$(BIN)/python bench/gpu.py

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis

# A stamp per dependency group of pyproject.toml; dev contains demo.
$(VENV)/.%: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tuneport needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable . --group $*
	@touch $@
