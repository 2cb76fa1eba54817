# One command each; `make help` lists them. Works with GNU make 3.81, which macOS still ships.

VENV := .venv
RUN := $(VENV)/bin/python
PORT := 8000
# Tests have data of their own: they never touch what `make demo` keeps under var/. They delete what they made, and no
# vacuum comes in between by chance: it would change which rows come first where nothing says so.
TEST_ENVIRONMENT := env -u GROQ_API_KEY -u GROQ_BASE_URL VAR_DIR="$(CURDIR)/var/test" COMPRESS_STATIC=0 \
	EMBEDDED_POSTGRES_SETTINGS=fsync=off,autovacuum=off
LOCK := $(RUN) -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --no-header --custom-compile-command "make lock"

.DEFAULT_GOAL := help
.PHONY: help demo test lint pytest kill-trials bench screenshots format lock clean

help: ## this list
	@grep -E '^[a-z-]+:.*## ' Makefile | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

demo: export COMPRESS_STATIC := 0
demo: $(VENV)/runtime.installed ## everything from nothing: database, 90 days of history, server, live calls (PORT=8000)
	@$(RUN) manage.py demo --port $(PORT)

test: lint pytest ## every check and every test, from nothing (FORBID_SKIP=1: a skipped test is a failure)

lint: $(VENV)/dev.installed ## the checks alone: ruff, mypy --strict, Django's deployment and migration checks
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(TEST_ENVIRONMENT) $(RUN) -m mypy --strict
	@echo "manage.py check --deploy"
	@$(TEST_ENVIRONMENT) HTTPS=1 ALLOWED_HOSTS=example.com \
		SECRET_KEY="$$($(RUN) -c 'import secrets; print(secrets.token_urlsafe(64))')" \
		$(RUN) manage.py check --deploy --fail-level WARNING
	$(TEST_ENVIRONMENT) $(RUN) manage.py makemigrations --check

pytest: $(VENV)/dev.installed ## the tests alone, or some of them (ARGS="tests/test_env.py -k bad")
	$(TEST_ENVIRONMENT) $(RUN) manage.py collectstatic --no-input --verbosity 0
	$(TEST_ENVIRONMENT) $(RUN) -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder \
		$(ARGS)

kill-trials: $(VENV)/dev.installed ## 200 processes killed at random moments, instead of the suite's 50 (KILL_SEED=1 repeats)
	KILL_TRIALS=200 $(MAKE) pytest ARGS="tests/test_killed_processes.py --numprocesses 0 -s"

bench: $(VENV)/dev.installed ## the figures of docs/benchmarks.md
	VAR_DIR="$(CURDIR)/var/bench" $(RUN) -m benchmarks $(ARGS)

screenshots: $(VENV)/dev.installed ## pictures of every screen, into var/screenshots/png (ARGS="overview pricing")
	env -u GROQ_API_KEY -u GROQ_BASE_URL $(RUN) -m tests.browser.screenshots $(ARGS)

format: $(VENV)/dev.installed ## put the code into shape
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

lock: $(RUN) ## pin the newest packages that pyproject.toml allows
	$(RUN) -m pip install --quiet --disable-pip-version-check uv
	$(LOCK) --upgrade pyproject.toml --output-file requirements.lock
	$(LOCK) --upgrade pyproject.toml --extra dev --constraint requirements.lock --output-file requirements-dev.lock

clean: ## remove the virtual environment, all caches and all data, the demo's included
	rm -rf $(VENV) var staticfiles .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Installed anew only when the lock changed. The development lock holds the runtime's packages too, at the same versions.
$(VENV)/runtime.installed: requirements.lock | $(RUN)
	@echo "Installing the packages of $<"
	@$(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

$(VENV)/dev.installed: requirements-dev.lock | $(RUN)
	@echo "Installing the packages of $<"
	@$(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
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
