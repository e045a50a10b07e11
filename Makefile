# What people call: run, demo, check, test, compose-test, monitoring-test, build, bench, record, soak, load, clean-data.
# CONTRIBUTING.md tells what each is for. Go knows by itself what is out of date;
# the page bundle and devstack, which take long, are made again only when their
# sources change.

SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

DATA_DIR := $(or $(REELFLOW_DATA_DIR),.reelflow)

devstack_sources := $(filter-out %_test.go,$(wildcard devstack/*.go)) devstack/go.mod devstack/go.sum
page_sources     := $(wildcard web/src/* web/*.json web/build.js)
bundle           := web/dist/watch.js
modules          := web/node_modules/.package-lock.json
client_sources   := $(wildcard e2e/clients/*.js)
clients          := e2e/clients/dist/page.js
client_modules   := e2e/clients/node_modules/.package-lock.json

# SQLite is C turned into Go: with the race detector in it tests take twice as
# long, and what would race in there is not ours to mend.
race_detector    := -race -gcflags='modernc.org/...=-race=false'

.PHONY: run demo test compose-test monitoring-test build bench record soak load clean-data setup setup-test programs race lint check

run: setup build
	@REELFLOW_DELETE_GRACE="$${REELFLOW_DELETE_GRACE-1m}" exec bin/starter run

demo: setup build
	@exec bin/starter demo $(if $(VIDEO),"$(VIDEO)")

# Tests wait more than they work (check's, which need no server, in four packages at once),
# and lint has vetted them.
unit := go test -vet=off $(race_detector) -ldflags=-w -shuffle=on -parallel 4 -timeout 20m

# All that CI runs.
test: setup-test lint build race $(clients)
	$(unit) $$(go list ./... | grep -v /e2e)
	cd devstack && go test -timeout 5m ./...
	go test -vet=off -timeout 45m -parallel 3 ./e2e/...

# What is quick enough for every change: unit tests without those that need a Temporal
# server or S3 stores, and a part of the long lists.
check: setup-test lint
	$(unit) -p 4 -short $$(go list ./... | grep -v /e2e)

# Formatting, vet, determinism, and the types of the pages' script.
lint: $(bundle)
	@files=$$(git ls-files --cached --others --exclude-standard '*.go' | xargs gofmt -l); \
	if [ -n "$$files" ]; then echo "these files are not formatted (gofmt -w):"; echo "$$files"; exit 1; fi
	go vet ./...
	cd devstack && go vet ./...
	tools/workflowcheck
	cd web && npm run --silent check && npm test --silent

build: programs bin/devstack

programs: $(bundle)
	@mkdir -p bin
	go build -o bin/worker ./worker
	go build -o bin/starter ./starter

# The programs once more, with the race detector: tests that kill, freeze and pause
# run these.
race: $(bundle) bin/devstack
	@mkdir -p bin/race
	go build $(race_detector) -o bin/race/worker ./worker
	go build $(race_detector) -o bin/race/starter ./starter
	@ln -sfn ../devstack bin/race/devstack

bin/devstack: $(devstack_sources)
	@mkdir -p bin
	@echo "building the Temporal server and S3 stores: takes some minutes the first time"
	cd devstack && go build -o ../bin/devstack .
	@touch $@

$(modules): web/package.json web/package-lock.json | setup
	cd web && npm ci --no-progress --loglevel=error
	@touch $@

$(bundle): $(modules) $(page_sources)
	cd web && npm run --silent build
	@touch $@

# The tus clients that others wrote, which the tests upload with.
$(client_modules): e2e/clients/package.json e2e/clients/package-lock.json | setup
	cd e2e/clients && npm ci --no-progress --loglevel=error
	@touch $@

$(clients): $(client_modules) $(client_sources)
	cd e2e/clients && npm run --silent build
	@touch $@

setup:
	@setup/install.sh run

setup-test:
	@setup/install.sh test

# Benchmarks against the peers of bench/go.mod, as a table.
bench: setup-test build
	@exec bench/run

# New histories for the replay test, after a change of workflow code before the first release.
record: setup bin/devstack
	go test -count=1 ./workflows -run TestRecord -record

# All of what `make test` does a seeded tenth of: takes hours. ONLY=REGEXP picks tests.
soak: setup-test build race $(clients)
	SOAK=1 go test -count=1 -timeout 0 -v $(if $(ONLY),-run '$(ONLY)') $$(grep -rl --include='*_test.go' '"SOAK"' . | xargs -n1 dirname | sort -u)

# Many at once while programs die and networks break: the part of it that is load.
load: setup-test build race $(clients)
	SOAK=1 go test -count=1 -timeout 0 -v -run 'Chaos|Pause' ./e2e

# docker-compose.yml on an engine of this machine: a whole life, then faults. FAULTS=REGEXP
# picks them; the first run makes images and takes long.
compose-test: setup programs
	@setup/install.sh compose
	@deploy/composetest/run.sh

# Every alert and dashboard is asked of a real Prometheus over a real run.
monitoring-test: setup-test build
	@setup/install.sh monitoring
	MONITORING=1 go test -count=1 -timeout 20m -v -run AlertsAndDashboards ./e2e

clean-data:
	rm -rf "$(DATA_DIR)"
