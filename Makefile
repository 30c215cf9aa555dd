# Everything a developer or CI runs. `make` alone lists the targets.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test test-slow lint format types bench accuracy accuracy-all clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.venv/core: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -c constraints.txt -e .
	touch $@

.venv/dev: .venv/core
	$(BIN)/pip install --quiet -c constraints.txt -e ".[dev]"
	touch $@

# timm brings torchvision, which cannot be imported next to a CPU-only torch; its tests find both here.
.venv/timm: .venv/dev
	$(BIN)/pip install --quiet -c constraints.txt --no-deps --upgrade --target $@ timm torchvision
	touch $@

# What benchmarks/training.py compares with, and no more than it imports; its dependencies for video need a GPU.
.venv/opponents: .venv/dev constraints.txt
	$(BIN)/pip install --quiet -c constraints.txt --no-deps --upgrade --target $@ lightning-action lightning pandas
	touch $@

# Tests open reports in a real browser. Where it is missing, only root on Debian gets it unasked, such as CI in a container.
BROWSERS := chromium chromium-browser google-chrome
.venv/browser: .venv/core
	@for name in $(BROWSERS); do command -v $$name && break; done || \
	  { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -qq -y --no-install-recommends chromium; } || \
	  { echo "make test: expected a browser ($(BROWSERS)), found none; install chromium" >&2; exit 1; }
	touch $@

# The oldest OpenCV that is promised to work, and the next generation.
OTHER_OPENCV := .venv/opencv/4.12.0.88 .venv/opencv/5.0.0.93
.venv/opencv/%: .venv/dev
	$(BIN)/pip install --quiet --no-deps --upgrade --target $@ opencv-python-headless==$*

# One test after the other on each core, and no test that takes the cores of another.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist worksteal

# The seed of the random examples in `make test-slow`, which prints it; `make test-slow SEED=…` repeats them.
SEED ?= $(shell date +%s)

demo: .venv/core  ## draw clips, train on them, label a held-out clip: the whole path in minutes
	$(BIN)/videoseq demo demo

test: .venv/dev .venv/timm .venv/browser  ## all tests but the slow ones, with the same examples every time
	$(PYTEST)

test-slow: .venv/dev .venv/timm $(OTHER_OPENCV)  ## the slow tests (an hour of video, damaged files, the wheel), and properties on new examples
	$(PYTEST) -m "slow or hypothesis" --hypothesis-profile=fresh --hypothesis-seed=$(SEED)

lint: .venv/dev  ## ruff: style, docstrings, formatting
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: .venv/dev  ## ruff: put the formatting right
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

types: .venv/dev  ## mypy --strict
	$(BIN)/mypy

bench: .venv/dev .venv/opponents  ## speed, memory and agreement, compared with the obvious alternatives, in ten minutes
	$(BIN)/python benchmarks

accuracy: .venv/dev  ## how good labels are on eight tasks of real clips, compared with other recipes on the same features
	$(BIN)/python benchmarks/accuracy.py --json bench/accuracy.json

accuracy-all: .venv/dev  ## the same with every recipe, and with a larger CNN; takes hours
	$(BIN)/python benchmarks/accuracy.py --all --keep --json bench/accuracy.json
	$(BIN)/python benchmarks/accuracy.py --json bench/accuracy-lite2.json --backbone efficientnet_lite2 \
	  --only "videoseq" "videoseq, no context"

clean:  ## remove what was built here
	rm -rf .venv bench build dist demo *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
