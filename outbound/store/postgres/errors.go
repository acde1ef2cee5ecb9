package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

var (
	errClosed  = fmt.Errorf("%w: it is closed", store.ErrUnavailable)
	errCrowded = fmt.Errorf("%w: %d nodes share it already", store.ErrInUse, store.MaxNodes)
)

// Error codes of Postgres: https://www.postgresql.org/docs/current/errcodes-appendix.html
const (
	codeUnique        = "23505"
	codeSerialization = "40001"
	codeDeadlock      = "40P01"
	codeDiskFull      = "53100"
	codeBytes         = "22021" // character_not_in_repertoire
	codeUntranslated  = "22P05" // untranslatable_character
	codeNoPrivilege   = "42501"
	codeReadOnly      = "25006"
	codeTooIdle       = "25P03" // idle_in_transaction_session_timeout
	codeTooLong       = "25P04" // transaction_timeout
	codeLocked        = "55P03" // lock_timeout
	classAuth         = "28"
	classConnection   = "08"
	classResources    = "53"
	classOperator     = "57"
	classSystem       = "58"
	codeNoDatabase    = "3D000"
	codeNoSchema      = "3F000"
	codeNoTable       = "42P01"
)

// fail wraps an error: it says what was being done and, for an error of the driver
// or the server, in which database, which of the store's errors it is and what to do.
func (s *Store) fail(doing string, err error) error {
	if err == nil {
		return nil
	}
	if kind, hint := classify(err); kind != nil {
		return fmt.Errorf("%s in %s: %w: %w; %s", doing, s.name, kind, oneLine{err}, hint)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// oneLine is an error of the driver on one line, which may have one for each address.
type oneLine struct{ error }

func (e oneLine) Error() string { return strings.Join(strings.Fields(e.error.Error()), " ") }
func (e oneLine) Unwrap() error { return e.error }

// classify returns which of the store's errors an error of the driver or the server
// is, and what to do about it. It returns nil for other errors.
func classify(err error) (kind error, hint string) {
	for _, known := range []error{store.ErrNotFound, store.ErrConflict, store.ErrUnavailable, store.ErrForeign, store.ErrInUse, context.Canceled} {
		if errors.Is(err, known) {
			return nil, ""
		}
	}
	if code := code(err); code != "" {
		switch class := code[:2]; {
		case code == codeDiskFull:
			return store.ErrFull, "free some space on the database server's disk; a running Caddy goes on by itself"
		case code == codeReadOnly:
			return store.ErrUnavailable, "it can't be written to: give the address of the primary, not of a standby"
		case code == codeNoPrivilege:
			return store.ErrUnavailable, "let the user of the connection string create the schema webhooks, or have it: GRANT CREATE ON DATABASE … TO …, or ALTER SCHEMA webhooks OWNER TO …"
		case code == codeBytes, code == codeUntranslated:
			return store.ErrUnavailable, "it can't store every text: use a database with the encoding UTF8, and don't set another client_encoding"
		case code == codeNoDatabase:
			return store.ErrUnavailable, "create the database, or name another one in the connection string"
		case code == codeNoSchema, code == codeNoTable:
			return store.ErrUnavailable, "tables in its schema webhooks are missing: put them back, or drop that schema and restart Caddy to begin anew"
		case class == classAuth:
			return store.ErrUnavailable, "check the user and the password in the connection string"
		case code == codeTooIdle, code == codeTooLong, code == codeLocked, code == codeSerialization, code == codeDeadlock, class == classConnection, class == classResources, class == classOperator, class == classSystem:
			return store.ErrUnavailable, "check the state of the database server; a running Caddy goes on by itself"
		}
		return nil, ""
	}
	var connect *pgconn.ConnectError
	var network net.Error
	if errors.As(err, &connect) || errors.As(err, &network) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) ||
		errors.Is(err, context.DeadlineExceeded) || err.Error() == "conn closed" {
		return store.ErrUnavailable, "check that the database server is up and can be reached; a running Caddy goes on by itself"
	}
	return nil, ""
}

// code returns the code of an error from the server, "" for other errors.
func code(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}
