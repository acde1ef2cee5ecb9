package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/internal/selects"

	"zombiezen.com/go/sqlite"
)

// busyTimeout is how long a statement waits for another process that works on
// the file by hand, such as the sqlite3 shell.
const busyTimeout = 5 * time.Second

// conn is a connection to the file, for one goroutine at a time. Only this file,
// and the error codes in errors.go, depend on the driver.
type conn struct {
	c      *sqlite.Conn
	stmts  map[string]*stmt
	closed bool
}

func openConn(path string, readOnly bool) (*conn, error) {
	flags := sqlite.OpenReadWrite
	if readOnly {
		flags = sqlite.OpenReadOnly
	}
	c, err := sqlite.OpenConn(path, flags)
	if err != nil {
		return nil, err
	}
	c.SetBusyTimeout(busyTimeout)
	return &conn{c: c, stmts: map[string]*stmt{}}, nil
}

func (c *conn) close() error {
	c.closed = true
	return c.c.Close()
}

// keptStatements is how many prepared statements a reader keeps. Each takes some
// 30 KiB, and a list has another one for each combination of filters.
const keptStatements = 100

// trim drops all prepared statements if there are too many.
func (c *conn) trim() {
	if len(c.stmts) <= keptStatements {
		return
	}
	for sql, st := range c.stmts {
		_ = st.s.Finalize() // repeats the error of the last step, which was returned
		delete(c.stmts, sql)
	}
}

// prepare returns a prepared statement, which is kept for the next time. If it can't
// be prepared, running it returns the error.
func (c *conn) prepare(sql string) *stmt {
	if st := c.stmts[sql]; st != nil {
		return st
	}
	s, err := c.c.Prepare(sql)
	if err != nil {
		return &stmt{s: new(sqlite.Stmt), err: err}
	}
	st := &stmt{s: s}
	c.stmts[sql] = st
	return st
}

// exec runs a script of statements, which are not kept.
func (c *conn) exec(script string) error {
	for script = strings.TrimSpace(script); script != ""; {
		s, rest, err := c.c.PrepareTransient(script)
		if err != nil {
			return err
		}
		_, err = s.Step()
		if err := errors.Join(err, s.Finalize()); err != nil {
			return err
		}
		script = strings.TrimSpace(script[len(script)-rest:])
	}
	return nil
}

// run runs a prepared statement, and drops the rows that it may return.
func (c *conn) run(sql string, args ...any) error {
	return c.query(sql, args, func(*stmt) error { return nil })
}

// pragma returns the value of a pragma that is a number.
func (c *conn) pragma(name string) (int64, error) {
	var v int64
	_, err := c.prepare("PRAGMA " + name).first(func(s *stmt) { v = s.readInt() })
	return v, err
}

// query runs a prepared statement and calls row for each of its rows.
func (c *conn) query(sql string, args []any, row func(*stmt) error) error {
	st := c.prepare(sql)
	for _, a := range args {
		st.any(a)
	}
	return st.each(row)
}

// collect runs a query and returns its rows, each as read returns it.
func collect[T any](c *conn, sql string, args []any, read func(*stmt) (T, error)) (all []T, err error) {
	err = c.query(sql, args, func(row *stmt) error {
		v, err := read(row)
		all = append(all, v)
		return err
	})
	return all, err
}

// inTransaction reports whether a transaction is open. Some errors end it.
func (c *conn) inTransaction() bool { return !c.c.AutocommitEnabled() }

// changes returns how many rows the last statement changed.
func (c *conn) changes() int { return c.c.Changes() }

// interrupt makes the statements that follow end when ctx is done, until restore
// is called.
func (c *conn) interrupt(ctx context.Context) (restore func()) {
	c.c.SetInterrupt(ctx.Done())
	return func() { c.c.SetInterrupt(nil) }
}

// stmt is a prepared statement. Each call binds the next parameter, or reads the
// next column of the current row.
type stmt struct {
	s        *sqlite.Stmt
	err      error // why it couldn't be prepared; s is empty then, and binding does nothing
	param    int
	column   int
	fetching bool
}

func (s *stmt) int(v int64) *stmt {
	s.param++
	s.s.BindInt64(s.param, v)
	return s
}

func (s *stmt) id(v store.ID) *stmt { return s.int(int64(v)) }

func (s *stmt) bool(v bool) *stmt {
	if v {
		return s.int(1)
	}
	return s.int(0)
}

