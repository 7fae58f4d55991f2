# make book [PROFILE=quick]   set up, run every notebook, build _build/html/index.html
# make pdf                    the same, and print it into _build/what-happens-to-bert.pdf (needs Chromium)
# make test                   set up, run every test, as many files at once as there are processors
# See README.md for the rest. Each target first makes .venv and installs into it if need be.

PROFILE ?= quick
PYTHON ?= python3.11 python3.12 python3.13 python3 python
PIP_ARGS ?=
PYTEST_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed

BROWSERS := chromium chromium-browser google-chrome google-chrome-stable

.PHONY: book pdf test browser lab lint format constraints clean
.DELETE_ON_ERROR:

book: $(INSTALLED)
	$(BIN)/python -m helpers book --profile $(PROFILE)

pdf: book
	$(BIN)/python -m helpers pdf

test: $(INSTALLED) browser
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --dist loadfile $(PYTEST_ARGS)

# Pages are tested in a browser. Root gets Debian's where there is none; others are told.
browser:
	@for name in $(BROWSERS); do command -v "$$name" >/dev/null && exit 0; done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "Installing Chromium, in which pages are tested"; \
	  export DEBIAN_FRONTEND=noninteractive; \
	  apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null && exit 0; \
	fi; \
	echo "No Chromium or Chrome: tests in a browser will be skipped (apt-get install chromium)"

lab: $(INSTALLED)
	$(BIN)/jupyter lab --notebook-dir=notebooks

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/nbstripout notebooks/*.ipynb

# Resolves pyproject.toml afresh in an environment of its own and writes down what that came to, minus
# what depends on the machine (GPU libraries, local versions such as +cpu).
constraints: $(BIN)/python
	rm -rf _build/pins
	$(BIN)/python -m venv _build/pins
	_build/pins/bin/python -m pip install $(PIP_ARGS) -e '.[book,cluster,test]'
	_build/pins/bin/python -m pip freeze --all --exclude-editable \
	  | grep -Ev '^pip==|^(nvidia|cuda|triton)' \
	  | sed -E 's/\+[A-Za-z0-9.]+$$//' | LC_ALL=C sort -f > _build/constraints.txt
	mv _build/constraints.txt constraints.txt
	rm -rf _build/pins

# Keeps what took long to compute: .venv, artifacts/ and results/.
clean:
	rm -rf _build .pytest_cache .ruff_cache .hypothesis *.egg-info
	find helpers what_happens_to_bert tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing into $(VENV): some minutes the first time"
	$(BIN)/python -m pip install --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e '.[book,cluster,test]'
	touch $@

$(BIN)/python:
	@for python in $(PYTHON); do \
	  if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	    echo "Making $(VENV) with $$python"; \
	    exec "$$python" -m venv $(VENV); \
	  fi; \
	done; \
	echo "This needs Python 3.11 or newer, and none of '$(PYTHON)' is that; name one: make PYTHON=..." >&2; \
	exit 1
