package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"

	"liftlock.dev/liftlock/internal/domain/fleet"
)

// Text writes a short summary for a terminal: the verdict, a line for each
// cluster (one for all that succeeded in a large ring), and what a person should look at. It uses no colour.
func Text(w io.Writer, r Report) error {
	var text bytes.Buffer
	fmt.Fprintf(&text, "%s to %s: %s", plain(r.Fleet), plain(r.Target), plain(string(r.State)))
	if !r.StartedAt.IsZero() {
		fmt.Fprintf(&text, " after %s", duration(end(r, r.EndedAt).Sub(r.StartedAt)))
	}
	text.WriteByte('\n')
	if r.Reason != "" {
		fmt.Fprintf(&text, "%s\n", plain(r.Reason))
	}
	text.WriteByte('\n')

	if err := textTable(&text, r); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	if troubles := textTroubles(r); len(troubles) > 0 {
		fmt.Fprintf(&text, "\n%s\n", strings.Join(troubles, "\n"))
	}
	fmt.Fprintf(&text, "\n%s\n", plain(verdict(r)))
	if _, err := w.Write(text.Bytes()); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// manyInRing is from how many clusters on a ring's successes are one line.
const manyInRing = 8

// textTable writes a line for each cluster, or one for all the clusters of a
// large ring that succeeded.
func textTable(w io.Writer, r Report) error {
	if len(r.Clusters) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "RING\tCLUSTER\tSTATE\tKUBERNETES\tPODS MOVED\tFALLS\tTOOK")
	line := func(name string, c Cluster) {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s → %s\t%d of %d\t%d\t%s\n", plain(c.Ring), plain(name), plain(string(c.State)),
			plain(c.From), plain(c.To), c.PodMoves, c.PodsToMove, c.Availability.Violations, seconds(c.Seconds))
	}
	for _, ring := range rings(r) {
		clusters := inRing(r, ring.Name)
		together, count := Cluster{Ring: ring.Name, State: fleet.StateSucceeded, To: r.Target, From: "…"}, 0
		for _, c := range clusters {
			if len(clusters) < manyInRing || c.State != fleet.StateSucceeded || c.Availability.Violations > 0 {
				continue
			}
			count++
			together.PodMoves += c.PodMoves
			together.PodsToMove += c.PodsToMove
			together.Seconds = max(together.Seconds, c.Seconds)
		}
		if count > 0 {
			line(counted(count, "cluster", "clusters"), together)
		}
		for _, c := range clusters {
			if len(clusters) < manyInRing || c.State != fleet.StateSucceeded || c.Availability.Violations > 0 {
				line(c.Name, c)
			}
		}
	}
	return table.Flush()
}

// textTroubles says what a person should look at.
func textTroubles(r Report) []string {
	var list []string
	for _, c := range r.Clusters {
		if c.Reason != "" && tone(c.State) != "good" {
			list = append(list, fmt.Sprintf("%s: %s", plain(c.Name), plain(c.Reason)))
		}
		for _, l := range c.Availability.Lowest {
			if l.Lowest < l.floor() {
				list = append(list, fmt.Sprintf("%s: %s fell to %d Ready, its floor is %d", plain(c.Name), plain(l.Workload), l.Lowest, l.floor()))
			}
		}
	}
	return list
}

// plain takes what could steer a terminal out of a text from elsewhere.
func plain(s string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) || unicode.Is(unicode.Cf, c) {
			return ' '
		}
		return c
	}, s)
}
