# skep: what you can do here. `make help` lists it.
#
# Two variables matter: DATA, the data folder of `make up`, and CARGO_TARGET_DIR, cargo's own (default: target).
# Components are staged in TARGET/plugins/NAME.wasm, fault plugins included; tests look for them in SKEP_TEST_PLUGINS, which
# `make test` sets to that folder, and there when it is not set.

TARGET := $(or $(CARGO_TARGET_DIR),target)
DATA ?= $(or $(SKEP_DATA),.skep)
# More flags for `skep up`, e.g. make up ARGS='--admin 127.0.0.1:0'
ARGS ?=
# More flags for every cargo build, e.g. --locked
CARGO_FLAGS ?=

WASM := wasm32-wasip2
# What plugins share: built into them, none of its own.
LIBRARIES := web
GUESTS := $(filter-out $(LIBRARIES),$(notdir $(patsubst %/Cargo.toml,%,$(wildcard plugins/*/Cargo.toml))))
# What has tests of its own that run natively: plugins' pure modules, and the crates in which some keep them.
NATIVE := chunk-cloner cloning counter exchange market permuter pinger poller task-splitter work-api
# Plugins that misbehave on purpose: tests need them, nobody else.
FAULTS := crash flood hog probe snoop spin tool unruly
SHIPPED := $(filter-out $(FAULTS),$(GUESTS))
STAGED := $(TARGET)/plugins

.DEFAULT_GOAL := help
.PHONY: up test plugins host bench fmt lint clean help setup browser

up: host plugins ## Build everything and run it on DATA (default .skep), with the example manifests
	@mkdir -p "$(DATA)/manifests" "$(DATA)/plugins" "$(DATA)/examples"
	@for guest in $(SHIPPED); do $(call put,"$(STAGED)/$$guest.wasm","$(DATA)/plugins/$$guest.wasm"); done
	@# An example is offered once: a file you edited stays as it is, one you deleted does not come back.
	@for file in manifests/*.toml; do \
		name=$$(basename "$$file"); \
		if [ ! -e "$(DATA)/examples/$$name" ] && [ ! -e "$(DATA)/manifests/$$name" ]; then \
			$(call put,"$$file","$(DATA)/manifests/$$name"); \
		fi; \
		$(call put,"$$file","$(DATA)/examples/$$name"); \
	done
	@echo "manifests: $(DATA)/manifests   plugins: $(DATA)/plugins"
	@echo "in another terminal: export SKEP_DATA='$(abspath $(DATA))'; '$(abspath $(TARGET))/release/skep' get workers"
	@exec "$(TARGET)/release/skep" up --data "$(DATA)" $(ARGS)

test: setup browser plugins ## Run every test, guests and fault plugins built first
	SKEP_TEST_PLUGINS="$(abspath $(STAGED))" cargo test $(CARGO_FLAGS) -p skep $(addprefix -p ,$(NATIVE) $(LIBRARIES))

plugins: setup ## Build all guests into TARGET/plugins
	cargo build $(CARGO_FLAGS) --target $(WASM) --profile plugin $(addprefix -p ,$(GUESTS))
	@mkdir -p "$(STAGED)"
	@# Cargo writes a hyphen as an underscore.
	@for guest in $(GUESTS); do $(call put,"$(TARGET)/$(WASM)/plugin/$$(echo $$guest | tr - _).wasm","$(STAGED)/$$guest.wasm"); done

host: setup ## Build the host (release)
	cargo build $(CARGO_FLAGS) --release

bench: host browser plugins ## Measure: one table, with the machine's facts
	@command -v wrk >/dev/null || $(call offer,wrk)
	SKEP_TEST_PLUGINS="$(abspath $(STAGED))" cargo bench $(CARGO_FLAGS)

fmt: ## Format everything
	cargo fmt --all

lint: setup ## Clippy over host, tests, benches and guests; warnings are errors
	cargo clippy $(CARGO_FLAGS) --all-targets -p skep $(addprefix -p ,$(NATIVE) $(LIBRARIES)) -- -D warnings
	cargo clippy $(CARGO_FLAGS) --target $(WASM) --profile plugin $(addprefix -p ,$(GUESTS)) -- -D warnings

clean: ## Remove what was built; DATA stays
	cargo clean

help: ## This list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup:
	@command -v cargo >/dev/null || { echo "cargo is missing: install Rust 1.95 or newer, see https://rustup.rs" >&2; exit 1; }
	@command -v cc >/dev/null || { echo "a C compiler is missing (SQLite is built in): install gcc or clang" >&2; exit 1; }
	@[ -d "$$(rustc --print sysroot)/lib/rustlib/$(WASM)/lib" ] || rustup target add $(WASM)

browser:
	@# The page's tests and its bench: Chromium from Debian, its driver from npm, neither built into anything.
	@command -v chromium >/dev/null || $(call need,chromium)
	@command -v npm >/dev/null || $(call need,nodejs npm)
	@node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 20 ? 0 : 1)' || { echo "node 20 or newer is needed for the page's tests; this is $$(node --version)" >&2; exit 1; }
	@cmp -s tests/browser/package-lock.json tests/browser/node_modules/.installed || { \
		npm ci --prefix tests/browser --ignore-scripts --no-fund --no-audit && cp tests/browser/package-lock.json tests/browser/node_modules/.installed; }

# $(call need,PACKAGES): installed where that needs nobody's password; else the command, and that is the end.
need = { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -q && apt-get install -y $(1); } || { echo "missing: sudo apt-get install $(1)" >&2; exit 1; }

# $(call offer,PACKAGE): installed where that needs nobody's password; else the command, and the rows that want it are skipped.
offer = { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get install -y $(1); } || echo "$(1) is missing: sudo apt-get install $(1)" >&2

# $(call put,FROM,TO): TO becomes FROM in one step, so that a running host never sees half a file; the same bytes are left alone,
# so that it sees no change where there is none.
put = cmp -s $(1) $(2) || { cp $(1) $(2).new && mv -f $(2).new $(2); } || exit 1
