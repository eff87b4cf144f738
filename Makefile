.DEFAULT_GOAL := help
PYTHON ?= python3
DEMO_STORE := $(if $(filter command,$(origin STORE)),$(STORE),folder)
JOBS ?= 2
VENV := .venv
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check --quiet
unexport STORE

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /:/' | awk -F: '{printf "make %-14s %s\n", $$1, $$2}'

.PHONY: run
run: $(if $(filter s3,$(DEMO_STORE)),$(VENV)/.dev,$(VENV)/.run) ## the main job before your eyes, then serve on; STORE=s3 for moto's S3
	@$(VENV)/bin/medialink demo --store $(DEMO_STORE)

.PHONY: test
test: $(VENV)/.dev ## the whole suite
	$(VENV)/bin/pytest --numprocesses $(JOBS)

.PHONY: coverage
coverage: $(VENV)/.dev ## the lines that no test in this process reaches
	$(VENV)/bin/coverage run -m pytest --quiet
	$(VENV)/bin/coverage report --skip-covered --show-missing

.PHONY: check
check: format-check lint types imports security hadolint terraform-form test ## everything that must hold before a commit lands

.PHONY: format
format: $(VENV)/.dev ## put the code into its form
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix-only --quiet .

.PHONY: format-check
format-check: $(VENV)/.dev
	$(VENV)/bin/ruff format --check .

.PHONY: lint
lint: $(VENV)/.dev ## ruff, every rule
	$(VENV)/bin/ruff check .

.PHONY: types
types: $(VENV)/.dev ## mypy, strict
	$(VENV)/bin/mypy

.PHONY: imports
imports: $(VENV)/.dev ## the import contracts
	$(VENV)/bin/lint-imports

.PHONY: security
security: $(VENV)/.dev ## bandit
	$(VENV)/bin/bandit --quiet --recursive --configfile pyproject.toml proxy

.PHONY: bench
bench: $(VENV)/.dev ## what a hit costs, in multiples of nginx; needs nginx and wrk
	$(VENV)/bin/python -m benchmarks

.PHONY: bench-webhooks
bench-webhooks: $(VENV)/.dev ## how long webhooks wait for their 200, at 100 a second; needs PostgreSQL
	$(VENV)/bin/python -m benchmarks.webhooks

.PHONY: bench-images
bench-images: $(VENV)/.dev ## what a picture costs and how it looks, beside sharp and vips; needs npm and libvips-tools
	$(VENV)/bin/python -m benchmarks.images

.PHONY: soak
soak: $(VENV)/.dev ## whether a service grows, leaves things about or keeps its hits waiting; some minutes
	$(VENV)/bin/python -m benchmarks.soak

.PHONY: media-soak
media-soak: $(VENV)/.dev ## two thousand whole and broken files through the decoders; about ten minutes
	$(VENV)/bin/python -m benchmarks.media_soak --files 2000

.PHONY: crash
crash: $(VENV)/.dev ## five thousand kills in the midst of fills and evictions of one cache
	$(VENV)/bin/python tests/faults/crashing.py 5000

.PHONY: fuzz
fuzz: $(VENV)/fuzz/.ready ## broken media against every decoder, for FUZZ_S seconds, in an environment of its own
	PYTHONPATH=. $(VENV)/fuzz/bin/python tests/media/fuzzing.py -max_total_time=$(FUZZ_S)

FUZZ_S ?= 300

.PHONY: image
image: ## the container image; IMAGE_BUILDER="buildah build --isolation chroot --format docker" needs no daemon
	$(IMAGE_BUILDER) --build-arg VERSION=$(VERSION) --build-arg REVISION=$$(git rev-parse HEAD) --tag medialink .

.PHONY: hadolint
hadolint: $(VENV)/hadolint/bin/hadolint ## the Dockerfile's linter, in an environment of its own
	$< Dockerfile

.PHONY: sbom
sbom: $(VENV)/sbom/bin/cyclonedx-py ## dist/sbom.json, the CycloneDX list of what requirements/run.txt brings
	@mkdir -p dist
	$< requirements --pyproject pyproject.toml --output-reproducible --output-file dist/sbom.json requirements/run.txt

.PHONY: terraform-form
terraform-form:
	@env -u REQUIRE_ALL terraform/check.sh form  # no package registry has terraform, so CI may lack it

.PHONY: terraform
terraform: ## terraform/: form, validity, tests and checkov, as far as their tools are here
	@terraform/check.sh

IMAGE_BUILDER ?= docker build
VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)

.PHONY: lock
lock: ## the locks anew; needs uv
	$(LOCK) pyproject.toml --output-file requirements/run.txt
	$(LOCK) pyproject.toml --extra postgres --extra traces --constraint requirements/run.txt --output-file requirements/image.txt
	$(LOCK) --group build --output-file requirements/build.txt
	$(LOCK) pyproject.toml --group build --group dev --constraint requirements/run.txt --output-file requirements/dev.txt
	echo cyclonedx-bom | $(LOCK) - --output-file requirements/sbom.txt
	echo 'atheris<3.1' | $(LOCK) - --output-file requirements/fuzz.txt  # 3.1 has no wheel for Python 3.11

LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "medialink needs Python 3.11 or newer; say make PYTHON=python3.12")'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements/run.txt requirements/build.txt pyproject.toml | $(VENV)/bin/python
	@echo "installing what medialink needs into $(VENV) ..."
	@$(PIP) install --no-compile --require-hashes --requirement requirements/run.txt --requirement requirements/build.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.run
	@echo "installing what its tests and checks need into $(VENV) ..."
	@$(PIP) install --no-compile --require-hashes --requirement requirements/dev.txt
	@touch $@

$(VENV)/hadolint/bin/hadolint: docker/hadolint.txt | $(VENV)/bin/python
	@$(VENV)/bin/python -m venv $(VENV)/hadolint
	@$(VENV)/hadolint/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes --requirement $<
	@touch $@

$(VENV)/sbom/bin/cyclonedx-py: requirements/sbom.txt | $(VENV)/bin/python
	@$(VENV)/bin/python -m venv $(VENV)/sbom
	@$(VENV)/sbom/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes --requirement $<
	@touch $@

$(VENV)/fuzz/.ready: requirements/run.txt requirements/fuzz.txt | $(VENV)/bin/python
	@$(VENV)/bin/python -m venv $(VENV)/fuzz
	@$(VENV)/fuzz/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes --requirement requirements/run.txt --requirement requirements/fuzz.txt
	@touch $@
