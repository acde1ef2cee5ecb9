package sqlite

import (
	"context"
	"fmt"
)

const (
	// checkpointFrames is how many frames of the write-ahead log, which are pages
	// of 4 KiB, make a checkpoint due. A commit may have to wait for the sync of
	// the file at the end of a checkpoint, which takes longer the more was copied:
	// with 512 KiB the tail of the commit times is a third of that with SQLite's
	// default of 4 MiB, and the throughput is the same.
	checkpointFrames = 128
	// checkpointLook is how many commits pass between two looks at the log's
	// length. A look takes a tenth as long as a small commit.
	checkpointLook = 4
	// walKept is the size, in bytes, to which SQLite truncates a log that has
	// grown beyond it.
	walKept = 16 << 20
)

// checkpoint copies the log into the file, after the commit that made the log
// long has been answered. The caller passes the writer to it, which checkpoint
// gives back: if the log were written to meanwhile, it would never be copied
// completely, and would grow without bound.
//
// A sync that fails here is not tried again either. The log stays authoritative,
// and the next checkpoint writes the same pages again before it syncs.
func (s *Store) checkpoint() {
	defer func() { <-s.writing }()
	frames, _, err := s.w.conn.checkpoint("PASSIVE")
	if s.makeRoom(err) {
		frames, _, err = s.w.conn.checkpoint("PASSIVE")
	}
	if s.w.logGrew(frames) {
		s.work.Go(s.shorten)
	}
	switch {
	case err != nil && !s.checkpointFailed:
		s.log.Error("webhooks store: can't copy the log into the file; what is stored is safe in the log, which grows meanwhile",
			"path", s.path, "error", s.fail("checkpointing", err))
	case err == nil && s.checkpointFailed:
		s.log.Info("webhooks store: the log can be copied into the file again", "path", s.path)
	}
	s.checkpointFailed = err != nil
}

// logGrew reports whether the log has grown by walKept since it last did.
func (w *writer) logGrew(frames int64) bool {
	w.shortenedAt = min(w.shortenedAt, frames)
	if (frames-w.shortenedAt)*pageSize < walKept {
		return false
	}
	w.shortenedAt = frames
	return true
}

// shorten runs a checkpoint while no search reads: it waits for those under way,
// and keeps others from starting. SQLite can't start the log from the beginning
// while somebody reads from it, so with searches that always overlap it would grow
// as long as they come.
func (s *Store) shorten() {
	if !s.shortening.TryLock() {
		return // another shorten waits, and will copy what has come since
	}
	defer s.shortening.Unlock()
	for range cap(s.searching) {
		if s.acquire(context.Background(), s.searching) != nil {
			return
		}
		defer func() { <-s.searching }()
	}
	if s.acquire(context.Background(), s.writing) != nil {
		return
	}
	if s.w == nil {
		<-s.writing
		return
	}
	s.checkpoint()
}

// checkpointDue reports, after each commit, whether the log is long enough for a
// checkpoint.
func (w *writer) checkpointDue() bool {
	if w.commits++; w.commits%checkpointLook != 0 {
		return false
	}
	frames, copied, err := w.conn.checkpoint("NOOP")
	return err == nil && frames-copied >= checkpointFrames
}

// checkpoint runs a checkpoint, and returns how many frames the log has and how
// many of them are in the file. The mode NOOP copies nothing.
func (c *conn) checkpoint(mode string) (frames, copied int64, err error) {
	_, err = c.prepare(fmt.Sprintf("PRAGMA wal_checkpoint(%s)", mode)).first(func(row *stmt) {
		row.readBool() // whether a reader was in the way
		frames, copied = row.readInt(), row.readInt()
	})
	return frames, copied, err
}
