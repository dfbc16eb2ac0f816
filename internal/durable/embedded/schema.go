package embedded

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	"go.temporal.io/server/common/headers"
	"go.temporal.io/server/schema"
	sqliteschema "go.temporal.io/server/schema/sqlite"
)

// The server itself neither checks nor migrates a SQLite file: one from another
// version fails later, in the middle of a rollout, with "no such column". So
// the file carries our stamp, and is brought up before the server sees it.
const (
	stampTable = "liftlock_engine_schema"

	createStampTable = `CREATE TABLE ` + stampTable + ` (
  store      TEXT PRIMARY KEY, -- 'main' or 'visibility'
  version    TEXT NOT NULL,    -- the server's schema version of that store
  digest     TEXT NOT NULL,    -- SHA-256 of the schema it was created with
  server     TEXT NOT NULL,    -- the server version that last opened the file
  changed_at TEXT NOT NULL     -- when version or digest last changed, UTC
)`

	// touchStamp writes to the store without changing it.
	touchStamp = `UPDATE ` + stampTable + ` SET server = server`

	storeMain       = "main"
	storeVisibility = "visibility"
)

// schemaSet is what a server version expects of its store.
type schemaSet struct {
	// server is the version of the server.
	server *semver.Version
	// mainVersion and visibilityVersion are the versions of the two stores. The
	// second never moved in any release, so its digest tells changes instead.
	mainVersion, visibilityVersion string
	// main and visibility create the two stores in an empty file.
	main, visibility string
	// updates holds one folder per version of the main store, with a manifest
	// and the statements that lead to it from the one before.
	updates fs.FS
}

// linkedSchema returns what the server in this binary expects.
func linkedSchema() (schemaSet, error) {
	server, err := semver.NewVersion(headers.ServerVersion)
	if err != nil {
		return schemaSet{}, fmt.Errorf("start engine: linked server version %q: %w", headers.ServerVersion, err)
	}
	main, err := fs.ReadFile(schema.Assets(), "sqlite/v3/temporal/schema.sql")
	if err != nil {
		return schemaSet{}, fmt.Errorf("start engine: read linked schema: %w", err)
	}
	visibility, err := fs.ReadFile(schema.Assets(), "sqlite/v3/visibility/schema.sql")
	if err != nil {
		return schemaSet{}, fmt.Errorf("start engine: read linked schema: %w", err)
	}
	updates, err := fs.Sub(schema.Assets(), "sqlite/v3/temporal/versioned")
	if err != nil {
		return schemaSet{}, fmt.Errorf("start engine: read linked schema: %w", err)
	}
	return schemaSet{
		server:            server,
		mainVersion:       sqliteschema.Version,
		visibilityVersion: sqliteschema.VisibilityVersion,
		main:              string(main),
		visibility:        string(visibility),
		updates:           updates,
	}, nil
}

// stamp is one row of the stamp table.
type stamp struct {
	version, digest string
	server          *semver.Version
}

