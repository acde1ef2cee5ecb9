package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype/zeronull"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/internal/selects"
)

// dialect is the SQL of lists.
var dialect = selects.Dialect{
	Schema:    "webhooks.",
	Join:      "JOIN",
	IsPending: "(d.state = 0 AND d.holder IS NULL OR d.state = 0 AND d.holder IS NOT NULL)", // each half has an index
	OfEvent:   "d.event = e.id",
	In:        "= ANY(ARRAY(%s))", // runs the subquery once and searches the index delivery_waits; IN would look up each delivery's subscription, and read all of the index
}

// Event implements store.Store.
func (s *Store) Event(ctx context.Context, tenant, id string) (e *store.Event, err error) {
	err = s.read(ctx, func(ctx context.Context, db querier) error {
		key, _ := store.ParseID(store.EventPrefix, id)
		// An event with a chosen id can't be found by the id made from its key.
		rows, err := db.Query(ctx, `SELECT `+selects.Event+`, e.payload FROM webhooks.event e
			WHERE e.id = coalesce((SELECT event FROM webhooks.chosen WHERE id = $1 AND tenant = $2), $3)
			AND coalesce(e.tenant, '') = $2 AND (e.chosen IS NULL OR e.chosen = $1)`, text(id), text(tenant), int64(key))
		found, err := collectEvents(rows, err, true)
		if err == nil && len(found) == 0 {
			return store.ErrNotFound
		}
		if err == nil {
			e = found[0]
		}
		return err
	})
	return e, s.fail("reading the event "+id, err)
}

// Events implements store.Store.
func (s *Store) Events(ctx context.Context, q store.Query) (events []*store.Event, err error) {
	columns := selects.Event
	if q.Payload {
		columns += ", e.payload"
	}
	sql, args := dialect.Events(q, columns)
	err = s.search(ctx, q, func(ctx context.Context, db querier) error {
		rows, err := db.Query(ctx, numbered(sql), validTexts(args)...)
		events, err = collectEvents(rows, err, q.Payload)
		return err
	})
	return events, s.fail("listing events", err)
}

// collectEvents reads selects.Event, and the payload if payload is set.
func collectEvents(rows pgx.Rows, err error, payload bool) ([]*store.Event, error) {
	return collectBy(rows, err, func(row pgx.CollectableRow) (*store.Event, error) {
		e := &store.Event{}
		targets := eventTargets(e)
		if payload {
			targets = append(targets, &e.Payload)
		}
		err := row.Scan(targets...)
		e.ID = selects.EventID(e.ID, e.Key)
		return e, err
	})
}

// Delivery implements store.Store.
func (s *Store) Delivery(ctx context.Context, id store.ID) (*store.Record, error) {
	return selects.Delivery(ctx, id, s.Deliveries)
}

// Deliveries implements store.Store.
func (s *Store) Deliveries(ctx context.Context, q store.Query) (records []*store.Record, err error) {
	sql, args := dialect.Deliveries(q, selects.Record(q.Payload), "")
	err = s.search(ctx, q, func(ctx context.Context, db querier) error {
		rows, err := db.Query(ctx, numbered(sql), validTexts(args)...)
		if records, err = collectRecords(rows, err, q.Payload); err != nil {
			return err
		}
		return lastAttempts(ctx, db, records)
	})
	return records, s.fail("listing deliveries", err)
}

// collectRecords reads selects.Record.
func collectRecords(rows pgx.Rows, err error, payload bool) ([]*store.Record, error) {
	return collectBy(rows, err, func(row pgx.CollectableRow) (*store.Record, error) {
		r, first := &store.Record{}, &store.Attempt{Number: 1}
		targets := append([]any{
			&r.ID, &r.Event, &r.Subscription, &r.State, &r.Attempts, &r.Round, (*millis)(&r.Due), (*zeronull.Text)(&r.Reason),
			(*zeronull.Text)(&r.EventID), &r.EventType, (*zeronull.Text)(&r.Tenant), &r.SubscriptionID, &r.URL,
		}, attemptTargets(first)...)
		if payload {
			targets = append(targets, (*zeronull.Text)(&r.ContentType), &r.Payload)
		}
		err := row.Scan(targets...)
		r.EventID = selects.EventID(r.EventID, r.Event)
		if first.ID = r.ID; r.Attempts > 0 {
			r.Last = first
		}
		return r, err
	})
}

// lastAttempts reads the last attempts of those deliveries that have more than one.
func lastAttempts(ctx context.Context, db querier, records []*store.Record) error {
	var ids []int64
	later := map[store.ID]*store.Record{}
	for _, r := range records {
		if r.Attempts > 1 {
			ids = append(ids, int64(r.ID))
			later[r.ID] = r
		}
	}
	if len(ids) == 0 {
		return nil
	}
	rows, err := db.Query(ctx, selectLater+` JOIN webhooks.delivery d ON d.id = a.delivery AND d.attempts = a.number WHERE a.delivery = ANY($1)`, ids)
	return eachLater(rows, err, func(delivery store.ID, a *store.Attempt) { later[delivery].Last = a })
}

var selectLater = `SELECT a.delivery, a.id, a.number, ` + selects.Qualify("a", selects.Attempt) + ` FROM webhooks.attempt a`

// eachLater reads selectLater and calls found for each attempt.
func eachLater(rows pgx.Rows, err error, found func(delivery store.ID, a *store.Attempt)) error {
	return each(rows, err, func(rows pgx.Rows) error {
		var delivery store.ID
		a := &store.Attempt{}
		err := rows.Scan(append([]any{&delivery, &a.ID, &a.Number}, attemptTargets(a)...)...)
		if err == nil {
			found(delivery, a)
		}
		return err
	})
}

// Attempts implements store.Store.
func (s *Store) Attempts(ctx context.Context, delivery store.ID) (attempts []*store.Attempt, err error) {
	err = s.snapshot(ctx, func(ctx context.Context, db querier) error {
		var made int
		first := &store.Attempt{ID: delivery, Number: 1}
		err := db.QueryRow(ctx, `SELECT attempts, `+selects.Attempt+` FROM webhooks.delivery WHERE id = $1`, int64(delivery)).
			Scan(append([]any{&made}, attemptTargets(first)...)...)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return store.ErrNotFound
		case err != nil, made == 0:
			return err
		}
		attempts = append(attempts, first)
		rows, err := db.Query(ctx, selectLater+` WHERE a.delivery = $1 ORDER BY a.number`, int64(delivery))
		return eachLater(rows, err, func(_ store.ID, a *store.Attempt) { attempts = append(attempts, a) })
	})
	return attempts, s.fail("listing the attempts of the delivery "+delivery.With(store.DeliveryPrefix), err)
}

// DeliveryOf implements store.Store.
func (s *Store) DeliveryOf(ctx context.Context, attempt store.ID) (delivery store.ID, err error) {
	err = s.read(ctx, func(ctx context.Context, db querier) error {
		err := db.QueryRow(ctx, `SELECT id FROM webhooks.delivery WHERE id = $1 AND attempts > 0
			UNION ALL SELECT delivery FROM webhooks.attempt WHERE id = $1`, int64(attempt)).Scan(&delivery)
		if errors.Is(err, pgx.ErrNoRows) {
			return store.ErrNotFound
		}
		return err
	})
	return delivery, s.fail("reading the attempt "+attempt.With(store.AttemptPrefix), err)
}
