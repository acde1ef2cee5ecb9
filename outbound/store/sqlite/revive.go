package sqlite

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"
)

// How long to wait before the file is opened again, from the first time on.
const (
	reviveSoon  = 100 * time.Millisecond
	reviveLater = 5 * time.Second
)

// revive brings the store back after a failed write. The caller hands over the
// writer.
//
// After such an error nobody knows what is on the disk: the kernel may have
// dropped the pages that it couldn't write and reports a second fsync as fine.
// So no sync is tried again. The rest of the failed transaction is cut from
// the log, every connection is closed, the file is opened anew, which reads the
// log by its checksums, and all that the log has is written into the file and
// synced there, which is a new write of every page in question. Only then is
// the store open again. A check of the whole file would take minutes where it
// is large; what is read here are the schema and the last rows of each table.
//
// Where the file turns out to be damaged, what can be read is put into a new
// one first (see salvage). Calls are refused meanwhile.
func (s *Store) revive(cause error) {
	s.log.Error("webhooks store: the file failed; nothing is taken until it has been opened anew",
		"path", s.path, "error", cause)
	var damage, cut error
	salvaged := false
	if salvageable(cause) {
		damage = cause
	} else {
		cut = s.cut()
	}
	if err := errors.Join(cut, s.unuse().close()); err != nil {
		s.log.Warn("webhooks store: closing the file after a failure", "path", s.path, "error", err)
	}
	for wait := reviveSoon; ; wait = min(2*wait, reviveLater) {
		cs, err := &connections{}, damage
		if damage == nil {
			cs, err = reconnect(s.path)
		}
		s.use(cs)
		<-s.writing
		if err == nil {
			s.log.Info("webhooks store: the file is open again", "path", s.path)
			if salvaged {
				s.tell()
			}
			return
		}
		pause := wait
		if salvageable(err) {
			damage, err = err, s.salvage(s.isClosed, err)
		}
		if err == nil {
			damage, pause, salvaged = nil, 0, true
		} else {
			s.log.Error("webhooks store: can't open the file again, and will go on trying",
				"path", s.path, "error", s.fail("opening the store", err))
		}
		select {
		case <-s.closed:
			return
		case <-time.After(pause):
		}
		select {
		case <-s.closed:
			return
		case s.writing <- struct{}{}:
		}
		s.unuse()
		s.relieve(err) // so that there's room the next time
	}
}

// tell says to whoever asks Salvaged that it has been done.
func (s *Store) tell() {
	select {
	case s.salvaged <- struct{}{}:
	default:
	}
}

// mend is revive for who was reading when the file failed. The first one who
// gets the writer does it.
func (s *Store) mend(ctx context.Context, c *conn, cause error) {
	if s.take(ctx, s.writing) != nil {
		return
	}
	if c.closed || s.isClosed() != nil {
		<-s.writing
		return
	}
	s.work.Go(func() { s.revive(cause) })
}

// isClosed returns an error when the store is closed.
func (s *Store) isClosed() error {
	select {
	case <-s.closed:
		return errClosed
	default:
		return nil
	}
}

// reconnect opens the file, and shows that it can be written and synced. On an
// error there are no connections.
func reconnect(path string) (*connections, error) {
	cs, err := connect(path)
	if err != nil {
		return &connections{}, err
	}
	if _, _, err := cs.writer.conn.checkpoint("TRUNCATE"); err != nil {
		return &connections{}, errors.Join(err, cs.close())
	}
	return cs, nil
}

// cut takes what a failed transaction has left at the end of the log, lest it
// passes for committed when the log is read anew: its callers were told that
// it isn't stored. It does so under SQLite's write lock, so that nobody else
// writes there.
func (s *Store) cut() error {
	if err := s.w.begin.exec(); err != nil {
		return err
	}
	defer func() { _ = s.w.rollback.exec() }()
	other, err := openConn(s.path, false) // one that is in a transaction can't tell
	if err != nil {
		return err
	}
	defer func() { _ = other.close() }()
	frames, _, err := other.checkpoint("NOOP")
	if err != nil {
		return err
	}
	pageSize, err := other.pragma("page_size")
	if err != nil {
		return err
	}
	end := walHeader + frames*(walFrameHeader+pageSize)
	info, err := os.Stat(s.path + "-wal")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Size() <= end:
		return nil
	}
	return os.Truncate(s.path+"-wal", end)
}
