# One command for each thing that a person wants. All of them fetch what is missing first.

CARGO ?= cargo
# Dependencies and the workspace are built once; tests find the worker here.
TARGET_DIR := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)

.PHONY: help quickstart quickstart-stop build test lint record chaos chaos-s3 memory soak-memory fuzz fuzz-rest rest-figures bench setup simulate chaos-group

help:
	@echo "make quickstart       rows changed in Postgres, read back out of Parquet, in one minute after the build"
	@echo "make quickstart-stop  stops what it left running"
	@echo "make test             formatting, lints, unit tests, and the tests against the real parts"
	@echo "make memory           5,000 open files of the S3 sink in one process of less than 256 MB"
	@echo "make record           makes the recorded answers anew from the JVM worker"
	@echo "make chaos            kill -9 two hundred times over every kind of change, half of them exactly once,"
	@echo "                      and twenty times during a load of 100,000 changes on their way into Parquet"
	@echo "make soak-memory      a transaction of 1 GB and rows of 50 MB in bounded memory"

	@echo "make chaos-group      ten minutes of kills in a group of ours, ten in a mixed one, ten of swaps under load"
	@echo "make simulate         20,000 random histories of a group (GROUP_HISTORIES)"
	@echo "make chaos-s3         ten minutes of a store that fails, with kills; every offset is then stored once"
	@echo "make fuzz-rest        requests made up from docs/openapi.yaml, many (REST_FUZZ_EXAMPLES)"
	@echo "make rest-figures     GETs and a restart with 200 connectors, against what is promised"
	@echo "make fuzz             mutated input through the decoders for an hour (FUZZ_SECONDS), through the"
	@echo "                      registry's converters for FUZZ_ROUNDS; a million schemas (DISTINCT_SCHEMAS)"
	@echo "make bench            the benchmark beside the JVM worker; writes docs/bench"

rust:
	@command -v $(CARGO) >/dev/null || { echo "cargo is missing: install Rust 1.88 or newer (https://rustup.rs)"; exit 1; }

.PHONY: rust

build: rust
	$(CARGO) build --release --workspace --bins

quickstart: rust
	@compat-tests/setup.sh quickstart >/dev/null
	$(CARGO) build --release --workspace --bin ferroconnect --bin quickstart --bin s3-folder
	@FERROCONNECT_BIN=$(TARGET_DIR)/release/ferroconnect $(TARGET_DIR)/release/quickstart

quickstart-stop:
	@$(TARGET_DIR)/release/quickstart stop

setup:
	@compat-tests/setup.sh test

lint: rust
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings

test: rust
	@compat-tests/setup.sh test >/dev/null
	$(MAKE) lint
	$(CARGO) build --workspace --bins
	FERROCONNECT_BIN=$(TARGET_DIR)/debug/ferroconnect $(CARGO) test --workspace

record: rust
	@compat-tests/setup.sh test >/dev/null
	TARGET=java $(CARGO) test -p compat-tests --test main recorded

chaos: rust
	@compat-tests/setup.sh test >/dev/null
	$(CARGO) build --release --workspace --bins
	CHAOS_KILLS=20 CHAOS_CHANGES=100000 CHAOS_SOURCE_KILLS=100 CHAOS_SOURCE_BURST=20000 \
	  FERROCONNECT_BIN=$(TARGET_DIR)/release/ferroconnect \
	  $(CARGO) test -p compat-tests --test main -- \
	  nothing_is_lost_or_doubled_by_kills chaos_source --nocapture --test-threads=1

soak-memory: rust
	@compat-tests/setup.sh test >/dev/null
	$(CARGO) build --release --workspace --bins
	MEMORY_TRANSACTION_MB=1024 MEMORY_ROW_MB=50 MEMORY_ROWS=6 FERROCONNECT_BIN=$(TARGET_DIR)/release/ferroconnect \
	  $(CARGO) test -p compat-tests --test main memory -- --nocapture --test-threads=1

chaos-s3: rust
	@compat-tests/setup.sh test >/dev/null
	$(CARGO) build --release --workspace --bins
	CHAOS_S3_SECONDS=600 FERROCONNECT_BIN=$(TARGET_DIR)/release/ferroconnect \
	  $(CARGO) test -p compat-tests --test main -- sink_faults sink_kills --nocapture

memory: rust
	S3_MEMORY_FILES=5000 S3_MEMORY_RECORDS=200 $(CARGO) test -p s3-sink --test memory -- --nocapture

chaos-group: rust
	@compat-tests/setup.sh test >/dev/null
	$(CARGO) build --release --workspace --bins
	CHAOS_GROUP_SECONDS=$${CHAOS_GROUP_SECONDS:-600} FERROCONNECT_BIN=$(TARGET_DIR)/release/ferroconnect \
	  $(CARGO) test -p compat-tests --test main group_chaos -- --nocapture --test-threads 1

simulate: rust
	GROUP_HISTORIES=$${GROUP_HISTORIES:-20000} \
	  $(CARGO) test -p worker --lib in_random_histories -- --nocapture

fuzz: rust
	FUZZ_SECONDS=$${FUZZ_SECONDS:-3600} FUZZ_SEED=$${FUZZ_SEED:-$$(date +%s)} \
	  $(CARGO) test -p postgres-source --release --test fuzz -- --nocapture
	FERROCONNECT_FUZZ_ROUNDS=$${FUZZ_ROUNDS:-100000} \
	  $(CARGO) test -p avro-converter -p registry-converters --release fuzz
	DISTINCT_SCHEMAS=$${DISTINCT_SCHEMAS:-1000000} \
	  $(CARGO) test -p avro-converter -p registry-converters --release a_million_schemas

fuzz-rest: rust
	@compat-tests/setup.sh test >/dev/null
	$(CARGO) build --workspace --bins
	REST_FUZZ_EXAMPLES=$(or $(REST_FUZZ_EXAMPLES),200) FERROCONNECT_BIN=$(TARGET_DIR)/debug/ferroconnect \
	  $(CARGO) test -p compat-tests --test main made_up_requests -- --nocapture

rest-figures: rust
	@compat-tests/setup.sh test >/dev/null
	$(CARGO) build --release --workspace --bins
	REST_FIGURES=exact FERROCONNECT_BIN=$(TARGET_DIR)/release/ferroconnect \
	  $(CARGO) test -p compat-tests --test main with_200_connectors -- --nocapture

bench: rust
	@compat-tests/setup.sh test >/dev/null
	$(CARGO) build --release --workspace --bins
	FERROCONNECT_BIN=$(TARGET_DIR)/release/ferroconnect $(TARGET_DIR)/release/bench
