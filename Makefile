# The front door: `make` alone prints what there is. Nothing here needs an activated environment,
# root, or a network beyond the package index.
.DEFAULT_GOAL := help
.PHONY: help setup demo build test check servers docs metrics report report-screens bench proof lint format \
	lock clean

SOURCES ?=
RAW ?=
WAREHOUSE ?=
LINES ?= 1000000
ARGS ?=
WHAT ?=
DUCKDB ?=

# DUCKDB=2.0.0 runs a target on another engine: the same locked environment, only duckdb replaced
ENV := .venv$(if $(DUCKDB),-duckdb-$(DUCKDB))
LOCKS := requirements/retour.txt $(if $(DUCKDB),requirements/duckdb-$(DUCKDB).txt)
BIN := $(ENV)/bin
LINT := .venv-lint/bin
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
PYTHON_3_11 = $(shell for python in python3.11 python3 python3.12 python3.13; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$python && break; done)
INSTALL = $(or $(PYTHON_3_11),$(error No Python 3.11 or newer found on the PATH)) requirements/install.py

help: ## print this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install the environment into .venv (nothing to do when it is up to date)
	@$(INSTALL) $(ENV) $(LOCKS)

demo: setup ## sample data, build, publish, report; prints where things are and three queries to try
	@$(BIN)/retour demo

build: setup ## build and publish your own data: SOURCES=a,b RAW=dir WAREHOUSE=file
	@$(BIN)/retour build $(if $(SOURCES),--sources '$(SOURCES)') $(if $(RAW),--raw '$(RAW)') \
		$(if $(WAREHOUSE),--warehouse '$(WAREHOUSE)') $(ARGS)

test: setup ## run every test; ARGS='-k word' for some, DUCKDB=2.0.0 for the other engine
	@$(INSTALL) .venv-metrics requirements/metrics.txt
	@$(BIN)/pytest $(ARGS)

check: lint $(if $(CI),servers) ## every gate: style, then the tests on both engines side by side
	@$(MAKE) --no-print-directory setup
	@$(MAKE) --no-print-directory setup DUCKDB=2.0.0
	@$(INSTALL) .venv-metrics requirements/metrics.txt
	@other=$$(mktemp); failed=0; \
	$(MAKE) --no-print-directory test DUCKDB=2.0.0 >"$$other" 2>&1 & \
	$(MAKE) --no-print-directory test || failed=1; \
	wait $$! || failed=1; \
	echo "The suite on DuckDB 2.0.0:"; cat "$$other"; rm "$$other"; exit $$failed

# a runner of CI has nothing yet: there the tests that need these must not be skipped
servers: ## what tests of exports need beside .venv: PostgreSQL and MariaDB (apt-get, root), Tableau
	@command -v mariadbd >/dev/null && ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 \
		|| { $(SUDO) apt-get update -qq && $(SUDO) env DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -qq --no-install-recommends postgresql mariadb-server; }
	@$(INSTALL) .venv-tableau requirements/tableau.txt

docs: setup ## the documentation and lineage site; prints where to open it
	@$(BIN)/retour docs $(if $(WAREHOUSE),--warehouse '$(WAREHOUSE)')

report: setup ## the report site over the published data; ARGS='--single-file FILE' for mail
	@$(BIN)/retour report $(ARGS)

report-screens: report ## pictures of every page of the report: light, dark, phone, print (needs chromium)
	@$(BIN)/python -m reports.screens data/published/report target/screens

metrics: setup ## ask the semantic layer: ARGS='query --metrics return_rate --group-by metric_time__month'
	@$(INSTALL) .venv-metrics requirements/metrics.txt
	@$(BIN)/dbt --quiet parse
	@.venv-metrics/bin/python -m retour.metrics $(ARGS)

bench: setup ## time, memory and ratios of a whole build: LINES=1000000; WHAT=segments, sellers, scoring, explainable, features, service, keys, export, drift
	@$(BIN)/python -m benchmarks$(if $(WHAT),.$(WHAT), --lines $(LINES)) $(ARGS)

proof: setup ## figures on many worlds of known truth, where they are stale; ARGS=--subset redoes some
	@$(BIN)/python -m proofs $(ARGS)

lint: setup ## style and documentation gates: ruff, sqlfluff, dbt-bouncer
	@$(INSTALL) .venv-lint requirements/lint.txt
	$(LINT)/ruff check .
	$(LINT)/ruff format --check .
	$(LINT)/sqlfluff lint dbt_project
	$(BIN)/dbt --quiet --warn-error parse --no-partial-parse
	COLUMNS=180 $(LINT)/dbt-bouncer run --show-all-failures

format: ## apply the formatters: ruff and sqlfluff
	@$(INSTALL) .venv-lint requirements/lint.txt
	$(LINT)/ruff check --fix-only .
	$(LINT)/ruff format .
	$(LINT)/sqlfluff fix dbt_project

# every package at one version with its hashes, for all platforms; needs uv on the PATH
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --no-strip-extras
lock: ## write the lock files anew from pyproject.toml (needs uv; ARGS=--upgrade for newer versions)
	$(LOCK) pyproject.toml --group test -o requirements/retour.txt $(ARGS)
	$(LOCK) --group lint -o requirements/lint.txt $(ARGS)
	$(LOCK) --group tableau -o requirements/tableau.txt $(ARGS)
	$(LOCK) --group metrics -o requirements/metrics.txt $(ARGS)
	echo duckdb==2.0.0 | $(LOCK) --no-config - -o requirements/duckdb-2.0.0.txt

clean: ## remove environments, caches and what dbt wrote; data/ stays
	rm -rf .venv .venv-* target logs .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
