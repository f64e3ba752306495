# Everything a target needs it installs into .venv; only Python >= 3.11 must be on the machine.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help run preview test coverage check events docs sbom audit bench chaos soak test-backstage demo-backstage test-portal demo-portal test-page test-registries test-mlflow lock clean

help: ## What can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) -V 2>&1). Try: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "python3 -m venv failed: on Debian and Ubuntu, apt install python3-venv"; exit 1; }
	@touch $@

$(VENV)/runtime: $(VENV)/python requirements.lock
	@echo "installing into $(VENV)"
	@$(PIP) install --require-hashes -r requirements.lock
	@touch $@

$(VENV)/dev: $(VENV)/runtime requirements-dev.lock pyproject.toml
	@echo "installing the development tools into $(VENV)"
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

ADDRESS   ?= 127.0.0.1:9090
MANIFESTS ?= examples
# A cache belongs to what it was made of.
STATE     ?= state$(if $(filter-out examples,$(MANIFESTS)),-$(subst /,-,$(MANIFESTS)))

run: $(VENV)/runtime ## Serve MANIFESTS (examples/) without a cluster, on http://localhost:9090 or at ADDRESS
	@$(BIN)/python -m services.connector run --manifests $(MANIFESTS) --state $(STATE) --address $(ADDRESS)

preview: $(VENV)/runtime ## Say what would be served of MANIFESTS (examples/), and what is wrong with them
	@$(BIN)/python -m services.connector preview $(MANIFESTS)

PROMTOOL  := /usr/bin/promtool

$(PROMTOOL):
	@echo "installing promtool"
	@{ apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends prometheus; } >/dev/null || \
	  echo "promtool is not installed: the tests of the alerts are skipped (as root, apt-get install prometheus)"

OTHER_TIERS := $(addprefix --ignore=tests/,backstage portal page mlflow)

test: $(VENV)/dev ## The test suite (no Node, no cluster)
	@$(BIN)/python -m pytest -n 2 --dist worksteal $(if $(COVERAGE),--cov --cov-report=term --cov-report=html) $(OTHER_TIERS) tests

coverage: ## The test suite with branch coverage, as a page in build/coverage/html
	@$(MAKE) --no-print-directory test COVERAGE=1

check: $(VENV)/dev ## Style, types, layers, wording
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m scripts.events --check
	@$(BIN)/python -m scripts.wording
	@$(BIN)/codespell

events: $(VENV)/dev ## Renew the tables of log events and problems in docs/events.md
	@$(BIN)/python -m scripts.events

sbom: $(VENV)/dev ## The packages in the images, as CycloneDX, into build/sbom.cdx.json
	@$(BIN)/python -m scripts.sbom build/sbom.cdx.json

audit: $(VENV)/dev ## Known vulnerabilities in the lock file (says so when no one can be asked)
	@$(BIN)/python -m scripts.audit

bench: $(VENV)/dev ## Measure: latency, requests, bytes, memory
	@$(BIN)/python -m benchmarks

SEEDS ?= 20
chaos: $(VENV)/dev ## Random schedules of faults, restarts and kills, judged by one invariant (SEEDS=200; MUTANTS=1: with faults put back; PROCESSES=1: not simulated)
	@$(BIN)/python -m tests.chaos --seeds $(SEEDS) $(if $(MUTANTS),--mutants) $(if $(PROCESSES),--processes)
	@$(if $(MUTANTS),,$(BIN)/python -m tests.chaos.clusters --seeds $(SEEDS))

soak: $(VENV)/dev ## Ten minutes of churn and faults: memory, descriptors and tasks stay flat
	@$(BIN)/python -m benchmarks.soak

BACKSTAGE := tests/backstage/backend
OLDER     := $(VENV)/backstage-older
TECHDOCS  := $(VENV)/techdocs
DOCS      := $(VENV)/docs
APP       := tests/portal/app
CHROMIUM  := /usr/bin/chromium
NPM_CI    := ci --omit=dev --ignore-scripts --no-progress --loglevel=error

.PHONY: node
node:
	@node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null && command -v npm >/dev/null || \
	  { echo "Node 20 or newer with npm is needed to run a Backstage: see https://nodejs.org, or apt install nodejs npm where it is that new"; exit 1; }

$(BACKSTAGE)/node_modules/.package-lock.json: $(BACKSTAGE)/package.json $(BACKSTAGE)/package-lock.json | node
	@echo "installing Backstage into $(BACKSTAGE)/node_modules"
	@npm --prefix $(BACKSTAGE) $(NPM_CI)
	@touch $@

# An older release: the same modules with other packages.
$(OLDER)/node_modules/.package-lock.json: tests/backstage/older/package.json tests/backstage/older/package-lock.json | node
	@echo "installing an older Backstage into $(OLDER)"
	@mkdir -p $(OLDER) && cp $^ $(BACKSTAGE)/.npmrc $(OLDER)/
	@npm --prefix $(OLDER) $(NPM_CI)
	@touch $@

