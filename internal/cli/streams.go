package cli

import (
	"context"
	"io"
	"os"
	"os/signal"
	"os/user"
	"path/filepath"
	"syscall"

	"golang.org/x/term"
)

// Streams is how a command meets the process it runs in. Nothing else in this
// package touches os.
type Streams struct {
	In     io.Reader
	Out    io.Writer // results
	Err    io.Writer // progress and messages
	Args   []string
	Getenv func(string) string
	// LiveOut is where a live view may be drawn; nil when stderr is no terminal.
	LiveOut io.Writer
	LiveIn  io.Reader
	// Executable is this binary.
	Executable string
	// Actor is the person that runs it, as far as the machine knows.
	Actor string
	// Home is where state is kept unless --state says otherwise.
	Home string
	// Dir is the working folder.
	Dir string
}

// Process returns the streams of this process.
func Process() Streams {
	s := Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Args: os.Args[1:], Getenv: os.Getenv, Actor: "unknown", Dir: "."}
	if term.IsTerminal(int(os.Stderr.Fd())) && os.Getenv("TERM") != "dumb" {
		s.LiveOut, s.LiveIn = os.Stderr, os.Stdin
	}
	if exe, err := os.Executable(); err == nil {
		s.Executable = exe
	}
	if u, err := user.Current(); err == nil {
		s.Actor, s.Home = u.Username, filepath.Join(u.HomeDir, ".liftlock")
	}
	if home := os.Getenv("HOME"); home != "" {
		s.Home = filepath.Join(home, ".liftlock")
	}
	if dir, err := os.Getwd(); err == nil {
		s.Dir = dir
	}
	return s
}

// Interruptible returns a context that ends when the process is told to.
func Interruptible() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
}
