// Package sqlite is the embedded store: one SQLite file in WAL mode, which
// belongs to one process at a time and which people can read beside it with
// the sqlite3 shell (see schema1.sql for its views).
//
// A commit is on disk when it returns (synchronous=FULL). One connection
// writes, and copies the write-ahead log into the file after a commit that made
// it long; a few read, each from its own snapshot, so that a list never holds up
// a publish. What is held lives in memory only.
//
// The file for each step:
//
//	store.go        opening and closing, and whose turn it is to read
//	  lock.go         the file is one process's
//	  file.go         what it is, and how it comes to this format
//	  connections.go  those to it, of which conn.go is one
//	writer.go       whose turn it is to write
//	  footing.go      and that the file is where it was
//	commit.go       events and outcomes are stored
//	  checkpoint.go   the log is copied into the file
//	claim.go        what is due is taken, and hold.go knows what is
//	queue.go        deliveries are queued again or given up by hand
//	  replay.go       or made of older events
//	  unlogged.go     which dead letters are still to be logged
//	list.go         what lists show, and event.go what an event is read as
//	forget.go       in the end it is removed
//
// When something fails:
//
//	reserve.go      the disk is full: there is a little room left
//	revive.go       a write failed: the file is opened anew
//	damage.go       how damage is noticed, in a payload by digest.go
//	salvage.go      what can be read is put into a new file
//	  page.go         page by page, past SQLite, and log.go from the log
//	  table.go        what a row is known by
//	  aside.go        the damaged file gets another name
//	upkeep.go       what people do to a file from outside
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

const defaultLockWait = 10 * time.Second

// Store is a store in a file.
type Store struct {
	path  string
	log   *slog.Logger
	lock  *lock
	holds *holds

	closed  chan struct{}
	closing sync.Once
	work    sync.WaitGroup // in the background, with the writer

	// writing has room for one: whoever sends to it has the writer.
	writing chan struct{}
	w       *writer // nil while the store is broken
	stuck   bool    // the last checkpoint failed
	reserve *reserve

	reading    chan *conn    // the readers that are free; nil ones while it is broken
	searching  chan struct{} // has room for the searches that may be under way
	shortening sync.Mutex    // by whom takes all of that room
	claims     sync.Mutex    // one claim at a time

	salvaged chan struct{} // has room for one
}

var _ store.Store = (*Store)(nil)

// Open opens or makes the store. Its errors wrap store.ErrInUse,
// store.ErrForeign or store.ErrDamaged; a file that is refused is left as it
// is. A file of ours that is damaged is not refused: what can be read goes into
// a new one, and Salvages tells about it.
func Open(ctx context.Context, config Config) (*Store, error) {
	path, err := Canonical(config.Path)
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

func open(ctx context.Context, path string, config Config) (*Store, error) {
	if err := inspect(path); err != nil && !salvageable(err) {
		return nil, fmt.Errorf("opening the store: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("opening the store: %w; make the directory, or give another path", err)
	}
	wait := config.LockWait
	if wait <= 0 {
		wait = defaultLockWait
	}
	log := config.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	lock, err := acquire(ctx, path, wait, log)
	if err != nil {
		return nil, err
	}
	s := &Store{
		path:    path,
		log:     log,
		lock:    lock,
		holds:   newHolds(),
		closed:  make(chan struct{}),
		writing: make(chan struct{}, 1),
		reading: make(chan *conn, readers),
		// One reader is left for claims.
		searching: make(chan struct{}, readers-1),

		salvaged: make(chan struct{}, 1),
		reserve:  openReserve(path, log),
	}
	conns, err := s.openSound(ctx)
	if s.relieve(err) {
		conns, err = s.openSound(ctx)
	}
	switch {
	case err != nil && s.isFull(err):
		return nil, errors.Join(fmt.Errorf("opening the store in %s: %w: a start needs a little room; free some space on its disk: %w", path, store.ErrFull, err), lock.release())
	case err != nil:
		return nil, errors.Join(s.fail("opening the store", err), lock.release())
	}
	if conns.from > 0 && conns.from < version {
		log.Info("webhooks store: upgraded the file; older versions of caddy-webhooks refuse it from now on", "path", path, "from_format", conns.from, "format", version)
	}
	s.use(conns)
	return s, nil
}

// openSound opens the file, or what can be read of it where it is damaged.
func (s *Store) openSound(ctx context.Context) (*connections, error) {
	if _, err := s.resume(); err != nil {
		return nil, err
	}
	conns, err := openFile(s.path)
	if !salvageable(err) {
		return conns, err
	}
	if err := s.salvage(ctx.Err, err); err != nil {
		return nil, err
	}
	return openFile(s.path)
}

// openFile opens the file, or makes it. It looks at it again, now that nobody
// else changes it.
func openFile(path string) (*connections, error) {
	if err := inspect(path); err != nil {
		return nil, err
	}
	if err := create(path); err != nil {
		return nil, err
	}
	if err := checkLog(path); err != nil {
		return nil, err
	}
	cs, err := connect(path)
	if err != nil {
		return nil, err
	}
	if err := checkRows(path, cs.writer.conn); err != nil {
		return nil, errors.Join(err, cs.close())
	}
	return cs, nil
}

// Close implements store.Store.
func (s *Store) Close() error {
	err := errClosed
	s.closing.Do(func() {
		close(s.closed)
		s.writing <- struct{}{} // for good: calls under way end first
		s.work.Wait()
		err = s.unuse().close()
		s.reserve.leave()
		err = errors.Join(err, s.lock.release())
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

// search is read for what may go through all that there is, unless q is about one
// delivery. However many are asked for, they leave a reader for what must not wait:
// claims, above all.
func (s *Store) search(ctx context.Context, q store.Query, f func(*conn) error) error {
	if q.Delivery != 0 {
		return s.read(ctx, f)
	}
	if err := s.take(ctx, s.searching); err != nil {
		return err
	}
	defer func() { <-s.searching }()
	return s.read(ctx, f)
}

// take waits for room in one of the store's channels, until ctx ends or the store is
// closed.
func (s *Store) take(ctx context.Context, room chan<- struct{}) error {
	select {
	case <-s.closed:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	case room <- struct{}{}:
		return nil
	}
}

// read calls f with a connection and a snapshot. The end of ctx ends it.
func (s *Store) read(ctx context.Context, f func(*conn) error) (err error) {
	c, put, err := s.reader(ctx)
	if err != nil {
		return err
	}
	defer func() {
		put()
		if salvageable(err) {
			s.mend(ctx, c, err)
		}
	}()
	restore := c.interrupt(ctx)
	if err = c.run("BEGIN"); err == nil {
		err = f(c)
	}
	restore()
	if c.inTransaction() {
		err = errors.Join(err, c.run("ROLLBACK"))
	}
	c.trim()
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
