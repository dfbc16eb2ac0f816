package sqlite

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"liftlock.dev/liftlock/internal/domain/fleet"
	"liftlock.dev/liftlock/internal/rollout"
)

// wantKind fails the test unless err is of a kind, names the file and says what to do.
func wantKind(t *testing.T, err, kind error, path string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("got error %v, want kind %q", err, kind)
	}
	if !strings.Contains(err.Error(), path) {
		t.Errorf("error %q does not name the file %s", err, path)
	}
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Remedy == "" {
		t.Errorf("error %q does not say what to do next", err)
	}
	t.Log(err)
}

// raw opens the file as any other program would.
func raw(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestOpenSettings(t *testing.T) {
	f := openTest(t, testPath(t))
	for _, pool := range []*sql.DB{f.writer, f.reader} {
		for pragma, want := range map[string]string{
			"journal_mode": "wal", "synchronous": "2", "busy_timeout": "500", "application_id": fmt.Sprint(applicationID),
		} {
			var got string
			if err := pool.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil {
				t.Fatal(err)
			}
			if got != want {
				t.Errorf("PRAGMA %s: got %s, want %s", pragma, got, want)
			}
		}
	}
	if _, err := f.reader.ExecContext(t.Context(), "DELETE FROM records"); err == nil {
		t.Error("a reading connection wrote")
	}
	if err := f.Verify(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestOpenKeepsFilesPrivate(t *testing.T) {
	path := testPath(t)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o644); err != nil { // made by something careless
		t.Fatal(err)
	}
	f := openTest(t, path)
	if err := f.Write(t.Context(), fleet.JournalEntry{Action: "start"}); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s%s has mode %v, want 0600", FileName, suffix, info.Mode().Perm())
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("after Close: got files %v (%v), want %s alone", left, err, FileName)
	}
}

// TestOpenAtOnce opens many new files, each by several at once: what one reads
// of a file that another is just preparing must fit together.
func TestOpenAtOnce(t *testing.T) {
	const openers, files = 8, 30
	for range files {
		path := testPath(t)
		var all sync.WaitGroup
		for range openers {
			all.Go(func() {
				f, err := Open(t.Context(), path)
				if err != nil {
					t.Error(err)
					return
				}
				if err := f.Write(t.Context(), fleet.JournalEntry{Action: "start"}); err != nil {
					t.Error(err)
				}
				if err := f.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		entries, err := openTest(t, path).Read(t.Context(), "", 0, 0)
		if err != nil || len(entries) != openers {
			t.Fatalf("got %d entries (%v), want %d", len(entries), err, openers)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	newer := func(t *testing.T, path string) {
		t.Helper()
		f := openTest(t, path)
		if _, err := f.writer.ExecContext(t.Context(), "INSERT INTO schema_version VALUES (999, 'from_the_future', '2030')"); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	foreign := func(t *testing.T, path string) {
		t.Helper()
		db := raw(t, path)
		if _, err := db.ExecContext(t.Context(), "CREATE TABLE songs (title TEXT)"); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	text := func(t *testing.T, path string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(strings.Repeat("not a database\n", 100)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name  string
		setUp func(t *testing.T, path string)
		kind  error
	}{
		{"a newer Liftlock's file", newer, ErrNewer},
		{"another program's file", foreign, ErrForeign},
		{"a text file", text, ErrCorrupt},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), FileName)
			tt.setUp(t, path)
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			_, err = Open(t.Context(), path)
			wantKind(t, err, tt.kind, path)
			_, err = OpenReadOnly(t.Context(), path)
			wantKind(t, err, tt.kind, path)
			after, err := os.ReadFile(path)
			if err != nil || string(before) != string(after) {
				t.Errorf("the refused file was changed (%v)", err)
			}
		})
	}
}

func TestOpenRefusesFolder(t *testing.T) {
	path := t.TempDir()
	_, err := Open(t.Context(), path)
	wantKind(t, err, ErrForeign, path)
}

func TestOpenReadOnly(t *testing.T) {
	path := testPath(t)
	_, err := OpenReadOnly(t.Context(), path)
	wantKind(t, err, ErrMissing, path)
	if _, err := os.Stat(path); err == nil {
		t.Fatal("looking made the file")
	}

	writing := openTest(t, path)
	looking, err := OpenReadOnly(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	closeAfter(t, looking)
	for i := range 3 { // what is written after opening is seen too
		if err := writing.Write(t.Context(), fleet.JournalEntry{Action: "evict"}); err != nil {
			t.Fatal(err)
		}
		if entries, err := looking.Read(t.Context(), "", 0, 0); err != nil || len(entries) != i+1 {
			t.Fatalf("got %d entries (%v), want %d", len(entries), err, i+1)
		}
	}
	wantKind(t, looking.Write(t.Context(), fleet.JournalEntry{}), ErrReadOnly, path)
	wantKind(t, looking.Append(t.Context(), fleet.LedgerEntry{}), ErrReadOnly, path)
	_, err = looking.PutRecord(t.Context(), rollout.Record{Value: []byte("1")})
	wantKind(t, err, ErrReadOnly, path)
	if _, err := looking.Record(t.Context(), rollout.Key{}); !errors.Is(err, rollout.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}

func TestClosed(t *testing.T) {
	f := openTest(t, testPath(t))
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Errorf("closing twice: %v", err)
	}
	if err := f.Write(t.Context(), fleet.JournalEntry{}); !errors.Is(err, ErrClosed) {
		t.Errorf("write: got %v, want ErrClosed", err)
	}
	if _, err := f.Read(t.Context(), "", 0, 0); !errors.Is(err, ErrClosed) {
		t.Errorf("read: got %v, want ErrClosed", err)
	}
}

// TestAppendOnly opens the file as any program could and tries to change what
// was written.
func TestAppendOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	f := openTest(t, path)
	ctx := t.Context()
	for _, err := range []error{
		f.Write(ctx, fleet.JournalEntry{Action: "approve", Actor: "ada"}),
		f.Append(ctx, fleet.LedgerEntry{Fleet: "shop", Version: "1.35.4", Ring: "sandbox"}),
		f.PutFleet(ctx, rollout.FleetFile{Digest: "d", Source: []byte("kind: Fleet")}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	db := raw(t, path)
	const journal = "INSERT OR REPLACE INTO journal VALUES (1, '', '', 'eve', '', '', '', 'approve', '', '', '{}')"
	const ledger = "INSERT OR REPLACE INTO ledger VALUES (%s, 'shop', '', '', '1.35.4', 'x', 'sandbox', '', '', 'forged')"
	for _, statement := range []string{
		"UPDATE journal SET actor = 'eve'",
		"DELETE FROM journal",
		journal,
		strings.Replace(journal, "(1,", "(-1,", 1) + " ON CONFLICT DO UPDATE SET actor = 'eve'; UPDATE journal SET actor = 'eve'",
		"UPDATE ledger SET version = '1.36.0'",
		"DELETE FROM ledger WHERE ring = 'sandbox'",
		fmt.Sprintf(ledger, "NULL"),
		fmt.Sprintf(ledger, "1"),
		"UPDATE fleet_files SET source = x'00'",
		"DELETE FROM fleet_files",
		"INSERT OR REPLACE INTO fleet_files VALUES ('d', x'00', '{}', '')",
	} {
		if _, err := db.ExecContext(ctx, statement); err == nil {
			t.Errorf("%s: was done, want it refused", statement)
		} else if !strings.Contains(err.Error(), "append-only") {
			t.Errorf("%s: got %v, want it refused as append-only", statement, err)
		}
	}
	entries, err := f.Entries(ctx, "shop")
	if err != nil || len(entries) != 1 || entries[0].Digest != "" {
		t.Errorf("ledger afterwards: %v (%v)", entries, err)
	}
}
