package sqlite

import (
	"context"
	"fmt"
)

// Frames of the write-ahead log, which are pages of 4 KiB.
const (
	// checkpointFrames is how many make a checkpoint. What a commit can wait
	// for is the sync of the file that ends one, and that is as long as the
	// checkpoint is large: with 512 KiB the tail of a commit's time is a third
	// of that with SQLite's own 4 MiB, and the throughput is the same.
	checkpointFrames = 128
	// checkpointLook is after how many commits the log's length is asked for,
	// which takes a tenth as long as a small commit.
	checkpointLook = 4
	// walKept is the size, in bytes, to which a log that has grown is cut.
	walKept = 16 << 20
)

// checkpoint copies the log into the file when it is long enough, after the
// commit that made it so has been answered. The caller hands over the writer,
// so that the log has come to its end: a log that is written to meanwhile is
// never copied wholly, and grows without bound.
//
// A sync that fails here is not repeated either: the log stays what counts, and
// the next checkpoint writes the same pages again before it syncs.
func (s *Store) checkpoint() {
	defer func() { <-s.writing }()
	frames, _, err := s.w.conn.checkpoint("PASSIVE")
	if s.relieve(err) {
		frames, _, err = s.w.conn.checkpoint("PASSIVE")
	}
	if s.w.outgrown(frames) {
		s.work.Go(s.shorten)
	}
	switch {
	case err != nil && !s.stuck:
		s.log.Error("webhooks store: can't copy the log into the file; what is stored is safe in the log, which grows meanwhile",
			"path", s.path, "error", s.fail("checkpointing", err))
	case err == nil && s.stuck:
		s.log.Info("webhooks store: the log can be copied into the file again", "path", s.path)
	}
	s.stuck = err != nil
}

// outgrown tells each time that the log has grown by what is kept of it.
func (w *writer) outgrown(frames int64) bool {
	w.outgrew = min(w.outgrew, frames)
	if (frames-w.outgrew)*pageSize < walKept {
		return false
	}
	w.outgrew = frames
	return true
}

// shorten copies the log when the lists that read have ended, before others begin. It
// can't begin anew while one reads from it, and lists that overlap would have it grow
// for as long as they come.
func (s *Store) shorten() {
	if !s.shortening.TryLock() {
		return // another one waits, and will copy what has come since
	}
	defer s.shortening.Unlock()
	for range cap(s.searching) {
		if s.take(context.Background(), s.searching) != nil {
			return
		}
		defer func() { <-s.searching }()
	}
	if s.take(context.Background(), s.writing) != nil {
		return
	}
	if s.w == nil {
		<-s.writing
		return
	}
	s.checkpoint()
}

// long tells, after each commit, whether the log is due to be copied.
func (w *writer) long() bool {
	if w.commits++; w.commits%checkpointLook != 0 {
		return false
	}
	frames, copied, err := w.conn.checkpoint("NOOP")
	return err == nil && frames-copied >= checkpointFrames
}

// checkpoint returns how many frames the log has, and how many of them are in
// the file. The mode NOOP only tells.
func (c *conn) checkpoint(mode string) (frames, copied int64, err error) {
	st, err := c.prepare(fmt.Sprintf("PRAGMA wal_checkpoint(%s)", mode))
	if err != nil {
		return 0, 0, err
	}
	_, err = st.first(func(row *stmt) {
		row.readBool() // whether a reader was in the way
		frames, copied = row.readInt(), row.readInt()
	})
	return frames, copied, err
}
