# The front door. `make run` and `make test` do all the set-up they need, on a machine with Python only.

SHELL := /bin/bash
.DEFAULT_GOAL := help

# The newest Python that the locks are made for; `make PYTHON=/path/to/python3.11 …` names another.
PYTHON ?= $(shell for p in python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
UV := $(VENV)/lock/bin/uv
LOCK = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-annotate --custom-compile-command "make lock" $(ARGS)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Kept bytecode, whatever the shell says: a run and its tests start hundreds of processes.
export PYTHONDONTWRITEBYTECODE :=

$(READY): requirements/build.txt requirements/all.txt requirements/server.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "make: needs Python 3.11 or 3.12; install one, or name it: make PYTHON=/path/to/python3.12" >&2; exit 2; }
	@echo "setting up $(VENV) with $(PYTHON): about three minutes, once"
	@rm -rf $(VENV)
	@"$(PYTHON)" -m venv $(VENV) || { rm -rf $(VENV); echo "make: this Python has no venv; on Debian: apt-get install python3-venv" >&2; exit 2; }
	@$(BIN)/pip install --quiet --require-hashes --only-binary :all: -r requirements/build.txt
	@$(BIN)/pip install --quiet --require-hashes --no-deps --no-build-isolation --use-pep517 -r requirements/all.txt
	@"$(PYTHON)" -m venv --without-pip $(VENV)/server
	@$(BIN)/pip --python $(VENV)/server/bin/python install --quiet --require-hashes --no-deps --only-binary :all: \
	  -r requirements/server.txt
	@$(BIN)/pip install --quiet --no-deps --no-build-isolation --no-index --editable .
	@touch $@

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(READY) ## Set up .venv from the hash-locked requirements

.PHONY: run
run: $(READY) ## Run the pipeline on the embedded sample (ARGS="--rankings … --songs …" for other data)
	@$(BIN)/jukebox run $(ARGS)

.PHONY: test
test: $(READY) ## Run the fast tests: every behaviour, in under five minutes (ARGS="tests/unit -k gate" for some)
	@$(BIN)/python -m pytest $(ARGS)

.PHONY: test-all
test-all: $(READY) ## Run all tests: the slow ones too, and more examples of each property (a quarter of an hour)
	@JUKEBOX_EXAMPLES=$${JUKEBOX_EXAMPLES:-50} $(BIN)/python -m pytest -m "" $(ARGS)

.PHONY: chaos
chaos: $(READY) ## Submit through 5,000 seeded schedules of faults (make test-all takes 500; ten minutes)
	@JUKEBOX_CHAOS=$${JUKEBOX_CHAOS:-5000} $(BIN)/python -m pytest -m "" tests/chaos -rP $(ARGS)

.PHONY: image
image: $(READY) ## Build both images of this commit with podman or buildah (ARGS="--push --repository …")
	@$(BIN)/jukebox image-build $(ARGS)

.PHONY: test-image
test-image: $(READY) ## Build the images on a base made here, and run every step in them (root; ten minutes)
	@missing=""; for tool in podman buildah mmdebstrap docker-registry runc; do \
	command -v $$tool >/dev/null || missing="$$missing $$tool"; done; \
	if [ -n "$$missing" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	echo "installing$$missing"; apt-get update -qq && apt-get install -y -qq$$missing >/dev/null; fi
	@$(BIN)/python -m pytest tests/image --numprocesses=0 -rPs $(ARGS)

.PHONY: test-cluster
test-cluster: $(READY) ## Run the Pipeline in the cluster of this kubeconfig (JUKEBOX_TEST_REGISTRY=…; ten minutes)
	@$(BIN)/python -m pytest tests/cluster --numprocesses=0 -rP $(ARGS)

.PHONY: lint
lint: $(READY) ## Check style, types, what may import what, and YAML
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python -m tests.nouns
	@$(BIN)/yamllint --strict .

.PHONY: format
format: $(READY) ## Format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

MKDOCS := $(VENV)/docs/bin/mkdocs

$(MKDOCS): requirements/docs.txt
	@"$(PYTHON)" -m venv --clear $(VENV)/docs
	@$(VENV)/docs/bin/pip install --quiet --require-hashes --only-binary :all: -r requirements/docs.txt
	@touch $@

.PHONY: docs
docs: $(MKDOCS) ## Build the documentation into site/; a broken link is an error
	@NO_MKDOCS_2_WARNING=1 $(MKDOCS) build --strict $(ARGS)

.PHONY: docs-write
docs-write: $(READY) ## Write the reference and the picture of the pipeline again, from the code
	@$(BIN)/python -m tests.docs

.PHONY: bench
bench: $(READY) ## Measure the pipeline beside the lab's algorithm (ten minutes)
	@$(BIN)/python tests/bench/bench_pipeline.py $(ARGS)

.PHONY: bench-gate
bench-gate: $(READY) ## Simulate how often the comparison with the production model is wrong (ten minutes)
	@$(BIN)/python tests/bench/bench_gate.py --docs docs/explanation $(ARGS)

.PHONY: mutants
mutants: $(READY) ## Change the code in 120 small ways, and count what the tests notice (two hours)
	@$(BIN)/python tests/bench/bench_mutants.py record
	@$(BIN)/python tests/bench/bench_mutants.py run --page docs/explanation/mutants.md $(ARGS)

$(UV): requirements/build.txt requirements/lock.txt
	@"$(PYTHON)" -m venv --clear $(VENV)/lock
	@$(VENV)/lock/bin/pip install --quiet --require-hashes --only-binary :all: $(addprefix -r ,$^)
	@touch $@

.PHONY: lock
lock: $(UV) ## Lock what pyproject.toml asks for, versions kept (ARGS=--upgrade for the newest)
	@for group in build lock sbom; do \
	$(LOCK) --group $$group --output-file requirements/$$group.txt || exit 1; done
	@$(LOCK) --group server --overrides requirements/server-overrides.txt --output-file requirements/server.txt
	@$(LOCK) --all-extras --output-file requirements/all.txt pyproject.toml
	@$(LOCK) --extra pipeline --extra steps --constraint requirements/all.txt \
	  --overrides requirements/component-overrides.txt --output-file requirements/component.txt pyproject.toml
	@$(LOCK) --extra pipeline --extra lint --constraint requirements/all.txt \
	  --output-file requirements/tools.txt pyproject.toml
	@$(LOCK) --group docs --constraint requirements/all.txt --output-file requirements/docs.txt

.PHONY: lock-check
lock-check: $(UV) ## Download what the locks name for each platform, gigabytes (ARGS=3.12 for one Python)
	@requirements/download $(UV) $(ARGS)

.PHONY: clean
clean: ## Remove all runs and the local stores; .venv stays
	rm -rf .jukebox

.PHONY: distclean
distclean: clean ## Remove .venv too, which the next target sets up again
	rm -rf $(VENV)
