package postgres

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/internal/selects"
)

const (
	// own makes us the owner of subscriptions that have none and need one.
	own = `UPDATE webhooks.subscription SET owner = $2 WHERE key IN (
			SELECT key FROM webhooks.subscription s WHERE s.key = ANY($1) AND s.owner IS NULL AND ` + exclusive + `
			FOR UPDATE SKIP LOCKED)`

	// lockOwned has this claim wait for the end of one of ours whose answer was lost,
	// and whoever would take one of these subscriptions away for the end of this one.
	lockOwned = `SELECT FROM webhooks.subscription s WHERE s.key = ANY($1) AND s.owner = $2 AND ` + exclusive + `
		ORDER BY key FOR NO KEY UPDATE`

	wanted = `WITH want AS (
			SELECT w.*, s.key IS NOT NULL AND ` + exclusive + ` AS exclusive
			FROM unnest($1::bigint[], $2::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
				WITH ORDINALITY AS w (subscription, room, until, after_due, after_id, n)
			LEFT JOIN webhooks.subscription s ON s.key = w.subscription
			WHERE (s.key IS NULL OR NOT ` + exclusive + ` OR s.owner = $3 AND NOT EXISTS (
				SELECT FROM webhooks.delivery h WHERE h.holder IS NOT NULL AND h.holder <> $3 AND h.subscription = w.subscription))
				AND ` + alive + `$3)
		)`

	selectDue = `SELECT id, event, due FROM webhooks.delivery
				WHERE state = 0 AND holder IS NULL AND subscription = w.subscription
					AND due <= w.until AND (due, id) > (w.after_due, w.after_id)
				ORDER BY due, id LIMIT w.room`

	// claim takes what is due, until the payloads are over a limit. One that
	// several deliveries share counts once, and is sent to us once. Where there is
	// an order, nothing is taken behind what another transaction has locked, which
	// may come to wait again.
	claim = wanted + `, there AS MATERIALIZED (
			SELECT w.n, d.id, d.due FROM want w CROSS JOIN LATERAL (` + selectDue + `) d WHERE w.exclusive
		), free AS MATERIALIZED (
			SELECT w.n, w.exclusive, d.id, d.event, d.due FROM want w CROSS JOIN LATERAL (` + selectDue + ` FOR UPDATE SKIP LOCKED) d
		), next AS (
			SELECT there.id, bool_and(free.id IS NOT NULL) OVER (PARTITION BY there.n ORDER BY there.due, there.id) AS first
			FROM there LEFT JOIN free ON free.id = there.id
		), due AS (
			SELECT n, id, event, due FROM free WHERE NOT exclusive OR id IN (SELECT id FROM next WHERE first)
		), sized AS (
			SELECT due.*, row_number() OVER (PARTITION BY due.event ORDER BY n, due, due.id) = 1 AS first, e.size
			FROM due CROSS JOIN LATERAL (
				SELECT octet_length(payload) AS size FROM webhooks.event WHERE id = due.event
				OFFSET 0) e -- so that no payload is sorted
		), counted AS (
			SELECT n, id, event, due, first, CASE WHEN first THEN size ELSE 0 END AS size,
				sum(CASE WHEN first THEN size ELSE 0 END) OVER (ORDER BY n, due, id) AS total
			FROM sized
		), taken AS (
			UPDATE webhooks.delivery d SET holder = $3, again = NULL FROM counted c
			WHERE d.id = c.id AND c.total - c.size <= $7
			RETURNING d.id, d.subscription, d.attempts, d.round, c.n, c.due, c.event, c.first
		) SELECT t.n, t.id, t.subscription, t.attempts, t.round, t.due, ` + selects.Event + `, CASE WHEN t.first THEN e.payload END
		FROM taken t JOIN webhooks.event e ON e.id = t.event ORDER BY t.n, t.due, t.id`

	selectNext = wanted + ` SELECT w.n, d.due FROM want w CROSS JOIN LATERAL (
			SELECT due FROM webhooks.delivery WHERE state = 0 AND holder IS NULL AND subscription = w.subscription
			ORDER BY due, id LIMIT 1) d`

	// Jumps from one subscription to the next.
	waiting = `WITH RECURSIVE w AS (
			(SELECT subscription, due FROM webhooks.delivery WHERE state = 0 AND holder IS NULL ORDER BY subscription, due LIMIT 1)
			UNION ALL
			SELECT n.subscription, n.due FROM w CROSS JOIN LATERAL (
				SELECT subscription, due FROM webhooks.delivery
				WHERE state = 0 AND holder IS NULL AND subscription > w.subscription ORDER BY subscription, due LIMIT 1) n
		)`
	selectBacklogs = waiting + ` SELECT subscription, min(due) FROM (
			SELECT subscription, due FROM w
			UNION ALL SELECT subscription, due FROM webhooks.delivery WHERE holder IS NOT NULL AND state = 0) b
		GROUP BY subscription`
)

