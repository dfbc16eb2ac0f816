// Command web is a service as people write them, with the habits that matter
// when its pod is moved: how long it takes to start, how long a request takes,
// and how it ends.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	start := flag.Duration("start", 0, "time until it listens")
	work := flag.Duration("work", 0, "time that a request takes")
	linger := flag.Duration("linger", 0, "time for which it takes new requests after SIGTERM")
	abrupt := flag.Bool("abrupt", false, "end at once on SIGTERM, whatever is under way")
	flag.Parse()
	if err := serve(*start, *work, *linger, *abrupt); err != nil {
		fmt.Fprintln(os.Stderr, "web:", err)
		os.Exit(1)
	}
}

func serve(start, work, linger time.Duration, abrupt bool) error {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	select {
	case <-time.After(start):
	case <-stop:
		return nil
	}
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/ready", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(work):
			fmt.Fprintln(w, name)
		case <-r.Context().Done(): // the client is gone
		}
	})
	server := &http.Server{Addr: ":8080", Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	select {
	case err := <-failed:
		return err
	case <-stop:
	}
	if abrupt {
		return nil
	}
	// Its address is still known to others for a moment.
	select {
	case err := <-failed:
		return err
	case <-time.After(linger):
	}
	ctx, cancel := context.WithTimeout(context.Background(), work+10*time.Second)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		return err
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
