package sqlite

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/internal/selects"
)

const (
	requeue = `UPDATE delivery SET state = 0, due = min(coalesce(due, ?1), ?1), round = attempts, reason = NULL WHERE id = ?2
		AND EXISTS (SELECT 1 FROM subscription s WHERE s.key = delivery.subscription AND s.deleted = 0)
		AND EXISTS (SELECT 1 FROM event e WHERE e.id = delivery.event AND e.payload_removed IS NULL)`
	discard       = `UPDATE delivery SET state = 3 WHERE id = ? AND state = 2`
	bury          = `UPDATE delivery SET state = 2, due = NULL, reason = ?, unlogged = ? WHERE id = ?`
	selectWaiting = `SELECT id FROM delivery INDEXED BY delivery_pending WHERE state = 0 AND subscription = ? ORDER BY due, id`
	selectIfWaits = `SELECT id FROM delivery WHERE state = 0 AND subscription = ? AND id = ?`
)

// Requeue implements store.Store.
func (s *Store) Requeue(ctx context.Context, q store.Query, now time.Time) (store.Changed, error) {
	update := requeue
	if len(q.States) > 0 {
		update += " AND state " + selects.InStates(q.States)
	}
	done, err := s.changeMany(ctx, q, `s.deleted = 0`, update, selects.Millis(now))
	return done, s.fail("queueing deliveries again", err)
}

// Discard implements store.Store.
func (s *Store) Discard(ctx context.Context, q store.Query) (store.Changed, error) {
	q.States = []store.State{store.Dead}
	done, err := s.changeMany(ctx, q, "", discard)
	return done, s.fail("deleting dead letters", err)
}

// changeMany runs an update for each delivery that matches q and the condition
// extra, all in one transaction. It searches before it takes the writer, which a
// search among a million deliveries would hold up; so the update itself must leave
// out those that have changed meanwhile. Its last argument is the delivery, after
// args.
func (s *Store) changeMany(ctx context.Context, q store.Query, extra, update string, args ...any) (store.Changed, error) {
	type match struct{ id, subscription store.ID }
	var found []match
	sql, conditions := dialect.Deliveries(q, `d.id, d.subscription`, extra)
	err := s.search(ctx, q, func(db *conn) (err error) {
		found, err = collect(db, sql, conditions, func(row *stmt) (match, error) { return match{row.readID(), row.readID()}, nil })
		return err
	})
	if err != nil || len(found) == 0 {
		return store.Changed{}, err
	}
	done := store.Changed{Last: found[len(found)-1].id, More: len(found) == q.Limit}
	err = s.write(ctx, func(w *writer) error {
		for _, d := range found {
			if err := w.conn.run(update, append(args, d.id)...); err != nil {
				return err
			}
			if w.conn.changes() == 0 {
				continue
			}
			done.Count++
			if !slices.Contains(done.Subscriptions, d.subscription) {
				done.Subscriptions = append(done.Subscriptions, d.subscription)
			}
		}
		return nil
	})
	if err != nil {
		return store.Changed{}, err
	}
	return done, nil
}

// Bury implements store.Store. It takes the deliveries that it buries, because a
// claim that is under way still sees them as pending.
func (s *Store) Bury(ctx context.Context, b store.Burial) (buried []*store.Record, err error) {
	query, args := selectWaiting, []any{b.Subscription}
	if b.Delivery != 0 {
		query, args = selectIfWaits, append(args, b.Delivery)
	}
	var ids []store.ID
	err = s.write(ctx, func(w *writer) error {
		err := w.conn.query(query, args, func(row *stmt) error {
			if len(ids) >= b.Limit {
				return errEnough
			}
			if id := row.readID(); s.holds.take(id) {
				ids = append(ids, id)
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			return err
		}
		st := w.conn.prepare(bury)
		for _, id := range ids {
			if err := st.text(b.Reason).unlogged(b.Log).id(id).exec(); err != nil {
				return err
			}
			records, err := listDeliveries(w.conn, store.Query{Delivery: id})
			if err != nil {
				return err
			}
			buried = append(buried, records...)
		}
		return nil
	})
	s.holds.drop(ids)
	if err != nil {
		return nil, s.fail("giving up deliveries", err)
	}
	return buried, nil
}
