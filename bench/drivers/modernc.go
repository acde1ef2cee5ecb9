package main

import (
	"context"
	"database/sql"

	_ "modernc.org/sqlite"
)

// openModernc uses modernc.org/sqlite through database/sql, with one pinned
// connection, as a store's writer would have.
func openModernc(path string) (conn, error) {
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		return nil, err
	}
	c, err := db.Conn(context.Background())
	if err != nil {
		return nil, err
	}
	return &moderncConn{db: db, conn: c}, nil
}

type moderncConn struct {
	db   *sql.DB
	conn *sql.Conn
}

func (c *moderncConn) exec(query string) error {
	_, err := c.conn.ExecContext(context.Background(), query)
	return err
}

func (c *moderncConn) prepare(query string) (stmt, error) {
	s, err := c.conn.PrepareContext(context.Background(), query)
	return &moderncStmt{stmt: s}, err
}

func (c *moderncConn) checkpoint() (frames, copied int, err error) {
	var busy int
	err = c.conn.QueryRowContext(context.Background(), "PRAGMA wal_checkpoint(PASSIVE)").
		Scan(&busy, &frames, &copied)
	return frames, copied, err
}

func (c *moderncConn) close() error {
	c.conn.Close()
	return c.db.Close()
}

type moderncStmt struct {
	stmt   *sql.Stmt
	values []any
}

func (s *moderncStmt) exec(args []arg) error {
	s.values = s.values[:0]
	for _, a := range args {
		switch {
		case a.blob != nil:
			s.values = append(s.values, a.blob)
		case a.text != "":
			s.values = append(s.values, a.text)
		default:
			s.values = append(s.values, a.int)
		}
	}
	_, err := s.stmt.Exec(s.values...)
	return err
}
