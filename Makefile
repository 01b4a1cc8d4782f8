# Two commands matter: `make run` and `make test`. Each does everything from nothing: it needs
# Python 3.11 and the network once, no root, no Docker, no installed server.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
.PHONY: help setup run manage secrets test bench-ingest bench-intents bench-dm bench-console chaos-dm screenshots lint format lock clean

# Paths are relative to this folder, so that its own path may hold spaces.
PYTHON ?=
VENV := .venv
STAMP := $(VENV)/.installed
PY := $(VENV)/bin/python

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 21

setup: $(STAMP) ## Make .venv with everything that the other commands need

# The stamp is made last: after an interrupted or failed installation there is none.
$(STAMP): requirements.txt requirements-dev.txt
	@rm -f $(STAMP)
	if ! $(PY) -c 'import pip, sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
		python=
		for candidate in $(if $(PYTHON),"$(PYTHON)",python3.11 python3 /usr/bin/python3.11); do
			if "$$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
				python=$$candidate
				break
			fi
		done
		if [ -z "$$python" ]; then
			echo "ThreadsAgent needs Python 3.11, and there is none$(if $(PYTHON), at $(PYTHON),)." >&2
			echo "On Debian 12: apt-get install python3.11 python3.11-venv" >&2
			echo "One in an unusual place: make PYTHON=/path/to/python3.11 ..." >&2
			exit 1
		fi
		if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then
			echo "This Python 3.11 ($$python) cannot make virtual environments." >&2
			echo "On Debian 12: apt-get install python3.11-venv" >&2
			exit 1
		fi
		echo "Making $(VENV) ..."
		rm -rf $(VENV)
		"$$python" -m venv $(VENV)
	fi
	echo "Installing the Python packages into $(VENV): some minutes, the first time only ..."
	$(PY) -m pip install --disable-pip-version-check --no-input --progress-bar off \
		-r requirements-dev.txt | {
		count=0
		while IFS= read -r line; do
			case $$line in
			Collecting*)
				count=$$((count + 1))
				if [ $$((count % 25)) -eq 0 ]; then echo "  $$count packages fetched"; fi ;;
			Installing\ collected*) echo "  $$count packages fetched, now installing them" ;;
			esac
		done
	}
	touch $(STAMP)

run: setup ## Run the whole system until Ctrl-C (make run ARGS="--for 60")
	@exec $(PY) -m threadsagent.run $(ARGS)

# manage.py needs settings even where it needs no service; nothing connects to these.
manage lint: export SECRET_KEY ?= only-for-looking-at-the-code
manage lint: export DATABASE_URL ?= postgres://nobody@127.0.0.1:9/nothing
manage lint: export REDIS_URL ?= redis://127.0.0.1:9/0
manage lint: export CELERY_BROKER_URL ?= redis://127.0.0.1:9/1

manage: setup ## Run manage.py on the running system (make manage ARGS="import_comments FILE")
	@if [ -e .data/environment ] && ! flock --nonblock .data/lock true; then
		. .data/environment
	else
		echo "(ThreadsAgent is not running here: what needs its database will fail.)" >&2
	fi
	exec $(PY) manage.py $(ARGS)

# Containers run as several users, so the files can be read by all, and the folder by its owner.
# Each is made once: to change one, remove it and those that hold it too, and make them again.
secrets: ## Make secrets/, the passwords and keys of compose.yaml
	@umask 022
	mkdir -p -m 700 secrets
	keep() { [ -e secrets/$$1 ] || { printf '%s\n' "$$2" > secrets/$$1.new; mv secrets/$$1{.new,}; }; }
	for name in secret_key metrics_token grafana_password demo_password fake_platform_app_secret \
		postgres_password database_password redis_password rabbitmq_password; do
		keep $$name $$(od -An -v -tx1 -N24 /dev/urandom | tr -d ' \n')
	done
	database=$$(<secrets/database_password)
	redis=$$(<secrets/redis_password)
	rabbitmq=$$(<secrets/rabbitmq_password)
	keep database_url "postgres://threadsagent:$$database@postgres:5432/threadsagent"
	keep role.sql "CREATE ROLE threadsagent LOGIN PASSWORD '$$database';"$$'\n'"CREATE DATABASE threadsagent OWNER threadsagent;"
	keep redis_url "redis://:$$redis@redis:6379/0"
	keep redis.conf "requirepass $$redis"
	keep broker_url "amqp://threadsagent:$$rabbitmq@rabbitmq:5672//"
	keep rabbitmq.conf "default_user = threadsagent"$$'\n'"default_pass = $$rabbitmq"
	# Other services' secrets, for alerts: empty until you fill them in.
	for name in slack-url pagerduty-key smtp-password; do
		keep $$name ""
	done

test: setup ## Run all tests, about 22 minutes (make test ARGS="-k foo")
	@exec $(PY) -m pytest $(ARGS)

bench-ingest: setup ## Measure how fast comments come in, about 20 minutes (docs/benchmarks.md)
	@exec $(PY) -m tests.benchmarks.ingest $(ARGS)

bench-intents: setup ## Measure how fast comments are analysed, about 20 minutes
	@exec $(PY) -m tests.benchmarks.intents $(ARGS)

bench-dm: setup ## Measure how soon messages leave and at what pace, about 8 minutes
	@exec $(PY) -m tests.benchmarks.messages $(ARGS)

bench-console: setup ## Measure the console's pages with 5 million comments, about 4 minutes
	@exec $(PY) -m tests.benchmarks.console $(ARGS)

chaos-dm: setup ## Break everything while 10,000 messages are sent, about 5 minutes
	@exec $(PY) -m tests.chaos $(ARGS)

screenshots: setup ## Take the pictures of docs/console.md from the running system
	@exec $(PY) -m tests.screenshots $(ARGS)

lint: setup ## Check style, types, imports, migrations, the API schema, the image's files
	@set -x
	# Without a cache: what an import belongs to changes with files that are not looked at again.
	$(PY) -m ruff check --no-cache .
	$(PY) -m ruff format --no-cache --check .
	$(PY) -m mypy .
	$(VENV)/bin/lint-imports
	$(PY) manage.py check
	# The database it cannot ask about applied migrations is the one above, on purpose.
	$(PY) -W 'ignore:Got an error checking a consistent migration history' \
		manage.py makemigrations --check --dry-run
	$(PY) manage.py spectacular --validate --fail-on-warn --file /dev/null
	$(VENV)/bin/hadolint Dockerfile
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.compose-spec compose.yaml

format: setup ## Format the code
	@$(PY) -m ruff check --fix-only .
	$(PY) -m ruff format .

# "+cpu" and the like name where a build came from; the plain version is what any index has.
lock: setup ## Pin what requirements*.in ask for (make lock ARGS=--upgrade)
	@for name in requirements requirements-dev; do
		$(PY) -m piptools compile --quiet --strip-extras --no-emit-index-url \
			--no-emit-find-links --no-emit-trusted-host --output-file=$$name.txt $(ARGS) $$name.in
		sed -i 's/^\(torch==[^+ ]*\)+[a-z0-9.]*/\1/' $$name.txt
	done

clean: ## Remove .venv and .data: packages, databases, logs
	@if [ -e .data/lock ] && ! flock --nonblock .data/lock true; then
		echo "ThreadsAgent is running here: stop it first." >&2
		exit 1
	fi
	rm -rf $(VENV) .data
