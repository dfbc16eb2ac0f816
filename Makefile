# Liftlock. `make help` lists the targets.
SHELL := /bin/bash
BIN := bin
# The two minors that the demo and the tests need; `make kube` builds all.
DEMO_MINORS := 1.34 1.35
# Those of the old and the new nodes with real containers.
NODE_MINORS := 1.34 1.35
ALL_MINORS := 1.33 1.34 1.35 1.36
# Kubernetes and Temporal link slowly with debug information, and nobody debugs them here.
LDFLAGS := -s -w -X liftlock.dev/liftlock/internal/app.version=$(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
export CGO_ENABLED ?= 0
# One set of flags for build, test and lint: another one compiles everything again.
export GOFLAGS += -trimpath

.PHONY: help build kube kube-demo kube-nodes demo test test-long e2e-traffic lint bench generate verify tools clean
help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

build: ## build bin/liftlock and bin/liftlock-sim
	go build -ldflags '$(LDFLAGS)' -o $(BIN)/ ./cmd/liftlock ./sim/cmd/liftlock-sim

kube: ## build the Kubernetes control planes of all minors and KWOK
	hack/kube/build.sh $(ALL_MINORS)

kube-demo: ## build only those that the demo and the tests need
	hack/kube/build.sh $(DEMO_MINORS)

kube-nodes: ## build kubelet, kube-proxy and kubectl for the nodes of make e2e-traffic
	hack/kube/build.sh --nodes $(NODE_MINORS)

demo: build kube-demo ## upgrade four simulated clusters, with real Kubernetes, before your eyes
	$(BIN)/liftlock demo

test: build kube-demo ## run all tests
	hack/test.sh

test-long: build kube-demo ## kill a whole demo rollout every 10 to 20 seconds (about ten minutes)
	LIFTLOCK_LONG=1 go test ./test/e2e -run '^TestKillDemo$$' -count=1 -timeout 30m -v

e2e-traffic: kube-demo kube-nodes ## real nodes and requests: liftlock loses none, kubectl drain does; needs root
	LIFTLOCK_TRAFFIC=must go test -v -count=1 -timeout 15m ./test/traffic

lint: tools ## formatting, vet, static analysis, import rules, workflow determinism, generated files
	hack/lint.sh

BENCH ?=
bench: build kube-demo ## print the figures that the project is held to, one JSON line each; BENCH='evacuation/blueGreen store' for some
	go run ./bench $(BENCH)

generate: ## write the generated files anew
	hack/generate.sh

verify: ## fail if a generated file is stale
	hack/generate.sh --verify

tools: ## build the pinned tools
	hack/tools.sh

clean: ## remove what was built
	rm -rf $(BIN)
