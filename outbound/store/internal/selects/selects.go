// Package selects is what the stores share, because their tables have the same
// columns: the queries of lists, and the encoding of values.
package selects

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// Columns, in the order in which the stores read them.
const (
	// Event are the columns of e, an event.
	Event = `e.id, e.type, e.tenant, e.chosen, e.content_type, e.headers, e.trace_parent, e.trace_state, e.payload_removed`
	// Attempt are the columns of an attempt, or of a delivery's row, which
	// contains the first attempt.
	Attempt = `at, latency, status, class, error, response_body, response_headers, trace_id, url`
	// Subscription are the columns of a subscription.
	Subscription = `key, id, tenant, url, description, event_types, headers, scheme, secrets,
		rate_limit, ordered, filter, from_config, active, reason, updated, failing_since, oauth2,
		timeout, retry, metadata, transform, handshake`

	record = `d.id, d.event, d.subscription, d.state, d.attempts, d.round, d.due, d.reason,
		e.chosen, e.type, e.tenant, coalesce(s.id, ''), coalesce(s.url, ''), ` // followed by Attempt
	payload = `, e.content_type, e.payload`
)

// Record returns the columns of a delivery d with its event e, its subscription
// s, its first attempt and, if asked for, the payload.
func Record(withPayload bool) string {
	columns := record + Qualify("d", Attempt)
	if withPayload {
		columns += payload
	}
	return columns
}

// Qualify prefixes each column with the alias of its table.
func Qualify(alias, columns string) string {
	return alias + "." + strings.ReplaceAll(columns, ", ", ", "+alias+".")
}

// Dialect is the SQL in which the stores differ. Parameters are written as "?".
type Dialect struct {
	Schema    string // prefix of a table's name
	Join      string // a join, which keeps the tables in the order written if the database has such a join
	Dead      string // index hint after "delivery d" when only dead letters are listed
	Pending   string // index hint after "delivery d" when only pending deliveries are listed
	IsPending string // condition: d is pending
	OfEvent   string // condition: d is a delivery of the event e
	In        string // condition after a column: it is in the subquery %s, searched by an index on the column
}

// where collects the conditions of a query.
type where struct {
	*Dialect
	terms []string
	args  []any
}

func (w *where) add(term string, args ...any) {
	w.terms = append(w.terms, term)
	w.args = append(w.args, args...)
}

func (w *where) String() string {
	if len(w.terms) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.terms, " AND ")
}

// span limits a column of ids to q's times and cursor, and returns the order of
// the list. Each end has one bound, the narrower one: of two, SQLite seeks to the
// first and then reads every row up to the other, on each page of a list.
func (w *where) span(column string, q store.Query) (order string) {
	from, to := q.After, q.Before
	if !q.Since.IsZero() {
		from = max(from, store.IDAt(q.Since)-1)
	}
	if !q.Until.IsZero() {
		if until := store.IDAt(q.Until); to == 0 || until < to {
			to = until
		}
	}
	if q.After != 0 || !q.Since.IsZero() {
		w.add(column+" > ?", from)
	}
	if q.Before != 0 || !q.Until.IsZero() {
		w.add(column+" < ?", to)
	}
	if q.After != 0 {
		return column + " ASC"
	}
	return column + " DESC"
}

// event adds q's conditions on the event e.
func (w *where) event(q store.Query) {
	if q.Event != 0 {
		w.add("e.id = ?", q.Event)
	}
	if q.EventID != "" {
		key, _ := store.ParseID(store.EventPrefix, q.EventID)
		w.add("e.id IN (SELECT event FROM "+w.Schema+"chosen WHERE id = ? UNION ALL SELECT ?)", q.EventID, key)
		w.add("(e.chosen IS NULL OR e.chosen = ?)", q.EventID)
	}
	if prefix, ok := strings.CutSuffix(q.EventType, ".*"); ok {
		w.add(typeBetween, typeBounds(prefix+".")...)
	} else if q.EventType != "" {
		w.add("e.type = ?", q.EventType)
	}
	if q.Published {
		w.add("NOT ("+typeBetween+")", typeBounds(store.OperationalPrefix)...)
	}
	if q.Tenant != "" {
		w.add("e.tenant = ?", q.Tenant)
	}
	if q.Within != "" {
		w.add("e.tenant = ?", q.Within)
	}
}

const typeBetween = "e.type > ? AND e.type < ?"

// typeBounds returns the arguments of typeBetween for the types that begin with
// a prefix, which ends in a dot.
func typeBounds(prefix string) []any {
	return []any{prefix, strings.TrimSuffix(prefix, ".") + "/"} // "/" follows "." in ASCII
}

// delivery adds q's conditions on the delivery d.
func (w *where) delivery(q store.Query) {
	if q.Delivery != 0 {
		w.add("d.id = ?", q.Delivery)
	}
	if q.Subscription != "" {
		condition, args := "id = ?", []any{q.Subscription}
		if q.Within != "" { // saves searching the deliveries of another tenant's subscription
			condition, args = condition+" AND tenant = ?", append(args, q.Within)
		}
		w.subscription(condition, args...)
	}
	switch {
	case only(q, store.Pending):
		w.add(w.IsPending)
	case len(q.States) > 0:
		w.add("d.state " + InStates(q.States))
	}
	if !q.FailedSince.IsZero() {
		w.add(w.lastAttempt("at")+" >= ?", Millis(q.FailedSince))
	}
	if !q.FailedUntil.IsZero() {
		w.add(w.lastAttempt("at")+" < ?", Millis(q.FailedUntil))
	}
	if q.Class != "" {
		w.add(w.lastAttempt("class")+" = ?", q.Class)
	}
	if q.Status != 0 {
		w.add(w.lastAttempt("status")+" = ?", q.Status)
	}
}

