// Command docgen writes the reference pages that come from the code: commands,
// exit codes, states, provider codes and checks. It also holds the page about what can
// block a rollout to the code: every code and every finding must be on it.
//
// It is run from the root of the repository by hack/generate.sh, which compares
// what it writes with what is there.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"liftlock.dev/liftlock/internal/cli"
	"liftlock.dev/liftlock/internal/domain/check"
)

// blockedPage is where people look when a rollout does not go on.
const blockedPage = "docs/how-to/when-something-is-blocked.md"

func main() {
	out := flag.String("out", "docs/reference", "folder to write to")
	flag.Parse()
	if err := run(*out); err != nil {
		fmt.Fprintln(os.Stderr, "docgen:", err)
		os.Exit(1)
	}
}

func run(out string) error {
	exits, err := constants("internal/cli/exitcodes.go", "")
	if err != nil {
		return err
	}
	states, err := constants("internal/domain/fleet/states.go", "State")
	if err != nil {
		return err
	}
	codes, err := constants("internal/rollout/ports.go", "Code")
	if err != nil {
		return err
	}
	ended, err := endedStates("internal/domain/fleet/states.go")
	if err != nil {
		return err
	}
	pages := map[string][]byte{
		"cli.md":            commands(cli.Tree()),
		"exit-codes.md":     exitCodes(exits),
		"states.md":         statesPage(states, ended),
		"provider-codes.md": codesPage(codes),
		"checks.md":         checksPage(check.All()),
	}
	if err := os.MkdirAll(out, 0o750); err != nil {
		return fmt.Errorf("make %s: %w", out, err)
	}
	for name, text := range pages {
		if err := os.WriteFile(filepath.Join(out, name), text, 0o600); err != nil {
			return fmt.Errorf("write a reference page: %w", err)
		}
	}
	ids, err := findings("internal/domain/evacuate", "internal/domain/plan", "internal/rollout")
	if err != nil {
		return err
	}
	for _, c := range codes {
		ids = append(ids, c.value)
	}
	if err := mentions(blockedPage, ids); err != nil {
		return err
	}
	// What a check finds must be among what it says it finds.
	if ids, err = findings("internal/domain/check", "internal/domain/lifecycle"); err != nil {
		return err
	}
	return mentions(filepath.Join(out, "checks.md"), ids)
}
