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

// fail wraps an error: it says what was being done and, for an error of the
// driver, to which file, which of the store's errors it is and what to do.
func (s *Store) fail(doing string, err error) error {
	if err == nil {
		return nil
	}
	if kind, hint := classify(err); kind != nil {
		return fmt.Errorf("%s in %s: %w: %w; %s", doing, s.path, kind, err, hint)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// classify returns which of the store's errors an error of the driver is, and
// what to do about it. It returns nil for other errors.
func classify(err error) (kind error, hint string) {
	switch code(err) {
	case sqlite.ResultFull:
		return store.ErrFull, "free some space on its disk; a running Caddy goes on by itself"
	case sqlite.ResultIOErr, sqlite.ResultReadOnly, sqlite.ResultCantOpen, sqlite.ResultNoMem:
		return store.ErrUnavailable, "check that its disk works and that its file is still there and writable"
	case sqlite.ResultBusy, sqlite.ResultLocked, sqlite.ResultProtocol:
		return store.ErrUnavailable, "another program, such as the sqlite3 shell, keeps it locked; end its transaction"
	case sqlite.ResultCorrupt, sqlite.ResultNotADB:
		return store.ErrDamaged, "what can be read of it is copied into a new file; see the log and the status"
	}
	return nil, ""
}

// isConstraint reports whether a row violates a constraint, such as a unique key.
func isConstraint(err error) bool { return code(err) == sqlite.ResultConstraint }

// code returns the primary result code of an error, and ResultOK for the end of a
// context.
func code(err error) sqlite.ResultCode {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return sqlite.ResultOK
	}
	return sqlite.ErrCode(err).ToPrimary()
}

// unsound is an error for damage that SQLite doesn't notice. Its text is what is
// wrong.
type unsound string

func (u unsound) Error() string { return store.ErrDamaged.Error() + ": " + string(u) }

func (unsound) Unwrap() error { return store.ErrDamaged }

// salvageable reports whether an error is damage to a file of ours.
func salvageable(err error) bool {
	if _, ok := errors.AsType[unsound](err); ok {
		return true
	}
	switch code(err) {
	case sqlite.ResultCorrupt, sqlite.ResultNotADB:
		return true
	}
	return err != nil && sqlite.ErrCode(err) == sqlite.ResultIOErrShortRead // the file was truncated
}

// poisons reports whether, after an error, it is uncertain what is on the disk,
// so that the file must be reopened (see revive).
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
