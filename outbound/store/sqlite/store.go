// Package sqlite is the embedded store: one SQLite file in WAL mode. It belongs
// to one process at a time, and people can read it meanwhile with the sqlite3
// shell (see schema1.sql for its views).
//
// A commit is on disk when it returns (synchronous=FULL). One connection
// writes; after a commit that made the write-ahead log long, it also copies the
// log into the file. A few others read, each from its own snapshot, so that a
// list never holds up a publish. Which deliveries are held is only in memory.
//
// The file for each step:
//
//	store.go        opening, closing, and access to the readers
//	  lock.go         the file belongs to one process
//	  file.go         recognising, creating and upgrading the file
//	  connections.go  the connections to it, and conn.go a single one
//	writer.go       access to the writer, and its transactions
//	  footing.go      checks that the file was not moved or replaced
//	commit.go       storing events and outcomes
//	  checkpoint.go   copying the log into the file
//	claim.go        taking what is due, and hold.go what is held
//	queue.go        requeueing, discarding and burying deliveries by hand
//	  replay.go       creating deliveries of older events
//	  unlogged.go     which dead letters still have to be logged
//	list.go         lists of deliveries and attempts, and event.go of events
//	forget.go       removing old events
//
// When something fails:
//
//	reserve.go      the disk is full: space kept for settling deliveries
//	revive.go       a write failed: reopening the file
//	damage.go       noticing damage, and digest.go damage to a payload
//	salvage.go      copying what can be read into a new file
//	  page.go         reading pages without SQLite, and log.go the log
//	  table.go        recognising rows
//	  aside.go        setting the damaged file aside
//	upkeep.go       check, backup and compact, from outside
package sqlite

import (
	"cmp"
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

// Config is the configuration of a store.
type Config struct {
	// Path is the path of the file. The file and its directory are created if
	// they are missing.
	Path string

	// Logger gets what no caller sees, such as a failed checkpoint.
	// Default: nothing is logged.
	Logger *slog.Logger

	// LockWait is how long to wait while another process has the file open, such
	// as the old process during a rolling restart. Default: 10 s.
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
	work    sync.WaitGroup // background work

	// writing is a semaphore of one. Whoever holds it has the writer, and with it
	// the next three fields.
	writing          chan struct{}
	w                *writer // nil while the store is broken
	checkpointFailed bool    // the last one
	reserve          *reserve

	reading    chan *conn    // the readers that are free, as nil while the store is broken
	searching  chan struct{} // semaphore of the searches, which leaves a reader to claims
	shortening sync.Mutex    // held by shorten, which acquires all of searching
	claims     sync.Mutex    // one claim at a time

	salvaged chan struct{} // see Salvaged, buffers one value
}

var _ store.Store = (*Store)(nil)

// Open opens the store, or creates it. Its errors wrap store.ErrInUse,
// store.ErrForeign, store.ErrDamaged or store.ErrFull; a file that is refused is
// left as it is. A damaged file of ours is not refused: what can be read is
// copied into a new one, and Salvages reports it.
func Open(ctx context.Context, config Config) (*Store, error) {
	path, err := Canonical(config.Path)
	if err != nil {
		return nil, fmt.Errorf("opening the store: %w", err)
	}
	if err := markOpen(path); err != nil {
		return nil, err
	}
	s, err := open(ctx, path, config)
	if err != nil {
		openPaths.Delete(path)
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
	log := cmp.Or(config.Logger, slog.New(slog.DiscardHandler))
	lock, err := acquireLock(ctx, path, wait, log)
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
		reserve: openReserve(path, log),

		reading:   make(chan *conn, readers),
		searching: make(chan struct{}, readers-1),

		salvaged: make(chan struct{}, 1),
	}
	conns, err := s.openSound(ctx)
	if s.makeRoom(err) {
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
	s.attach(conns)
	return s, nil
}

// openSound opens the file. If it is damaged, it salvages it first.
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

// openFile opens the file, or creates it. It inspects it again, now that the
// lock keeps others from changing it.
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
		s.writing <- struct{}{} // waits for calls under way, and is never given back
		s.work.Wait()
		err = s.detach().close()
		s.reserve.leave()
		err = errors.Join(err, s.lock.release())
		openPaths.Delete(s.path)
	})
	if err != nil {
		return fmt.Errorf("closing the store %s: %w", s.path, err)
	}
	return nil
}

// search is read for a query that may go through whole tables, which q does unless
// it is for a single delivery. However many searches there are, they leave a reader
// for what must not wait, above all claims.
func (s *Store) search(ctx context.Context, q store.Query, f func(*conn) error) error {
	if q.Delivery != 0 {
		return s.read(ctx, f)
	}
	if err := s.acquire(ctx, s.searching); err != nil {
		return err
	}
	defer func() { <-s.searching }()
	return s.read(ctx, f)
}

func (s *Store) isClosed() error {
	select {
	case <-s.closed:
		return errClosed
	default:
		return nil
	}
}

// acquire takes a place in a semaphore. It fails if ctx is done or the store is
// closed first.
func (s *Store) acquire(ctx context.Context, semaphore chan<- struct{}) error {
	select {
	case <-s.closed:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	case semaphore <- struct{}{}:
		return nil
	}
}

// read calls f with a reader, in a transaction, so that all of its queries see
// the same snapshot. When ctx is done, it ends the query that is running.
func (s *Store) read(ctx context.Context, f func(*conn) error) (err error) {
	if err := s.isClosed(); err != nil {
		return err
	}
	var c *conn
	select {
	case <-s.closed:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	case c = <-s.reading:
	}
	defer func() {
		s.reading <- c
		if salvageable(err) {
			s.reviveAfterRead(ctx, c, err)
		}
	}()
	if c == nil {
		return errBroken
	}
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
