#!/usr/bin/env bash
# Builds the Kubernetes control planes and the node simulator that stand behind
# the simulated Azure: bin/kube/<minor>/kube and bin/kube/kwok; or what runs on
# real nodes: bin/kube/<minor>/node. Only what is missing or was built from other
# sources is built, one at a time.
#
# Usage: hack/kube/build.sh [minor…]           (default: every minor there is)
#        hack/kube/build.sh --nodes [minor…]   (default: every one that has nodes)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=${KUBE_OUT:-$(cd "$here/../.." && pwd)/bin/kube}

# build <name> <module folder> <binary> <package> <ldflags>
build() {
  local name=$1 folder=$2 binary=$3 package=$4 ldflags=$5 stamp started
  stamp=$( (cd "$folder" && cat go.mod go.sum "$package"/*.go 2>/dev/null; echo "$ldflags"; go env GOVERSION GOOS GOARCH) | sha256sum | cut -d' ' -f1)
  if [ -x "$binary" ] && [ "$(cat "$binary.stamp" 2>/dev/null)" = "$stamp" ]; then
    return
  fi
  mkdir -p "$(dirname "$binary")"
  started=$SECONDS
  echo "building $name (several minutes when cold) …" >&2
  # Built beside its place and renamed, so that an interrupted build leaves no
  # half-written binary and a running one is not disturbed.
  (cd "$folder" && CGO_ENABLED=0 GOWORK=off GOFLAGS=-mod=readonly \
    go build -buildvcs=false -trimpath -ldflags "$ldflags" -o "$binary.new" "$package")
  mv "$binary.new" "$binary"
  echo "$stamp" >"$binary.stamp"
  echo "built $name in $((SECONDS - started)) s, $(($(wc -c <"$binary") / 1048576)) MiB" >&2
}

# release <minor> <package> <binary>: a binary of one Kubernetes release
release() {
  local minor=$1 main=$2 binary=$3 version flags package
  if [ ! -f "$here/$minor/go.mod" ] || [ ! -d "$here/$minor/$main" ]; then
    echo "hack/kube/build.sh: no sources for $binary of Kubernetes $minor; there are: $(minors "$main" | tr '\n' ' ')" >&2
    echo "add one with: hack/kube/update-modules.sh v$minor.<patch>" >&2
    exit 2
  fi
  version=$(sed -nE 's/^(require )?[[:space:]]*k8s.io\/kubernetes (v1[0-9.]*)$/\2/p' "$here/$minor/go.mod")
  flags="-s -w"
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    flags+=" -X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=${minor#1.}"
    flags+=" -X $package.gitTreeState=clean"
  done
  build "$binary of Kubernetes $version" "$here/$minor" "$out/$minor/$binary" "$main" "$flags"
  echo "$version" >"$out/$minor/version"
}

# minors <package>: those that have it
minors() {
  (cd "$here" && for folder in 1.*/; do [ ! -d "$folder/$1" ] || echo "${folder%/}"; done) | sort -V
}

main=. binary=kube
if [ "${1:-}" = --nodes ]; then
  shift
  main=./node binary=node
fi
if [ $# -eq 0 ]; then
  # shellcheck disable=SC2046 # one word per minor
  set -- $(minors "$main")
fi
for minor in "$@"; do
  release "$minor" "$main" "$binary"
done
[ "$binary" = kube ] || exit 0
kwok=$(sed -nE "s/^(require )?[[:space:]]*sigs.k8s.io\/kwok (v[0-9.]*)( .*)?$/\2/p" "$here/kwok/go.mod")
build "KWOK $kwok" "$here/kwok" "$out/kwok" sigs.k8s.io/kwok/cmd/kwok \
  "-s -w -X sigs.k8s.io/kwok/pkg/consts.Version=$kwok"
