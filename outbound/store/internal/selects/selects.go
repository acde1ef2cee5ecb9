// Package selects has what the stores share, whose tables have the same columns:
// the queries of lists, and how values are kept.
package selects

import (
	"fmt"
	"math"
	"strings"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// Columns of rows, in the order in which the stores read them.
const (
	// Event is of e, an event.
	Event = `e.id, e.type, e.tenant, e.chosen, e.content_type, e.headers, e.trace_parent, e.trace_state, e.payload_removed`
	// Attempt is of an attempt, or of the first one in its delivery's row.
	Attempt = `at, latency, status, class, error, response_body, response_headers, trace_id, url`
	// Subscription is of a subscription.
	Subscription = `key, id, tenant, url, description, event_types, headers, scheme, secrets,
		rate_limit, ordered, filter, from_config, active, reason, updated, failing_since, oauth2,
		timeout, retry, metadata, transform`

	record = `d.id, d.event, d.subscription, d.state, d.attempts, d.round, d.due, d.reason,
		e.chosen, e.type, e.tenant, coalesce(s.id, ''), coalesce(s.url, ''), ` // and the first attempt's
	payload = `, e.content_type, e.payload`
)

// Record is of a delivery d with its event e, its subscription s and its first
// attempt, and where it is wanted with the payload.
func Record(withPayload bool) string {
	columns := record + Of("d", Attempt)
	if withPayload {
		columns += payload
	}
	return columns
}

// Of are columns of the table that a query calls so.
func Of(table, columns string) string {
	return table + "." + strings.ReplaceAll(columns, ", ", ", "+table+".")
}

// Dialect is what the stores say differently. Parameters are written as "?".
type Dialect struct {
	Schema    string // before a table's name
	Join      string // that keeps to the order in which tables are written, where there is one
	Dead      string // after "delivery d", where only dead letters are wanted
	Pending   string // likewise for what is pending
	IsPending string // that d is pending
	OfEvent   string // that d is the event e's
	In        string // that a column is among what a query, in place of %s, selects; an index on the column is used
}

// where gathers the conditions of a list.
type where struct {
	*Dialect
	in    string // see Dialect
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

// span bounds a column of ids by q's times and cursor, and returns the order that
// it goes by.
func (w *where) span(column string, q store.Query) (order string) {
	if !q.Since.IsZero() {
		w.add(column+" >= ?", store.IDAt(q.Since))
	}
	if !q.Until.IsZero() {
		w.add(column+" < ?", store.IDAt(q.Until))
	}
	if q.Before != 0 {
		w.add(column+" < ?", q.Before)
	}
	if q.After != 0 {
		w.add(column+" > ?", q.After)
		return column + " ASC"
	}
	return column + " DESC"
}

// event adds what q asks of the event e.
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
		w.add(typeBetween, under(prefix+".")...)
	} else if q.EventType != "" {
		w.add("e.type = ?", q.EventType)
	}
	if q.Published {
		w.add("NOT ("+typeBetween+")", under(store.OperationalPrefix)...)
	}
	if q.Tenant != "" {
		w.add("e.tenant = ?", q.Tenant)
	}
	if q.Within != "" {
		w.add("e.tenant = ?", q.Within)
	}
}

const typeBetween = "e.type > ? AND e.type < ?"

// under are the bounds of what begins with a prefix that ends in a dot.
func under(prefix string) []any {
	return []any{prefix, strings.TrimSuffix(prefix, ".") + "/"} // "/" follows "."
}

// delivery adds what q asks of the delivery d.
func (w *where) delivery(q store.Query) {
	if q.Delivery != 0 {
		w.add("d.id = ?", q.Delivery)
	}
	if q.Subscription != "" {
		one, args := "id = ?", []any{q.Subscription}
		if q.Within != "" { // another's is not even looked for, which would take time
			one, args = one+" AND tenant = ?", append(args, q.Within)
		}
		w.subscription(one, args...)
	}
	switch {
	case only(q, store.Pending):
		w.add(w.IsPending)
	case len(q.States) > 0:
		w.add("d.state " + Among(q.States))
	}
	if !q.FailedSince.IsZero() {
		w.add(w.last("at")+" >= ?", Millis(q.FailedSince))
	}
	if !q.FailedUntil.IsZero() {
		w.add(w.last("at")+" < ?", Millis(q.FailedUntil))
	}
	if q.Class != "" {
		w.add(w.last("class")+" = ?", q.Class)
	}
	if q.Status != 0 {
		w.add(w.last("status")+" = ?", q.Status)
	}
}

