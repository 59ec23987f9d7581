# brain-mri-triage: everything a user or a developer types. GNU make, POSIX sh. `make` alone lists the targets.
# Everything is installed into .venv, at the versions of constraints.txt; nothing outside this folder changes.

PYTHON ?= python3
DATA ?= dataset
ARGS ?=
GPU ?=
UPGRADE ?=
RUNS ?= 1
TARGET ?= images
MINUTES ?= 10

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install install-gpu install-train run demo train test test-long chaos soak hostile fuzz check audit lock secrets clean

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
LOCKED := pyproject.toml constraints.txt
INSTALL := $(PIP) install --quiet --constraint constraints.txt --no-build-isolation --editable

# Tried in this order; a PYTHON given by the user is taken alone.
PYTHONS := $(if $(filter file,$(origin PYTHON)),python3 python3.13 python3.12 python3.11,$(PYTHON))

ifeq ($(GPU),1)
RUN_STAMP := $(VENV)/.installed-gpu
export TRIAGE_ENGINE ?= torch
else
RUN_STAMP := $(VENV)/.installed-worker
endif

help: ## List the targets
	@echo "brain-mri-triage. Targets:"
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile
	@echo "Settings are environment variables: see .env.example. Another Python: make PYTHON=python3.12 ..."

install: $(VENV)/.installed-worker ## Install the worker (light: OpenVINO, no torch)

install-gpu: $(VENV)/.installed-gpu ## Install the worker with torch, for a GPU

install-train: $(VENV)/.installed-everything ## Install everything: worker, trainer, tests and checks

# The traps: celery ends with status 1 after a clean Ctrl-C, and make passes SIGTERM on to this shell only.
run: $(RUN_STAMP) ## Start the worker: drop scans into triage-home/inbox (GPU=1 for the torch engine); Ctrl-C stops it
	@trap 'stopped=yes; kill -TERM "$$worker" 2>/dev/null' INT TERM HUP; \
	$(BIN)/celery -A worker worker $(ARGS) & worker=$$!; \
	wait "$$worker"; status=$$?; \
	while kill -0 "$$worker" 2>/dev/null; do wait "$$worker"; status=$$?; done; \
	[ -n "$$stopped" ] || exit "$$status"

# Under a dot-name first, then renamed: the worker takes only whole files.
demo: ## Copy the sample scans into the inbox, before or while `make run` runs
	@inbox="$${TRIAGE_HOME:-triage-home}/inbox" && mkdir -p "$$inbox" && \
	find samples -type f \( -name '*.jpg' -o -name '*.dcm' \) -exec sh -c ' \
		inbox=$$1; shift; \
		for scan do \
			name=$${scan##*/}; \
			cp "$$scan" "$$inbox/.$$name.part" && mv -f "$$inbox/.$$name.part" "$$inbox/$$name" || exit 1; \
		done' sh "$$inbox" {} + && \
	echo "Sample scans are in $$inbox; the reports appear in $${inbox%/inbox}/outbox while \`make run\` runs."

train: $(VENV)/.installed-everything ## Train a model from DATA=dataset (more options: ARGS="--recipe seed")
	$(BIN)/python -m trainer.fit --data "$(DATA)" $(ARGS)

test: check ## Install everything, check, run all tests (some of them: ARGS="tests/worker -k inbox")
	$(BIN)/python -m pytest --numprocesses 3 --dist loadfile $(ARGS)

test-long: $(VENV)/.installed-everything ## The tests that take too long for `make test`, but for those of `make chaos`
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile -m long --ignore tests/chaos $(ARGS)

# RUNS=5 goes through all scenarios five times. Some of them (ARGS) are recorded in runs/chaos/ alone.
chaos: $(VENV)/.installed-everything ## Do all the damage of tests/chaos, and write docs/reliability.md's table anew
	rm -f runs/chaos/faults.csv
	failed=0; for run in $$(seq $(RUNS)); do \
		CHAOS_RECORD=runs/chaos/faults.csv CHAOS_SEED=$$run \
		$(BIN)/python -m pytest -m "long or not long" tests/chaos $(ARGS) || failed=1; \
	done; \
	$(if $(strip $(ARGS)),,cp runs/chaos/faults.csv docs/runs/chaos/ && $(BIN)/python docs/generate.py;) exit $$failed

