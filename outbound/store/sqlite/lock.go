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

// opened are the paths of the stores that are open in this process.
var opened sync.Map

// lock makes a store's file belong to this process. The operating system gives
// it up when the process is gone, however it ends. The lock's file says who
// has it, and stays: removing it would race with somebody who waits for it.
type lock struct{ file *flock.Flock }

// enter keeps this process from opening a file twice.
func enter(path string) error {
	if _, twice := opened.LoadOrStore(path, true); twice {
		return fmt.Errorf("opening the store: %w: this process has %s open already; share the one that is open", store.ErrInUse, path)
	}
	return nil
}

// acquire waits for the lock, because during a rolling restart the old process
// still has it for a moment.
func acquire(ctx context.Context, path string, wait time.Duration, log *slog.Logger) (*lock, error) {
	f := flock.New(path+".lock", flock.SetFlag(os.O_RDWR|os.O_CREATE), flock.SetPermissions(0o600))
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	locked, err := f.TryLock()
	if err == nil && !locked {
		log.Warn("webhooks store: waiting for another process to close the file, without which this one can't start", "path", path, "holder", holder(path), "at_most", wait.String())
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
	return nil, fmt.Errorf("opening the store: locking %s.lock: %w; let the user that runs this write it and its directory", path, err)
}

// sign writes who has the lock. That is for people: failing does no harm.
func (l *lock) sign(who string) { _ = os.WriteFile(l.file.Path(), []byte(who), 0o600) }

func (l *lock) release() error {
	l.sign("")
	return l.file.Close()
}

// holder reads who has the lock.
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
