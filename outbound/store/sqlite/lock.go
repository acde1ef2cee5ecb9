package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"

	"github.com/gofrs/flock"
)

const lockPoll = 50 * time.Millisecond

// openPaths are the paths of the stores that are open in this process.
var openPaths sync.Map

// lock reserves a store's file for this process. The operating system releases
// it when the process ends, in whatever way. The lock file says who holds the
// lock, and is never removed: that would race with a process that waits for it.
type lock struct {
	mu   sync.Mutex // held by keep
	file *flock.Flock
}

// markOpen keeps this process from opening a file twice.
func markOpen(path string) error {
	if _, twice := openPaths.LoadOrStore(path, true); twice {
		return fmt.Errorf("opening the store: %w: this process has %s open already; share the one that is open", store.ErrInUse, path)
	}
	return nil
}

// acquireLock takes the lock. It waits for it, because during a rolling restart
// the old process still has it for a moment.
func acquireLock(ctx context.Context, path string, wait time.Duration, log *slog.Logger) (*lock, error) {
	f := flock.New(path+".lock", flock.SetFlag(os.O_RDWR|os.O_CREATE), flock.SetPermissions(0o600))
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	locked, err := f.TryLock()
	if err == nil && !locked {
		log.Warn("webhooks store: waiting for another process to close the file before this one can start", "path", path, "holder", holder(path), "at_most", wait.String())
		_, err = f.TryLockContext(waiting, lockPoll)
	}
	switch {
	case err == nil:
		l := &lock{file: f}
		l.sign(fmt.Sprintf("process %d on host %s\n", os.Getpid(), hostname()))
		return l, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("opening the store: waiting for %s.lock: %w", path, ctx.Err())
	case errors.Is(err, context.DeadlineExceeded):
		return nil, fmt.Errorf("opening the store: %w: %s has %s open; stop it, or give each its own path", store.ErrInUse, holder(path), path)
	}
	return nil, fmt.Errorf("opening the store: locking %s.lock: %w; use a local disk, and let the user that runs this write it and its directory", path, err)
}

// keep checks that the lock is where others look for it. If somebody has deleted its file,
// it is taken again, unless another process did that first.
func (l *lock) keep(path string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	ours, err := l.file.Stat()
	if there, gone := os.Stat(l.file.Path()); err == nil && gone == nil && os.SameFile(ours, there) {
		return nil
	}
	anew, err := acquireLock(context.Background(), path, time.Millisecond, slog.New(slog.DiscardHandler))
	if err != nil {
		return fmt.Errorf("%w: its lock file was deleted: %w", store.ErrUnavailable, err)
	}
	_ = l.file.Close()
	l.file = anew.file
	return nil
}

// sign writes who holds the lock. It is only for people, so failing does no harm.
func (l *lock) sign(who string) { _ = os.WriteFile(l.file.Path(), []byte(who), 0o600) }

func (l *lock) release() error {
	l.sign("")
	return l.file.Close()
}

// holder returns who holds the lock, for an error or a log.
func holder(path string) string {
	f, err := os.Open(path + ".lock")
	if err != nil {
		return "another process"
	}
	defer f.Close()
	who, err := io.ReadAll(io.LimitReader(f, 512))
	if line := strings.TrimSpace(string(who)); err == nil && line != "" {
		return line
	}
	return "another process"
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	return name
}
