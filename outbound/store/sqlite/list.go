package sqlite

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// Event implements store.Store.
func (s *Store) Event(ctx context.Context, tenant, id string) (e *store.Event, err error) {
	err = s.read(ctx, func(db *conn) error {
		key, err := eventKey(db, tenant, id)
		if err != nil {
			return err
		}
		if e, err = eventByKey(db, key); err != nil {
			return err
		}
		// An id of our own does not stand for an event that has a chosen one.
		if e == nil || e.Tenant != tenant || e.ID != id {
			return store.ErrNotFound
		}
		return nil
	})
	if err != nil {
		return nil, s.fail("reading the event "+id, err)
	}
	return e, nil
}

// eventKey finds the key of an event, or of none.
func eventKey(db *conn, tenant, id string) (store.ID, error) {
	st, err := db.prepare(`SELECT event FROM chosen WHERE id = ? AND tenant = ?`)
	if err != nil {
		return 0, err
	}
	var key store.ID
	found, err := st.text(id).text(tenant).first(func(row *stmt) { key = row.readID() })
	if err == nil && !found {
		key, _ = store.ParseID(store.EventPrefix, id)
	}
	return key, err
}

// Events implements store.Store.
func (s *Store) Events(ctx context.Context, q store.Query) (events []*store.Event, err error) {
	sql, args := selectEvents(q)
	err = s.read(ctx, func(db *conn) error {
		return db.query(sql, args, func(row *stmt) error {
			e, err := readEvent(row, q.Payload)
			events = append(events, e)
			return err
		})
	})
	if err != nil {
		return nil, s.fail("listing events", err)
	}
	return events, nil
}

