// Package sqlite is the embedded store: one SQLite file in WAL mode, which
// belongs to one process at a time and which people can read beside it with
// the sqlite3 shell (see schema.sql for its views).
//
// A commit is on disk when it returns (synchronous=FULL). One connection
// writes; a few read, each from its own snapshot, so that a list never holds up
// a publish; another one copies the write-ahead log into the file beside the
// writer. What is held lives in memory only.
package sqlite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// Config says where the store is.
type Config struct {
	// Path of the file. It, and its directory, are made when they are missing.
	Path string

	// Logger for what no caller sees, such as a checkpoint that failed.
	// Default: nothing is logged.
	Logger *slog.Logger

	// LockWait is how long to wait for another process that has the file, such
	// as the old one during a rolling restart. Default: 10 s.
	LockWait time.Duration
}

const (
	defaultLockWait = 10 * time.Second
	readers         = 4
	writerCache     = 16 << 10 // KiB
	readerCache     = 2 << 10
)

// Store is a store in a file.
type Store struct {
	path  string
	log   *slog.Logger
	lock  *lock
	holds *holds

	closed  chan struct{}
	closing sync.Once

	// writing has room for one: whoever sends to it has the writer.
	writing chan struct{}
	w       *writer // nil while the store is broken

	reading chan *conn // the readers that are free; nil ones while it is broken
	claims  sync.Mutex
}

var _ store.Store = (*Store)(nil)

// Open opens or makes the store. Its errors wrap store.ErrInUse,
// store.ErrForeign or store.ErrDamaged; a file that is refused is left as it
// is.
func Open(ctx context.Context, config Config) (*Store, error) {
	path, err := canonical(config.Path)
	if err != nil {
		return nil, fmt.Errorf("opening the store: %w", err)
	}
	if err := enter(path); err != nil {
		return nil, err
	}
	s, err := open(ctx, path, config)
	if err != nil {
		opened.Delete(path)
		return nil, err
	}
	return s, nil
}

func open(ctx context.Context, path string, config Config) (_ *Store, err error) {
	if err := inspect(path); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("opening the store: %w; make the directory, or give another path", err)
	}
	wait := config.LockWait
	if wait <= 0 {
		wait = defaultLockWait
	}
	lock, err := acquire(ctx, path, wait)
	if err != nil {
		return nil, err
	}
	s := &Store{
		path:    path,
		log:     config.Logger,
		lock:    lock,
		holds:   newHolds(),
		closed:  make(chan struct{}),
		writing: make(chan struct{}, 1),
		reading: make(chan *conn, readers),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if err = inspect(path); err == nil { // again, since its owner may have changed it
		if err = create(path); err == nil {
			err = s.connect()
		}
	}
	if err != nil {
		return nil, errors.Join(err, lock.release())
	}
	return s, nil
}

// connect opens the connections. On an error none is open.
func (s *Store) connect() (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(s.fail("opening the store", err), s.disconnect())
		}
	}()
	c, err := openConn(s.path, false)
	if err != nil {
		return err
	}
	s.w = &writer{conn: c}
	if err := migrate(c, s.path); err != nil {
		return err
	}
	if err := c.exec(fmt.Sprintf(`PRAGMA journal_mode = WAL;
		PRAGMA synchronous = FULL;
		PRAGMA wal_autocheckpoint = 0;
		PRAGMA journal_size_limit = %d;
		PRAGMA cache_size = -%d`, walKept, writerCache)); err != nil {
		return err
	}
	if err := s.w.prepare(); err != nil {
		return err
	}
	for range readers {
		c, err := openConn(s.path, true)
		if err != nil {
			return err
		}
		s.reading <- c
		if err := c.exec(fmt.Sprintf("PRAGMA query_only = 1; PRAGMA cache_size = -%d", readerCache)); err != nil {
			return err
		}
	}
	return nil
}

// disconnect closes every connection that is open. Nobody may be using one.
func (s *Store) disconnect() error {
	var errs []error
	for len(s.reading) > 0 {
		if c := <-s.reading; c != nil {
			errs = append(errs, c.close())
		}
	}
	if s.w != nil {
		errs = append(errs, s.w.conn.close())
		s.w = nil
	}
	return errors.Join(errs...)
}

// Close implements store.Store.
func (s *Store) Close() error {
	err := errClosed
	s.closing.Do(func() {
		close(s.closed)
		s.writing <- struct{}{} // for good: calls under way end first
		idle := make([]*conn, readers)
		for i := range idle {
			idle[i] = <-s.reading
		}
		for _, c := range idle {
			s.reading <- c
		}
		err = errors.Join(s.disconnect(), s.lock.release())
		opened.Delete(s.path)
	})
	if err != nil {
		return fmt.Errorf("closing the store %s: %w", s.path, err)
	}
	return nil
}

// reader takes a connection for reading, and put gives it back.
func (s *Store) reader(ctx context.Context) (c *conn, put func(), err error) {
	select {
	case <-s.closed:
		return nil, nil, errClosed
	default:
	}
	select {
	case <-s.closed:
		return nil, nil, errClosed
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	case c = <-s.reading:
	}
	put = func() { s.reading <- c }
	if c == nil {
		put()
		return nil, nil, errBroken
	}
	return c, put, nil
}

// read calls f with a connection and a snapshot. The end of ctx ends it.
func (s *Store) read(ctx context.Context, f func(*conn) error) error {
	c, put, err := s.reader(ctx)
	if err != nil {
		return err
	}
	defer put()
	restore := c.interrupt(ctx)
	if err = c.run("BEGIN"); err == nil {
		err = f(c)
	}
	restore()
	if c.inTransaction() {
		err = errors.Join(err, c.run("ROLLBACK"))
	}
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
