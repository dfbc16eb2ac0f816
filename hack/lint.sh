#!/usr/bin/env bash
# All that `make lint` holds. Cheap checks first.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=bin/tools
echo "lint: formatting" >&2
unformatted=$(gofmt -l $(git ls-files '*.go'))
if [ -n "$unformatted" ]; then
	echo "not formatted (run gofmt -w):" "$unformatted" >&2
	exit 1
fi
echo "lint: go vet" >&2
go vet ./...
echo "lint: golangci-lint" >&2
"$tools/golangci-lint" run ./...
echo "lint: import rules bite" >&2
hack/lintcheck/check.sh
echo "lint: workflow determinism" >&2
"$tools/workflowcheck" ./internal/durable/
echo "lint: generated files" >&2
hack/generate.sh --verify
echo "lint: ok" >&2
