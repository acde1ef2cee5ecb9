package main

import (
	"errors"
	"slices"
	"time"

	"github.com/ncruces/go-sqlite3"
)

func openNcruces(path string) (conn, error) {
	c, err := sqlite3.Open("file:" + path)
	if err != nil {
		return nil, err
	}
	if err := c.BusyTimeout(10 * time.Second); err != nil {
		return nil, err
	}
	return ncrucesConn{c}, nil
}

type ncrucesConn struct{ conn *sqlite3.Conn }

func (c ncrucesConn) exec(query string) error { return c.conn.Exec(query) }

func (c ncrucesConn) prepare(query string) (stmt, error) {
	s, _, err := c.conn.PrepareFlags(query, sqlite3.PREPARE_PERSISTENT)
	return ncrucesStmt{s}, err
}

func (c ncrucesConn) checkpoint() (frames, copied int, err error) {
	// Not WALCheckpoint: on a connection that has not read anything yet, it finds
	// no log, does nothing and returns no error.
	s, _, err := c.conn.Prepare("PRAGMA wal_checkpoint(PASSIVE)")
	if err != nil {
		return 0, 0, err
	}
	defer s.Close()
	if s.Step() {
		frames, copied = s.ColumnInt(1), s.ColumnInt(2)
	}
	return frames, copied, s.Err()
}

func (c ncrucesConn) close() error {
	var errs []error
	for _, s := range slices.Collect(c.conn.Stmts()) {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, c.conn.Close())...)
}

type ncrucesStmt struct{ stmt *sqlite3.Stmt }

func (s ncrucesStmt) exec(args []arg) error {
	for i, a := range args {
		if err := s.bind(i+1, a); err != nil {
			return err
		}
	}
	return s.stmt.Exec()
}

func (s ncrucesStmt) bind(param int, a arg) error {
	switch {
	case a.blob != nil:
		return s.stmt.BindBlob(param, a.blob)
	case a.text != "":
		return s.stmt.BindText(param, a.text)
	default:
		return s.stmt.BindInt64(param, a.int)
	}
}