// Claim implements store.Store. What it takes is known here before the
// transaction ends, so that nothing is held of which nobody knows. What was lost
// sight of goes back first, since it may come before what is taken.
func (s *Store) Claim(ctx context.Context, now time.Time, maxBytes int, want []store.Want) ([]store.Claimed, error) {
	s.claiming.RLock()
	defer s.claiming.RUnlock()
	if s.yielded {
		return make([]store.Claimed, len(want)), nil
	}
	var subscriptions, rooms, until, afterDue, afterID []int64
	for _, w := range want {
		subscriptions = append(subscriptions, int64(w.Subscription))
		rooms = append(rooms, int64(max(w.Limit, 0)))
		most := selects.Millis(now)
		if w.Ahead {
			most = math.MaxInt64
		}
		until, afterDue, afterID = append(until, most), append(afterDue, selects.Millis(w.After.Due)), append(afterID, int64(w.After.ID))
	}
	var claimed []store.Claimed
	var taken, lost []int64
	err := s.write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		s.holds.loseSight(taken) // by a try before, which may have given up what was lost
		claimed, taken = make([]store.Claimed, len(want)), nil
		session := s.sessions.current()
		var b pgx.Batch
		b.Queue(lockOwned, subscriptions, session)
		b.Queue(own, subscriptions, session)
		if lost = s.holds.outOfSight(); len(lost) > 0 {
			b.Queue(release, lost, s.sessions.own())
		}
		b.Queue(claim, subscriptions, rooms, session, until, afterDue, afterID, maxBytes).Query(func(rows pgx.Rows) error {
			events := map[store.ID]*store.Event{}
			return each(rows, nil, func(rows pgx.Rows) error {
				n, h, err := scanHeld(rows, events)
				if err == nil {
					claimed[n-1].Deliveries = append(claimed[n-1].Deliveries, h)
					taken = append(taken, int64(h.Delivery.ID))
				}
				return err
			})
		})
		b.Queue(selectNext, subscriptions, rooms, session, until, afterDue, afterID).Query(func(rows pgx.Rows) error {
			return each(rows, nil, func(row pgx.Rows) error {
				var n, due int64
				err := row.Scan(&n, &due)
				claimed[n-1].Next = selects.FromMillis(due)
				return err
			})
		})
		err := tx.SendBatch(ctx, &b).Close()
		s.holds.take(taken)
		return err
	})
	if err != nil {
		s.holds.loseSight(taken)
		return nil, s.fail("claiming deliveries", err)
	}
	s.holds.gaveUp(lost)
	return claimed, nil
}

// scanHeld reads a delivery that was taken, and which want it answers. The
// payload of an event is in the first row that has the event.
func scanHeld(rows pgx.Rows, events map[store.ID]*store.Event) (n int64, h *store.Held, err error) {
	var r deliveryRow
	var e eventRow
	var payload []byte
	if err := rows.Scan(append(append([]any{&n, &r.id, &r.subscription, &r.attempts, &r.round, &r.due}, e.targets()...), &payload)...); err != nil {
		return 0, nil, err
	}
	r.event = e.id
	h = &store.Held{Delivery: r.delivery(), Event: events[store.ID(e.id)]}
	if h.Event != nil {
		return n, h, nil
	}
	if h.Event, err = e.event(); err != nil {
		return 0, nil, err
	}
	h.Payload = payload
	events[h.Key] = h.Event
	return n, h, nil
}

// Release implements store.Store. What can't be given up now is so at one of the
// next beats, which isn't an error.
func (s *Store) Release(ctx context.Context, ids []store.ID) error {
	held := keys(ids)
	if s.away.Load() {
		s.holds.loseSight(held)
		return nil
	}
	s.holds.drop(held)
	err := s.send(ctx, func(b *pgx.Batch) { b.Queue(release, held, s.sessions.own()) })
	if err != nil && !errors.Is(err, errClosed) {
		s.holds.loseSight(held)
		return nil
	}
	return s.fail("giving deliveries back", err)
}

// Backlogs implements store.Store.
func (s *Store) Backlogs(ctx context.Context) (backlogs []store.Backlog, err error) {
	err = s.read(ctx, func(ctx context.Context, db querier) error {
		rows, err := db.Query(ctx, selectBacklogs)
		backlogs, err = collectBacklogs(rows, err)
		return err
	})
	return backlogs, s.fail("looking for waiting deliveries", err)
}

func collectBacklogs(rows pgx.Rows, err error) (backlogs []store.Backlog, _ error) {
	err = each(rows, err, func(row pgx.Rows) error {
		var subscription, due int64
		err := row.Scan(&subscription, &due)
		backlogs = append(backlogs, store.Backlog{Subscription: store.ID(subscription), Due: selects.FromMillis(due)})
		return err
	})
	return backlogs, err
}
