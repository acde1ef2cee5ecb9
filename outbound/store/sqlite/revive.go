package sqlite

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"
)

// The first and the longest pause between attempts to reopen the file.
const (
	reviveSoon  = 100 * time.Millisecond
	reviveLater = 5 * time.Second
)

// revive reopens the store after a failed write. The caller passes the writer to
// it.
//
// After such an error nobody knows what is on the disk: the kernel may have
// dropped the pages that it couldn't write, and then reports success for a second
// fsync. So no sync is tried again. Instead, revive cuts the rest of the failed
// transaction from the log, closes every connection and reopens the file, which
// reads the log by its checksums. Then it writes everything in the log into the
// file and syncs that, so that every page in question is written again. Only then
// is the store open again. Of the file itself it checks only the schema, because
// reading all of a large one would take minutes.
//
// If the file turns out to be damaged, it is salvaged first. Calls are refused
// meanwhile.
func (s *Store) revive(cause error) {
	s.log.Error("webhooks store: the file failed; nothing is stored until it has been reopened",
		"path", s.path, "error", cause)
	var damage error // what the file must be salvaged for, nil if it may be sound
	var cut error
	salvaged := false
	if salvageable(cause) {
		damage = cause
	} else {
		cut = s.cutLog()
	}
	if err := errors.Join(cut, s.detach().close()); err != nil {
		s.log.Warn("webhooks store: closing the file after a failure also failed", "path", s.path, "error", err)
	}
	for wait := reviveSoon; ; wait = min(2*wait, reviveLater) {
		cs, err := &connections{}, damage
		if damage == nil {
			cs, err = reconnect(s.path)
		}
		s.attach(cs)
		<-s.writing
		if err == nil {
			s.log.Info("webhooks store: the file is open again", "path", s.path)
			if salvaged {
				s.notifySalvaged()
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
			s.log.Error("webhooks store: can't reopen the file; trying again",
				"path", s.path, "error", s.fail("opening the store", err))
		}
		select {
		case <-s.closed:
			return
		case <-time.After(pause):
		}
		if s.acquire(context.Background(), s.writing) != nil {
			return
		}
		s.detach()
		s.makeRoom(err) // for the next attempt
	}
}

// notifySalvaged sends to Salvaged, unless a value waits there already.
func (s *Store) notifySalvaged() {
	select {
	case s.salvaged <- struct{}{}:
	default:
	}
}

// reviveAfterRead starts revive after a read on c found damage, unless another
// reader has already.
func (s *Store) reviveAfterRead(ctx context.Context, c *conn, cause error) {
	if s.acquire(ctx, s.writing) != nil {
		return
	}
	if c.closed || s.isClosed() != nil {
		<-s.writing
		return
	}
	s.work.Go(func() { s.revive(cause) })
}

// reconnect opens the file, and makes sure that it can be written and synced. On
// an error, it returns an empty set of connections.
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

// cutLog removes what a failed transaction has left at the end of the log. When
// the log is read again, that might look committed, although its callers were told
// that it isn't stored. It holds SQLite's write lock, so that nobody else writes
// there.
func (s *Store) cutLog() error {
	if err := s.w.begin.exec(); err != nil {
		return err
	}
	defer func() { _ = s.w.rollback.exec() }()
	other, err := openConn(s.path, false) // a connection in a transaction can't run a checkpoint pragma
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
