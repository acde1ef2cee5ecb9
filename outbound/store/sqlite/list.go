package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/internal/selects"
)

// Delivery implements store.Store.
func (s *Store) Delivery(ctx context.Context, id store.ID) (*store.Record, error) {
	return selects.Delivery(ctx, id, s.Deliveries)
}

// Deliveries implements store.Store.
func (s *Store) Deliveries(ctx context.Context, q store.Query) (records []*store.Record, err error) {
	err = s.search(ctx, q, func(db *conn) (err error) {
		records, err = listDeliveries(db, q)
		return err
	})
	return records, s.fail("listing deliveries", err)
}

func listDeliveries(db *conn, q store.Query) (records []*store.Record, err error) {
	sql, args := dialect.Deliveries(q, selects.Record(q.Payload), "")
	records, err = collect(db, sql, args, func(row *stmt) (*store.Record, error) { return readRecord(row, q.Payload) })
	if err != nil {
		return nil, err
	}
	for _, r := range records {
		if r.Attempts < 2 {
			continue
		}
		if err := laterAttempts(db, r.ID, r.Attempts, func(a *store.Attempt) { r.Last = a }); err != nil {
			return nil, err
		}
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
	if r.State > store.Discarded {
		return nil, unsound(fmt.Sprintf("the delivery %s has the state %d", r.ID.With(store.DeliveryPrefix), r.State))
	}
	r.EventID = selects.EventID(row.readText(), r.Event)
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

// readAttempt reads selects.Attempt into a.
func readAttempt(row *stmt, a *store.Attempt) (*store.Attempt, error) {
	a.At = row.readTime()
	a.Latency = time.Duration(row.readInt()) * time.Microsecond
	a.Status = int(row.readInt())
	a.Class = row.readText()
	a.Error = row.readText()
	a.ResponseBody = row.readBytes()
	err := row.readJSON(&a.ResponseHeaders)
	a.TraceID = row.readText()
	a.URL = row.readText()
	if err != nil {
		return nil, fmt.Errorf("the response headers of the attempt %s: %w", a.ID.With(store.AttemptPrefix), err)
	}
	return a, nil
}

// laterAttempts calls found with the attempts of a delivery from a number on,
// which must be at least 2.
func laterAttempts(db *conn, delivery store.ID, from int, found func(*store.Attempt)) error {
	return db.query(`SELECT id, number, `+selects.Attempt+` FROM attempt WHERE delivery = ? AND number >= ? ORDER BY number`,
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
		found := false
		err := db.query(`SELECT attempts, `+selects.Attempt+` FROM delivery WHERE id = ?`, []any{delivery}, func(row *stmt) error {
			found = true
			made := row.readInt()
			a, err := readAttempt(row, &store.Attempt{ID: delivery, Number: 1})
			if made > 0 {
				attempts = append(attempts, a)
			}
			return err
		})
		switch {
		case err != nil:
			return err
		case !found:
			return store.ErrNotFound
		}
		return laterAttempts(db, delivery, 2, func(a *store.Attempt) { attempts = append(attempts, a) })
	})
	return attempts, s.fail("listing the attempts of the delivery "+delivery.With(store.DeliveryPrefix), err)
}

// DeliveryOf implements store.Store.
func (s *Store) DeliveryOf(ctx context.Context, attempt store.ID) (delivery store.ID, err error) {
	err = s.read(ctx, func(db *conn) error {
		st := db.prepare(`SELECT id FROM delivery WHERE id = ?1 AND attempts > 0
			UNION ALL SELECT delivery FROM attempt WHERE id = ?1`)
		found, err := st.id(attempt).first(func(row *stmt) { delivery = row.readID() })
		if err == nil && !found {
			return store.ErrNotFound
		}
		return err
	})
	return delivery, s.fail("reading the attempt "+attempt.With(store.AttemptPrefix), err)
}

// isOfEvent is the condition that the delivery d belongs to the event e, with
// which it was created or of which it is a replay.
const isOfEvent = `(d.id > e.id AND d.id <= e.last AND d.event = e.id OR d.replayed = 1 AND d.event = e.id)`

// dialect is the SQL of lists. SQLite keeps the order of the tables of a CROSS
// JOIN: https://www.sqlite.org/optoverview.html#crossjoin
var dialect = selects.Dialect{
	Join:      "CROSS JOIN",
	Dead:      " INDEXED BY delivery_dead",
	Pending:   " INDEXED BY delivery_pending",
	IsPending: "d.state = 0",
	OfEvent:   isOfEvent,
	In:        "IN (%s)",
}
