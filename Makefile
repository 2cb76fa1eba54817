# One command each; `make help` lists them. Works with GNU make 3.81, which macOS still ships.

VENV := .venv
RUN := $(VENV)/bin/python
PORT := 8000
# Tests have data of their own: they never touch what `make demo` keeps under var/. They delete what they made, and no
# vacuum comes in between by chance: it would change which rows come first where nothing says so. They start hundreds of
# processes, each of which would compile two thousand modules where the environment forbids to keep bytecode.
TEST_ENVIRONMENT := env -u GROQ_API_KEY -u GROQ_BASE_URL -u PYTHONDONTWRITEBYTECODE VAR_DIR="$(CURDIR)/var/test" \
	PYTHONPYCACHEPREFIX="$(CURDIR)/var/test/bytecode" COMPRESS_STATIC=0 \
	EMBEDDED_POSTGRES_SETTINGS=fsync=off,autovacuum=off
# The versions of Groq's SDK on which the client is tested too, beside the one of the lock.
OLDER_SDKS := $(patsubst tests/groq_client/older_sdks/%.txt,$(VENV)/sdks/%.installed,\
	$(wildcard tests/groq_client/older_sdks/*.txt))
# The environments of exporters of OpenTelemetry, whose packages do not fit together, with which ingestion is tested.
EXPORTERS := $(patsubst tests/gateway/ingestion/exporters/%.txt,var/exporters/%/installed,\
	$(wildcard tests/gateway/ingestion/exporters/*.txt))
# Gateways of others, for the benchmark alone.
OTHER_GATEWAYS := var/others/litellm/installed var/others/portkey/installed
# The environment without Django in which the wheel of groq_client is built and installed.
WHEEL := var/client/installed
# The clients from npm with which the gateway is tested, where Node is there.
JAVASCRIPT := $(if $(shell command -v npm 2>/dev/null),var/javascript/installed)
# Libraries that are built on Groq, with which the gateway is tested.
CLIENTS := var/clients/installed
# The FinOps Foundation's validator of FOCUS files.
FOCUS := var/focus/installed
ROOMS := usage_dashboard accounts pricing groq_client ledger analytics playground connect gateway api
LOCK := $(RUN) -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --no-header --custom-compile-command "make lock"

.DEFAULT_GOAL := help
.PHONY: help demo test lint audit environments pytest kill-trials hostile api-cases bench bench-gateway screenshots docs release-check plotly format lock clean

help: ## this list
	@grep -E '^[a-z-]+:.*## ' Makefile | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

demo: export COMPRESS_STATIC := 0
demo: $(VENV)/runtime.installed ## everything from nothing: database, 90 days of history, server, live calls (PORT=8000)
	@$(RUN) manage.py demo --port $(PORT)

test: ## every check and every test, from nothing (FORBID_SKIP=1: a skipped test is a failure)
	@$(MAKE) --jobs=4 lint environments
	@$(MAKE) pytest

lint: $(VENV)/dev.installed ## the checks alone: ruff, bandit, mypy --strict, Django's deployment and migration checks
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m bandit --quiet --recursive --severity-level high $(ROOMS)
	$(TEST_ENVIRONMENT) $(RUN) -m mypy --strict
	@echo "manage.py check --deploy"
	@$(TEST_ENVIRONMENT) HTTPS=1 ALLOWED_HOSTS=example.com \
		SECRET_KEY="$$($(RUN) -c 'import secrets; print(secrets.token_urlsafe(64))')" \
		$(RUN) manage.py check --deploy --fail-level WARNING
	$(TEST_ENVIRONMENT) $(RUN) manage.py makemigrations --check

# What tests run beside the project's own packages. These wait for the network, while lint needs the processor.
environments: $(VENV)/dev.installed $(OLDER_SDKS) $(EXPORTERS) $(CLIENTS) $(FOCUS) $(WHEEL) $(JAVASCRIPT)

pytest: environments ## the tests alone, or some of them (ARGS="tests/usage_dashboard/test_env.py -k bad")
	$(TEST_ENVIRONMENT) $(RUN) manage.py collectstatic --no-input --verbosity 0
	$(TEST_ENVIRONMENT) $(RUN) -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder \
		$(ARGS)

# Advisories are asked of the public index, of which a mirror may have none: --strict then fails rather than finding nothing.
audit: $(VENV)/dev.installed ## the locked packages against public advisories; needs the network
	@$(RUN) -m pip_audit --requirement requirements.lock --disable-pip --strict --progress-spinner off || { \
		echo "Packages have advisories, or there was nobody to ask (see above)." >&2; exit 1; }

kill-trials: $(VENV)/dev.installed ## more trials than the suite has: 200 killed processes, 200 folds (KILL_SEED=1 repeats), 1,000 pools, 50 gateways, a minute without PostgreSQL, 200 clients
	KILL_TRIALS=200 $(MAKE) pytest ARGS="tests/test_killed_processes.py --numprocesses 0 -s"
	POOLS=1000 $(MAKE) pytest ARGS="tests/ledger/test_writer.py -k pools --numprocesses 0"
	KILL_TRIALS=50 $(MAKE) pytest ARGS="tests/gateway/test_reliability.py -k killed --numprocesses 0 -s"
	AWAY_SECONDS=60 $(MAKE) pytest ARGS="tests/gateway/test_reliability.py -k postgresql --numprocesses 0 -s"
	KILL_TRIALS=200 $(MAKE) pytest ARGS="tests/groq_client/over_http/test_killed_clients.py --numprocesses 0 -s"

hostile: $(VENV)/dev.installed ## 10,000 requests that nobody should send to each door: statuses, memory, and how far others are slowed
	HOSTILE_CASES=10000 $(MAKE) pytest ARGS="tests/gateway/test_every_door.py --numprocesses 0 -s"
	HOSTILE_CASES=10000 $(MAKE) pytest ARGS="tests/gateway/ingestion/test_hostile.py --numprocesses 0"
	VAR_DIR="$(CURDIR)/var/bench" $(RUN) -m benchmarks.wrong_keys

api-cases: $(VENV)/dev.installed ## 24,000 requests that the API's document allows or forbids, by everybody: what is told, and that nothing of others is
	API_CASES=24000 $(MAKE) pytest ARGS="tests/api/test_every_case.py --numprocesses 0 -s"

bench: $(VENV)/dev.installed ## the figures of docs/benchmarks.md
	VAR_DIR="$(CURDIR)/var/bench" $(RUN) -m benchmarks $(ARGS)

bench-gateway: $(VENV)/dev.installed ## the gateway beside a straight call, a bare pass-through, LiteLLM's proxy and Portkey's gateway
	@$(MAKE) --no-print-directory --keep-going $(OTHER_GATEWAYS) || echo "What could not be installed is left out."
	VAR_DIR="$(CURDIR)/var/bench" $(RUN) -m benchmarks.gateway $(ARGS)

screenshots: $(VENV)/dev.installed ## pictures of every screen, into var/screenshots/png (ARGS="overview pricing")
	env -u GROQ_API_KEY -u GROQ_BASE_URL $(RUN) -m tests.browser.screenshots $(ARGS)

docs: $(VENV)/dev.installed ## docs/ as a site in var/site, with the programs of templates/connect/snippets in docs/connect.md
	$(TEST_ENVIRONMENT) DJANGO_SETTINGS_MODULE=usage_dashboard.settings $(RUN) -m tests.gateway.connect_page
	NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --strict --quiet
	@echo "The pages are in var/site/index.html; to search them: python3 -m http.server --directory var/site"

release-check: $(VENV)/dev.installed ## build wheel and sdist of both distributions, install them in fresh environments and run them
	$(TEST_ENVIRONMENT) $(RUN) -m tests.release.check

plotly: ## static/vendor/plotly/plotly.min.js, of the parts of Plotly that the charts use (bundles/plotly)
	@mkdir -p var/plotly && cp bundles/plotly/* var/plotly
	@cd var/plotly && npm ci --silent --ignore-scripts --no-audit --no-fund && node build.mjs "$(CURDIR)/static/vendor/plotly/plotly.min.js"

format: $(VENV)/dev.installed ## put the code into shape
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

lock: $(RUN) ## pin the newest packages that pyproject.toml allows
	$(RUN) -m pip install --quiet --disable-pip-version-check uv
	$(LOCK) --upgrade pyproject.toml --output-file requirements.lock
	$(LOCK) --upgrade pyproject.toml --extra dev --constraint requirements.lock --output-file requirements-dev.lock
	echo 'hatchling>=1.27,<2' | $(LOCK) --upgrade groq_client/pyproject.toml - --constraint requirements.lock \
		--output-file tests/groq_client/over_http/wheel.txt
	$(if $(JAVASCRIPT),cd tests/gateway/javascript && npm update --package-lock-only --omit-lockfile-registry-resolved)
	$(LOCK) --upgrade tests/gateway/clients/requirements.in --output-file tests/gateway/clients/requirements.txt

clean: ## remove the virtual environment, all caches and all data, the demo's included
	for data in var/postgres var/test/postgres; do \
		if [ -L $$data ]; then rm -rf "$$(readlink $$data)"*; fi; \
	done
	rm -rf $(VENV) var staticfiles .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Installed anew only when the lock changed. The development lock holds the runtime's packages too, at the same versions.
$(VENV)/runtime.installed: requirements.lock | $(RUN)
	@echo "Installing the packages of $<"
	@$(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

# pip brings uv, and uv the rest: a tenth of the processor time that pip takes for it.
$(VENV)/dev.installed: requirements-dev.lock | $(RUN)
	@echo "Installing the packages of $<"
	@sed -n '/^uv==/,/[^\\]$$/p' $< | \
		$(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes -r /dev/stdin
	@$(RUN) -m uv pip install --quiet --require-hashes --python $(RUN) -r $<
	@touch $@

$(VENV)/sdks/%.installed: tests/groq_client/older_sdks/%.txt | $(RUN)
	@echo "Installing Groq's SDK $*"
	@rm -rf $(VENV)/sdks/$*
	@$(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --target $(VENV)/sdks/$* -r $<
	@touch $@

# Environments of hundreds of packages in all, which uv installs in seconds and pip in minutes.
var/exporters/%/installed: tests/gateway/ingestion/exporters/%.txt | $(VENV)/dev.installed
	$(call environment,$@,$<)

$(CLIENTS): tests/gateway/clients/requirements.txt | $(VENV)/dev.installed
	$(call environment,$@,$<)

# Before Python 3.12 an expression in an f-string must not contain a backslash.
$(FOCUS): tests/api/focus/requirements.txt tests/api/focus/validator.txt | $(VENV)/dev.installed
	@echo "Installing FOCUS' validator"
	@$(RUN) -m venv --clear $(@D)
	@$(RUN) -m uv pip install --quiet --require-hashes --python $(@D)/bin/python -r $<
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --no-build-isolation \
		--ignore-requires-python -r tests/api/focus/validator.txt
	@sed -i "s/f\"'{k.replace('\\\\\"', '\\\\\"\\\\\"')}'\"/\"'\" + k.replace('\"', '\"\"') + \"'\"/" \
		$(@D)/lib/python*/site-packages/focus_validator/config_objects/focus_to_duckdb_converter.py
	@touch $@

$(WHEEL): tests/groq_client/over_http/wheel.txt | $(RUN)
	@echo "Installing the packages of $<"
	@$(RUN) -m venv --clear $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

var/others/litellm/installed: benchmarks/others/litellm.txt | $(RUN)
	@echo "Installing LiteLLM's proxy"
	@$(RUN) -m venv --clear $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

var/others/portkey/installed: benchmarks/others/portkey/package-lock.json benchmarks/others/portkey/package.json
	@echo "Installing Portkey's gateway"
	@rm -rf $(@D) && mkdir -p $(@D) && cp $^ $(@D)
	@cd $(@D) && npm ci --silent --ignore-scripts --no-audit --no-fund
	@touch $@

define environment
	@echo "Installing the packages of $(2)"
	@$(RUN) -m uv venv --quiet --clear --python $(RUN) $(dir $(1))
	@$(RUN) -m uv pip sync --quiet --require-hashes --python $(dir $(1))bin/python $(2)
	@touch $(1)
endef


var/javascript/installed: tests/gateway/javascript/package.json tests/gateway/javascript/package-lock.json
	@echo "Installing the clients for JavaScript"
	@mkdir -p $(@D)
	@cp $^ $(@D)
	@cd $(@D) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
	@touch $@

# The first Python that is new enough and able to make a virtual environment.
$(RUN):
	@found=; incomplete=; \
	for python in python3.13 python3.12 python3.11 python3; do \
		$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue; \
		if $$python -c 'import venv, ensurepip' >/dev/null 2>&1; then found=$$python; break; fi; \
		incomplete=$$python; \
	done; \
	if [ -z "$$found" ] && [ -n "$$incomplete" ]; then \
		echo "$$incomplete cannot make virtual environments yet. Install the missing part: apt install python3-venv" >&2; \
		exit 1; \
	elif [ -z "$$found" ]; then \
		echo "Python 3.11 or newer is needed, and none of python3.13, python3.12, python3.11, python3 is that." >&2; \
		exit 1; \
	fi; \
	echo "Making the virtual environment $(VENV) with $$found"; \
	$$found -m venv --clear $(VENV)
