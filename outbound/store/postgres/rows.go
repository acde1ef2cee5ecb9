package postgres

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

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

func fromJSON(b []byte, v any) error {
	if b == nil {
		return nil
	}
	return json.Unmarshal(b, v)
}

func keys(ids []store.ID) []int64 {
	out := make([]int64, len(ids))
	for i, id := range ids {
		out[i] = int64(id)
	}
	return out
}

// deref returns the zero value for nil, which is NULL.
func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

func timeOf(ms *int64) time.Time { return selects.FromMillis(deref(ms)) }

// deliveryRow reads the columns of a delivery.
type deliveryRow struct {
	id, event, subscription int64
	state                   int16
	attempts, round         int32
	due                     *int64
	reason                  *string
}

func (r *deliveryRow) delivery() store.Delivery {
	return store.Delivery{
		ID: store.ID(r.id), Event: store.ID(r.event), Subscription: store.ID(r.subscription), State: store.State(r.state),
		Attempts: int(r.attempts), Round: int(r.round), Due: timeOf(r.due), Reason: deref(r.reason),
	}
}

// eventRow reads selects.Event.
type eventRow struct {
	id                          int64
	eventType                   string
	tenant, chosen, contentType *string
	headers                     []byte
	traceParent, traceState     *string
	payloadRemoved              bool
}

func (r *eventRow) targets() []any {
	return []any{&r.id, &r.eventType, &r.tenant, &r.chosen, &r.contentType, &r.headers, &r.traceParent, &r.traceState, &r.payloadRemoved}
}

func (r *eventRow) event() (*store.Event, error) {
	e := &store.Event{
		Key: store.ID(r.id), ID: selects.EventID(deref(r.chosen), store.ID(r.id)), Type: r.eventType, Tenant: deref(r.tenant), ContentType: deref(r.contentType),
		TraceParent: deref(r.traceParent), TraceState: deref(r.traceState), PayloadRemoved: r.payloadRemoved,
	}
	return e, fromJSON(r.headers, &e.Headers)
}

// attemptRow reads selects.Attempt.
type attemptRow struct {
	at, latency         *int64
	status              *int32
	class, err, traceID *string
	url                 *string
	body, headers       []byte
}

func (r *attemptRow) targets() []any {
	return []any{&r.at, &r.latency, &r.status, &r.class, &r.err, &r.body, &r.headers, &r.traceID, &r.url}
}

func (r *attemptRow) attempt(id store.ID, number int) (*store.Attempt, error) {
	a := &store.Attempt{
		ID: id, Number: number, At: timeOf(r.at), Latency: time.Duration(deref(r.latency)) * time.Microsecond, Status: int(deref(r.status)),
		Class: deref(r.class), Error: deref(r.err), ResponseBody: r.body, TraceID: deref(r.traceID), URL: deref(r.url),
	}
	return a, fromJSON(r.headers, &a.ResponseHeaders)
}

// collect reads rows of one column.
func collect[T any](rows pgx.Rows, err error) ([]T, error) {
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[T])
}

// each calls f for each row.
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
