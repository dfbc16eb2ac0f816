package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/goccy/go-yaml"
)

// print writes a result in the format that was asked for; table draws it for
// people.
func (c *command) print(value any, table func(w io.Writer)) error {
	switch c.output {
	case "json":
		encoder := json.NewEncoder(c.Out)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(value); err != nil {
			return fmt.Errorf("write the result: %w", err)
		}
	case "yaml":
		// By way of JSON, so that both formats have the same names.
		text, err := json.Marshal(value)
		if err != nil {
			return fmt.Errorf("encode the result: %w", err)
		}
		if text, err = yaml.JSONToYAML(text); err != nil {
			return fmt.Errorf("encode the result: %w", err)
		}
		if _, err := c.Out.Write(text); err != nil {
			return fmt.Errorf("write the result: %w", err)
		}
	default:
		table(c.Out)
	}
	return nil
}

// columns writes rows under a header, aligned.
func columns(w io.Writer, header string, rows [][]string) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, header)
	for _, row := range rows {
		for i, cell := range row {
			if i > 0 {
				fmt.Fprint(t, "\t")
			}
			fmt.Fprint(t, cell)
		}
		fmt.Fprintln(t)
	}
	_ = t.Flush()
}
