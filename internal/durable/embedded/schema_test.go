package embedded

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/google/go-cmp/cmp"
	"go.temporal.io/api/workflowservice/v1"
)

var schemaTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// oldSchema returns what an older server release creates files with.
func oldSchema(t *testing.T, server, mainVersion string) schemaSet {
	t.Helper()
	read := func(name string) string {
		content, err := os.ReadFile(filepath.Join("testdata", "server-"+server, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	return schemaSet{
		server:            semver.MustParse(server),
		mainVersion:       mainVersion,
		visibilityVersion: "0.1",
		main:              read("main.sql"),
		visibility:        read("visibility.sql"),
		updates:           fstest.MapFS{},
	}
}

func mustLinked(t *testing.T) schemaSet {
	t.Helper()
	linked, err := linkedSchema()
	if err != nil {
		t.Fatal(err)
	}
	return linked
}

// withStore opens the store of dir for the duration of do.
func withStore(t *testing.T, dir string, do func(ctx context.Context, db *sql.DB, path string)) {
	t.Helper()
	path := filepath.Join(dir, storeFile)
	db, err := openStore(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	do(t.Context(), db, path)
}

func mustEnsure(t *testing.T, dir string, target schemaSet) {
	t.Helper()
	withStore(t, dir, func(ctx context.Context, db *sql.DB, path string) {
		if err := ensureSchema(ctx, db, path, target, schemaTime); err != nil {
			t.Fatal(err)
		}
	})
}

// insertExecution adds a row as servers since 1.24 write it: the search
// attributes as JSON, from which the other columns derive.
const insertExecution = `
INSERT INTO executions_visibility (namespace_id, run_id, start_time, execution_time, workflow_id,
  workflow_type_name, status, encoding, task_queue, search_attributes)
VALUES ('ns', ?, '2026-01-01', '2026-01-01', ?, 'climb', 1, 'Proto3', 'queue',
  '{"BuildIds":["one","two"],"Keyword01":"ring-dev","Text01":"hello upgraded world","TemporalReportedProblems":["slow"]}')`

func TestMigration(t *testing.T) {
	for _, test := range []struct{ server, mainVersion string }{
		{"1.26.2", "0.6"},
		{"1.29.1", "0.10"},
	} {
		t.Run(test.server, func(t *testing.T) {
			dir := t.TempDir()
			mustEnsure(t, dir, oldSchema(t, test.server, test.mainVersion))
			withStore(t, dir, func(ctx context.Context, db *sql.DB, _ string) {
				for _, id := range []string{"a", "b"} {
					if _, err := db.ExecContext(ctx, insertExecution, "run-"+id, "workflow-"+id); err != nil {
						t.Fatal(err)
					}
				}
				if _, err := db.ExecContext(ctx, "INSERT INTO shards VALUES (99, 7, 'not ours', 'Proto3')"); err != nil {
					t.Fatal(err)
				}
			})

			mustEnsure(t, dir, mustLinked(t))

			withStore(t, dir, func(ctx context.Context, db *sql.DB, path string) {
				query := func(q string) string {
					t.Helper()
					var got string
					if err := db.QueryRowContext(ctx, q).Scan(&got); err != nil {
						t.Fatalf("%s: %v", q, err)
					}
					return got
				}
				for q, want := range map[string]string{
					"SELECT group_concat(workflow_id, ' ') FROM executions_visibility":                                                      "workflow-a workflow-b",
					"SELECT count(*) FROM executions_visibility WHERE Keyword01 = 'ring-dev' AND BuildIds = '[\"one\",\"two\"]'":            "2",
					"SELECT count(*) FROM executions_visibility_fts_text WHERE Text01 MATCH 'upgraded'":                                     "2",
					"SELECT count(*) FROM executions_visibility_fts_keyword_list WHERE TemporalReportedProblems MATCH '\"[\"\"slow\"\"]\"'": "2",
					"SELECT range_id FROM shards WHERE shard_id = 99":                                                                       "7",
					"SELECT version || ' ' || server FROM " + stampTable + " WHERE store = 'main'":                                          "0.11 1.32.1",
					"SELECT count(*) FROM sqlite_master WHERE name LIKE '%\\_old' ESCAPE '\\'":                                              "0",
					"SELECT count(*) FROM current_chasm_executions":                                                                         "0",
					"PRAGMA integrity_check": "ok",
				} {
					if got := query(q); got != want {
						t.Errorf("%s: %q, want %q", q, got, want)
					}
				}
				compareWithFresh(t, db)

				// The copy is the store as it was.
				backup, err := sql.Open("sqlite", "file:"+path+backupSuffix+"?mode=ro")
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = backup.Close() }()
				stamps, err := readStamps(ctx, backup)
				if err != nil || stamps[storeMain].version != test.mainVersion {
					t.Errorf("backup: %v, %v", stamps, err)
				}
			})

			// The second time there is nothing to do, and the backup stays.
			before, err := os.Stat(filepath.Join(dir, storeFile+backupSuffix))
			if err != nil {
				t.Fatal(err)
			}
			mustEnsure(t, dir, mustLinked(t))
			after, err := os.Stat(filepath.Join(dir, storeFile+backupSuffix))
			if err != nil || !os.SameFile(before, after) {
				t.Errorf("backup was written again: %v", err)
			}
			if before.Mode().Perm() != 0o600 {
				t.Errorf("backup's mode is %o", before.Mode().Perm())
			}

			// The real server takes it.
			s := mustStart(t, Options{Dir: dir})
			if err := runOnce(t.Context(), s, dir); err != nil {
				t.Error(err)
			}
		})
	}
}

// compareWithFresh checks that a migrated store has the tables, columns,
// indexes and triggers of a new one.
func compareWithFresh(t *testing.T, db *sql.DB) {
	t.Helper()
	list := func(db *sql.DB) []string {
		rows, err := db.QueryContext(t.Context(), `
SELECT m.type || ' ' || m.name || coalesce('.' || c.name, '')
FROM sqlite_master m LEFT JOIN pragma_table_xinfo(m.name) c ON m.type = 'table'
WHERE m.name NOT LIKE 'sqlite_%'`)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = rows.Close() }()
		var out []string
		for rows.Next() {
			var line string
			if err := rows.Scan(&line); err != nil {
				t.Fatal(err)
			}
			out = append(out, line)
		}
		slices.Sort(out)
		return out
	}
	dir := t.TempDir()
	mustEnsure(t, dir, mustLinked(t))
	withStore(t, dir, func(_ context.Context, fresh *sql.DB, _ string) {
		if diff := cmp.Diff(list(fresh), list(db)); diff != "" {
			t.Errorf("migrated store differs from a new one (-new +migrated):\n%s", diff)
		}
	})
}

// TestMigrationKeepsRunningWorkflows takes a store with a workflow in the
// middle back to an older schema; after the migration the workflow goes on.
func TestMigrationKeepsRunningWorkflows(t *testing.T) {
	dir := t.TempDir()
	s := mustStart(t, Options{Dir: dir})
	c := mustDial(t, s)
	if _, err := begin(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	old := oldSchema(t, "1.29.1", "0.10")
	withStore(t, dir, func(ctx context.Context, db *sql.DB, path string) {
		err := transact(ctx, db, path, "age", func(tx *sql.Tx) error {
			if _, err := tx.ExecContext(ctx, "DROP TABLE current_chasm_executions"); err != nil {
				return err
			}
			if err := rebuildVisibilityStore(ctx, tx, old.visibility); err != nil {
				return err
			}
			return errors.Join(
				writeStamp(ctx, tx, storeMain, old.mainVersion, digest(old.main), old, schemaTime),
				writeStamp(ctx, tx, storeVisibility, old.visibilityVersion, digest(old.visibility), old, schemaTime),
			)
		})
		if err != nil {
			t.Fatal(err)
		}
	})

	s = mustStart(t, Options{Dir: dir})
	c = mustDial(t, s)
	list, err := c.ListWorkflow(t.Context(), &workflowservice.ListWorkflowExecutionsRequest{Query: "WorkflowType = 'climb'"})
	if err != nil || len(list.GetExecutions()) != 1 {
		t.Errorf("listed %v, %v", list.GetExecutions(), err)
	}
	stop, err := startWorker(c, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	if got, err := finish(t.Context(), c); err != nil || got != wantSum {
		t.Errorf("got %d, %v", got, err)
	}
}

func TestRefusedStores(t *testing.T) {
	for name, test := range map[string]struct {
		change string
		want   []string
	}{
		"newer schema":    {"UPDATE " + stampTable + " SET version = '0.12' WHERE store = 'main'", []string{"schema 0.12", "up to 0.11", "run the newer liftlock"}},
		"newer server":    {"UPDATE " + stampTable + " SET server = '1.33.0'", []string{"1.33.0", "1.32.1", "run the newer liftlock"}},
		"unreadable":      {"UPDATE " + stampTable + " SET server = 'x'", []string{`server version "x"`}},
		"no stamp":        {"DROP TABLE " + stampTable, []string{"another program made it"}},
		"half a stamp":    {"DELETE FROM " + stampTable + " WHERE store = 'main'", []string{"stamp is incomplete"}},
		"too old":         {"UPDATE " + stampTable + " SET version = 'x' WHERE store = 'main'", []string{`version "x"`}},
		"unknown content": {"ALTER TABLE executions_visibility ADD COLUMN tomorrow TEXT; UPDATE " + stampTable + " SET digest = 'x'", []string{"no column tomorrow"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			mustEnsure(t, dir, mustLinked(t))
			withStore(t, dir, func(ctx context.Context, db *sql.DB, _ string) {
				if _, err := db.ExecContext(ctx, test.change); err != nil {
					t.Fatal(err)
				}
			})
			before := dump(t, dir)
			_, err := Start(t.Context(), Options{Dir: dir})
			if _, ok := errors.AsType[*StoreError](err); !ok {
				t.Fatalf("got %v, want a StoreError", err)
			}
			for _, want := range append(test.want, filepath.Join(dir, storeFile)) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
			if diff := cmp.Diff(before, dump(t, dir)); diff != "" {
				t.Errorf("a refused store was changed:\n%s", diff)
			}
		})
	}
}

// dump returns the schema and the stamps of a store.
func dump(t *testing.T, dir string) (out []string) {
	t.Helper()
	withStore(t, dir, func(ctx context.Context, db *sql.DB, _ string) {
		for _, q := range []string{
			"SELECT coalesce(sql, name) FROM sqlite_master ORDER BY 1",
			"SELECT store || version || digest || server FROM " + stampTable + " ORDER BY 1",
		} {
			rows, err := db.QueryContext(ctx, q)
			if err != nil {
				continue // the stamp table may be what is missing
			}
			for rows.Next() {
				var line string
				if err := rows.Scan(&line); err != nil {
					t.Fatal(err)
				}
				out = append(out, line)
			}
			if err := errors.Join(rows.Err(), rows.Close()); err != nil {
				t.Fatal(err)
			}
		}
	})
	return out
}

// TestFailedMigrationChangesNothing breaks the last of several updates.
func TestFailedMigrationChangesNothing(t *testing.T) {
	dir := t.TempDir()
	mustEnsure(t, dir, oldSchema(t, "1.26.2", "0.6"))
	before := dump(t, dir)
	for name, target := range map[string]func(*schemaSet){
		"broken update": func(s *schemaSet) {
			s.updates = fstest.MapFS{
				"v0.7/manifest.json":  {Data: []byte(`{"SchemaUpdateCqlFiles":["a.sql"]}`)},
				"v0.7/a.sql":          {Data: []byte("CREATE TABLE tomorrow (x);")},
				"v0.11/manifest.json": {Data: []byte(`{"SchemaUpdateCqlFiles":["b.sql"]}`)},
				"v0.11/b.sql":         {Data: []byte("ALTER TABLE nowhere ADD COLUMN x;")},
			}
		},
		"incomplete update": func(s *schemaSet) {
			s.updates = fstest.MapFS{
				"v0.11/manifest.json": {Data: []byte(`{"SchemaUpdateCqlFiles":["a.sql"]}`)},
				"v0.11/a.sql":         {Data: []byte("CREATE TABLE tomorrow (x);")},
			}
		},
		"no way":            func(s *schemaSet) { s.updates = fstest.MapFS{} },
		"broken visibility": func(s *schemaSet) { s.visibility = "CREATE TABLE executions_visibility (x); CREATE NONSENSE" },
	} {
		t.Run(name, func(t *testing.T) {
			broken := mustLinked(t)
			target(&broken)
			withStore(t, dir, func(ctx context.Context, db *sql.DB, path string) {
				if err := ensureSchema(ctx, db, path, broken, schemaTime); err == nil {
					t.Error("no error")
				}
			})
			if diff := cmp.Diff(before, dump(t, dir)); diff != "" {
				t.Errorf("changed (-before +after):\n%s", diff)
			}
		})
	}
	mustEnsure(t, dir, mustLinked(t))
}

func TestNewPatchIsStamped(t *testing.T) {
	dir := t.TempDir()
	linked := mustLinked(t)
	older := linked
	older.server = semver.MustParse("1.32.0")
	mustEnsure(t, dir, older)
	mustEnsure(t, dir, linked)
	withStore(t, dir, func(ctx context.Context, db *sql.DB, path string) {
		stamps, err := readStamps(ctx, db)
		if err != nil {
			t.Fatal(err)
		}
		for store, s := range stamps {
			if !s.server.Equal(linked.server) {
				t.Errorf("%s: stamped by %s, want %s", store, s.server, linked.server)
			}
		}
		if _, err := os.Stat(path + backupSuffix); err == nil {
			t.Error("backed up although no schema changed")
		}
		// And back: releases of one minor read each other's files.
		if err := ensureSchema(ctx, db, path, older, schemaTime); err != nil {
			t.Error(err)
		}
	})
}
