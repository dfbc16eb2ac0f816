package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"liftlock.dev/liftlock/internal/domain/check"
)

// header says where a page comes from.
func header(title, source string) *bytes.Buffer {
	b := &bytes.Buffer{}
	fmt.Fprintf(b, "# %s\n\n<!-- Generated from %s by hack/docgen. Change it there and run: make generate -->\n", title, source)
	return b
}

// commands writes the page of the command line.
func commands(root *cobra.Command) []byte {
	b := header("The command line", "internal/cli")
	fmt.Fprintf(b, "\n%s\n", block(root.Long))
	b.WriteString("\nSee also [exit codes](exit-codes.md) and [states](states.md).\n")
	b.WriteString("\n| command | what for |\n|---|---|\n")
	subs := visible(root)
	for _, c := range subs {
		fmt.Fprintf(b, "| [`%s`](#%s) | %s |\n", c.Name(), anchor(c), c.Short)
	}
	b.WriteString("\n## Flags of every command\n\n")
	flagTable(b, root.PersistentFlags())
	for _, c := range subs {
		command(b, c)
	}
	return b.Bytes()
}

func command(b *bytes.Buffer, c *cobra.Command) {
	fmt.Fprintf(b, "\n## %s\n\n%s\n", c.CommandPath(), block(c.Long))
	if c.Long == "" {
		fmt.Fprintf(b, "%s.\n", c.Short)
	}
	usage := c.UseLine()
	if !c.Runnable() {
		usage = c.CommandPath()
		var names []string
		for _, sub := range visible(c) {
			names = append(names, sub.Name())
		}
		usage += " " + strings.Join(names, "|")
	}
	fmt.Fprintf(b, "\n    %s\n", usage)
	if flags := c.LocalNonPersistentFlags(); flags.HasAvailableFlags() {
		b.WriteString("\n")
		flagTable(b, flags)
	}
	if c.Example != "" {
		fmt.Fprintf(b, "\n```sh\n%s\n```\n", dedent(c.Example))
	}
}

// flagTable writes the flags of a set, without --help.
func flagTable(b *bytes.Buffer, flags *pflag.FlagSet) {
	rows := &bytes.Buffer{}
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		name := "`--" + f.Name + "`"
		if f.Shorthand != "" {
			name = "`-" + f.Shorthand + "`, " + name
		}
		standard := ""
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "0" {
			standard = "`" + f.DefValue + "`"
		}
		fmt.Fprintf(rows, "| %s | %s | %s | %s |\n", name, f.Value.Type(), standard, cell(f.Usage))
	})
	if rows.Len() > 0 {
		fmt.Fprintf(b, "| flag | type | default | meaning |\n|---|---|---|---|\n%s", rows)
	}
}

func visible(c *cobra.Command) []*cobra.Command {
	return slices.DeleteFunc(slices.Clone(c.Commands()), func(sub *cobra.Command) bool {
		return sub.Hidden || sub.Name() == "help"
	})
}

func anchor(c *cobra.Command) string {
	return strings.ToLower(strings.ReplaceAll(c.CommandPath(), " ", "-"))
}

// block keeps the paragraphs of a help text, and shows indented lines as they are.
func block(text string) string {
	var out []string
	indented := false
	for line := range strings.Lines(strings.TrimSpace(text)) {
		line = strings.TrimRight(line, " \n")
		if in := strings.HasPrefix(line, "  "); in != indented && line != "" {
			if in {
				out = append(out, "")
			}
			indented = in
		}
		if indented && line != "" {
			line = "    " + strings.TrimPrefix(line, "  ")
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n")
}

func dedent(text string) string {
	var out []string
	for line := range strings.Lines(text) {
		out = append(out, strings.TrimPrefix(strings.TrimRight(line, " \n"), "  "))
	}
	return strings.Join(out, "\n")
}

func cell(text string) string { return strings.ReplaceAll(oneLine(text), "|", `\|`) }

// exitCodes writes the page of the exit codes.
func exitCodes(list []constant) []byte {
	b := header("Exit codes", "internal/cli/exitcodes.go")
	b.WriteString("\nNumbers are added, never given a new meaning. The message is on stderr; it says what\nhappened, to what, why, and what to do next.\n\n| code | meaning |\n|---|---|\n")
	for _, c := range list {
		fmt.Fprintf(b, "| %s | %s |\n", c.value, cell(c.says))
	}
	return b.Bytes()
}

// statesPage writes the page of the states.
func statesPage(list []constant, ended []string) []byte {
	b := header("States", "internal/domain/fleet/states.go")
	b.WriteString("\nRollouts, rings, clusters and pools have one of these. Names are added, never given a\nnew meaning. A thing in a state that has *ended* does nothing more without a new command.\n\n| state | ended | meaning |\n|---|---|---|\n")
	for _, c := range list {
		end := ""
		if slices.Contains(ended, c.name) {
			end = "yes"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", c.value, end, cell(c.says))
	}
	return b.Bytes()
}

// codesPage writes the page of the provider's codes.
func codesPage(list []constant) []byte {
	b := header("Provider codes", "internal/rollout/ports.go")
	b.WriteString("\nWhat a cloud answers is translated to one of these, whatever its own words are. A reason\nreads `object: what was done: code: the provider's words (what to do)`. What to do about\neach: [when something is blocked](../how-to/when-something-is-blocked.md).\n\n| code | meaning |\n|---|---|\n")
	for _, c := range list {
		fmt.Fprintf(b, "| `%s` | %s |\n", c.value, cell(c.says))
	}
	return b.Bytes()
}

// checksPage writes the page of the checks.
func checksPage(list []check.Check) []byte {
	b := header("Checks", "internal/domain/check")
	b.WriteString("\nWhat `liftlock check` runs. Names of checks and ids of findings are added, never given a\nnew meaning; `--only` and `--skip` take names of checks and of groups. How to use them:\n[check before you upgrade](../how-to/check.md).\n")
	group := check.Group("")
	for _, c := range list {
		if c.Group != group {
			group = c.Group
			fmt.Fprintf(b, "\n## Group `%s`\n", group)
		}
		needs := make([]string, len(c.Needs))
		for i, n := range c.Needs {
			needs[i] = "`" + string(n) + "`"
		}
		fmt.Fprintf(b, "\n### `%s`\n\n%s.\n\n%s\n\nNeeds %s.\n\n| finding | what it says |\n|---|---|\n", c.Name, c.Title, c.Doc, strings.Join(needs, ", "))
		for _, k := range c.Finds {
			fmt.Fprintf(b, "| `%s` | %s |\n", k.ID, cell(k.Says))
		}
	}
	return b.Bytes()
}
