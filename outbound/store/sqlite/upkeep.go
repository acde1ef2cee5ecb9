package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/internal/selects"
)

// The functions in this file look after a store's file from outside. Except for
// Compact, they work while another process has it open. They must not be called in
// the process that has: closing the file would release the locks of the store.

// Checkup is the result of Check.
type Checkup struct {
	// Events is how many events were read.
	Events int64
	// Damaged are the ids of damaged events, the first few.
	Damaged []string
	// DamagedEvents is how many damaged events there are.
	DamagedEvents int64
	// Problems are what SQLite finds wrong with the file, the first few.
	Problems []string
}

// Sound reports whether nothing is wrong.
func (c *Checkup) Sound() bool { return c.DamagedEvents == 0 && len(c.Problems) == 0 }

// maxFound is how many problems of a kind are reported.
const maxFound = 20

// Check reads all of a file, in use or not, and reports what is wrong with it. It
// changes nothing.
func Check(ctx context.Context, path string) (*Checkup, error) {
	found := &Checkup{}
	err := within(ctx, "checking the store", path, true, func(c *conn) error {
		format, err := c.pragma("user_version")
		if err != nil {
			return err
		}
		if format < version {
			return fmt.Errorf("its format is %d, this version knows %d: start Caddy with it once, which upgrades it", format, version)
		}
		err = c.query(fmt.Sprintf("PRAGMA integrity_check(%d)", maxFound), nil, func(row *stmt) error {
			if problem := row.readText(); problem != "ok" {
				found.Problems = append(found.Problems, problem)
			}
			return nil
		})
		if err != nil || len(found.Problems) > 0 {
			return err
		}
		return c.query(`SELECT `+selects.Event+payloadColumns+` FROM event e`, nil, func(row *stmt) error {
			found.Events++
			e, err := readEvent(row, true)
			if err != nil {
				found.Problems = append(found.Problems[:min(len(found.Problems), maxFound-1)], err.Error())
				return nil
			}
			if e.Damaged {
				if found.DamagedEvents++; found.DamagedEvents <= maxFound {
					found.Damaged = append(found.Damaged, e.ID)
				}
			}
			return nil
		})
	})
	if salvageable(err) {
		found.Problems, err = append(found.Problems, err.Error()), nil
	}
	return found, err
}

// Backup copies a snapshot of a file, in use or not, into a new one, which only
// its owner can read and which is synced when Backup returns.
func Backup(ctx context.Context, path, to string) (err error) {
	f, err := os.OpenFile(to, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600) // VACUUM INTO accepts an empty file
	if err != nil {
		return fmt.Errorf("making the backup: %w; give the path of a new file, in a directory that this user can write to", err)
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			_ = os.Remove(to)
			_ = os.Remove(to + "-journal") // which SQLite leaves on a full disk
		}
	}()
	err = within(ctx, "copying the store", path, true, func(c *conn) error { return c.run("VACUUM INTO ?", to) })
	switch kind, _ := classify(err); {
	case errors.Is(kind, store.ErrFull):
		return fmt.Errorf("making the backup: the disk has no room for %s; free some space, or give a path on another one", to)
	case err != nil:
		return err
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("writing the backup to the disk: %w", err)
	}
	return syncDir(to)
}

// Compact shrinks a file to what it contains. It returns store.ErrInUse if another
// process has the file open. Meanwhile it needs disk space for a second copy.
func Compact(ctx context.Context, path string) error {
	path, err := Canonical(path)
	if err != nil {
		return fmt.Errorf("compacting the store: %w", err)
	}
	if err := exists(path); err != nil {
		return err
	}
	lock, err := acquireLock(ctx, path, time.Millisecond, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	err = within(ctx, "compacting the store", path, false, func(c *conn) error {
		if err := c.exec("VACUUM"); err != nil {
			return err
		}
		return c.exec("PRAGMA wal_checkpoint(TRUNCATE)")
	})
	return errors.Join(err, lock.release())
}

// exists checks that there is a file, and that it is ours.
func exists(path string) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no store at %s: name the file that the `store` option names, or that the status of a running Caddy shows", path)
	}
	return inspect(path)
}

// within calls f with a connection to a file of ours, and wraps its errors. With a
// read-only one, the file may be in use.
func within(ctx context.Context, doing, path string, readOnly bool, f func(*conn) error) error {
	path, err := Canonical(path)
	if err == nil {
		err = exists(path)
	}
	if err != nil {
		return err
	}
	c, err := openConn(path, readOnly)
	if err == nil {
		c.interrupt(ctx)
		err = errors.Join(f(c), c.close())
	}
	switch kind, hint := classify(err); {
	case ctx.Err() != nil:
		return ctx.Err()
	case salvageable(err):
		return fmt.Errorf("%s %s: %w: %w", doing, path, store.ErrDamaged, err)
	case errors.Is(kind, store.ErrFull):
		return fmt.Errorf("%s %s: a second copy of it doesn't fit on the disk: %w; free some space first", doing, path, err)
	case kind != nil:
		return fmt.Errorf("%s %s: %w: %w; %s", doing, path, kind, err, hint)
	case err != nil:
		return fmt.Errorf("%s %s: %w", doing, path, err)
	}
	return nil
}
