# make run    the main job, then keeps serving
# make test   the whole suite
# make check  format, lint, types, import contracts, security lint, tests
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check --quiet

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12
