# Everything that a newcomer, a developer or the build server types. Each target installs what it needs.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
export PATH := $(HOME)/.cargo/bin:$(PATH)
SETUP := ./setup.sh

.PHONY: help demo test lint bench bench-peers crds soak mutants

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 10

demo: ## Two tenants' batches become real SIP calls, live (ARGS="--json" or "--keep")
	@$(SETUP) build demo
	cargo build --release --locked --bin busyhour
	target/release/busyhour demo examples/demo $(ARGS)

# Property tests run over the same histories each time here, so that what a build server says can be repeated; `cargo test` alone
# takes others each time, and so does the soak.
test: ## All tests: lints, unit, property and whole-system tests with real peers
	@$(SETUP) build demo test
	@$(MAKE) --no-print-directory lint
	python3 -B tests/mutants/tests.py
	PROPTEST_RNG_SEED=$(or $(SEED),1) cargo test --workspace --locked --no-fail-fast

lint: ## Formatting, clippy, licences and sources of dependencies
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo deny --log-level error check bans licenses sources

crds: ## Write crds/*.yaml from the Rust types
	@$(SETUP) build
	cargo run --quiet --locked --bin busyhour -- crds crds

bench: ## Every benchmark, into target/bench.json
	@$(SETUP) build demo bench
	tests/bench/run.sh

bench-peers: ## The same work on Redis and PostgreSQL, and the table of ratios to target/bench.json
	@$(SETUP) peers
	tests/bench/peers/run.sh

soak: SEED := $(or $(SEED),$(shell echo $$RANDOM))
soak: ## Many seeds (SEEDS=20000) through simulator and reference model, and a fortnight of constant load
	@$(SETUP) build
	@echo "make soak SEED=$(SEED) repeats this"
	cargo run --release --locked --bin busyhour -- simulate --seeds $(or $(SEEDS),20000) examples/demo
	PROPTEST_CASES=$(or $(SEEDS),20000) PROPTEST_RNG_SEED=$(SEED) cargo test --release --locked -p busyhour-controller-core --test reference
	cargo test --release --locked -p busyhour-controller-core --test soak -- --ignored

mutants: ## Breaks one rule of the core at a time, and shows which test catches it (IDS="...")
	@$(SETUP) build bench
	tests/mutants/run.py $(IDS)