// subscription adds a condition on the subscription of the delivery d.
func (w *where) subscription(condition string, args ...any) {
	w.add("d.subscription "+fmt.Sprintf(w.In, "SELECT key FROM "+w.Schema+"subscription WHERE "+condition), args...)
}

// lastAttempt returns an expression for a column of the last attempt of the
// delivery d. The first attempt is in the delivery's own row.
func (w *where) lastAttempt(column string) string {
	return "CASE WHEN d.attempts > 1 THEN (SELECT a." + column + " FROM " + w.Schema + "attempt a WHERE a.delivery = d.id AND a.number = d.attempts) ELSE d." + column + " END"
}

// within limits the delivery d to the subscriptions of the tenant q.Within:
// operational events about a tenant are delivered to others as well.
func (w *where) within(q store.Query) {
	if q.Within != "" {
		w.subscription("tenant = ?", q.Within)
	}
}

// only reports whether q asks for one state alone.
func only(q store.Query, state store.State) bool { return len(q.States) == 1 && q.States[0] == state }

// InStates returns the condition, after a column, that it is one of the states.
// They are literals, not parameters, so that a partial index can be used.
func InStates(states []store.State) string {
	if len(states) == 1 {
		return fmt.Sprintf("= %d", states[0])
	}
	var numbers []string
	for _, state := range states {
		numbers = append(numbers, fmt.Sprintf("%d", state))
	}
	return "IN (" + strings.Join(numbers, ", ") + ")"
}

func limit(q store.Query) any {
	if q.Limit <= 0 {
		return int64(math.MaxInt64)
	}
	return int64(q.Limit)
}

// Delivery returns the delivery with an id, by a store's list of deliveries.
func Delivery(ctx context.Context, id store.ID, list func(context.Context, store.Query) ([]*store.Record, error)) (*store.Record, error) {
	records, err := list(ctx, store.Query{Delivery: id, Limit: 1, Payload: true})
	switch {
	case err != nil:
		return nil, err
	case len(records) == 0:
		return nil, fmt.Errorf("reading the delivery %s: %w", id.With(store.DeliveryPrefix), store.ErrNotFound)
	}
	return records[0], nil
}

// Events returns a query for columns of e, the events that match q, newest first
// unless q.After is set.
func (dialect *Dialect) Events(q store.Query, columns string) (sql string, args []any) {
	w := where{Dialect: dialect}
	order := w.span("e.id", q)
	w.event(q)
	deliveries := where{Dialect: dialect}
	deliveries.delivery(q)
	if len(deliveries.terms) > 0 {
		deliveries.within(q)
		deliveries.add(dialect.OfEvent)
		w.add("EXISTS (SELECT 1 FROM "+dialect.Schema+"delivery d"+deliveries.String()+")", deliveries.args...)
	}
	return "SELECT " + columns + " FROM " + dialect.Schema + "event e" + w.String() + " ORDER BY " + order + " LIMIT ?", append(w.args, limit(q))
}

// Deliveries returns a query for columns of the deliveries that match q, in the
// order of Events: of d (the delivery), e (its event) and s (its subscription).
// extra is a further condition, or "".
func (dialect *Dialect) Deliveries(q store.Query, columns, extra string) (sql string, args []any) {
	w, rest := where{Dialect: dialect}, where{Dialect: dialect}
	order := w.span("d.id", q)
	w.delivery(q)
	rest.event(q)
	rest.within(q)
	if extra != "" {
		rest.add(extra)
	}
	delivery, event := dialect.Schema+"delivery d", dialect.Schema+"event e"
	withEvent := " " + dialect.Join + " " + event + " ON e.id = d.event"
	from := delivery + withEvent
	switch { // which table to begin with
	case q.Delivery != 0:
	case q.Event != 0, q.EventID != "":
		from = event + " " + dialect.Join + " " + delivery + " ON " + dialect.OfEvent
	case only(q, store.Dead):
		from = delivery + dialect.Dead + withEvent
	case only(q, store.Pending) && len(rest.terms) == 0:
		// The index of pending deliveries isn't in the order of the list, so the
		// matches are sorted, by their ids alone and not as whole rows.
		ids := "(SELECT d.id FROM " + delivery + dialect.Pending + w.String() + " ORDER BY " + order + " LIMIT ?) p"
		from = ids + " " + dialect.Join + " " + delivery + " ON d.id = p.id" + withEvent
		w = where{args: append(w.args, limit(q))}
	}
	w.terms, w.args = append(w.terms, rest.terms...), append(w.args, rest.args...)
	return "SELECT " + columns + " FROM " + from + " LEFT JOIN " + dialect.Schema + "subscription s ON s.key = d.subscription" +
		w.String() + " ORDER BY " + order + " LIMIT ?", append(w.args, limit(q))
}
