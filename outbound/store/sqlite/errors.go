package sqlite

import (
	"context"
	"errors"
	"fmt"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"

	"zombiezen.com/go/sqlite"
)

var (
	errClosed = fmt.Errorf("%w: it is closed", store.ErrUnavailable)
	errEnough = errors.New("enough rows")
	errBroken = fmt.Errorf("%w: writing to it failed, and it is being reopened", store.ErrUnavailable)
)

// fail describes an error: what was being done, on which file, what kind of
// error of the driver it is and what to do.
func (s *Store) fail(doing string, err error) error {
	if err == nil {
		return nil
	}
	if kind, hint := classify(err); kind != nil {
		return fmt.Errorf("%s in %s: %w: %w; %s", doing, s.path, kind, err, hint)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// classify tells which of the store's errors an error of the driver is.
func classify(err error) (kind error, hint string) {
	switch code(err) {
	case sqlite.ResultFull:
		return store.ErrFull, "free some space on its disk; a running Caddy goes on by itself"
	case sqlite.ResultIOErr, sqlite.ResultReadOnly, sqlite.ResultCantOpen, sqlite.ResultNoMem:
		return store.ErrUnavailable, "see whether its disk is well and its file is still there and writable"
	case sqlite.ResultBusy, sqlite.ResultLocked, sqlite.ResultProtocol:
		return store.ErrUnavailable, "another program, such as the sqlite3 shell, keeps it locked; end its transaction"
	case sqlite.ResultCorrupt, sqlite.ResultNotADB:
		return store.ErrDamaged, "what can be read of it is put into a new file; see the log and the status"
	}
	return nil, ""
}

// isConstraint tells whether a row contradicts one that is there.
func isConstraint(err error) bool { return code(err) == sqlite.ResultConstraint }

// code is the driver's primary result code.
func code(err error) sqlite.ResultCode {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return sqlite.ResultOK
	}
	return sqlite.ErrCode(err).ToPrimary()
}

// unsound is damage that SQLite doesn't see: what it says isn't as it should be.
type unsound string

func (u unsound) Error() string { return store.ErrDamaged.Error() + ": " + string(u) }

func (unsound) Unwrap() error { return store.ErrDamaged }

// salvageable tells whether an error is the damage of a file that is ours.
func salvageable(err error) bool {
	var u unsound
	if errors.As(err, &u) {
		return true
	}
	switch code(err) {
	case sqlite.ResultCorrupt, sqlite.ResultNotADB:
		return true
	}
	return err != nil && sqlite.ErrCode(err) == sqlite.ResultIOErrShortRead // the file was cut
}

// poisons tells whether an error leaves it open what is on the disk.
func poisons(err error) bool {
	if salvageable(err) {
		return true
	}
	switch code(err) {
	case sqlite.ResultIOErr, sqlite.ResultReadOnly, sqlite.ResultCantOpen, sqlite.ResultNoMem, sqlite.ResultProtocol:
		return true
	}
	return false
}
