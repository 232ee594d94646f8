# Everything runs from .venv in this folder, which is built from a lock file with hashes.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
LOCK ?= deploy/cpu.lock
STAMP := $(VENV)/.installed
UV := VIRTUAL_ENV=$(CURDIR)/$(VENV) $(VENV)/bin/uv pip
PYTHONS := $(PYTHON) python3 python3.13 python3.12 python3.11

CHAOS := tests/chaos/results/long.json

# Of what uv says, only the downloads of 100 MiB and more and the totals.
BRIEFLY := '/^ *[-+~] /d; /Downloaded /d; /Downloading .*([0-9]\{1,2\}\./d; s/^ */setup: /'

# A slow or broken network is waited out, not reported as a failed build.
export PIP_RETRIES ?= 10
export PIP_DEFAULT_TIMEOUT ?= 120
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export UV_HTTP_RETRIES ?= 10
export UV_HTTP_TIMEOUT ?= 120

# Half of the time of a test is waiting. What needs the engine stays in one process (tests/support/scheduling.py).
SIDE_BY_SIDE := -n $(or $(JOBS),2) --dist loadfile --no-loadscope-reorder

.PHONY: help setup demo test test-long chaos train-smoke check bench fuzz soak generate lock clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

setup: $(STAMP) ## build .venv (LOCK=deploy/gpu.lock for a machine with a GPU)

demo: $(STAMP) ## everything once, live: Kafka, worker, three tenants, a policy change
	@$(VENV)/bin/rsafe demo

test: $(STAMP) ## the suite, real broker and real engine included (JOBS=2 processes)
	@REQUIRE=broker,engine $(VENV)/bin/python -m pytest -m "not long" $(SIDE_BY_SIDE)

test-long: $(STAMP) ## what takes minutes for a single test: the 7B recipe shrunken, long plans
	@REQUIRE=broker,engine $(VENV)/bin/python -m pytest -m long

chaos: $(STAMP) ## the long chaos plan, about 25 minutes: faults from twelve seeds; writes the README's table
	@status=0; \
	$(VENV)/bin/python -m tests.chaos --seeds 10 --out $(CHAOS) || status=1; \
	$(VENV)/bin/python -m tests.chaos --engine real --seeds 2 --messages 400 --faults 4 --out $(CHAOS) || status=1; \
	$(VENV)/bin/python -m tests.chaos.report $(CHAOS) README.md; \
	exit $$status

train-smoke: $(STAMP) ## supervised training and GRPO end to end on a handful of rows, along a pinned trajectory
	@$(VENV)/bin/python -m pytest tests/train/test_smoke.py

check: $(STAMP) ## lint, format, types, licences, known vulnerabilities
	@$(VENV)/bin/ruff check
	@$(VENV)/bin/ruff format --check
	@$(VENV)/bin/mypy
	@$(VENV)/bin/python -m worker.supply check

bench: $(STAMP) ## throughput against its own limits, as ratios
	@$(VENV)/bin/rsafe bench

fuzz: $(STAMP) ## a million inputs to every parser of bytes from outside (JOBS=2 targets at once)
	@$(VENV)/bin/python -m tests.fuzz --jobs $(or $(JOBS),2) --out tests/fuzz/results.json --readme tests/README.md

soak: $(STAMP) ## 200,000 messages through one worker: does anything grow?
	@$(VENV)/bin/python -m worker.bench.soak --out worker/bench/soak.json --readme README.md

generate: $(STAMP) ## write schemas/, tables of the READMEs, bills of materials and licences again, from the code
	@$(VENV)/bin/python -m worker.schemas
	@$(VENV)/bin/python -m worker.docs
	@$(VENV)/bin/python -m worker.supply

lock: $(STAMP) ## compile the lock files again (UPGRADE=--upgrade for newer versions)
	@deploy/lock.sh $(VENV) $(UPGRADE)

clean: ## remove .venv and what tools left behind
	@rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@for python in $(PYTHONS); do \
	  if "$$python" -c 'import sys, ensurepip, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then \
	    echo "setup: $$("$$python" --version) makes $(VENV)"; \
	    exec "$$python" -m venv $(VENV); \
	  fi; \
	done; \
	echo "setup: found no Python 3.11, 3.12 or 3.13 with the venv module; install one, or name it: make setup PYTHON=/path/to/python3.12" >&2; \
	exit 1

$(VENV)/bin/uv: deploy/bootstrap.lock | $(VENV)/bin/python
	@$(VENV)/bin/python -m pip install --quiet --require-hashes -r deploy/bootstrap.lock
	@touch $@

$(VENV)/.$(notdir $(LOCK)): $(LOCK) | $(VENV)/bin/uv
	@echo "setup: installs $(LOCK) (about 6 GB on disk, once)"
	@$(UV) install --no-deps --require-hashes -r $(LOCK) 2>&1 | sed -u $(BRIEFLY)
	@touch $@

$(STAMP): $(VENV)/.$(notdir $(LOCK)) pyproject.toml
	@$(UV) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
	@echo "setup: done"
