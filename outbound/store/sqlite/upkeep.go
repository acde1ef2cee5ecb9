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

// What looks after a file from outside, in a process that doesn't have it open:
// closing it would give up the locks of one that has.

// Checkup is what was found in a file.
type Checkup struct {
	// Events is how many were read.
	Events int64
	// Damaged are the ids of events that the disk has changed, the first few.
	Damaged []string
	// DamagedEvents is how many of them there are.
	DamagedEvents int64
	// Problems are what SQLite finds wrong with the file, the first few.
	Problems []string
}

// Sound says whether nothing is wrong.
func (c *Checkup) Sound() bool { return c.DamagedEvents == 0 && len(c.Problems) == 0 }

// maxFound is how many problems of a kind are told.
const maxFound = 20

// Check reads the whole of a file, in use or not, and tells what is wrong with
// it. It changes nothing.
func Check(ctx context.Context, path string) (*Checkup, error) {
	found := &Checkup{}
	err := beside(ctx, "checking the store", path, func(c *conn) error {
		format, err := c.pragma("user_version")
		if err != nil {
			return err
		}
		if format < version {
			return fmt.Errorf("its format is %d, this version knows %d: start Caddy with it once, which upgrades it", format, version)
		}
		err = c.query(fmt.Sprintf("PRAGMA integrity_check(%d)", maxFound), nil, func(row *stmt) error {
			if said := row.readText(); said != "ok" {
				found.Problems = append(found.Problems, said)
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

// Backup copies a file, in use or not, as it is at this moment, into a new one,
// which only its owner can read and which is on disk when it returns.
func Backup(ctx context.Context, path, to string) (err error) {
	f, err := os.OpenFile(to, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600) // SQLite takes an empty one
	if err != nil {
		return fmt.Errorf("making the backup: %w; give the path of a new file, in a directory that this user can write to", err)
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			_ = os.Remove(to)
			_ = os.Remove(to + "-journal") // which SQLite leaves on a full disk
		}
	}()
	err = beside(ctx, "copying the store", path, func(c *conn) error { return c.query("VACUUM INTO ?", []any{to}, nil) })
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

// Compact gives the room of what was removed back to the disk. It needs the file
// for itself, store.ErrInUse where another process has it, and room for a second
// one meanwhile.
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

// beside works on a file that may be in use.
func beside(ctx context.Context, doing, path string, f func(*conn) error) error {
	path, err := Canonical(path)
	if err == nil {
		err = exists(path)
	}
	if err != nil {
		return err
	}
	return within(ctx, doing, path, true, f)
}

// exists makes sure that there is a file, and that it is ours.
func exists(path string) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no store at %s: name the file that the `store` option names, or that the status of a running Caddy shows", path)
	}
	return inspect(path)
}

func within(ctx context.Context, doing, path string, readOnly bool, f func(*conn) error) error {
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
