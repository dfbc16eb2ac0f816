#!/usr/bin/env bash
# Runs all tests. Of packages that start control planes two run at a time, and of
# whole rollouts as many as there are processors; the rest runs side by side.
# `-race` covers what is concurrent and does not link the Temporal server. Real
# nodes and traffic come last, if this machine allows it. Prints the test
# runner's summary at the end.
set -euo pipefail
cd "$(dirname "$0")/.."
export CGO_ENABLED=0
heavy='liftlock/(internal/adapter/(twin|twin/rehearsal|kube|azure)|sim/kube|sim|internal/durable/embedded|internal/app)$'
rollouts='liftlock/test/e2e$'
race='liftlock/(internal/rollout|internal/server|internal/adapter/sqlite|internal/cli/view|sim/fault|sim/witness)$'
traffic='liftlock/test/traffic$'
all=$(go list ./... | grep -v '/hack/')
status=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT
run() {
	echo "== go test $*" >&2
	go test "$@" 2>&1 | tee -a "$log" || status=1
}
# shellcheck disable=SC2046
run -shuffle=on -timeout 15m $(grep -Ev "$heavy|$rollouts|$traffic" <<<"$all")
# shellcheck disable=SC2046
run -p 2 -timeout 25m $(grep -E "$heavy" <<<"$all")
run -timeout 25m ./test/e2e
if ! command -v gcc >/dev/null && command -v apt-get >/dev/null && [ "$(id -u)" -eq 0 ]; then
	echo "installing gcc for the race detector" >&2
	{ apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev; } >&2 || true
fi
if command -v gcc >/dev/null; then
	# shellcheck disable=SC2046
	CGO_ENABLED=1 run -race -timeout 15m $(grep -E "$race" <<<"$all")
else
	echo "FAIL: the race detector needs gcc (apt-get install gcc libc6-dev)" | tee -a "$log"
	status=1
fi
# Only root can run it, so nobody else needs to build its nodes.
if [ "$(id -u)" -ne 0 ] || hack/kube/build.sh --nodes 1.34 1.35; then
	run -v -count=1 -timeout 15m ./test/traffic
else
	echo "FAIL: the nodes of test/traffic were not built" | tee -a "$log"
	status=1
fi
passed=$(grep -cE '^ok ' "$log" || true)
failed=$(grep -cE '^FAIL[[:space:]]+liftlock' "$log" || true)
if [ "$passed" -eq 0 ]; then
	echo "no package was tested" >&2
	status=1
fi
[ "$status" -eq 0 ] || [ "$failed" -gt 0 ] || failed=1
if grep -q '^--- SKIP: TestTraffic' "$log"; then
	echo "SKIPPED: test/traffic:$(grep -B1 '^--- SKIP: TestTraffic' "$log" | head -1 | cut -d: -f3-)"
fi
echo "packages: $passed passed, $failed failed"
exit "$status"
