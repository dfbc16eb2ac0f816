// Command bench prints the figures that Liftlock is held to, one JSON line
// each: what was measured, its limit, and the baseline of the same run where
// there is one. It ends with exit code 1 when a limit is passed.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// figure is one line.
type figure struct {
	Figure   string   `json:"figure"`
	Value    float64  `json:"value"`
	Limit    float64  `json:"limit"`
	Baseline *float64 `json:"baseline"` // null where there is nothing to compare with
	OK       bool     `json:"ok"`
}

// atMost is a figure that must not pass its limit.
func atMost(name string, value, limit float64, baseline *float64) figure {
	return figure{name, value, limit, baseline, value <= limit}
}

// atLeast is a figure that must reach its limit.
func atLeast(name string, value, limit float64, baseline *float64) figure {
	return figure{name, value, limit, baseline, value >= limit}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) == 3 && os.Args[1] == planArgument {
		if err := planHere(ctx, os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(2) //nolint:gocritic // nothing is left to clean up
		}
		return
	}
	ok := true
	for _, measure := range []func(context.Context) ([]figure, error){decisions, plans, store, engine} {
		figures, err := measure(ctx)
		if err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(2) //nolint:gocritic // nothing is left to clean up
		}
		for _, f := range figures {
			line, err := json.Marshal(f)
			if err != nil {
				fmt.Fprintln(os.Stderr, "bench:", err)
				os.Exit(2)
			}
			fmt.Println(string(line))
			ok = ok && f.OK
		}
	}
	if !ok {
		os.Exit(1)
	}
}
