package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/internal/selects"
)

const (
	// becomeOwner makes this node the owner of subscriptions that need one and have
	// none.
	becomeOwner = `UPDATE webhooks.subscription SET owner = $2 WHERE key IN (
			SELECT key FROM webhooks.subscription s WHERE s.key = ANY($1) AND s.owner IS NULL AND ` + exclusive + `
			FOR UPDATE SKIP LOCKED)`

	// lockOwned locks the subscriptions that this node owns. It makes the claim wait
	// for an earlier one of ours whose answer was lost, and whoever wants to take such
	// a subscription from us wait for this claim.
	lockOwned = `SELECT FROM webhooks.subscription s WHERE s.key = ANY($1) AND s.owner = $2 AND ` + exclusive + `
		ORDER BY key FOR NO KEY UPDATE`

	// wanted are the wants that this node may answer, none if its session has ended. If
	// a subscription needs an owner, that must be this node, and no other may still hold
	// deliveries of it.
	wanted = `WITH want AS (
			SELECT w.*, s.key IS NOT NULL AND ` + exclusive + ` AS exclusive
			FROM unnest($1::bigint[], $2::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
				WITH ORDINALITY AS w (subscription, room, until, after_due, after_id, n)
			LEFT JOIN webhooks.subscription s ON s.key = w.subscription
			WHERE (s.key IS NULL OR NOT ` + exclusive + ` OR s.owner = $3 AND NOT EXISTS (
				SELECT FROM webhooks.delivery h WHERE h.holder IS NOT NULL AND h.holder <> $3 AND h.subscription = w.subscription))
				AND ` + alive + `$3)
		)`

	// selectDue are the deliveries that answer the want w.
	selectDue = `SELECT id, event, due FROM webhooks.delivery
				WHERE state = 0 AND holder IS NULL AND subscription = w.subscription
					AND due <= w.until AND (due, id) > (w.after_due, w.after_id)
				ORDER BY due, id LIMIT w.room`

	// claim takes what is due, until the payloads exceed a limit. A payload that
	// several deliveries share counts once, and is sent to us once. For a subscription
	// with an owner, nothing is taken behind a delivery that another transaction has
	// locked (unbroken is false from there on), because that one may wait again in a
	// moment.
	claim = wanted + `, visible AS MATERIALIZED (
			SELECT w.n, d.id, d.due FROM want w CROSS JOIN LATERAL (` + selectDue + `) d WHERE w.exclusive
		), locked AS MATERIALIZED (
			SELECT w.n, w.exclusive, d.id, d.event, d.due FROM want w CROSS JOIN LATERAL (` + selectDue + ` FOR UPDATE SKIP LOCKED) d
		), ordered AS (
			SELECT visible.id, bool_and(locked.id IS NOT NULL) OVER (PARTITION BY visible.n ORDER BY visible.due, visible.id) AS unbroken
			FROM visible LEFT JOIN locked ON locked.id = visible.id
		), due AS (
			SELECT n, id, event, due FROM locked WHERE NOT exclusive OR id IN (SELECT id FROM ordered WHERE unbroken)
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

	// selectNext selects, for each want, when the first delivery that was left behind
	// is due.
	selectNext = wanted + ` SELECT w.n, d.due FROM want w CROSS JOIN LATERAL (
			SELECT due FROM webhooks.delivery WHERE state = 0 AND holder IS NULL AND subscription = w.subscription
			ORDER BY due, id LIMIT 1) d`

	// waiting selects the first delivery of each subscription that waits and that
	// nobody holds. It jumps in the index from one subscription to the next.
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

// Claim implements store.Store. It adds what it takes to s.holds before the
// transaction ends, so that no delivery is held without anybody knowing. Lost
// deliveries are released first, because they may come before those that it takes.
func (s *Store) Claim(ctx context.Context, now time.Time, maxBytes int, want []store.Want) ([]store.Claimed, error) {
	s.claiming.RLock()
	defer s.claiming.RUnlock()
	if s.yielded {
		return make([]store.Claimed, len(want)), nil
	}
	w := newWants(want, now)
	var claimed []store.Claimed
	var taken, lost []int64
	err := s.write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		s.holds.lose(taken) // a try that was broken off may have taken some that were lost, and they still are
		claimed, taken = make([]store.Claimed, len(want)), nil
		session := s.sessions.current()
		var b pgx.Batch
		b.Queue(lockOwned, w.subscription, session)
		b.Queue(becomeOwner, w.subscription, session)
		if lost = s.holds.lostIDs(); len(lost) > 0 {
			b.Queue(release, lost, s.sessions.own())
		}
		b.Queue(claim, append(w.args(session), maxBytes)...).Query(func(rows pgx.Rows) error {
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
		b.Queue(selectNext, w.args(session)...).Query(func(rows pgx.Rows) error {
			return each(rows, nil, func(row pgx.Rows) error {
				var n int
				var due time.Time
				err := row.Scan(&n, (*millis)(&due))
				claimed[n-1].Next = due
				return err
			})
		})
		err := tx.SendBatch(ctx, &b).Close()
		s.holds.take(taken)
		return err
	})
	if err != nil {
		s.holds.lose(taken)
		return nil, s.fail("claiming deliveries", err)
	}
	s.holds.released(lost)
	return claimed, nil
}

// scanHeld reads a row of claim: the number n of the want, from 1, and a delivery
// with its event. Only the first row of an event has its payload.
func scanHeld(rows pgx.Rows, events map[store.ID]*store.Event) (n int64, h *store.Held, err error) {
	var d store.Delivery
	e := &store.Event{}
	targets := append([]any{&n, &d.ID, &d.Subscription, &d.Attempts, &d.Round, (*millis)(&d.Due)}, eventTargets(e)...)
	if err := rows.Scan(append(targets, &e.Payload)...); err != nil {
		return 0, nil, err
	}
	d.Event = e.Key
	if known := events[e.Key]; known != nil {
		return n, &store.Held{Delivery: d, Event: known}, nil
	}
	e.ID = selects.EventID(e.ID, e.Key)
	events[e.Key] = e
	return n, &store.Held{Delivery: d, Event: e}, nil
}

// Release implements store.Store. If the server can't be reached, that is no error:
// the deliveries are released by the next claim, or at one of the next beats.
func (s *Store) Release(ctx context.Context, ids []store.ID) error {
	held := keys(ids)
	if s.lapsed.Load() {
		s.holds.lose(held)
		return nil
	}
	s.holds.drop(held)
	err := s.send(ctx, func(b *pgx.Batch) { b.Queue(release, held, s.sessions.own()) })
	if err != nil && !errors.Is(err, errClosed) {
		s.holds.lose(held)
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

func collectBacklogs(rows pgx.Rows, err error) ([]store.Backlog, error) {
	return collectBy(rows, err, func(row pgx.CollectableRow) (b store.Backlog, err error) {
		err = row.Scan(&b.Subscription, (*millis)(&b.Due))
		return b, err
	})
}
