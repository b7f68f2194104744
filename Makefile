# Every target is one readable line. Python 3.11 or newer and make are all that is needed.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

TESTS := $(BIN)/pytest --dist worksteal --durations=30 --durations-min=1
PROPERTIES := tests/schemas tests/rating tests/stream_processors/core tests/stream_processors/flushing tests/ingest_gateway tests/interleavings

# A caller's setting would have each of the hundreds of processes that the tests start compile every module again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install up cluster cluster-demo test quick test-long soak chaos check style types fix bench bench-full bench-cluster bench-cluster-full clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMP)  ## create .venv with everything in it

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Tallyhouse needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Name another one: make PYTHON=python3.12")'
	@echo "Installing Tallyhouse into $(VENV): this takes a minute or two, and happens once."
	@echo "1 of 3: creating the virtual environment"
	@$(PYTHON) -m venv $(VENV)
	@echo "2 of 3: updating pip"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@echo "3 of 3: downloading and installing the libraries"
	@$(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt --group dev --editable .
	@touch $(STAMP)
	@echo "Installed."

up: install  ## migrate and serve on http://localhost:8787
	$(BIN)/tallyhouse serve

cluster: install  ## run Kafka, Faust workers and all else of a cluster on this machine
	$(BIN)/tallyhouse cluster

cluster-demo: install  ## a worker of a loaded cluster is killed, and the totals are exact
	$(BIN)/tallyhouse cluster-demo

test: install style  ## style, types, and every test but the long proofs: under ten minutes on two cores
	@$(MAKE) --no-print-directory --jobs=2 types quick

quick: install  ## every test but the long proofs
	$(TESTS) -n 4 -m 'not long'

test-long: install  ## the long proofs: more kills, more examples, whole clusters, minutes of silence
	$(TESTS) -n 3 -m long
	$(TESTS) -n 3 -m 'hypothesis and not long' --hypothesis-profile=ci $(PROPERTIES)
	$(MAKE) soak

soak: install  ## a log that hangs for a minute under two hundred clients, brokers that are away for a minute
	SOAK_SECONDS=60 $(BIN)/pytest tests/e2e/test_stalled_log.py tests/tallyhouse/cluster/test_outage.py -s

chaos: install  ## the longest proof: 10 million events, 50 kills -9; writes deploy/chaos-report.md
	$(BIN)/python -m tests.chaos --events 10000000 --kills 50 --report deploy/chaos-report.md

check: style types  ## style, types

style: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

fix: install  ## mend what can be mended mechanically
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install  ## speed in about two minutes; writes bench.json
	$(BIN)/python -m tests.bench --short --output bench.json

bench-full: install  ## speed as in the targets; writes bench.json
	$(BIN)/python -m tests.bench --output bench.json

bench-cluster: install  ## speed of a whole cluster on this machine, in short; writes bench-cluster.json
	$(BIN)/python -m tests.bench.cluster --short --output bench-cluster.json

bench-cluster-full: install  ## the same as in the targets, about half an hour; writes bench-cluster.json
	$(BIN)/python -m tests.bench.cluster --output bench-cluster.json

clean:  ## remove what the targets made (never ./data or ./cluster-data)
	rm -rf $(VENV) build *.egg-info bench.json bench-cluster.json