// Delivery implements store.Store.
func (s *Store) Delivery(ctx context.Context, id store.ID) (*store.Record, error) {
	records, err := s.Deliveries(ctx, store.Query{Delivery: id, Limit: 1, Payload: true})
	if err == nil && len(records) == 0 {
		err = s.fail("reading the delivery "+id.With(store.DeliveryPrefix), store.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	return records[0], nil
}

const recordColumns = `d.id, d.event, d.subscription, d.state, d.attempts, d.round, d.due, d.reason,
	e.chosen, e.type, e.tenant, coalesce(s.id, ''), coalesce(s.url, ''), d.` // and the first attempt's

// Deliveries implements store.Store.
func (s *Store) Deliveries(ctx context.Context, q store.Query) (records []*store.Record, err error) {
	columns := recordColumns + strings.ReplaceAll(attemptColumns, ", ", ", d.")
	if q.Payload {
		columns += `, e.content_type, e.payload`
	}
	sql, args := selectDeliveries(q, columns, "")
	err = s.read(ctx, func(db *conn) error {
		err := db.query(sql, args, func(row *stmt) error {
			r, err := readRecord(row, q.Payload)
			records = append(records, r)
			return err
		})
		if err != nil {
			return err
		}
		for _, r := range records {
			if r.Attempts < 2 {
				continue
			}
			if err := later(db, r.ID, r.Attempts, func(a *store.Attempt) { r.Last = a }); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, s.fail("listing deliveries", err)
	}
	return records, nil
}

func readRecord(row *stmt, payload bool) (*store.Record, error) {
	r := &store.Record{Delivery: store.Delivery{
		ID:           row.readID(),
		Event:        row.readID(),
		Subscription: row.readID(),
		State:        store.State(row.readInt()),
		Attempts:     int(row.readInt()),
		Round:        int(row.readInt()),
		Due:          row.readTime(),
		Reason:       row.readText(),
	}}
	if r.EventID = row.readText(); r.EventID == "" {
		r.EventID = r.Event.With(store.EventPrefix)
	}
	r.EventType = row.readText()
	r.Tenant = row.readText()
	r.SubscriptionID = row.readText()
	r.URL = row.readText()
	a, err := readAttempt(row, &store.Attempt{ID: r.ID, Number: 1})
	if err != nil {
		return nil, err
	}
	if r.Attempts > 0 {
		r.Last = a
	}
	if payload {
		r.ContentType = row.readText()
		r.Payload = row.readBytes()
	}
	return r, nil
}

// readAttempt reads attemptColumns.
func readAttempt(row *stmt, a *store.Attempt) (*store.Attempt, error) {
	a.At = row.readTime()
	a.Latency = time.Duration(row.readInt()) * time.Microsecond
	a.Status = int(row.readInt())
	a.Class = row.readText()
	a.Error = row.readText()
	a.ResponseBody = row.readBytes()
	err := row.readJSON(&a.ResponseHeaders)
	a.TraceID = row.readText()
	if err != nil {
		return nil, fmt.Errorf("the response headers of the attempt %s: %w", a.ID.With(store.AttemptPrefix), err)
	}
	return a, nil
}

// later calls found with the attempts of a delivery from a number on, which is
// not the first.
func later(db *conn, delivery store.ID, from int, found func(*store.Attempt)) error {
	return db.query(`SELECT id, number, `+attemptColumns+` FROM attempt WHERE delivery = ? AND number >= ? ORDER BY number`,
		[]any{delivery, from}, func(row *stmt) error {
			a, err := readAttempt(row, &store.Attempt{ID: row.readID(), Number: int(row.readInt())})
			if err == nil {
				found(a)
			}
			return err
		})
}

// Attempts implements store.Store.
func (s *Store) Attempts(ctx context.Context, delivery store.ID) (attempts []*store.Attempt, err error) {
	err = s.read(ctx, func(db *conn) error {
		st, err := db.prepare(`SELECT attempts, ` + attemptColumns + ` FROM delivery WHERE id = ?`)
		if err != nil {
			return err
		}
		var bad error
		found, err := st.id(delivery).first(func(row *stmt) {
			made := row.readInt()
			var a *store.Attempt
			if a, bad = readAttempt(row, &store.Attempt{ID: delivery, Number: 1}); bad == nil && made > 0 {
				attempts = append(attempts, a)
			}
		})
		if err = errors.Join(err, bad); err != nil {
			return err
		}
		if !found {
			return store.ErrNotFound
		}
		return later(db, delivery, 2, func(a *store.Attempt) { attempts = append(attempts, a) })
	})
	if err != nil {
		return nil, s.fail("listing the attempts of the delivery "+delivery.With(store.DeliveryPrefix), err)
	}
	return attempts, nil
}

// DeliveryOf implements store.Store.
func (s *Store) DeliveryOf(ctx context.Context, attempt store.ID) (delivery store.ID, err error) {
	err = s.read(ctx, func(db *conn) error {
		st, err := db.prepare(`SELECT id FROM delivery WHERE id = ?1 AND attempts > 0
			UNION ALL SELECT delivery FROM attempt WHERE id = ?1`)
		if err != nil {
			return err
		}
		found, err := st.id(attempt).first(func(row *stmt) { delivery = row.readID() })
		if err == nil && !found {
			return store.ErrNotFound
		}
		return err
	})
	if err != nil {
		return 0, s.fail("reading the attempt "+attempt.With(store.AttemptPrefix), err)
	}
	return delivery, nil
}

// where gathers the conditions of a list.
type where struct {
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

// span bounds a column of ids by q's times and cursor.
func (w *where) span(column string, q store.Query) {
	if !q.Since.IsZero() {
		w.add(column+" >= ?", store.IDAt(q.Since))
	}
	if !q.Until.IsZero() {
		w.add(column+" < ?", store.IDAt(q.Until))
	}
	if q.Before != 0 {
		w.add(column+" < ?", q.Before)
	}
}

// event adds what q asks of the event e.
func (w *where) event(q store.Query) {
	if q.Event != 0 {
		w.add("e.id = ?", q.Event)
	}
	if q.EventID != "" {
		key, _ := store.ParseID(store.EventPrefix, q.EventID)
		w.add("e.id IN (SELECT event FROM chosen WHERE id = ? UNION ALL SELECT ?)", q.EventID, key)
		w.add("(e.chosen IS NULL OR e.chosen = ?)", q.EventID)
	}
	if prefix, ok := strings.CutSuffix(q.EventType, ".*"); ok {
		w.add("e.type > ? AND e.type < ?", prefix+".", prefix+"/") // "/" follows "."
	} else if q.EventType != "" {
		w.add("e.type = ?", q.EventType)
	}
	if q.Tenant != "" {
		w.add("e.tenant = ?", q.Tenant)
	}
}

// delivery adds what q asks of the delivery d.
func (w *where) delivery(q store.Query) {
	if q.Delivery != 0 {
		w.add("d.id = ?", q.Delivery)
	}
	if q.Subscription != "" {
		w.add("d.subscription IN (SELECT key FROM subscription WHERE id = ?)", q.Subscription)
	}
	if len(q.States) > 0 {
		w.add("d.state " + among(q.States))
	}
	if !q.FailedSince.IsZero() || !q.FailedUntil.IsZero() {
		since, until := int64(math.MinInt64), int64(math.MaxInt64)
		if !q.FailedSince.IsZero() {
			since = millis(q.FailedSince)
		}
		if !q.FailedUntil.IsZero() {
			until = millis(q.FailedUntil) - 1
		}
		w.add(lastAttempt+" BETWEEN ? AND ?", since, until)
	}
}

// lastAttempt is when the delivery d was attempted last. The first attempt is in
// its row.
const lastAttempt = `coalesce((SELECT a.at FROM attempt a WHERE a.delivery = d.id AND a.number = d.attempts), d.at)`

// among spells states out, because that is how a partial index is found.
func among(states []store.State) string {
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
	return q.Limit
}

func selectEvents(q store.Query) (sql string, args []any) {
	var w, d where
	w.span("e.id", q)
	w.event(q)
	d.delivery(q)
	if len(d.terms) > 0 {
		d.add("d.id > e.id AND d.id <= e.last AND d.event = e.id")
		w.add("EXISTS (SELECT 1 FROM delivery d"+d.String()+")", d.args...)
	}
	columns := eventColumns
	if q.Payload {
		columns += payloadColumns
	}
	return "SELECT " + columns + " FROM event e" + w.String() + " ORDER BY e.id DESC LIMIT ?", append(w.args, limit(q))
}

// selectDeliveries selects columns of d (delivery), e (event) and s
// (subscription).
func selectDeliveries(q store.Query, columns, also string) (sql string, args []any) {
	var w, rest where
	w.span("d.id", q)
	w.delivery(q)
	rest.event(q)
	if also != "" {
		rest.add(also)
	}
	const event = " CROSS JOIN event e ON e.id = d.event"
	only := func(state store.State) bool { return len(q.States) == 1 && q.States[0] == state }
	from := "delivery d" + event
	switch { // where to begin: SQLite keeps to the order of a CROSS JOIN
	case q.Delivery != 0:
	case q.Event != 0, q.EventID != "":
		from = "event e CROSS JOIN delivery d ON d.id > e.id AND d.id <= e.last AND d.event = e.id"
	case only(store.Dead):
		from = "delivery d INDEXED BY delivery_dead" + event
	case only(store.Pending) && len(rest.terms) == 0:
		// That index isn't in the order of the list: the ids alone are sorted.
		from = "(SELECT d.id FROM delivery d INDEXED BY delivery_pending" + w.String() +
			" ORDER BY d.id DESC LIMIT ?) p CROSS JOIN delivery d ON d.id = p.id" + event
		w = where{args: append(w.args, limit(q))}
	}
	w.terms, w.args = append(w.terms, rest.terms...), append(w.args, rest.args...)
	return "SELECT " + columns + " FROM " + from + " LEFT JOIN subscription s ON s.key = d.subscription" +
		w.String() + " ORDER BY d.id DESC LIMIT ?", append(w.args, limit(q))
}