$(OLDER)/index.js: $(wildcard $(BACKSTAGE)/*.js) | $(OLDER)/node_modules/.package-lock.json
	@cp $^ $(OLDER)/

$(TECHDOCS)/installed: $(VENV)/python tests/backstage/techdocs.lock
	@echo "installing mkdocs for TechDocs into $(TECHDOCS)"
	@$(BIN)/python -m venv $(TECHDOCS)
	@$(TECHDOCS)/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r tests/backstage/techdocs.lock
	@touch $@

$(DOCS)/installed: $(VENV)/python scripts/docs.lock
	@echo "installing mkdocs for the documents into $(DOCS)"
	@$(BIN)/python -m venv $(DOCS)
	@$(DOCS)/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r scripts/docs.lock
	@touch $@

docs: $(DOCS)/installed ## The documents as a site, into build/site; a broken link is an error
	@NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build --strict --quiet

$(APP)/node_modules/.package-lock.json: $(APP)/package.json $(APP)/package-lock.json | node
	@echo "installing the frontend of Backstage into $(APP)/node_modules (a gigabyte)"
	@npm --prefix $(APP) $(NPM_CI)
	@touch $@

$(APP)/dist/index.html: $(APP)/node_modules/.package-lock.json $(wildcard $(APP)/src/* $(APP)/public/*)
	@echo "bundling the frontend of Backstage"
	@cd $(APP) && npm run --silent build >/dev/null
	@touch $@

$(VENV)/browser: $(VENV)/dev tests/portal/browser.lock
	@$(PIP) install --require-hashes -r tests/portal/browser.lock
	@touch $@

$(CHROMIUM):
	@echo "installing chromium"
	@{ apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends chromium; } >/dev/null || \
	  { echo "A chromium is needed at $(CHROMIUM): as root, apt-get install chromium"; exit 1; }

BACKEND_READY  := $(VENV)/dev $(BACKSTAGE)/node_modules/.package-lock.json
PORTAL_READY   := $(BACKEND_READY) $(TECHDOCS)/installed $(APP)/dist/index.html

test-backstage: $(BACKEND_READY) $(OLDER)/index.js $(TECHDOCS)/installed ## A real Backstage reads the feed (needs Node 20 and npm)
	@$(BIN)/python -m pytest -n 2 --dist worksteal tests/backstage

demo-backstage: $(BACKEND_READY) ## A Backstage with the examples in it, to look at (needs Node 20 and npm)
	@$(BIN)/python -m tests.backstage.demo

test-portal: $(PORTAL_READY) $(VENV)/browser $(CHROMIUM) ## A browser looks at a real Backstage (needs Node 20, npm and chromium)
	@$(BIN)/python -m pytest -n 2 --dist loadgroup tests/portal

test-page: $(VENV)/browser $(CHROMIUM) ## A browser looks at the status page (needs chromium)
	@$(BIN)/python -m pytest -p no:xdist tests/page

demo-portal: $(PORTAL_READY) ## A Backstage to look at in a browser, with models that answer (needs Node 20 and npm)
	@$(BIN)/python -m tests.portal.demo

REGISTRIES := ml-metadata-1.17.1 model-registry-0.2.9 model-registry-0.2.19 model-registry-0.3.0 model-registry-0.3.8

# name-1.2.3 is version 1.2.3 of name, in an environment of its own: these pin old versions of what others need.
$(VENV)/registries/%/installed: $(VENV)/python
	@echo "installing $* into $(VENV)/registries"
	@$(BIN)/python -m venv $(@D)
	@$(@D)/bin/python -m pip --disable-pip-version-check --quiet install "$(shell echo $* | sed 's/-\([0-9.]*\)$$/==\1/')" 'setuptools<80'
	@touch $@

test-registries: $(VENV)/dev $(REGISTRIES:%=$(VENV)/registries/%/installed) ## ML Metadata and old registry clients against the fake registry (from PyPI)
	@$(BIN)/python -m pytest tests/fakes_selftest/test_real_programs.py

MLFLOW := $(VENV)/mlflow

$(MLFLOW)/installed: $(VENV)/python tests/mlflow/server.lock
	@echo "installing an MLflow server into $(MLFLOW)"
	@$(BIN)/python -m venv $(MLFLOW)
	@$(MLFLOW)/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r tests/mlflow/server.lock
	@touch $@

test-mlflow: $(VENV)/dev $(MLFLOW)/installed ## A real MLflow server is read (from PyPI)
	@$(BIN)/python -m pytest tests/mlflow

lock: $(VENV)/dev ## Renew the lock files from pyproject.toml (needs uv)
	@uv pip compile -q --universal --python-version 3.11 --no-strip-extras --generate-hashes --no-header --extra dev pyproject.toml -o requirements-dev.lock
	@uv pip compile -q --universal --python-version 3.11 --no-strip-extras --generate-hashes --no-header pyproject.toml -c requirements-dev.lock -o requirements.lock
	@uv pip compile -q --universal --python-version 3.11 --no-strip-extras --generate-hashes --no-header scripts/docs.in -o scripts/docs.lock
	@$(BIN)/python -m scripts.sbom --table
	@printf 'hatchling>=1.27\n' | uv pip compile -q --universal --python-version 3.11 --no-strip-extras --generate-hashes --no-header -c requirements-dev.lock - -o requirements-build.lock

clean: ## Remove what was built
	@rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache $(BACKSTAGE)/node_modules $(APP)/node_modules $(APP)/dist
