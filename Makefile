# The commands of this project. `make demo` and `make test` work in a fresh clone on a bare machine.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
LOCK   := requirements/dev.lock
PREFIX ?= /opt/jira-tunnel
QUICK_LAB := tests/lab/test_egress.py tests/lab/test_network.py::test_the_agent_works_and_nobody_gets_in

.PHONY: help setup install deb bundle demo example lint test check unit format bench bench-check bench-wan bench-events docs lab soak lock clean
.DEFAULT_GOAL := help

help:            ## this list
	@sed -n 's/^\([a-z-]*\): .*##/make \1 \t/p' $(MAKEFILE_LIST)

setup: $(STAMP)  ## make the virtual environment from the hash-checked lock

$(STAMP): $(LOCK) pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "jira-tunnel needs Python 3.11 or newer: make PYTHON=/path/to/python3.11")'
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes -r $(LOCK)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

install: $(STAMP) ## FOR=gateway or FOR=agent: a virtual environment at PREFIX (/opt/jira-tunnel) with that program
	@test -f requirements/$(FOR).lock || { echo "say what for: make install FOR=gateway, or FOR=agent"; exit 2; }
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir build/wheel .
	@$(PREFIX)/bin/python -m pip --version >/dev/null 2>&1 || { umask 022; $(PYTHON) -m venv --clear $(PREFIX); }
	umask 022 && $(PREFIX)/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes -r requirements/$(FOR).lock
	umask 022 && $(PREFIX)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --force-reinstall build/wheel/jira_tunnel-*.whl

deb: $(STAMP)    ## Debian packages of both programs for Debian 12 and 13, in dist/ (ARCH=arm64 for another machine)
	PYTHONPATH=packaging $(BIN)/python -m shipping deb $(if $(ARCH),--arch $(ARCH))

bundle: $(STAMP) ## bundles that install both programs on other distributions, without an index, in dist/
	PYTHONPATH=packaging $(BIN)/python -m shipping bundle $(if $(ARCH),--arch $(ARCH))

lock:            ## write the locks anew (needs uv; the only step that resolves versions)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links --extra gateway --extra otel pyproject.toml -o requirements/gateway-otel.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links --group dev --extra gateway --extra otel pyproject.toml -o requirements/dev.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links --extra gateway pyproject.toml -o requirements/gateway.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links pyproject.toml -o requirements/agent.lock
	echo pip | uv pip compile --quiet --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links - -o requirements/installer.lock

demo: $(STAMP)   ## the main job for real: gateway, agent, Jira and a client as separate processes (ONCE=1 exits)
	@$(BIN)/python -m tests.support.demo $(if $(ONCE),--once)

example: $(STAMP) ## another system kept in step with Jira, both ways, by a 60-line subscriber (STAY=1 leaves it running)
	@$(BIN)/python -m examples $(if $(STAY),--stay)

lint: $(STAMP)   ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

check: lint      ## format, lint, types, architecture, unit tests: about 20 s
	$(BIN)/python -m pytest -n 2 tests/unit tests/test_architecture.py

unit: $(STAMP)   ## unit tests only
	$(BIN)/python -m pytest tests/unit

test: lint       ## everything that takes minutes in all, and as much of the lab; what measures time first and alone
	$(BIN)/python -m pytest -m alone
	$(BIN)/python -m pytest -rs $(QUICK_LAB)
	$(BIN)/python -m pytest -m "not alone" -n 3 --dist loadfile

format: $(STAMP) ## rewrite the sources in the project's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(STAMP)  ## requests/s, latency, CPU and memory beside nginx, ssh -R and Snyk Broker (docs/performance.md; ACCEPT=1 keeps the ratios)
	$(BIN)/python -m bench $(if $(ACCEPT),--accept)

bench-check: $(STAMP) ## measure anew; fails when a ratio is over 20 % worse than that of the accepted run, beyond the noise
	$(BIN)/python -m bench --check

bench-wan: $(STAMP) ## the same across an emulated WAN: 50 ms, loss, 20 and 10 Mbit/s; as root, under ten minutes (LINE=name for one)
	$(BIN)/python -m bench.wan $(if $(LINE),--line $(LINE))

bench-events: $(STAMP) ## webhooks taken in per second, and how soon subscribers have them (docs/performance.md)
	$(BIN)/python -m bench.events

lab: $(STAMP)    ## real systemd, packages, containers, firewalls, proxies: as root; says what is missing otherwise
	$(BIN)/python -m pytest -rs tests/lab

soak: $(STAMP)   ## restarts, standstills, outages and a million requests for minutes: two thousand agents, slow callers, big transfers
	$(BIN)/python -m pytest -rs tests/soak

docs: $(STAMP)   ## write the tables that are made from the code anew: settings, permissions, errors, metrics, alerts
	PYTHONPATH=packaging $(BIN)/python -m tests.support.settings_tables
	$(BIN)/python -m tests.support.error_table
	$(BIN)/python -m tests.support.permission_tables
	$(BIN)/python -m tests.support.metric_tables
	$(BIN)/python -m tests.support.alert_table

clean:           ## remove what the other commands made
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info tests/e2e/clients/node_modules