// ensureSchema makes the store at path what target expects: it creates an empty
// one, leaves a current one alone, backs up and migrates an older one, and
// refuses one that is newer or not ours. Each change is one transaction, so a
// process killed in the middle leaves the file as it was.
func ensureSchema(ctx context.Context, db *sql.DB, path string, target schemaSet, now time.Time) error {
	tables, err := tableNames(ctx, db)
	if err != nil {
		return storeError("read", path, err)
	}
	if len(tables) == 0 {
		return transact(ctx, db, path, "create the schema of", func(tx *sql.Tx) error {
			return createSchema(ctx, tx, target, now)
		})
	}
	if !slices.Contains(tables, stampTable) {
		return &StoreError{
			Path: path, Action: "open",
			Err:    errors.New("the file holds tables but not Liftlock's stamp, so another program made it"),
			Remedy: "move it away or use another state folder",
		}
	}
	stamps, err := readStamps(ctx, db)
	if err != nil {
		return storeError("read", path, err)
	}
	if err := checkNotNewer(path, stamps, target); err != nil {
		return err
	}
	main, visibility := stamps[storeMain], stamps[storeVisibility]
	updateMain := main.version != target.mainVersion
	rebuildVisibility := visibility.version != target.visibilityVersion || visibility.digest != digest(target.visibility)
	if !updateMain && !rebuildVisibility {
		if main.server.Equal(target.server) {
			return nil
		}
		return transact(ctx, db, path, "stamp", func(tx *sql.Tx) error {
			return stampServer(ctx, tx, target)
		})
	}
	if err := backupStore(ctx, db, path); err != nil {
		return err
	}
	return transact(ctx, db, path, "migrate", func(tx *sql.Tx) error {
		if updateMain {
			if err := updateMainStore(ctx, tx, main.version, target); err != nil {
				return err
			}
			if err := writeStamp(ctx, tx, storeMain, target.mainVersion, digest(target.main), target, now); err != nil {
				return err
			}
		}
		if rebuildVisibility {
			if err := rebuildVisibilityStore(ctx, tx, target.visibility); err != nil {
				return err
			}
			if err := writeStamp(ctx, tx, storeVisibility, target.visibilityVersion, digest(target.visibility), target, now); err != nil {
				return err
			}
		}
		if err := checkColumns(ctx, tx, target); err != nil {
			return err
		}
		return stampServer(ctx, tx, target)
	})
}

// transact runs change in one transaction.
func transact(ctx context.Context, db *sql.DB, path, action string, change func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return storeError(action, path, err)
	}
	if err := change(tx); err != nil {
		// The change's error tells more than a rollback that SQLite already did.
		_ = tx.Rollback()
		return storeError(action, path, err)
	}
	if err := tx.Commit(); err != nil {
		return storeError(action, path, err)
	}
	return nil
}

// createSchema fills an empty file.
func createSchema(ctx context.Context, tx *sql.Tx, target schemaSet, now time.Time) error {
	for _, script := range []string{target.main, target.visibility, createStampTable} {
		if _, err := tx.ExecContext(ctx, script); err != nil {
			return err
		}
	}
	if err := writeStamp(ctx, tx, storeMain, target.mainVersion, digest(target.main), target, now); err != nil {
		return err
	}
	return writeStamp(ctx, tx, storeVisibility, target.visibilityVersion, digest(target.visibility), target, now)
}

// checkNotNewer refuses a file that a newer release has worked with: what that
// one wrote, this one may misread.
func checkNotNewer(path string, stamps map[string]stamp, target schemaSet) error {
	main, ok := stamps[storeMain]
	if _, both := stamps[storeVisibility]; !ok || !both {
		return &StoreError{
			Path: path, Action: "open",
			Err:    errors.New("its stamp is incomplete"),
			Remedy: "restore a backup or use another state folder",
		}
	}
	version, err := semver.NewVersion(main.version)
	if err != nil {
		return &StoreError{Path: path, Action: "open", Err: fmt.Errorf("its schema version %q cannot be read: %w", main.version, err)}
	}
	linked, err := semver.NewVersion(target.mainVersion)
	if err != nil {
		return &StoreError{Path: path, Action: "open", Err: fmt.Errorf("linked schema version %q cannot be read: %w", target.mainVersion, err)}
	}
	if version.GreaterThan(linked) {
		return newerError(path, fmt.Errorf("it has schema %s, this binary knows up to %s", main.version, target.mainVersion))
	}
	// A patch release keeps what it writes readable for the others of its minor.
	if minor(main.server).GreaterThan(minor(target.server)) {
		return newerError(path, fmt.Errorf("server %s of Temporal wrote to it, this binary holds %s", main.server, target.server))
	}
	return nil
}

func newerError(path string, err error) error {
	return &StoreError{
		Path: path, Action: "open", Err: err,
		Remedy: "run the newer liftlock that wrote it, or restore a backup from before",
	}
}

func minor(v *semver.Version) *semver.Version {
	return semver.New(v.Major(), v.Minor(), 0, "", "")
}

