package sqlite

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/internal/selects"
)

const (
	insertChosen = `INSERT INTO chosen (id, tenant, event) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`
	insertEvent  = `INSERT INTO event (id, last, deliveries, type, tenant, chosen, content_type, headers, trace_parent, trace_state, payload, digest)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	selectChosen = `SELECT e.id, e.deliveries FROM chosen c JOIN event e ON e.id = c.event
		WHERE c.id = ? AND c.tenant = ?`

	settleFirst = `UPDATE delivery SET state = ?, due = ?, attempts = ?, reason = ?, round = max(round, ?), unlogged = ?,
		at = ?, latency = ?, status = ?, class = ?, error = ?, response_body = ?, response_headers = ?, trace_id = ?, url = ? WHERE id = ?`
	settleLater   = `UPDATE delivery SET state = ?, due = ?, attempts = ?, reason = ?, round = max(round, ?), unlogged = ? WHERE id = ?`
	insertAttempt = `INSERT OR REPLACE INTO attempt (id, delivery, number, ` + selects.Attempt + `)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
)

func insertDelivery(rows int) string {
	return `INSERT INTO delivery (id, event, subscription, state, due, attempts, round) VALUES ` +
		strings.TrimSuffix(strings.Repeat("(?, ?, ?, 0, ?, 0, 0), ", rows), ", ")
}

// Commit implements store.Store.
func (s *Store) Commit(ctx context.Context, b *store.Batch) error {
	held := s.hold(b)
	err := s.writeThen(ctx, func() { s.unhold(b) }, func(w *writer) error {
		if len(b.Publications) > 0 {
			if err := s.reserve.restore(); err != nil {
				return err
			}
		}
		for _, p := range b.Publications {
			if err := w.publish(p); err != nil {
				return fmt.Errorf("storing the event %s: %w", p.Event.ID, err)
			}
		}
		for _, t := range b.Settlements {
			if err := w.settle(t, b.Log); err != nil {
				return fmt.Errorf("settling the delivery %s: %w", t.Delivery.With(store.DeliveryPrefix), err)
			}
		}
		return nil
	})
	if err != nil {
		s.holds.drop(held)
		return s.fail("committing", err)
	}
	return nil
}

// hold takes the deliveries of a batch that its caller wants to hold, before
// anybody else can see them. It returns those that it has taken.
func (s *Store) hold(b *store.Batch) (held []store.ID) {
	for _, p := range b.Publications {
		for _, d := range p.Deliveries {
			if d.Hold && s.holds.take(d.ID) {
				held = append(held, d.ID)
			}
		}
	}
	return held
}

// unhold gives up the deliveries that a committed batch has settled, and those
// that it didn't store because their event was stored already.
func (s *Store) unhold(b *store.Batch) {
	ids := make([]store.ID, 0, len(b.Settlements))
	for _, t := range b.Settlements {
		ids = append(ids, t.Delivery)
	}
	for _, p := range b.Publications {
		if p.Result.Outcome == store.Stored {
			continue
		}
		for _, d := range p.Deliveries {
			ids = append(ids, d.ID)
		}
	}
	if len(ids) > 0 {
		s.holds.drop(ids)
	}
}

// publish stores an event with its deliveries, and sets the result.
func (w *writer) publish(p *store.Publication) error {
	e := p.Event
	if p.Chosen {
		if err := w.insertChosen.text(e.ID).text(e.Tenant).id(e.Key).exec(); err != nil {
			return err
		}
		if w.conn.changes() == 0 {
			return w.compare(p)
		}
	}
	p.Result = store.PublishResult{Outcome: store.Stored, Deliveries: len(p.Deliveries)}
	last := e.Key
	for _, d := range p.Deliveries {
		last = max(last, d.ID)
	}
	chosen := ""
	if p.Chosen {
		chosen = e.ID
	}
	headers := selects.JSON(e.Headers, len(e.Headers) > 0)
	st := w.insertEvent.id(e.Key).id(last).int(int64(len(p.Deliveries))).text(e.Type).optional(e.Tenant).optional(chosen).
		optional(e.ContentType).optional(headers).optional(e.TraceParent).optional(e.TraceState)
	sum := digest(e.Key, e.Type, e.Tenant, chosen, e.ContentType, headers, e.Payload)
	if err := st.bytes(selects.NotNil(e.Payload)).int(sum).exec(); err != nil {
		return err
	}
	return w.insertDelivery.insert(len(p.Deliveries), func(i int, st *stmt) {
		d := &p.Deliveries[i]
		st.id(d.ID).id(e.Key).id(d.Subscription).time(d.Due)
	})
}

// compare sets the result of a publication whose chosen id is taken.
func (w *writer) compare(p *store.Publication) error {
	p.Result = store.PublishResult{Outcome: store.Reused}
	var key store.ID
	if _, err := w.conn.prepare(selectChosen).text(p.Event.ID).text(p.Event.Tenant).first(func(row *stmt) {
		key = row.readID()
		p.Result.Deliveries = int(row.readInt())
	}); err != nil {
		return err
	}
	e, err := eventByKey(w.conn, key)
	if e != nil && e.Type == p.Event.Type && e.ContentType == p.Event.ContentType &&
		(e.PayloadRemoved || bytes.Equal(e.Payload, p.Event.Payload)) {
		p.Result.Outcome = store.Duplicate
	}
	return err
}

// settle stores the end of an attempt. The first attempt is recorded in the
// delivery's own row, later ones in a row each.
func (w *writer) settle(t *store.Settlement, log bool) error {
	a, st := t.Attempt, w.settleLater
	first := a.Number == 1
	if first {
		st = w.settleFirst
	}
	st.int(int64(t.State))
	if t.State == store.Pending {
		st.time(t.Due)
	} else {
		st.null()
	}
	st.int(int64(a.Number)).optional(t.Reason).int(int64(t.Round)).unlogged(log && t.State == store.Dead)
	if first {
		return st.attempt(a).id(t.Delivery).exec()
	}
	if err := st.id(t.Delivery).exec(); err != nil || w.conn.changes() == 0 {
		return err
	}
	return w.insertAttempt.id(a.ID).id(t.Delivery).int(int64(a.Number)).attempt(a).exec()
}

// attempt binds selects.Attempt.
func (s *stmt) attempt(a *store.Attempt) *stmt {
	s.time(a.At).int(a.Latency.Microseconds())
	if a.Status == 0 {
		s.null()
	} else {
		s.int(int64(a.Status))
	}
	return s.optional(a.Class).optional(a.Error).bytes(a.ResponseBody).
		json(a.ResponseHeaders, len(a.ResponseHeaders) > 0).optional(a.TraceID).optional(a.URL)
}
