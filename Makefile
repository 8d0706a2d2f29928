# Two commands on a fresh machine: `make train` and `make test`; each installs what it needs.
PYTHON ?= python3
SOURCE ?= sample
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed
# Tests start some sixty programs: what they import is compiled once, and one thread each is fastest.
FOR_TESTS := OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=
READY_FOR_TESTS := $(VENV)/.installed-for-tests
PYTEST_FLAGS := -ra --strict-markers
OWN_DATABASE := sqlite:///$(or $(value RECOMMENDER_ARTIFACTS),artifacts)/mlflow.db

.DEFAULT_GOAL := help
# SOURCE=… and ARGS=… on the command line are for this file, not for what it starts
unexport SOURCE ARGS

.PHONY: help
help: ## Show what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Constraints, not requirements: which of the pinned packages a machine needs (CUDA's, for example)
# depends on its build of torch. Without --no-compile, pip compiles every module of every package,
# most of which are never imported.
define install
@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
@echo "Installing into $(VENV)/ (some minutes the first time) …"
@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c requirements.lock -e '$(1)'
@touch $(READY) $@
endef

$(READY): pyproject.toml requirements.lock
	$(call install,.)

$(READY_FOR_TESTS): pyproject.toml requirements.lock
	$(call install,.[dev])

.PHONY: install
install: $(READY_FOR_TESTS) ## Create .venv and install everything into it

.PHONY: train
train: $(READY) ## Train on the bundled sample, or on SOURCE=path/to/movies_metadata.csv
	@$(BIN)/movie-recommender train --source "$(SOURCE)" $(ARGS)

.PHONY: test
test: ## Run all tests but the longest: the unit tests, flows, commands, demo page
	@$(MAKE) --no-print-directory test-all ARGS='-m "not long" $(ARGS)'

.PHONY: test-all
test-all: $(READY_FOR_TESTS) ## Run all tests, four files at a time: many wait for a server
	@$(FOR_TESTS) $(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder --durations=15 $(ARGS)

.PHONY: test-random
test-random: $(READY_FOR_TESTS) ## Run all tests in random order; ARGS="--randomly-seed=…" repeats one
	@$(MAKE) --no-print-directory test-all ARGS='-o addopts="$(PYTEST_FLAGS)" $(ARGS)'

.PHONY: coverage
coverage: $(READY_FOR_TESTS) ## Run all tests and report the covered lines, which have a minimum
	@rm -f .coverage .coverage.*
	@$(MAKE) --no-print-directory test-all ARGS='--cov --cov-report= $(ARGS)'
	@$(BIN)/coverage report --skip-covered --include='tasks/*' --fail-under=95
	@$(BIN)/coverage report --skip-covered --include='flows/*,app/*' --fail-under=90

.PHONY: test-fast
test-fast: $(READY_FOR_TESTS) ## Run the unit tests: no server, no training
	@$(FOR_TESTS) $(BIN)/python -m pytest tests/unit -n 2 --dist loadfile $(ARGS)

.PHONY: coverage-fast
coverage-fast: $(READY_FOR_TESTS) ## Run the unit tests and report the lines of tasks/ that they cover, which have a minimum
	@rm -f .coverage .coverage.*
	@$(MAKE) --no-print-directory test-fast ARGS='--cov --cov-report= $(ARGS)'
	@$(BIN)/coverage report --skip-covered --include='tasks/*' --fail-under=90

.PHONY: endurance
endurance: $(READY_FOR_TESTS) ## Kill runs, worker and server in every stage; twenty releases in a row
	@$(BIN)/python -m pytest --endurance $(ARGS)

.PHONY: mutate
mutate: $(READY_FOR_TESTS) ## Mutation testing of the modules that decide; ARGS='tasks.genres.metrics*': one of them
	@$(FOR_TESTS) $(BIN)/python -m tests.mutation_score $(ARGS)

.PHONY: lock
lock: $(READY_FOR_TESTS) ## Pin every package again after a change of pyproject.toml; ARGS=--upgrade: newest releases
	@$(BIN)/uv pip compile --quiet --universal --all-extras --strip-extras --no-annotate \
		--python-version 3.11 --custom-compile-command "make lock" \
		--output-file requirements.lock $(ARGS) pyproject.toml

.PHONY: newest
newest: ## Test the newest releases that pyproject.toml allows, in an environment of their own
	@rm -rf .venv-newest && $(PYTHON) -m venv .venv-newest
	@.venv-newest/bin/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@.venv-newest/bin/python -m pytest tests/unit tests/flow $(ARGS)
	@.venv-newest/bin/python -m pytest tests/system/test_tour.py $(ARGS)

.PHONY: audit
audit: $(READY_FOR_TESTS) ## Check installed packages for known vulnerabilities; needs the internet
	@$(BIN)/python -m pip_audit --strict --skip-editable $(ARGS)

.PHONY: check
check: $(READY_FOR_TESTS) ## Lint, formatting, types and import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

.PHONY: demo
demo: $(READY) ## Serve the demo page on http://127.0.0.1:8000
	@$(BIN)/movie-recommender demo $(ARGS)

.PHONY: serve
serve: $(READY) ## Start the local stack: Prefect, its worker and deployments, MLflow
	@$(BIN)/movie-recommender serve $(ARGS)

.PHONY: status
status: $(READY) ## What of the local stack is up and since when; its runs
	@$(BIN)/movie-recommender status

.PHONY: stop
stop: $(READY) ## Stop the local stack
	@$(BIN)/movie-recommender stop

.PHONY: prefect
prefect: $(READY) ## Prefect server and UI on http://127.0.0.1:4200
	@$(BIN)/python -m flows.runtime.local_stack.prefect_server --host 127.0.0.1

.PHONY: mlflow
# the database's address may hold a password, so it is no argument; $(value …) keeps a `$` in it
mlflow: export MLFLOW_BACKEND_STORE_URI := $(or $(value MLFLOW_TRACKING_URI),$(OWN_DATABASE))
# one server, and none of the seven processes that MLflow starts for jobs of language models
mlflow: export MLFLOW_WORKERS ?= 1
mlflow: export MLFLOW_SERVER_ENABLE_JOB_EXECUTION ?= false
mlflow: $(READY) ## MLflow UI on http://127.0.0.1:5000
	@case "$$MLFLOW_BACKEND_STORE_URI" in http*) \
		echo "MLFLOW_TRACKING_URI names a server, which has its own UI: open its address." >&2; \
		exit 2;; esac; \
	exec $(BIN)/mlflow ui --host 127.0.0.1

.PHONY: deploy
deploy: $(READY) ## Register the deployments of prefect.yaml with the running Prefect server
	@$(BIN)/prefect work-pool create local --type process 2>/dev/null || true
	@$(BIN)/prefect --no-prompt deploy --all

.PHONY: worker
worker: $(READY) ## Run deployed flows on this machine
	@$(BIN)/prefect worker start --pool local --type process

.PHONY: clean-cache
clean-cache: $(READY) ## Delete the stage cache of this machine; the next run recomputes it
	@$(BIN)/movie-recommender clean-cache

.PHONY: clean
clean: ## Delete everything that runs have written under artifacts/
	@find artifacts -mindepth 1 -maxdepth 1 ! -name README.md -exec rm -rf {} +