soak: $(VENV)/.installed-everything ## Random damage to both deployments while files keep coming (MINUTES=60 for each)
	CHAOS_SOAK_MINUTES=$(MINUTES) $(BIN)/python -m pytest -m long tests/chaos/test_soak.py $(ARGS)

hostile: $(VENV)/.installed-everything ## Drop hostile inputs and poison into a worker, and write docs/limits.md's table anew
	rm -f docs/runs/hostile/poison.json
	HOSTILE_RECORD=docs/runs/hostile/figures.json $(BIN)/python -m pytest tests/system/test_hostile_inputs.py $(ARGS)
	POISON_RECORD=docs/runs/hostile/poison.json $(BIN)/python -m pytest -m long tests/system/test_poison.py -k wait_long $(ARGS)
	$(BIN)/python docs/generate.py

# Goes on from runs/fuzz/; findings are written to tests/data/fuzz/.
fuzz: $(VENV)/.installed-everything ## Fuzz TARGET=images, dicom or archives for MINUTES=10
	$(BIN)/python -m tests.fuzz.fuzz_$(TARGET) -max_total_time=$$(($(MINUTES) * 60)) $(ARGS)

check: $(VENV)/.installed-everything ## Lint, format, types, import rules
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# --strict: a package that nobody could look up is no clean one.
audit: $(VENV)/.installed-everything ## Ask PyPI's advisories about every package of constraints.txt (needs the internet)
	@$(BIN)/pip-audit --requirement constraints.txt --no-deps --disable-pip --strict --progress-spinner off || { \
		echo "The audit found something, or could not be made: read above. Until it ends well, nothing is known." >&2; \
		exit 1; }

lock: ## Write constraints.txt anew after a change of pyproject.toml (UPGRADE=1: newest versions of everything)
	@$(find-python) && tmp=$$(mktemp -d) && trap 'rm -rf "$$tmp"' EXIT && \
	"$$python" -m venv "$$tmp/venv" && \
	"$$tmp/venv/bin/python" -m pip --disable-pip-version-check install --quiet uv && \
	"$$tmp/venv/bin/uv" pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
		--all-extras --group build --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' \
		$(if $(UPGRADE),--upgrade) --output-file constraints.txt pyproject.toml && \
	echo "constraints.txt is fresh; commit it together with pyproject.toml."

secrets: ## Make what docker compose needs: ./secrets (passwords, never overwritten) and ./triage-home
	@umask 022 && mkdir -p secrets triage-home && chmod 700 secrets && \
	for name in postgres redis; do \
		file=secrets/$$name-password.txt; \
		[ -s "$$file" ] || od -An -N24 -tx1 /dev/urandom | tr -d ' \n' > "$$file" || exit 1; \
	done && echo "secrets/ and triage-home/ are ready: docker compose up --build"

clean: ## Remove .venv and caches; scans, reports, models and runs stay
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# ---- what is installed: a stamp file each, older than pyproject.toml or constraints.txt means install again ----

define find-python
python= && for candidate in $(PYTHONS); do \
		if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			python=$$candidate; break; \
		fi; \
	done; \
	[ -n "$$python" ] || { \
		echo "Python 3.11 or newer is needed and was not found as: $(PYTHONS)." >&2; \
		echo "Install one, or name it: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
endef

$(VENV)/.created: $(LOCKED)
	@$(find-python) && \
	{ "$$python" -m venv $(VENV) || { \
		echo "Python cannot make a virtual environment; on Debian or Ubuntu install python3-venv." >&2; exit 1; }; } && \
	$(PIP) install --quiet --constraint constraints.txt pip hatchling editables
	@touch $@

$(VENV)/.installed-worker: $(VENV)/.created $(LOCKED)
	@echo "Installing the worker's packages into $(VENV), once (under a minute) ..."
	@$(INSTALL) .
	@touch $@

$(VENV)/.installed-gpu: $(VENV)/.created $(LOCKED)
	@echo "Installing the worker and torch into $(VENV), once (some GB, a few minutes) ..."
	@$(INSTALL) '.[gpu]'
	@touch $(VENV)/.installed-worker $@

$(VENV)/.installed-everything: $(VENV)/.created $(LOCKED)
	@echo "Installing everything into $(VENV), once (some GB with torch, a few minutes) ..."
	@$(INSTALL) '.[gpu,test,train]'
	@touch $(VENV)/.installed-worker $(VENV)/.installed-gpu $@