// readStamps returns the stamps by store.
func readStamps(ctx context.Context, db *sql.DB) (map[string]stamp, error) {
	rows, err := db.QueryContext(ctx, "SELECT store, version, digest, server FROM "+stampTable)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	stamps := map[string]stamp{}
	for rows.Next() {
		var store, server string
		var s stamp
		if err := rows.Scan(&store, &s.version, &s.digest, &server); err != nil {
			return nil, err
		}
		if s.server, err = semver.NewVersion(server); err != nil {
			return nil, fmt.Errorf("stamped server version %q: %w", server, err)
		}
		stamps[store] = s
	}
	return stamps, rows.Err()
}

func writeStamp(ctx context.Context, tx *sql.Tx, store, version, digest string, target schemaSet, now time.Time) error {
	_, err := tx.ExecContext(ctx,
		"REPLACE INTO "+stampTable+" (store, version, digest, server, changed_at) VALUES (?, ?, ?, ?, ?)",
		store, version, digest, target.server.String(), now.UTC().Format(time.RFC3339))
	return err
}

// stampServer notes which server opens the file from now on.
func stampServer(ctx context.Context, tx *sql.Tx, target schemaSet) error {
	_, err := tx.ExecContext(ctx, "UPDATE "+stampTable+" SET server = ?", target.server.String())
	return err
}

// update is one step of the main store's schema.
type update struct {
	version *semver.Version
	dir     string
}

// updateMainStore applies the versioned updates after from, up to the target.
func updateMainStore(ctx context.Context, tx *sql.Tx, from string, target schemaSet) error {
	steps, err := updatesAfter(from, target)
	if err != nil {
		return err
	}
	for _, step := range steps {
		if err := applyUpdate(ctx, tx, target.updates, step); err != nil {
			return fmt.Errorf("update schema to %s: %w", step.version.Original(), err)
		}
	}
	return nil
}

// updatesAfter lists the steps from a version to the target's, oldest first.
func updatesAfter(from string, target schemaSet) ([]update, error) {
	current, err := semver.NewVersion(from)
	if err != nil {
		return nil, fmt.Errorf("schema version %q: %w", from, err)
	}
	goal, err := semver.NewVersion(target.mainVersion)
	if err != nil {
		return nil, fmt.Errorf("schema version %q: %w", target.mainVersion, err)
	}
	entries, err := fs.ReadDir(target.updates, ".")
	if err != nil {
		return nil, err
	}
	var steps []update
	for _, entry := range entries {
		version, err := semver.NewVersion(strings.TrimPrefix(entry.Name(), "v"))
		if err != nil {
			continue // not an update
		}
		if version.GreaterThan(current) && !version.GreaterThan(goal) {
			steps = append(steps, update{version: version, dir: entry.Name()})
		}
	}
	slices.SortFunc(steps, func(a, b update) int { return a.version.Compare(b.version) })
	if len(steps) == 0 || !steps[len(steps)-1].version.Equal(goal) {
		return nil, fmt.Errorf("no way from schema %s to %s", from, target.mainVersion)
	}
	return steps, nil
}

// applyUpdate runs the statements of one step.
func applyUpdate(ctx context.Context, tx *sql.Tx, updates fs.FS, step update) error {
	raw, err := fs.ReadFile(updates, path.Join(step.dir, "manifest.json"))
	if err != nil {
		return err
	}
	var manifest struct {
		SchemaUpdateCqlFiles []string `json:"SchemaUpdateCqlFiles"`
	}
	if err := json.Unmarshal(raw, &manifest); err != nil {
		return fmt.Errorf("read manifest: %w", err)
	}
	for _, name := range manifest.SchemaUpdateCqlFiles {
		script, err := fs.ReadFile(updates, path.Join(step.dir, name))
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, string(script)); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// digest identifies a schema script.
func digest(script string) string {
	sum := sha256.Sum256([]byte(script))
	return hex.EncodeToString(sum[:])
}
