# Verbs. Every one sets up what it needs; nothing has to be done first.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check
LOCKED = -c constraints.txt
# The CPU build of torch is enough for the tests; a plain install may bring gigabytes of CUDA.
TORCH ?= torch==2.13.0

.PHONY: help demo test check bench lock clean
help:  ## Show the verbs
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/core  ## Ingest the sample documents and ask three questions
	@$(BIN)/python examples/01_ask_your_files/demo.py

test: $(VENV)/dev  ## Run the tests
	@$(BIN)/python -m pytest -n auto --dist loadfile

check: $(VENV)/dev  ## Lint, types, import contracts, docstrings
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/interrogate --quiet llmapp connectors

bench: $(VENV)/dev  ## Measure: ratios against the bare parts, quality on the evaluation data
	@$(BIN)/python benchmarks/run.py

lock:  ## Renew constraints.txt from what a fresh environment resolves to
	@rm -rf .cache/lock && $(PYTHON) -m venv .cache/lock
	@.cache/lock/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	@.cache/lock/bin/python -m pip install --quiet $(TORCH)
	@.cache/lock/bin/python -m pip install --quiet --editable '.[openai,ollama,anthropic,sentence-transformers]' \
	    --group test --group check --group bench
	@{ echo '# Tested versions; make lock renews them. torch is chosen apart: its build depends on the machine.'; \
	   .cache/lock/bin/python -m pip freeze --exclude-editable \
	   | grep -viE '^(torch|triton|pip|setuptools|nvidia-|cuda-)'; } > constraints.txt
	@rm -rf .cache/lock
	@wc -l constraints.txt

clean:  ## Remove the environment and all caches
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

$(VENV)/pip:
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --quiet --upgrade 'pip>=25.1'
	@touch $@

$(VENV)/core: $(VENV)/pip pyproject.toml constraints.txt
	@echo "installing llmapp into $(VENV) ..."
	@$(PIP) install --quiet $(LOCKED) --editable .
	@touch $@

$(VENV)/dev: $(VENV)/core
	@echo "installing what the tests need (CPU torch) ..."
	@$(PIP) install --quiet $(TORCH)
	@$(PIP) install --quiet $(LOCKED) --group test --group check --group bench
	@touch $@
