package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/internal/selects"
)

const (
	// requeue makes a delivery that another node is attempting due once more after
	// that attempt.
	requeue = `UPDATE webhooks.delivery d SET state = 0, due = least(due, $2::bigint), round = attempts, reason = NULL,
			again = CASE WHEN holder <> ALL($3) THEN least(due, $2::bigint) END
		WHERE id = ANY($1) AND EXISTS (SELECT FROM webhooks.subscription s WHERE s.key = d.subscription AND s.deleted = 0)
			AND EXISTS (SELECT FROM webhooks.event e WHERE e.id = d.event AND NOT e.payload_removed)`
	discard   = `UPDATE webhooks.delivery d SET state = 3 WHERE id = ANY($1) AND state = 2`
	returning = ` RETURNING id, subscription`
	// lockFound makes the update see what Forget has just done with the deliveries'
	// events.
	lockFound = `SELECT FROM webhooks.delivery WHERE id = ANY($1) ORDER BY id FOR UPDATE`

	// bury searches in an ARRAY, which is made only once. The server may run the query of
	// an IN once for each row, and each time it skips what it has just updated, so that
	// the limit wouldn't hold.
	bury = `UPDATE webhooks.delivery SET state = 2, due = NULL, reason = $2, unlogged = $5 WHERE id = ANY(ARRAY(
			SELECT id FROM webhooks.delivery WHERE state = 0 AND holder IS NULL AND subscription = $1 AND ($4::bigint = 0 OR id = $4)
			ORDER BY due, id LIMIT $3 FOR UPDATE SKIP LOCKED)) RETURNING id`
)

var selectBuried = `SELECT ` + selects.Record(false) + ` FROM webhooks.delivery d JOIN webhooks.event e ON e.id = d.event
	LEFT JOIN webhooks.subscription s ON s.key = d.subscription WHERE d.id = ANY($1)`

// Requeue implements store.Store.
func (s *Store) Requeue(ctx context.Context, q store.Query, now time.Time) (store.Changed, error) {
	update := requeue
	if len(q.States) > 0 {
		update += " AND state " + selects.InStates(q.States)
	}
	done, err := s.changeMany(ctx, q, `s.deleted = 0`, update, selects.Millis(now), s.sessions.own())
	return done, s.fail("queueing deliveries again", err)
}

// Discard implements store.Store.
func (s *Store) Discard(ctx context.Context, q store.Query) (store.Changed, error) {
	q.States = []store.State{store.Dead}
	done, err := s.changeMany(ctx, q, "", discard)
	return done, s.fail("deleting dead letters", err)
}

// changeMany runs an update of the deliveries that match q and the condition extra.
// It searches before the transaction, because a search may take long; so the update
// itself must leave out those that have changed meanwhile. Its first argument is the
// deliveries found, before args.
func (s *Store) changeMany(ctx context.Context, q store.Query, extra, update string, args ...any) (store.Changed, error) {
	sql, conditions := dialect.Deliveries(q, `d.id`, extra)
	var found []int64
	err := s.search(ctx, q, func(ctx context.Context, db querier) (err error) {
		found, err = collect[int64](db.Query(ctx, numbered(sql), validTexts(conditions)...))
		return err
	})
	if err != nil || len(found) == 0 {
		return store.Changed{}, err
	}
	var done store.Changed
	err = s.write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		done = store.Changed{Last: store.ID(found[len(found)-1]), More: len(found) == q.Limit}
		if _, err := tx.Exec(ctx, lockFound, found); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, update+returning, append([]any{found}, args...)...)
		if err = each(rows, err, func(row pgx.Rows) error {
			var id, subscription store.ID
			err := row.Scan(&id, &subscription)
			done.Count++
			if !slices.Contains(done.Subscriptions, subscription) {
				done.Subscriptions = append(done.Subscriptions, subscription)
			}
			return err
		}); err != nil || done.Count == 0 {
			return err
		}
		var b pgx.Batch
		s.queueNotifyOwners(&b, newsAsked, keys(done.Subscriptions))
		return tx.SendBatch(ctx, &b).Close()
	})
	if err != nil {
		return store.Changed{}, err
	}
	return done, nil
}

// Bury implements store.Store.
func (s *Store) Bury(ctx context.Context, b store.Burial) (buried []*store.Record, err error) {
	err = s.write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, bury, int64(b.Subscription), text(b.Reason), b.Limit, int64(b.Delivery), s.logger(b.Log))
		ids, err := collect[int64](rows, err)
		if err != nil || len(ids) == 0 {
			return err
		}
		rows, err = tx.Query(ctx, selectBuried, ids)
		if buried, err = collectRecords(rows, err, false); err != nil {
			return err
		}
		return lastAttempts(ctx, tx, buried)
	})
	if err != nil {
		return nil, s.fail("giving up deliveries", err)
	}
	return buried, nil
}
