package sqlite

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"

	"github.com/dustin/go-humanize"
)

const (
	// reserveSize is what is kept free, in bytes: enough to settle some
	// thousand deliveries.
	reserveSize = 16 << 20
	// reservePart is which part of a small disk is kept free at most,
	reservePart = 16
	// reserveLeast is kept free of any: what the log holds may have to be copied into
	// the file before there is room in it for outcomes.
	reserveLeast = 2 * checkpointFrames * pageSize
)

// reserve is a file beside the store that only takes up room. When the disk is
// full it gives that room up, so that what is under way can be settled for a
// while yet; events are refused then. They are taken again when there is room
// to make the file anew and for as much besides, so that the end of one state
// isn't the beginning of the other. It stays when the store is closed, since a
// start needs some room, too.
//
// Its methods are for whoever has the writer.
type reserve struct {
	path  string
	log   *slog.Logger
	size  int64 // 0: there is none on this system
	spent bool  // it isn't whole, and events are refused
}

// openReserve takes the reserve of a store, or makes it.
func openReserve(path string, log *slog.Logger) *reserve {
	r := &reserve{path: path + ".reserve", log: log}
	_, total, err := room(filepath.Dir(path))
	if err == nil {
		r.size = max(min(reserveSize, total/reservePart), reserveLeast)
		err = r.make()
	}
	switch {
	case isDiskFull(err):
		r.spent = true
		log.Error("webhooks store: its disk is nearly full: no event is taken until there is room",
			"path", path, "free_at_least", r.wanted())
	case err != nil:
		r.size = 0
		log.Info("webhooks store: nothing can be kept free for a full disk; outcomes wait in memory then", "path", path, "error", err)
	}
	return r
}

// make makes the reserve, unless there is too little room.
func (r *reserve) make() error {
	if r.left() < r.size {
		free, _, err := room(filepath.Dir(r.path))
		if err != nil {
			return err
		}
		if free < 2*r.size {
			return errDiskFull
		}
	}
	return r.take(r.size)
}

// take gives the file room of so many bytes. Where it has room already, that
// stays.
func (r *reserve) take(size int64) error {
	f, err := os.OpenFile(r.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := allocate(f, size); err != nil {
		return errors.Join(err, f.Truncate(0))
	}
	return nil
}

// left is how many bytes can be given up.
func (r *reserve) left() int64 {
	info, err := os.Stat(r.path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// release gives up the room, and reports whether there was any.
func (r *reserve) release() bool {
	if r.size == 0 {
		return false
	}
	if !r.spent {
		r.log.Error("webhooks store: the disk is full: no event is taken until there is room; what is under way is settled from the reserve",
			"reserve", r.path, "free_at_least", r.wanted())
	}
	r.spent = true
	if r.left() == 0 {
		return false
	}
	if err := os.Truncate(r.path, 0); err != nil {
		r.log.Error("webhooks store: can't give up the reserve", "error", err)
		return false
	}
	return true
}

// restore makes a reserve that was given up again, where there is room. Without
// room the error, which wraps store.ErrFull, says why no event can be taken.
func (r *reserve) restore() error {
	if !r.spent {
		return nil
	}
	switch err := r.make(); {
	case isDiskFull(err):
		return fmt.Errorf("%w: less than %s are free on its disk, and they are kept for settling what is under way; free some space, and it goes on by itself",
			store.ErrFull, r.wanted())
	case err != nil: // what then fits is SQLite's to say
		r.log.Warn("webhooks store: the reserve can't be made again", "error", err)
	default:
		r.log.Info("webhooks store: there is room on the disk again, and events are taken", "reserve", r.path)
	}
	r.spent = false
	return nil
}

// leave is for the end: what SQLite has just given back when it removed its log
// is needed for the next start, so half of it is kept from others.
func (r *reserve) leave() {
	if !r.spent || r.left() > 0 {
		return
	}
	free, _, err := room(filepath.Dir(r.path))
	if size := min(r.size, free/2); err == nil && size > 0 {
		err = r.take(size)
	}
	if err != nil {
		r.log.Warn("webhooks store: nothing can be kept free for the next start", "error", err)
	}
}

// short tells whether the disk has less room than the reserve gives.
func (r *reserve) short() bool {
	free, _, err := room(filepath.Dir(r.path))
	return err == nil && free < r.size
}

// wanted is how much must be free for the reserve to be made, for people.
func (r *reserve) wanted() string { return humanize.IBytes(uint64(2 * r.size)) }

// isFull tells whether an error comes from a full disk. SQLite doesn't always
// say so: when it has no room for the log's index, that is an I/O error to it.
func (s *Store) isFull(err error) bool {
	kind, _ := classify(err)
	return errors.Is(kind, store.ErrFull) || poisons(err) && s.reserve.short()
}

// relieve gives up the reserve when an error comes from a full disk, and
// reports whether it is worth while to try again.
func (s *Store) makeRoom(err error) bool {
	return err != nil && s.isFull(err) && s.reserve.release()
}
