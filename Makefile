# Two commands do everything: `make run` and `make test`. Both set up `.venv` first.
# `make test` is what a change can break. `make prove` is the tests marked `prove`, which take too long for
# every change: ten kills, whole walks in a browser, clusters of two nodes, PostgreSQL and S3. Run it before
# an issue is called resolved.

PYTHON ?= python3.11
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder
APT := chromium postgresql
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: run test prove check bench up report clean-venv

run: .venv/ready          ## raw text to a released model (recipe `tiny`)
	$(BIN)/bloomery run

test: .venv/dev           ## what a change can break, on a machine without an accelerator
	$(PYTEST) -m "not prove"

prove: .venv/dev          ## the long proofs alone
	$(PYTEST) -m prove

check: .venv/dev          ## the quick half of `test`: format, lint, types, import contracts
	$(BIN)/python -m pytest tests/test_static.py

bench: .venv/bench        ## speed and time to a loss beside other trainers, on this idle machine
	$(BIN)/python -m tests.benchmarks

up: .venv/ready           ## Prefect, MLflow, a worker and the dashboard, until Ctrl-C
	$(BIN)/bloomery up

report: .venv/ready       ## the scorecard of the last run
	$(BIN)/bloomery report

.venv/ready: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[all]'
	$(BIN)/python -m infra.templates  # two databases, migrated once
	touch $@

.venv/dev: .venv/ready
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	test $$(id -u) != 0 || dpkg --status $(APT) >/dev/null 2>&1 || \
	    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq $(APT); } \
	    >/dev/null 2>&1 || echo "No $(APT): their tests will be skipped."
	touch $@

.venv/bench: .venv/dev
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[bench]'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps litgpt
	touch $@
