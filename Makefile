# The two commands that a newcomer needs are `make demo` and `make test`.
SHELL := /bin/bash
.DEFAULT_GOAL := help

# CI gets a fresh clone each time; its build results live in the user's cache.
ifdef CI
export CARGO_TARGET_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/weir/target
endif

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: requirements ## Two nodes with real OVS: turn flow export on, see named flows, turn it off (DEMO_KEEP=1: and on again, with the web UI)
	@scripts/demo

.PHONY: test
test: ## Everything that CI checks
	@scripts/install-requirements --ui
	@scripts/test

.PHONY: test-peers
test-peers: requirements ## The chart with helm itself, verdicts beside other evaluators; built first, once (minutes)
	@scripts/test-policy-peers
	cargo build --workspace --bins
	@scripts/test-chart "$${CARGO_TARGET_DIR:-target}/debug" --helm

.PHONY: mutate-policy
mutate-policy: requirements ## Faults made by hand in weir-policy: which do its tests notice? (half an hour)
	@scripts/mutate-policy

.PHONY: requirements
requirements: ## Install what the project needs on Debian
	@scripts/install-requirements

.PHONY: ui
ui: ## Build the web UI, which programs that are built afterwards have
	@scripts/build-ui

.PHONY: crds
crds: ## Generate manifests/crds from api/
	cargo run --quiet --bin crdgen manifests/crds

.PHONY: fields
fields: ## Generate docs/fields.md from the field table
	cargo run --quiet --bin fieldgen docs/fields.md

.PHONY: openapi
openapi: ## Generate docs/openapi.json from the collector
	cargo run --quiet --bin weir-collector -- --openapi > docs/openapi.json

.PHONY: build-report
build-report: requirements ## CPU time and size of the demo's programs by crate; a cold build, with bounds
	@scripts/build-report

.PHONY: bench-change
bench-change: requirements ## Time from patch to OVSDB on NODES nodes (default 100; more are simulated)
	@scripts/bench-change $(or $(NODES),100)

.PHONY: bench-overhead
bench-overhead: requirements ## What export costs the traffic: throughput and CPU of Open vSwitch (root)
	@scripts/bench-overhead $(or $(ROUNDS),5)

.PHONY: bench-collector
bench-collector: requirements ## weir-collector beside nfcapd on the same datagrams (root, two cores)
	@scripts/bench-collector

.PHONY: bench-ingest
bench-ingest: requirements ## From the socket to sealed segments, beside nfcapd (root, two cores)
	@scripts/bench-collector --ingest

.PHONY: fuzz
fuzz: ## Fuzz the decoder, SECONDS (default 30) for each target; needs a nightly compiler
	@scripts/fuzz $(or $(SECONDS),30)

.PHONY: bench-decode
bench-decode: requirements ## Records a second that the decoder makes on one core
	@scripts/bench-decode

.PHONY: bench-identity
bench-identity: requirements ## Memory and time of the names of 1,000 nodes and 50,000 pods
	@scripts/bench-identity

.PHONY: bench-connections
bench-connections: requirements ## A million connections: CPU a record, memory, eviction, checkpoint
	@scripts/bench-connections

.PHONY: bench-policy
bench-policy: requirements ## Policies over 50,000 pods: compile, changes, verdicts; replay of a million edges; reports
	@scripts/bench-policy

.PHONY: bench-query
bench-query: requirements ## Questions over ROWS flows (default 1000000) beside DuckDB and ClickHouse
	@scripts/bench-query $(or $(ROWS),1000000)

.PHONY: bench-tail
bench-tail: requirements ## What four who watch cost a record, beside nobody
	cargo bench --quiet --workspace --bench tail

.PHONY: install
install: ## weir, kubectl-weir, completion and man pages under PREFIX (default /usr/local), below DESTDIR
	@scripts/install $(or $(PREFIX),/usr/local)

.PHONY: images
images: ## Static binaries in scratch images (needs docker or podman)
	@scripts/build-images
