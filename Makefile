# Needs git, make and Python 3.11 or later; everything else is pinned in requirements/ and goes into .venv.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help study test lint types bench lock clean

VENV := .venv
BIN := $(VENV)/bin
STUDY := results/threshold
# Packages are installed without bytecode, which halves the time; what is imported must therefore be able to leave it.
unexport PYTHONDONTWRITEBYTECODE
PIP = $(BIN)/python -m pip --disable-pip-version-check --quiet
INSTALL = $(PIP) install --no-compile --require-hashes --requirement
EDITABLE = $(PIP) install --no-compile --no-deps --no-build-isolation --editable .

help: ## Show this list.
	@sed -n 's/^\([a-z]*\): .*## /make \1	/p' Makefile

study: $(VENV)/base.stamp ## Run the main study, the threshold sweep, and write its report (installs what it needs first).
	@echo "Sweeping a queue's capacity at three loads into $(STUDY) (points that are there already are kept)"
	$(BIN)/backwater sweep threshold --out $(STUDY) --resume
	$(BIN)/backwater report $(STUDY)
	@echo "The report is $(STUDY)/report.html; open it in a browser."

test: lint types ## Lint, check the types and run the tests on two processes.
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

lint: $(VENV)/test.stamp ## Check style and format with ruff.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# mypy cannot see that sim/ is backwater: it is shown a tree of links that has the installed shape.
types: $(VENV)/test.stamp ## Check the types with mypy.
	@rm -rf build/typecheck && mkdir -p build/typecheck/backwater
	@ln -s $(addprefix ../../../,$(wildcard sim/*) models experiments) build/typecheck/backwater
	MYPYPATH=build/typecheck $(BIN)/mypy --package backwater

bench: $(VENV)/base.stamp ## Measure both engines beside plain scripts and, where installed, cimba, Ciw and salabim.
	$(BIN)/python -m backwater.experiments.bench

LOCK = "$(UV)" pip compile pyproject.toml --quiet --group build $(if $(UPGRADE),--upgrade) \
	--universal --python-version 3.11 --fork-strategy fewest --generate-hashes \
	--no-config --no-header --no-annotate --no-emit-index-url --no-emit-find-links
UV ?= uv

lock: ## Rebuild requirements/ from pyproject.toml with uv; UPGRADE=1 takes the newest versions, UV=PATH says where uv is.
	@command -v "$(UV)" >/dev/null || { echo "make lock needs uv: make lock UV=PATH"; exit 1; }
	$(LOCK) --output-file requirements/base.txt
	$(LOCK) --extra test --constraints requirements/base.txt --output-file requirements/test.txt

clean: ## Remove the environment, builds and caches; results/ stays.
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The first Python that is new enough, or the one given as PYTHON=.
$(VENV)/made.stamp:
	@for python in $(PYTHON) python3 python python3.14 python3.13 python3.12 python3.11; do \
	  if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    echo "Making $(VENV) with $$("$$python" --version)" && "$$python" -m venv $(VENV) && touch $@; exit; \
	  fi; \
	done; echo "backwater needs Python 3.11 or later: make PYTHON=PATH"; exit 1

$(VENV)/base.stamp: requirements/base.txt pyproject.toml | $(VENV)/made.stamp
	@echo "Installing requirements/base.txt and backwater into $(VENV) (once; seconds to minutes, as the network allows)"
	@$(INSTALL) requirements/base.txt
	@$(EDITABLE)
	@touch $@

# The test lock holds the base lock, so it counts as both.
$(VENV)/test.stamp: requirements/test.txt pyproject.toml | $(VENV)/made.stamp
	@echo "Installing requirements/test.txt and backwater into $(VENV) (once; seconds to minutes, as the network allows)"
	@$(INSTALL) requirements/test.txt
	@$(EDITABLE)
	@touch $(VENV)/base.stamp $@
