package postgres

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgtype/zeronull"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/internal/selects"
)

// numbered replaces the parameters "?" of a statement by $1, $2 and so on.
func numbered(sql string) string {
	var b strings.Builder
	for n := 1; ; n++ {
		before, after, more := strings.Cut(sql, "?")
		b.WriteString(before)
		if !more {
			return b.String()
		}
		b.WriteString("$" + strconv.Itoa(n))
		sql = after
	}
}

// text replaces what Postgres refuses in a text: zero bytes and invalid UTF-8. What
// a receiver answers may have either, which must not keep a batch from being stored.
func text(s string) string {
	if utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// validTexts applies text to the arguments of a query, which may have texts that no
// row can have.
func validTexts(args []any) []any {
	for i, a := range args {
		if s, ok := a.(string); ok {
			args[i] = text(s)
		}
	}
	return args
}

// optional returns a text that is NULL for the empty string.
func optional(s string) pgtype.Text { return pgtype.Text{String: text(s), Valid: s != ""} }

// asJSON encodes v as JSON, or returns NULL if it is not set.
func asJSON(v any, set bool) pgtype.Text { return optional(selects.JSON(v, set)) }

func keys(ids []store.ID) []int64 {
	out := make([]int64, len(ids))
	for i, id := range ids {
		out[i] = int64(id)
	}
	return out
}

// Columns are read straight into the fields of a store's rows. Those that may be NULL
// need one of these types, or zeronull.Text, for which NULL is the zero value.
type (
	millis time.Time     // Unix milliseconds
	micros time.Duration // microseconds
	number int
)

func (m *millis) ScanInt64(v pgtype.Int8) error { *m = millis(selects.FromMillis(v.Int64)); return nil }

func (m *micros) ScanInt64(v pgtype.Int8) error {
	*m = micros(v.Int64) * micros(time.Microsecond)
	return nil
}

func (n *number) ScanInt64(v pgtype.Int8) error { *n = number(v.Int64); return nil }

// eventTargets are for selects.Event. They read the id that the publisher chose, if
// any, into ID: see selects.EventID.
func eventTargets(e *store.Event) []any {
	return []any{
		&e.Key, &e.Type, (*zeronull.Text)(&e.Tenant), (*zeronull.Text)(&e.ID), (*zeronull.Text)(&e.ContentType), &e.Headers,
		(*zeronull.Text)(&e.TraceParent), (*zeronull.Text)(&e.TraceState), &e.PayloadRemoved,
	}
}

// attemptTargets are for selects.Attempt.
func attemptTargets(a *store.Attempt) []any {
	return []any{
		(*millis)(&a.At), (*micros)(&a.Latency), (*number)(&a.Status), (*zeronull.Text)(&a.Class), (*zeronull.Text)(&a.Error),
		&a.ResponseBody, &a.ResponseHeaders, (*zeronull.Text)(&a.TraceID), (*zeronull.Text)(&a.URL),
	}
}

// collect reads rows of one column.
func collect[T any](rows pgx.Rows, err error) ([]T, error) {
	return collectBy(rows, err, pgx.RowTo[T])
}

// collectBy reads rows, each by a call of read.
func collectBy[T any](rows pgx.Rows, err error, read pgx.RowToFunc[T]) ([]T, error) {
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, read)
}

func each(rows pgx.Rows, err error, f func(pgx.Rows) error) error {
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
