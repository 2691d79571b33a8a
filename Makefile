# `make repro` runs the main line and prints its table, `make lines` all four systems and theirs, `make test` checks the
# code, `make doctor` tells about this machine and this clone.
# The venv is made once, from the lock in requirements.txt, every file by its hash.

VENV ?= .venv
PYTHON ?= python3.11
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export PATH := $(abspath $(BIN)):$(PATH)
export DVC_NO_ANALYTICS := 1
export HF_HUB_OFFLINE := 1
# What a shell may have left and no Python below should see: other modules, warnings that are errors, another place for
# pip to install to.
unexport PYTHONHOME PYTHONPATH PYTHONSAFEPATH PYTHONOPTIMIZE PYTHONWARNINGS PYTHONINSPECT PIP_USER PIP_TARGET PIP_PREFIX

test test-all: export OMP_NUM_THREADS := 1  # two tests at a time; stages take theirs from engine.threads

.PHONY: help repro lines experiments doctor ship test test-all lint

.DEFAULT_GOAL := repro

help:  ## what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

repro: $(READY)  ## the root line, then its table
	@python -m stages.preflight
	dvc repro
	@python -m stages.report --table

lines: $(READY)  ## all four systems, then their table and page; what was stopped goes on
	@python -m stages.preflight
	dvc repro -P
	@python -m stages.compare systems

experiments: $(READY)  ## those of `dvc exp run`: what each changed and what came of it, the best first
	@python -m stages.compare experiments

doctor: $(READY)  ## one page about this machine and this clone, to be pasted into a report of a fault
	@python -m stages.doctor

ship: $(READY)  ## fill the remote inside the repo from a finished line: what `dvc pull` gives a fresh clone; then commit it
	rm -rf data/store
	dvc push --remote shipped
	@size=$$(du -sm --apparent-size data/store | cut -f1); echo "data/store: $$size MB"; \
	if [ $$size -gt 80 ]; then echo "more than the 80 MB that the repo should carry" >&2; exit 1; fi

test: $(READY) lint  ## lint, types, and every quick test
	pytest -m "not slow" --numprocesses 2 --dist loadfile

test-all: $(READY) lint  ## the slow proofs too
	pytest

lint: $(READY)
	ruff check .
	mypy

# --no-deps: the lock is complete, and mmcv-lite names an unmaintained mmengine as its dependency (onedl-mmengine
# stands in for it). What builds the three packages that come as source is pinned too, and must be there first.
# requirements.hashes.txt is requirements.txt with the hashes of every file of each release, and made from it by
#     uv pip compile requirements.txt --no-deps --generate-hashes --no-header --no-annotate -o requirements.hashes.txt
# pip itself is pinned by the Python that made the venv. An installation that was stopped goes on: what is there stays,
# what pip has downloaded is in its cache, and a package without its RECORD was being written and is installed again.
INSTALL := $(BIN)/pip install --quiet --no-deps --require-hashes --disable-pip-version-check
$(READY): requirements.hashes.txt
	@sh .ci/machine "$(PYTHON)" "$(VENV)"
	$(PYTHON) -m venv $(VENV)
	@for one in $(VENV)/lib/python3.11/site-packages/*.dist-info; do [ -f "$$one/RECORD" ] || rm -rf "$$one"; done
	@awk '/^(cython|setuptools|wheel)==/,/[^\\]$$/' requirements.hashes.txt > $(VENV)/build.txt
	$(INSTALL) -r $(VENV)/build.txt
	$(INSTALL) --no-build-isolation -r requirements.hashes.txt
	touch $(READY)
