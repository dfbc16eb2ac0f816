package app_test

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"liftlock.dev/liftlock/internal/app"
)

// TestMain lets scripts call this binary as liftlock.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"liftlock": func() { os.Exit(app.Main()) }})
}

// TestScript runs the scripts that tell how the command line behaves.
//
// Beside testscript's own commands they have
//
//	exits CODE COMMAND…   run a command that must end with an exit code
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "../cli/testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir+"/home")
			return os.Mkdir(env.WorkDir+"/home", 0o700)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"exits": exits},
	})
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND…")
	}
	want, err := strconv.Atoi(args[0])
	if err != nil {
		ts.Fatalf("exits: %v", err)
	}
	got := 0
	err = ts.Exec(args[1], args[2:]...)
	if ended := (*exec.ExitError)(nil); errors.As(err, &ended) {
		got = ended.ExitCode()
	} else if err != nil {
		ts.Fatalf("exits: %v", err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}
