// Command lifecycle writes the tables of internal/domain/lifecycle: which API
// each release of Kubernetes introduced, deprecated and removed, and which APIs
// well-known components no longer serve.
//
// Its inputs are module releases, pinned with their checksums in releases.txt,
// and components.txt, the rows that no module states. It is run from the root of
// the repository by hack/generate.sh.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	verify := flag.Bool("verify", false, "write nothing; fail if a table is stale or was edited")
	renew := flag.Bool("renew", false, "pin the newest release of every minor anew, then write the tables")
	flag.Parse()
	if err := run(*verify, *renew); err != nil {
		fmt.Fprintln(os.Stderr, "lifecycle:", err)
		os.Exit(1)
	}
}

// Where everything is, seen from the root of the repository.
const (
	releasesFile   = "hack/lifecycle/releases.txt"
	componentsFile = "hack/lifecycle/components.txt"
	kubernetesFile = "internal/domain/lifecycle/kubernetes_table.go"
	componentTable = "internal/domain/lifecycle/component_table.go"
)

func run(verify, renew bool) error {
	if renew {
		if err := renewReleases(); err != nil {
			return err
		}
	}
	pinned, err := readReleases()
	if err != nil {
		return err
	}
	if verify {
		return verifyTables(pinned)
	}
	tables, err := generate(pinned, true)
	if err != nil {
		return err
	}
	for file, text := range tables {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			return fmt.Errorf("write a table: %w", err)
		}
	}
	return nil
}
