package embedded

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// visibilityTable holds one row per workflow execution, for listing and search.
const visibilityTable = "executions_visibility"

// querier is what *sql.DB and *sql.Tx have in common.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// rebuildVisibilityStore moves the visibility rows into tables of another
// schema. The server ships no updates for this store, and SQLite cannot add the
// stored generated columns that most of its changes are; but all of them derive
// from the base columns, so those are copied and the rest comes by itself.
func rebuildVisibilityStore(ctx context.Context, tx *sql.Tx, script string) error {
	const old = visibilityTable + "_old"
	before, err := columns(ctx, tx, visibilityTable)
	if err != nil {
		return err
	}
	dependents, err := visibilityDependents(ctx, tx)
	if err != nil {
		return err
	}
	statements := slices.Concat(dependents, []string{
		"ALTER TABLE " + visibilityTable + " RENAME TO " + old,
		script,
	})
	for _, statement := range statements {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("rebuild visibility: %w", err)
		}
	}
	after, err := columns(ctx, tx, visibilityTable)
	if err != nil {
		return err
	}
	if lost := missing(before.base, after.base); len(lost) > 0 {
		return fmt.Errorf("rebuild visibility: the linked schema has no column %s, its content would be lost; the file comes from a server that this binary does not know", strings.Join(lost, ", "))
	}
	list := strings.Join(before.base, ", ")
	// The new table's triggers fill the full-text tables.
	for _, statement := range []string{
		fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s ORDER BY rowid", visibilityTable, list, list, old),
		"DROP TABLE " + old,
	} {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("rebuild visibility: %w", err)
		}
	}
	return nil
}

// visibilityDependents returns the statements that drop what hangs on the
// visibility table and would keep its name or follow a rename: triggers first,
// since they write to the full-text tables.
func visibilityDependents(ctx context.Context, q querier) ([]string, error) {
	rows, err := q.QueryContext(ctx, `
SELECT type, name FROM sqlite_master
WHERE (type = 'trigger' AND tbl_name = ?1)
   OR (type = 'table' AND sql LIKE 'CREATE VIRTUAL TABLE%' AND name LIKE ?1 || '_fts%')
   OR (type = 'index' AND tbl_name = ?1 AND sql IS NOT NULL)
ORDER BY type = 'trigger' DESC, name`, visibilityTable)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var statements []string
	for rows.Next() {
		var kind, name string
		if err := rows.Scan(&kind, &name); err != nil {
			return nil, err
		}
		statements = append(statements, fmt.Sprintf("DROP %s %q", strings.ToUpper(kind), name))
	}
	return statements, rows.Err()
}

// tableNames lists the tables of the file.
func tableNames(ctx context.Context, q querier) ([]string, error) {
	rows, err := q.QueryContext(ctx, "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name")
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}

// tableColumns are the columns of a table: those that hold data and those that
// are worked out from them.
type tableColumns struct {
	base, generated []string
}

// all returns every column, sorted.
func (c tableColumns) all() []string {
	return slices.Sorted(slices.Values(slices.Concat(c.base, c.generated)))
}

// columns returns the columns of a table.
func columns(ctx context.Context, q querier, table string) (tableColumns, error) {
	rows, err := q.QueryContext(ctx, "SELECT name, hidden FROM pragma_table_xinfo(?) ORDER BY cid", table)
	if err != nil {
		return tableColumns{}, err
	}
	defer func() { _ = rows.Close() }()
	var out tableColumns
	for rows.Next() {
		var name string
		var hidden int
		if err := rows.Scan(&name, &hidden); err != nil {
			return tableColumns{}, err
		}
		switch hidden {
		case 0:
			out.base = append(out.base, name)
		case 2, 3: // virtual and stored generated columns
			out.generated = append(out.generated, name)
		}
	}
	return out, rows.Err()
}

// checkColumns compares the file with an empty one made from the target's own
// scripts, so that a migration that left something out is undone instead of
// found by the server weeks later.
func checkColumns(ctx context.Context, tx *sql.Tx, target schemaSet) (err error) {
	model, err := sql.Open("sqlite", "file::memory:")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, model.Close()) }()
	model.SetMaxOpenConns(1) // each connection would be a memory of its own
	for _, script := range []string{target.main, target.visibility} {
		if _, err := model.ExecContext(ctx, script); err != nil {
			return err
		}
	}
	names, err := tableNames(ctx, model)
	if err != nil {
		return err
	}
	for _, table := range names {
		want, err := columns(ctx, model, table)
		if err != nil {
			return err
		}
		got, err := columns(ctx, tx, table)
		if err != nil {
			return err
		}
		if lacks := missing(want.all(), got.all()); len(lacks) > 0 {
			return fmt.Errorf("after the migration table %s still lacks %s", table, strings.Join(lacks, ", "))
		}
	}
	return nil
}

// missing returns what of want is not in got.
func missing(want, got []string) []string {
	var out []string
	for _, name := range want {
		if !slices.Contains(got, name) {
			out = append(out, name)
		}
	}
	return out
}
