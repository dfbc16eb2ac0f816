package report

import (
	"encoding/json"
	"fmt"
	"io"
)

// JSON writes the report in its published form, indented, lists never null.
func JSON(w io.Writer, r Report) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(whole(r)); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// whole returns the report with lists that are published empty instead of nil.
// The caller's values are not changed.
func whole(r Report) Report {
	r.Clusters = append([]Cluster{}, r.Clusters...)
	for i := range r.Clusters {
		c := &r.Clusters[i]
		c.Hops = append([]string{}, c.Hops...)
		c.Pools = append([]Pool{}, c.Pools...)
		c.Availability.Lowest = append([]Lowest{}, c.Availability.Lowest...)
	}
	r.Ledger = append([]LedgerEntry{}, r.Ledger...)
	return r
}
