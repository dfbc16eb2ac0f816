#!/usr/bin/env bash
# Builds the pinned tools into bin/tools. They have a module of their own, so
# that nothing of theirs gets into the product's go.mod.
set -euo pipefail
cd "$(dirname "$0")/.."
stamp=bin/tools/stamp
want=$(sha256sum hack/tools/go.mod hack/tools/go.sum | sha256sum)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ]; then exit 0; fi
mkdir -p bin/tools
echo "building the pinned tools (once)" >&2
for tool in github.com/golangci/golangci-lint/v2/cmd/golangci-lint go.temporal.io/sdk/contrib/tools/workflowcheck; do
	(cd hack/tools && GOFLAGS=-mod=mod go build -trimpath -o "../../bin/tools/$(basename "$tool")" "$tool")
done
echo "$want" >"$stamp"
