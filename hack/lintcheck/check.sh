#!/usr/bin/env bash
# Proves that the import rules and the ban on clocks bite, with one bad file.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=internal/domain/gate/lintcheckbad
mkdir "$folder"
trap 'rm -rf "$folder"' EXIT
sed 's/^package gate$/package lintcheckbad/; s/^\/\/ Package gate /\/\/ Package lintcheckbad /' hack/lintcheck/bad.go.txt >"$folder/bad.go"
said=$(bin/tools/golangci-lint run --max-same-issues 0 "./$folder" 2>&1 || true)
for want in "import 'os' is not allowed" "import 'liftlock.dev/liftlock/internal/rollout' is not allowed" "decisions and workflows replay"; do
	if ! grep -qF "$want" <<<"$said"; then
		echo "the linter no longer complains: \"$want\"" >&2
		echo "$said" >&2
		exit 1
	fi
done
