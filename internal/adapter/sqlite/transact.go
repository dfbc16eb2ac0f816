package sqlite

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"time"

	codes "modernc.org/sqlite/lib"
)

// write runs change in one transaction: all of it is durable when write returns
// nil, and none of it is there otherwise. change may run more than once.
func (f *File) write(ctx context.Context, doing string, change func(ctx context.Context, conn *sql.Conn) error) error {
	if f.readOnly {
		return &Error{Doing: doing, File: f.path, Kind: ErrReadOnly, Remedy: "it was opened only to look"}
	}
	return f.outcome(ctx, doing, f.patiently(ctx, func() error { return f.transact(ctx, change) }))
}

// read runs look on a connection of its own, in one view of the file.
func (f *File) read(ctx context.Context, doing string, look func(ctx context.Context, db *sql.DB) error) error {
	return f.outcome(ctx, doing, f.patiently(ctx, func() error { return look(ctx, f.reader) }))
}

// outcome turns the error of a finished call into this package's.
func (f *File) outcome(ctx context.Context, doing string, err error) error {
	if err == nil || passesThrough(err) {
		return err
	}
	if f.closed.Load() {
		return &Error{Doing: doing, File: f.path, Kind: ErrClosed}
	}
	return f.failure(ctx, doing, err)
}

// transact runs change between BEGIN and COMMIT on the writing connection.
//
// It does not use sql.Tx: after a COMMIT that failed, for want of space say,
// SQLite may hold the transaction still open, and sql.Tx would give the
// connection back to the pool like that.
func (f *File) transact(ctx context.Context, change func(ctx context.Context, conn *sql.Conn) error) (err error) {
	conn, err := f.writer.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ignoreDone(conn.Close())) }()
	// IMMEDIATE takes the write lock now; a lock that is taken after a read
	// could fail in a way that waiting does not cure.
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	err = change(ctx, conn)
	if err == nil {
		err = ctx.Err()
	}
	// What was begun is ended whatever happens to the context, so that the
	// connection comes back clean. Neither statement waits for a lock.
	ending := context.WithoutCancel(ctx)
	if err == nil {
		if _, err = conn.ExecContext(ending, "COMMIT"); err == nil {
			return nil
		}
	}
	if _, rollback := conn.ExecContext(ending, "ROLLBACK"); rollback != nil && !isCode(rollback, codes.SQLITE_ERROR) {
		// SQLITE_ERROR: SQLite rolled back by itself. Anything else leaves the
		// connection in doubt; the pool opens another.
		_ = conn.Raw(func(any) error { return sqldriver.ErrBadConn })
	}
	return err
}

// patiently repeats attempt while another process holds a lock, until the
// context ends or the patience does.
func (f *File) patiently(ctx context.Context, attempt func() error) error {
	deadline := time.Now().Add(f.patience)
	for {
		err := attempt()
		if err == nil || !isCode(err, codes.SQLITE_BUSY) || time.Now().After(deadline) {
			return err
		}
		// SQLite has waited already where it can. Where waiting inside could
		// deadlock it answers at once, so that a short wait belongs here.
		pause := time.NewTimer(10 * time.Millisecond)
		select {
		case <-ctx.Done():
			pause.Stop()
			return err
		case <-pause.C:
		}
	}
}

// ignoreDone drops the error of giving back a connection that is gone already.
func ignoreDone(err error) error {
	if errors.Is(err, sql.ErrConnDone) {
		return nil
	}
	return err
}