// subscription adds that the delivery d is to a subscription of which that is true.
func (w *where) subscription(is string, args ...any) {
	w.add("d.subscription "+fmt.Sprintf(w.in, "SELECT key FROM "+w.Schema+"subscription WHERE "+is), args...)
}

// last is a column of the last attempt of the delivery d, in whose row the first is.
func (w *where) last(column string) string {
	return "CASE WHEN d.attempts > 1 THEN (SELECT a." + column + " FROM " + w.Schema + "attempt a WHERE a.delivery = d.id AND a.number = d.attempts) ELSE d." + column + " END"
}

// within adds that the delivery d is one that a tenant sees. What the engine tells
// of a tenant goes to others as well.
func (w *where) within(q store.Query) {
	if q.Within != "" {
		w.subscription("tenant = ?", q.Within)
	}
}

// only tells whether q is about one state alone.
func only(q store.Query, state store.State) bool { return len(q.States) == 1 && q.States[0] == state }

// Among spells states out, because that is how a partial index is found.
func Among(states []store.State) string {
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

// Events selects columns of e, the events that match, the newest first unless q
// has After.
func (dialect *Dialect) Events(q store.Query, columns string) (sql string, args []any) {
	w, d := where{Dialect: dialect}, where{Dialect: dialect, in: "IN (%s)"} // an event's deliveries are few
	order := w.span("e.id", q)
	w.event(q)
	d.delivery(q)
	if len(d.terms) > 0 {
		d.within(q)
		d.add(dialect.OfEvent)
		w.add("EXISTS (SELECT 1 FROM "+dialect.Schema+"delivery d"+d.String()+")", d.args...)
	}
	return "SELECT " + columns + " FROM " + dialect.Schema + "event e" + w.String() + " ORDER BY " + order + " LIMIT ?", append(w.args, limit(q))
}

// Deliveries selects columns of the deliveries that match, likewise: of d
// (delivery), e (event) and s (subscription). also is one more condition.
func (dialect *Dialect) Deliveries(q store.Query, columns, also string) (sql string, args []any) {
	w, rest := where{Dialect: dialect, in: dialect.In}, where{Dialect: dialect, in: dialect.In}
	order := w.span("d.id", q)
	w.delivery(q)
	rest.event(q)
	rest.within(q)
	if also != "" {
		rest.add(also)
	}
	delivery, event := dialect.Schema+"delivery d", dialect.Schema+"event e"
	withEvent := " " + dialect.Join + " " + event + " ON e.id = d.event"
	from := delivery + withEvent
	switch { // where to begin
	case q.Delivery != 0:
	case q.Event != 0, q.EventID != "":
		from = event + " " + dialect.Join + " " + delivery + " ON " + dialect.OfEvent
	case only(q, store.Dead):
		from = delivery + dialect.Dead + withEvent
	case only(q, store.Pending) && len(rest.terms) == 0:
		// What is pending isn't in the order of the list: the ids alone are sorted.
		ids := "(SELECT d.id FROM " + delivery + dialect.Pending + w.String() + " ORDER BY " + order + " LIMIT ?) p"
		from = ids + " " + dialect.Join + " " + delivery + " ON d.id = p.id" + withEvent
		w = where{args: append(w.args, limit(q))}
	}
	w.terms, w.args = append(w.terms, rest.terms...), append(w.args, rest.args...)
	return "SELECT " + columns + " FROM " + from + " LEFT JOIN " + dialect.Schema + "subscription s ON s.key = d.subscription" +
		w.String() + " ORDER BY " + order + " LIMIT ?", append(w.args, limit(q))
}
