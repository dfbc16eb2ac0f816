package sqlite

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

// role names the part that this test binary plays when a test starts it as a
// process of its own.
const role = "LIFTLOCK_SQLITE_TEST_ROLE"

// TestMain runs the tests and fails if a goroutine is left, or plays a role.
func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case "":
		goleak.VerifyTestMain(m)
	case "writer":
		if err := writeUntilKilled(os.Args[1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

// openTest opens a file that is closed when the test ends.
func openTest(t *testing.T, path string) *File {
	t.Helper()
	f, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	closeAfter(t, f)
	return f
}

// closeAfter closes f when the test ends.
func closeAfter(t *testing.T, f *File) {
	t.Helper()
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
}

// testPath is a path whose characters mean something in a URI.
func testPath(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "state of 100% ? #1", FileName)
}

// background is for what must work after the test's own context has ended.
func background() context.Context { return context.Background() }
