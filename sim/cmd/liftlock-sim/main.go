// Command liftlock-sim runs a simulated Azure with real Kubernetes control
// planes behind it, until it is told to stop or nobody has asked it for
// anything for a while.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"liftlock.dev/liftlock/sim"
	"liftlock.dev/liftlock/sim/kube"
	"liftlock.dev/liftlock/sim/scenario"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case errors.As(err, new(usageError)):
		fmt.Fprintln(os.Stderr, "liftlock-sim:", err)
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "liftlock-sim:", err)
		os.Exit(1)
	}
}

// usageError is a mistake in flags or scenario.
type usageError struct{ error }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("liftlock-sim", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintf(stderr, "Runs a simulated Azure with real Kubernetes control planes behind it.\n\n"+
			"  liftlock-sim --state-dir ~/.liftlock-sim --scenario demo\n\n"+
			"When all is up, STATE/endpoint.json says where it is and how to sign in, and its\ncontent is printed on stdout. Scenarios that come along: %s\n\nFlags:\n", strings.Join(scenario.Names(), ", "))
		flags.PrintDefaults()
	}
	name := flags.String("scenario", "demo", "a scenario `file`, or the name of one that comes along")
	state := flags.String("state-dir", "", "`folder` for state and endpoint.json (required)")
	bin := flags.String("kube-bin", "bin/kube", "`folder` of the Kubernetes binaries that make kube builds")
	listen := flags.String("listen", "127.0.0.1:0", "`address` to listen on; keep it on the loopback interface")
	idle := flags.Duration("idle-timeout", 10*time.Minute, "how long after the last request it ends itself; 0 for never")
	verbose := flags.Bool("v", false, "log every call")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return err
	case err != nil:
		return usageError{err}
	case flags.NArg() > 0:
		return usageError{fmt.Errorf("unexpected argument %q; see --help", flags.Arg(0))}
	case *state == "":
		return usageError{errors.New("--state-dir is required; see --help")}
	}
	sc, err := scenario.Load(*name)
	if err != nil {
		return usageError{err}
	}
	level := slog.LevelInfo
	if *verbose {
		level = slog.LevelDebug
	}
	logger := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))
	folder, err := filepath.Abs(*state)
	if err != nil {
		return fmt.Errorf("state folder: %w", err)
	}
	unlock, err := claim(folder)
	if err != nil {
		return err
	}
	defer unlock()
	kubernetes, err := kube.New(kube.Options{BinDir: *bin, StateDir: filepath.Join(folder, "kube"), Logger: logger})
	if err != nil {
		return fmt.Errorf("kubernetes: %w", err)
	}
	return serve(ctx, sim.Options{Scenario: sc, Kubernetes: kubernetes, StateDir: folder, Listen: *listen, Logger: logger}, *idle, stdout)
}

// claim takes a state folder for this process alone.
func claim(folder string) (unlock func(), err error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(folder, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("another simulator runs on %s; take another --state-dir, or use the one that its endpoint.json leads to", folder), lock.Close())
	}
	// An endpoint that a killed process left leads nowhere.
	if err := os.Remove(filepath.Join(folder, "endpoint.json")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, errors.Join(fmt.Errorf("state folder: %w", err), lock.Close())
	}
	return func() { _ = lock.Close() }, nil // closing unlocks; the process ends
}

// serve runs the simulation until the context ends or it has been idle for long.
func serve(ctx context.Context, o sim.Options, idle time.Duration, stdout io.Writer) (err error) {
	started := time.Now()
	server, err := sim.Start(ctx, o)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	file := filepath.Join(o.StateDir, "endpoint.json")
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		if removed := os.Remove(file); removed != nil && !errors.Is(removed, os.ErrNotExist) {
			err = errors.Join(err, removed)
		}
		err = errors.Join(err, server.Close(closing))
	}()
	text, err := json.MarshalIndent(server.Endpoint(), "", "  ")
	if err != nil {
		return fmt.Errorf("endpoint: %w", err)
	}
	text = append(text, '\n')
	// Whoever waits for the file must never read half of it.
	if err := os.WriteFile(file+".new", text, 0o600); err != nil {
		return fmt.Errorf("state folder: %w", err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		return fmt.Errorf("state folder: %w", err)
	}
	o.Logger.InfoContext(ctx, "simulated Azure is up", "endpoint", server.Endpoint().ARMEndpoint, "seconds", time.Since(started).Round(100*time.Millisecond).Seconds())
	if _, err := stdout.Write(text); err != nil {
		return fmt.Errorf("stdout: %w", err)
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			o.Logger.InfoContext(ctx, "stopping")
			return nil
		case <-tick.C:
			if idle > 0 && server.Idle() >= idle {
				o.Logger.InfoContext(ctx, "stopping: nobody has asked for anything", "for", idle.String())
				return nil
			}
		}
	}
}
