package embedded

import (
	"context"
	"database/sql"
	"errors"
	"reflect"

	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/metrics"
	temporalsql "go.temporal.io/server/common/persistence/sql"
	"go.temporal.io/server/common/persistence/sql/sqlplugin"
	"go.temporal.io/server/common/resolver"
)

// openPool opens the connection pool that the server's SQLite plugin keeps for
// a configuration and returns it, checked. Everything in the server that uses
// the same configuration shares it.
func openPool(ctx context.Context, cfg *config.SQL, logger log.Logger) (*sql.DB, error) {
	store, err := temporalsql.NewSQLDB(sqlplugin.DbKindMain, cfg, resolver.NewNoopResolver(), logger, metrics.NoopMetricsHandler)
	if err != nil {
		return nil, storeError("open", cfg.DatabaseName, err)
	}
	pool, err := poolOf(store)
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	if err := checkPragmas(ctx, pool, cfg.DatabaseName); err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return pool, nil
}

// poolOf digs the pool out of the plugin's handle. The plugin counts references
// but never closes a pool, on purpose; an engine that was closed would keep the
// file open until the process ends. There is no other way to it, so it reads
// the fields and says so when a new server version has renamed them.
func poolOf(store sqlplugin.DB) (*sql.DB, error) {
	errShape := errors.New("start engine: the linked server's SQLite plugin is built differently than expected; its connections could not be closed (see poolOf)")
	handle := reflect.ValueOf(store)
	if handle.Kind() != reflect.Pointer || handle.Elem().Kind() != reflect.Struct {
		return nil, errShape
	}
	extended := handle.Elem().FieldByName("db")
	if !extended.IsValid() || extended.Kind() != reflect.Pointer || extended.IsNil() || extended.Elem().Kind() != reflect.Struct {
		return nil, errShape
	}
	pool := extended.Elem().FieldByName("DB")
	if !pool.IsValid() || pool.Type() != reflect.TypeFor[*sql.DB]() || pool.IsNil() {
		return nil, errShape
	}
	return (*sql.DB)(pool.UnsafePointer()), nil
}