func (s *stmt) float(v float64) *stmt {
	s.param++
	s.s.BindFloat(s.param, v)
	return s
}

func (s *stmt) null() *stmt {
	s.param++
	s.s.BindNull(s.param)
	return s
}

func (s *stmt) text(v string) *stmt {
	s.param++
	s.s.BindText(s.param, v)
	return s
}

// optional binds NULL for the empty string.
func (s *stmt) optional(v string) *stmt {
	if v == "" {
		return s.null()
	}
	return s.text(v)
}

// bytes binds TEXT if v is UTF-8, so that it can be read in a shell, else a
// BLOB, and NULL for nil. Reading returns the same bytes either way.
func (s *stmt) bytes(v []byte) *stmt {
	if v == nil {
		return s.null()
	}
	if utf8.Valid(v) {
		return s.text(unsafe.String(unsafe.SliceData(v), len(v))) // the driver copies it
	}
	s.param++
	s.s.BindBytes(s.param, v)
	return s
}

// time binds Unix milliseconds, and 0 for the zero time.
func (s *stmt) time(v time.Time) *stmt { return s.int(selects.Millis(v)) }

// optionalTime binds NULL for the zero time.
func (s *stmt) optionalTime(v time.Time) *stmt {
	if v.IsZero() {
		return s.null()
	}
	return s.time(v)
}

// json binds v as JSON text, or NULL if it is not set.
func (s *stmt) json(v any, set bool) *stmt { return s.optional(selects.JSON(v, set)) }

func (s *stmt) any(v any) {
	switch v := v.(type) {
	case nil:
		s.null()
	case float64:
		s.float(v)
	case []byte:
		s.bytes(v)
	case int:
		s.int(int64(v))
	case int64:
		s.int(v)
	case store.ID:
		s.id(v)
	case string:
		s.text(v)
	default:
		panic(fmt.Sprintf("sqlite: can't bind a %T", v))
	}
}

// next steps to the next row, and resets the statement after the last one.
func (s *stmt) next() (bool, error) {
	if s.err != nil {
		return false, s.err
	}
	s.column = 0
	more, err := s.s.Step()
	if s.fetching = more; more {
		return true, nil
	}
	s.reset()
	return false, err
}

// reset makes the statement ready for new parameters. A statement must be reset
// if its rows were not read to the end.
func (s *stmt) reset() {
	if s.err != nil {
		return
	}
	s.param, s.fetching = 0, false
	_ = s.s.Reset() // repeats the error of the last step, which was returned
}

// exec runs a statement, and drops the rows that it may return.
func (s *stmt) exec() error {
	_, err := s.next()
	if s.fetching {
		s.reset()
	}
	return err
}

// each runs a statement and calls row for every row.
func (s *stmt) each(row func(*stmt) error) error {
	for {
		more, err := s.next()
		if !more {
			return err
		}
		if err := row(s); err != nil {
			s.reset()
			return err
		}
	}
}

// first runs a statement and calls row for the first row only. It reports
// whether there is one.
func (s *stmt) first(row func(*stmt)) (found bool, err error) {
	found, err = s.next()
	if found {
		row(s)
		s.reset()
	}
	return found, err
}

func (s *stmt) readInt() int64 {
	s.column++
	return s.s.ColumnInt64(s.column - 1)
}

func (s *stmt) readID() store.ID { return store.ID(s.readInt()) }

func (s *stmt) readBool() bool { return s.readInt() != 0 }

func (s *stmt) readFloat() float64 {
	s.column++
	return s.s.ColumnFloat(s.column - 1)
}

// isNull reports whether the next column is NULL, without moving past it.
func (s *stmt) isNull() bool { return s.s.ColumnIsNull(s.column) }

func (s *stmt) readText() string {
	s.column++
	return s.s.ColumnText(s.column - 1)
}

func (s *stmt) readBytes() []byte {
	if s.isNull() {
		s.column++
		return nil
	}
	b := make([]byte, s.s.ColumnLen(s.column))
	s.s.ColumnBytes(s.column, b)
	s.column++
	return b
}

func (s *stmt) readTime() time.Time { return selects.FromMillis(s.readInt()) }

func (s *stmt) readJSON(v any) error { return fromJSON(s.readText(), v) }

func fromJSON(text string, v any) error {
	if text == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(text), v); err != nil {
		return unsound("a row has broken JSON: " + err.Error())
	}
	return nil
}
