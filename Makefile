# The front door. Every target says what it needs; `make` alone prints this list.
PRESET ?= release
JOBS ?= $(shell nproc)
BUILD := build/$(PRESET)
PYTHON := .deps/venv/bin/python

.PHONY: help setup build wheel everything serve test demo bench compat soak check-all dev lint format clean

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: ## Fetch pinned dependencies into .deps (idempotent)
	@tools/setup

$(BUILD)/build.ninja: CMakeLists.txt CMakePresets.json | setup
	@cmake --preset $(PRESET)

build: setup $(BUILD)/build.ninja ## Build the program: build/release/arrowport
	@cmake --build $(BUILD) -j $(JOBS) --target arrowport

serve: build ## Set up, build and start a server in this folder
	@$(BUILD)/arrowport serve $(ARGS)

wheel: build ## Build the Python package: build/wheel/*.whl
	@$(PYTHON) tools/wheel build/wheel $(BUILD)

everything: setup $(BUILD)/build.ninja
	@cmake --build $(BUILD) -j $(JOBS)

test: everything ## Set up, build and run lint, unit, sql, conformance, e2e and fault tests
	@cd $(BUILD) && ctest --output-on-failure -j 1 -LE 'compat|soak|bench'

lint: setup ## Only the checks on the source text
	@$(PYTHON) tools/lint.py

demo: build ## Land 3 M real flights three ways and query them back
	@$(PYTHON) examples/flights_demo.py --arrowport $(BUILD)/arrowport

bench: build ## Ratios to in-process DuckDB, measured in one run (docs/guide/benchmarks.md)
	@cmake --build $(BUILD) -j $(JOBS) --target benchmarks
	@benchmarks/run $(BUILD)

compat: everything ## Foreign clients: ADBC, Java, Rust
	@tools/setup compat
	@cd $(BUILD) && ctest --output-on-failure -L compat

soak: everything ## 200 kill -9 rounds; a million Zerobus batches and ten minutes of faults
	@cd $(BUILD) && ARROWPORT_KILL_ROUNDS=200 ctest --output-on-failure -L 'fault|soak'

check-all: ## With clang: everything compiled, unit, conformance and SQL tests under ASan+UBSan and TSan
	@tools/setup check
	@tools/check_all

dev: ## Debug build with tests
	@$(MAKE) PRESET=debug everything

format: ## clang-format every source file
	@tools/setup check
	@git ls-files '*.h' '*.cc' | xargs clang-format-19 -i

clean: ## Remove build folders (keeps .deps)
	@rm -rf build
