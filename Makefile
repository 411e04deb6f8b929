# Weir's work, one target a step; `make` alone lists them. The recipes run under
# bash and stop at the first command that fails, also inside a pipe.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-builtin-rules --warn-undefined-variables
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# go.mod names the toolchain; "auto" lets the go command fetch it, also where
# the environment says "local" (many container images do).
export GOTOOLCHAIN := auto

BENCH ?=
FUZZTIME ?= 30s
SEEDS ?= 20000
BIN := tools/bin

.PHONY: help
help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)$$/\1|\2/p' $(MAKEFILE_LIST) | \
		while IFS='|' read -r target text; do printf '  %-16s %s\n' "$$target" "$$text"; done

##### Build and run

.PHONY: build
build: ## Build bin/jobmanager, bin/taskmanager and bin/weir, static
	CGO_ENABLED=0 go build -trimpath -o bin/ ./cmd/...

.PHONY: demo
demo: build ## Start a cluster on loopback, run an example job on it, show its results
	./examples/demo.sh

.PHONY: bench
bench: build ## Run the benchmarks, JSON lines on standard output; BENCH=name runs one
	@go run ./bench/cmd/bench -run "$(BENCH)"

.PHONY: bench-flink
bench-flink: build ## Run the benchmarks beside a real Flink; needs Java and Maven
	@go run ./bench/cmd/bench -flink -run "$(BENCH)"

.PHONY: clean
clean: ## Remove what make has built
	rm -rf bin $(BIN)

##### Test

# The race detector is linked with a C compiler. WEIR_REQUIRE_RACE=1 makes a
# machine without one an error, so that CI cannot lose the detector unnoticed.
define find_race
race=-race; export CGO_ENABLED=1; \
if ! echo '#include <pthread.h>' | $$(go env CC) -E - >/dev/null 2>&1; then \
	if [ "$${WEIR_REQUIRE_RACE:-0}" = 1 ]; then \
		echo "make: WEIR_REQUIRE_RACE=1, but no working C compiler to link the race detector with" >&2; exit 1; \
	fi; \
	echo "make: no working C compiler: the tests run WITHOUT the race detector" >&2; \
	race=; export CGO_ENABLED=0; \
fi
endef

# vet is given the same flags as the tests, so that both use the same compiled
# packages; golangci-lint vets the build without the race detector.
.PHONY: test
test: $(BIN)/gotestsum ## Run every test of the project, with the race detector
	@$(find_race); \
	go vet $$race ./...; \
	$(BIN)/gotestsum --format pkgname-and-test-fails --format-hide-empty-pkg -- $$race -vet=off -shuffle=on ./...

.PHONY: race
race: ## Like test, but an error where the race detector cannot run
	@WEIR_REQUIRE_RACE=1 $(MAKE) --no-print-directory test

.PHONY: sim
sim: ## Live SEEDS (20000) simulated lives of the checkpoint machines, with every crash
	go test ./checkpoint -run '^TestSimulatedLives$$' -count=1 -timeout=0 -v -seeds $(SEEDS)

.PHONY: chaos
chaos: ## Kill ROUNDS (100) processes of a job with checkpoints, and compare what it has committed with a model
	ROUNDS=$${ROUNDS:-100} go test ./cmd/weir -run '^TestChaos$$' -count=1 -timeout=0 -v

.PHONY: fuzz
fuzz: ## Run each fuzz target in turn for FUZZTIME (30s)
	@grep -rHo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sort | while IFS=: read -r file func; do \
		echo "$$(dirname "$$file") $${func#func }"; \
		go test -run='^$$' -fuzz="^$${func#func }\$$" -fuzztime=$(FUZZTIME) "$$(dirname "$$file")"; \
	done

##### Check and fix: each verify-x has a target that repairs what it finds

.PHONY: verify
verify: lint test ## Everything that CI runs

.PHONY: lint
lint: verify-generate verify-proto verify-format verify-tidy verify-go ## Check generated code, schemas, format, modules and style

.PHONY: fix
fix: generate fix-proto fix-format fix-tidy fix-go ## Repair what lint finds, as far as a tool can

.PHONY: generate
generate: $(BIN)/buf $(BIN)/protoc-gen-go ## Regenerate proto/gen from the schemas
	rm -rf proto/gen
	$(BIN)/buf generate proto --template proto/buf.gen.yaml

# Compares with a fresh copy, so it does not matter what else is uncommitted.
.PHONY: verify-generate
verify-generate: $(BIN)/buf $(BIN)/protoc-gen-go
	@fresh=$$(mktemp -d); trap 'rm -rf "$$fresh"' EXIT; \
	$(BIN)/buf generate proto --template proto/buf.gen.yaml -o "$$fresh"; \
	diff -r "$$fresh/proto/gen" proto/gen || { echo "proto/gen is stale: run make generate" >&2; exit 1; }

.PHONY: verify-proto fix-proto
verify-proto: $(BIN)/buf
	$(BIN)/buf lint proto
	$(BIN)/buf format --diff --exit-code proto
fix-proto: $(BIN)/buf
	$(BIN)/buf format --write proto

.PHONY: verify-format fix-format
verify-format: $(BIN)/gofumpt
	@unformatted=$$($(BIN)/gofumpt -l .); \
	[ -z "$$unformatted" ] || { echo "not formatted (run make fix-format):" $$unformatted >&2; exit 1; }
fix-format: $(BIN)/gofumpt
	$(BIN)/gofumpt -w .

.PHONY: verify-tidy fix-tidy
verify-tidy:
	go mod verify
	go mod tidy -diff
fix-tidy:
	go mod tidy

.PHONY: verify-go fix-go
verify-go: $(BIN)/golangci-lint
	$(BIN)/golangci-lint config verify
	$(BIN)/golangci-lint run ./...
fix-go: $(BIN)/golangci-lint
	$(BIN)/golangci-lint run --fix ./...

##### Tools, each pinned by the go.mod of its directory under tools/

$(BIN)/buf: tools/buf/go.mod
$(BIN)/protoc-gen-go: tools/protoc/go.mod
$(BIN)/golangci-lint: tools/golangci-lint/go.mod
$(BIN)/gofumpt $(BIN)/gotestsum $(BIN)/benchstat: tools/go/go.mod

$(BIN)/%:
	@echo "building $@" >&2
	@cd $(dir $<) && go build -trimpath -o $(CURDIR)/$(BIN)/ tool && touch $(CURDIR)/$@
