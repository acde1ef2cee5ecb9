package main

import (
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

func openZombiezen(path string) (conn, error) {
	c, err := sqlite.OpenConn("file:"+path, sqlite.OpenReadWrite|sqlite.OpenCreate|sqlite.OpenURI)
	if err != nil {
		return nil, err
	}
	c.SetBusyTimeout(10 * time.Second)
	return zombiezenConn{c}, nil
}

type zombiezenConn struct{ conn *sqlite.Conn }

func (c zombiezenConn) exec(query string) error {
	return sqlitex.ExecuteTransient(c.conn, query, nil)
}

func (c zombiezenConn) prepare(query string) (stmt, error) {
	s, err := c.conn.Prepare(query)
	return zombiezenStmt{s}, err
}

func (c zombiezenConn) checkpoint() (frames, copied int, err error) {
	err = sqlitex.ExecuteTransient(c.conn, "PRAGMA wal_checkpoint(PASSIVE)", &sqlitex.ExecOptions{
		ResultFunc: func(s *sqlite.Stmt) error {
			frames, copied = s.ColumnInt(1), s.ColumnInt(2)
			return nil
		},
	})
	return frames, copied, err
}

func (c zombiezenConn) close() error { return c.conn.Close() }

type zombiezenStmt struct{ stmt *sqlite.Stmt }

func (s zombiezenStmt) exec(args []arg) error {
	for i, a := range args {
		switch {
		case a.blob != nil:
			s.stmt.BindBytes(i+1, a.blob)
		case a.text != "":
			s.stmt.BindText(i+1, a.text)
		default:
			s.stmt.BindInt64(i+1, a.int)
		}
	}
	if _, err := s.stmt.Step(); err != nil {
		return err
	}
	return s.stmt.Reset()
}
