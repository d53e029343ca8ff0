# The front door. `make run` and `make test` do all the set-up they need, on a machine with Python only.

SHELL := /bin/bash
.DEFAULT_GOAL := help

# The newest Python that the locks are made for; `make PYTHON=/path/to/python3.11 …` names another.
PYTHON ?= $(shell for p in python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LOCK := uv pip compile --quiet --upgrade --generate-hashes --no-emit-index-url --no-annotate \
	--custom-compile-command "make lock"
export PIP_DISABLE_PIP_VERSION_CHECK := 1

$(READY): requirements/build.txt requirements/py311.txt requirements/py312.txt \
		requirements/server-py311.txt requirements/server-py312.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "make: needs Python 3.11 or 3.12; install one, or name it: make PYTHON=/path/to/python3.12" >&2; exit 2; }
	@echo "setting up $(VENV) with $(PYTHON): about three minutes, once"
	@rm -rf $(VENV)
	@"$(PYTHON)" -m venv $(VENV) || { rm -rf $(VENV); echo "make: this Python has no venv; on Debian: apt-get install python3-venv" >&2; exit 2; }
	@tag=$$($(BIN)/python -c 'import sys; print("py%d%d" % sys.version_info[:2])'); \
	$(BIN)/pip install --quiet --require-hashes --only-binary :all: -r requirements/build.txt && \
	$(BIN)/pip install --quiet --require-hashes --no-build-isolation -r requirements/$$tag.txt && \
	"$(PYTHON)" -m venv --without-pip $(VENV)/server && \
	$(BIN)/pip --python $(VENV)/server/bin/python install --quiet --require-hashes --no-deps --only-binary :all: \
	  -r requirements/server-$$tag.txt
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
test-all: $(READY) ## Run all tests: the slow ones too, and more examples of each property (twelve minutes)
	@JUKEBOX_EXAMPLES=$${JUKEBOX_EXAMPLES:-100} $(BIN)/python -m pytest -m "" $(ARGS)

.PHONY: chaos
chaos: $(READY) ## Submit through 5,000 seeded schedules of faults (make test takes 500; ten minutes)
	@JUKEBOX_CHAOS=$${JUKEBOX_CHAOS:-5000} $(BIN)/python -m pytest tests/chaos -rP $(ARGS)

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
	@$(BIN)/yamllint --strict .

.PHONY: format
format: $(READY) ## Format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

.PHONY: bench
bench: $(READY) ## Measure the pipeline beside the lab's algorithm (ten minutes)
	@$(BIN)/python tests/bench/bench_pipeline.py $(ARGS)

.PHONY: bench-gate
bench-gate: $(READY) ## Simulate how often the comparison with the production model is wrong (ten minutes)
	@$(BIN)/python tests/bench/bench_gate.py --docs docs $(ARGS)

.PHONY: mutants
mutants: $(READY) ## Break the gate in some thousand small ways, and count what its tests see (forty minutes)
	@test -e $(VENV)/mutants/.ready || { rm -rf $(VENV)/mutants && $(BIN)/python -m venv --without-pip $(VENV)/mutants && \
	$(BIN)/pip --python $(VENV)/mutants/bin/python install --quiet --require-hashes --only-binary :all: \
	  -r requirements/mutants.txt && \
	$(BIN)/python -c 'import site; print(site.getsitepackages()[0])' \
	  > $$(echo $(VENV)/mutants/lib/python3.*/site-packages)/project.pth && touch $(VENV)/mutants/.ready; }
	@JUKEBOX_EXAMPLES=5 $(VENV)/mutants/bin/mutmut run --max-children 2 $(ARGS)
	@$(VENV)/mutants/bin/mutmut results

.PHONY: lock
lock: ## Resolve the requirements again, for both Pythons and both images (needs uv)
	@$(LOCK) --group build --python-version 3.11 --output-file requirements/build.txt
	@$(LOCK) --group sbom --python-version 3.11 --output-file requirements/sbom.txt
	@$(LOCK) --group mutants --python-version 3.11 --constraint requirements/py311.txt --output-file requirements/mutants.txt
	@for python in 3.11 3.12; do \
	tag=py$${python/./} && every=requirements/$$tag.txt && \
	$(LOCK) --group server --python-version $$python \
	  --overrides requirements/server-overrides.txt --output-file requirements/server-$$tag.txt && \
	$(LOCK) --all-extras --python-version $$python --output-file $$every pyproject.toml && \
	$(LOCK) --extra pipeline --extra steps --python-version $$python --constraint $$every \
	  --overrides requirements/component-overrides.txt --output-file requirements/component-$$tag.txt pyproject.toml && \
	$(LOCK) --extra pipeline --extra lint --python-version $$python --constraint $$every \
	  --output-file requirements/tools-$$tag.txt pyproject.toml || exit 1; done

.PHONY: clean
clean: ## Remove all runs and the local stores; .venv stays
	rm -rf .jukebox

.PHONY: distclean
distclean: clean ## Remove .venv too, which the next target sets up again
	rm -rf $(VENV)
