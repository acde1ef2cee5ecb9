package sqlite

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"

	"github.com/dustin/go-humanize"
)

const (
	// reserveSize is the size of the reserve in bytes, enough to settle a few
	// thousand deliveries.
	reserveSize = 16 << 20
	// reservePart limits the reserve to this part of a small disk, a sixteenth.
	reservePart = 16
	// reserveLeast is its size on any disk: the content of the log may have to be
	// copied into the file before the log has room for outcomes.
	reserveLeast = 2 * checkpointFrames * pageSize
)

// reserve is a file beside the store that only takes up disk space. When the disk
// is full, the file is truncated: what is under way can then be settled for a
// while yet, but new events are refused. Events are taken again when the disk has
// twice the room that the reserve needs, so that taking them doesn't fill the disk
// again at once. The file stays when the store is closed, because a start needs
// some room too.
//
// Its methods are for whoever has the writer; spent may be read by anybody.
type reserve struct {
	path  string
	log   *slog.Logger
	size  int64       // 0 if this system can't have one
	spent atomic.Bool // it was given up, in whole or in part, and events are refused
}

// openReserve opens the reserve of a store, or creates it.
func openReserve(path string, log *slog.Logger) *reserve {
	r := &reserve{path: path + ".reserve", log: log}
	_, total, err := room(filepath.Dir(path))
	if err == nil {
		r.size = max(min(reserveSize, total/reservePart), reserveLeast)
		err = r.make()
	}
	switch {
	case isDiskFull(err):
		r.spent.Store(true)
		log.Error("webhooks store: the disk is nearly full: no events are accepted until there is room",
			"path", path, "free_at_least", r.wanted())
	case err != nil:
		r.size = 0
		log.Info("webhooks store: can't reserve disk space; if the disk is full, outcomes wait in memory", "path", path, "error", err)
	}
	return r
}

// make brings the reserve to its full size. It returns errDiskFull if there is
// too little room.
func (r *reserve) make() error {
	if r.allocated() < r.size {
		free, _, err := room(filepath.Dir(r.path))
		if err != nil {
			return err
		}
		if free < 2*r.size {
			return errDiskFull
		}
	}
	return r.allocate(r.size)
}

// allocate makes the file take up size bytes on the disk, counting those that it
// has.
func (r *reserve) allocate(size int64) error {
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

// allocated returns how many bytes the file takes up.
func (r *reserve) allocated() int64 {
	info, err := os.Stat(r.path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// release gives up the reserve, and reports whether that made room.
func (r *reserve) release() bool {
	if r.size == 0 {
		return false
	}
	if !r.spent.Load() {
		r.log.Error("webhooks store: the disk is full: no events are accepted until there is room; the outcomes of deliveries in flight are stored in the reserve",
			"reserve", r.path, "free_at_least", r.wanted())
	}
	r.spent.Store(true)
	if r.allocated() == 0 {
		return false
	}
	if err := os.Truncate(r.path, 0); err != nil {
		r.log.Error("webhooks store: can't give up the reserve", "error", err)
		return false
	}
	return true
}

// restore makes the reserve again if it was given up. If there is no room, it
// returns an error, which wraps store.ErrFull, and no event may be taken.
func (r *reserve) restore() error {
	if !r.spent.Load() {
		return nil
	}
	switch err := r.make(); {
	case isDiskFull(err):
		return fmt.Errorf("%w: less than %s is free on its disk, which is kept for the outcomes of deliveries in flight; free some space, and it goes on by itself",
			store.ErrFull, r.wanted())
	case err != nil: // without a reserve, SQLite finds out whether an event fits
		r.log.Warn("webhooks store: can't restore the reserve", "error", err)
	default:
		r.log.Info("webhooks store: there is room on the disk again, and events are accepted", "reserve", r.path)
	}
	r.spent.Store(false)
	return nil
}

// leave is called after the file was closed. On a full disk, the room that SQLite
// has just freed by removing its log is needed for the next start, so the reserve
// takes half of it before others do.
func (r *reserve) leave() {
	if !r.spent.Load() || r.allocated() > 0 {
		return
	}
	free, _, err := room(filepath.Dir(r.path))
	if size := min(r.size, free/2); err == nil && size > 0 {
		err = r.allocate(size)
	}
	if err != nil {
		r.log.Warn("webhooks store: can't reserve disk space for the next start", "error", err)
	}
}

// short reports whether the disk has less free room than the reserve takes up.
func (r *reserve) short() bool {
	free, _, err := room(filepath.Dir(r.path))
	return err == nil && free < r.size
}

// wanted returns how much room must be free before the reserve is made, for
// people.
func (r *reserve) wanted() string { return humanize.IBytes(uint64(2 * r.size)) }

var _ store.Reserver = (*Store)(nil)

// Full implements store.Reserver.
func (s *Store) Full() bool { return s.reserve.spent.Load() }

// isFull reports whether an error comes from a full disk. SQLite doesn't always
// say so: it reports an I/O error if there is no room for the log's index.
func (s *Store) isFull(err error) bool {
	kind, _ := classify(err)
	return errors.Is(kind, store.ErrFull) || poisons(err) && s.reserve.short()
}

// makeRoom gives up the reserve if an error comes from a full disk, and reports
// whether it is worth trying again.
func (s *Store) makeRoom(err error) bool {
	return err != nil && s.isFull(err) && s.reserve.release()
}
