// Command bench prints the figures that Liftlock is held to, one JSON line
// each: what was measured, its limit, and the baseline of the same run where
// there is one. It ends with exit code 1 when a limit is passed.
//
// Arguments choose what is measured: decisions, plan, check, store, engine,
// rehearse, evacuation, or parts as in check/snapshot and evacuation/blueGreen; without any,
// all is.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"liftlock.dev/liftlock/bench/evacuation"
)

// figure is one line.
type figure struct {
	Figure   string   `json:"figure"`
	Value    float64  `json:"value"`
	Limit    *float64 `json:"limit"`    // null for what is told beside
	Baseline *float64 `json:"baseline"` // null where there is nothing to compare with
	OK       bool     `json:"ok"`
}

// atMost is a figure that must not pass its limit.
func atMost(name string, value, limit float64, baseline *float64) figure {
	return figure{name, value, &limit, baseline, value <= limit}
}

// atLeast is a figure that must reach its limit.
func atLeast(name string, value, limit float64, baseline *float64) figure {
	return figure{name, value, &limit, baseline, value >= limit}
}

// info is a figure without a limit.
func info(name string, value float64) figure { return figure{Figure: name, Value: value, OK: true} }

// benchmark is one thing to measure.
type benchmark struct {
	name    string
	measure func(ctx context.Context, parts []string) ([]figure, error)
}

// whole is a benchmark that has no parts.
func whole(name string, measure func(context.Context) ([]figure, error)) benchmark {
	return benchmark{name, func(ctx context.Context, parts []string) ([]figure, error) {
		if len(parts) > 0 {
			return nil, fmt.Errorf("%s has no part called %s", name, parts[0])
		}
		return measure(ctx)
	}}
}

func benchmarks() []benchmark {
	return []benchmark{whole("decisions", decisions), whole("plan", plans), {"check", checks}, whole("store", store), whole("engine", engine), whole("rehearse", rehearsals), {"evacuation", evacuations}}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ok, err := true, error(nil)
	switch {
	case len(os.Args) == 3 && os.Args[1] == planArgument:
		err = planHere(ctx, os.Args[2])
	case len(os.Args) == 3 && os.Args[1] == checkArgument:
		err = checkHere(ctx, os.Args[2])
	default:
		ok, err = run(ctx, os.Args[1:])
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

// run measures what was asked for, and reports whether all limits were kept.
// What was measured before something failed is printed, too.
func run(ctx context.Context, asked []string) (bool, error) {
	parts, err := choose(asked)
	if err != nil {
		return false, err
	}
	ok := true
	for _, b := range benchmarks() {
		chosen, wanted := parts[b.name]
		if len(asked) > 0 && !wanted {
			continue
		}
		figures, err := b.measure(ctx, chosen)
		for _, f := range figures {
			line, err := json.Marshal(f)
			if err != nil {
				return false, fmt.Errorf("%s: %w", f.Figure, err)
			}
			fmt.Println(string(line))
			ok = ok && f.OK
		}
		if err != nil {
			return false, err
		}
	}
	return ok, nil
}

// choose sorts arguments such as evacuation/buffer by their benchmark.
func choose(asked []string) (map[string][]string, error) {
	parts := map[string][]string{}
	for _, argument := range asked {
		name, part, found := strings.Cut(argument, "/")
		known := slices.ContainsFunc(benchmarks(), func(b benchmark) bool { return b.name == name })
		if !known || found && name == "evacuation" && !slices.Contains(evacuation.All(), part) {
			return nil, fmt.Errorf("nothing is called %s; there are decisions, plan, check, store, engine, rehearse, evacuation, evacuation/%s",
				argument, strings.Join(evacuation.All(), ", evacuation/"))
		}
		if parts[name] = slices.Clip(parts[name]); found {
			parts[name] = append(parts[name], part)
		}
	}
	return parts, nil
}
