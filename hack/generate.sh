#!/usr/bin/env bash
# Writes the generated files anew: the tables of API versions (hack/lifecycle),
# the reference pages (hack/docgen) and the Fleet file's schema and reference
# (internal/config/schema). With --verify it writes nothing, and fails, with a diff
# where it can, if one of them is stale. Only writing the tables downloads modules;
# to pin newer releases for them: go run ./hack/lifecycle -renew
set -euo pipefail
cd "$(dirname "$0")/.."
export CGO_ENABLED="${CGO_ENABLED:-0}"
case "${1-}" in
"")
	go run ./hack/lifecycle
	go run ./hack/docgen -out docs/reference
	go test ./internal/config/schema -count=1 -run 'IsCurrent$' -update >/dev/null
	;;
--verify)
	fresh=$(mktemp -d)
	trap 'rm -rf "$fresh"' EXIT
	go run ./hack/docgen -out "$fresh"
	stale=0
	go run ./hack/lifecycle -verify || stale=1
	for page in "$fresh"/*; do
		diff -u "docs/reference/$(basename "$page")" "$page" || stale=1
	done
	go test ./internal/config/schema -count=1 -run 'IsCurrent$' || stale=1
	if [ "$stale" -ne 0 ]; then
		echo "generated files are stale; run: make generate" >&2
		exit 1
	fi
	;;
*)
	echo "usage: hack/generate.sh [--verify]" >&2
	exit 2
	;;
esac
