package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// forgetLock is the key of the advisory lock with which one node at a time removes
// old events: "webh" in ASCII.
const forgetLock = 0x77656268

const (
	columnsOld   = `SELECT id, deliveries, octet_length(payload) FROM webhooks.event WHERE `
	selectOldest = columnsOld + `id >= $1 AND id < $2 ORDER BY id LIMIT $3`
	selectOld    = columnsOld + `id = ANY($1)`
	selectLeft   = `SELECT id FROM webhooks.event WHERE id = ANY($1) ORDER BY id`
	// lockDeliveries keeps the deliveries of the events from being requeued, as
	// lockEvents keeps the events from being replayed: both wait for these locks.
	lockDeliveries = `SELECT FROM webhooks.delivery WHERE event = ANY($1) ORDER BY id FOR UPDATE`

	// kept are those of the events that must stay as they are.
	kept = `kept AS (
			SELECT event FROM webhooks.delivery WHERE event = ANY($1) AND (state = 0 AND NOT $3 OR holder IS NOT NULL OR state = 2 AND $2)
		)`

	forgetOld = `WITH ` + kept + `, e AS (
			DELETE FROM webhooks.event WHERE id = ANY($1) AND id NOT IN (SELECT event FROM kept)
			RETURNING id, tenant, chosen, $5 + octet_length(payload) + coalesce(octet_length(headers::text), 0) AS size
		), d AS (
			DELETE FROM webhooks.delivery WHERE event IN (SELECT id FROM e)
			RETURNING id, attempts, $6 + CASE WHEN attempts > 0 THEN $7 ELSE 0 END + coalesce(octet_length(response_body), 0) AS size
		), a AS (
			DELETE FROM webhooks.attempt WHERE delivery IN (SELECT id FROM d WHERE attempts > 1)
			RETURNING $7 + coalesce(octet_length(response_body), 0) AS size
		), c AS (
			DELETE FROM webhooks.chosen c USING e WHERE c.id = e.chosen AND c.tenant = coalesce(e.tenant, '')
		), gone AS (
			SELECT sum(size) AS size FROM (SELECT size FROM e UNION ALL SELECT size FROM d UNION ALL SELECT size FROM a) all_sizes
		), counted AS (
			UPDATE webhooks.node SET bytes = bytes - coalesce((SELECT size FROM gone), 0) WHERE number = $4
		) SELECT count(*) FROM e`

	forgetPayloads = `WITH ` + kept + `, gone AS (
			SELECT id, octet_length(payload) AS size FROM webhooks.event WHERE id = ANY($1) AND id NOT IN (SELECT event FROM kept)
		), e AS (
			UPDATE webhooks.event SET payload = '', payload_removed = true WHERE id IN (SELECT id FROM gone)
		), counted AS (
			UPDATE webhooks.node SET bytes = bytes - coalesce((SELECT sum(size) FROM gone), 0) WHERE number = $4
		) SELECT count(*) FROM gone`

	// The row of a deleted subscription goes when every delivery is younger by a wide
	// margin than the last one that may refer to it.
	forgetDeleted = `DELETE FROM webhooks.subscription WHERE last_delivery + $1 < (SELECT min(id) FROM webhooks.delivery)`
	forgetTenant  = `DELETE FROM webhooks.subscription WHERE key IN (SELECT key FROM webhooks.subscription WHERE deleted <> 0 AND tenant = $1 LIMIT $2)`
	markDeleted   = `UPDATE webhooks.subscription SET last_delivery = greatest(key, (SELECT max(id) FROM webhooks.delivery)) WHERE deleted <> 0 AND last_delivery IS NULL`

	bytesInUse = `SELECT greatest(coalesce(sum(bytes), 0), 0)::bigint FROM webhooks.node`
)

// Forget implements store.Store. One node at a time does it. How many bytes are in
// use is counted when rows are stored and removed, because the server's files don't
// shrink.
func (s *Store) Forget(ctx context.Context, f store.Forget) (done store.Forgotten, err error) {
	err = s.write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		done = store.Forgotten{}
		if err := forget(ctx, tx, f, s.number, &done); err != nil {
			return err
		}
		return tx.QueryRow(ctx, bytesInUse).Scan(&done.Used)
	})
	if err != nil {
		return store.Forgotten{}, s.fail("removing old events", err)
	}
	return done, nil
}

// Remove implements store.Store.
func (s *Store) Remove(ctx context.Context, r store.Removal) (done store.Removed, err error) {
	err = s.write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		var events []store.ID
		if events, done.Rest, err = split(ctx, tx, r); err != nil {
			return err
		}
		ids := keys(events)
		if done.Count, err = remove(ctx, tx, ids, store.Forget{}, r.Pending, s.number); err != nil {
			return err
		}
		done.Kept, err = collect[store.ID](tx.Query(ctx, selectLeft, ids))
		return err
	})
	if err != nil {
		return store.Removed{}, s.fail("removing events", err)
	}
	return done, nil
}

// split divides the events into those within the limit and the rest.
func split(ctx context.Context, tx pgx.Tx, r store.Removal) (events, rest []store.ID, err error) {
	weights := map[store.ID]int{}
	rows, err := tx.Query(ctx, selectOld, keys(r.Events))
	err = each(rows, err, func(row pgx.Rows) error {
		id, _, weight, err := scanOld(row)
		weights[id] = weight
		return err
	})
	room := r.Limit
	for i, id := range r.Events {
		if room <= 0 {
			return r.Events[:i], r.Events[i:], err
		}
		room -= weights[id]
	}
	return r.Events, nil, err
}

// forget does what f asks for, unless another node does so now. number is this
// node's, whose bytes are counted.
func forget(ctx context.Context, tx pgx.Tx, f store.Forget, number int, done *store.Forgotten) error {
	if f.Limit > 0 {
		var ours bool
		if err := tx.QueryRow(ctx, `SELECT pg_try_advisory_xact_lock($1)`, forgetLock).Scan(&ours); err != nil {
			return err
		}
		if done.Busy = !ours; done.Busy {
			return nil
		}
	}
	ids, err := oldest(ctx, tx, f, done)
	if err == nil && len(ids) > 0 {
		done.Events, err = remove(ctx, tx, ids, f, false, number)
	}
	if err == nil && done.Next == 0 && !f.PayloadsOnly {
		err = forgetSubscriptions(ctx, tx)
	}
	return err
}

// ForgetSubscriptions implements store.Store.
func (s *Store) ForgetSubscriptions(ctx context.Context, tenant string, limit int) (n int, err error) {
	err = s.write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, forgetTenant, text(tenant), limit)
		n = int(tag.RowsAffected())
		return err
	})
	if err != nil {
		return 0, s.fail("removing deleted subscriptions", err)
	}
	return n, nil
}

// forgetSubscriptions removes deleted subscriptions to which no delivery refers.
func forgetSubscriptions(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, forgetDeleted, int64(store.Younger)); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, markDeleted)
	return err
}

// remove removes events that don't have to be kept, or their payloads, and returns
// how many. pending says whether to remove those with pending deliveries too.
func remove(ctx context.Context, tx pgx.Tx, ids []int64, f store.Forget, pending bool, number int) (n int, err error) {
	for _, lock := range []string{lockEvents, lockDeliveries} {
		if _, err := tx.Exec(ctx, lock, ids); err != nil {
			return 0, err
		}
	}
	if f.PayloadsOnly {
		err = tx.QueryRow(ctx, forgetPayloads, ids, f.KeepDead, pending, number).Scan(&n)
	} else {
		err = tx.QueryRow(ctx, forgetOld, ids, f.KeepDead, pending, number, eventBytes, deliveryBytes, attemptBytes).Scan(&n)
	}
	return n, err
}

// oldest finds the events to look at, and sets done.Next.
func oldest(ctx context.Context, tx pgx.Tx, f store.Forget, done *store.Forgotten) (ids []int64, err error) {
	room := f.Limit
	rows, err := tx.Query(ctx, selectOldest, int64(f.From), int64(store.IDAt(f.Before)), f.Limit+1)
	err = each(rows, err, func(row pgx.Rows) error {
		id, payload, weight, err := scanOld(row)
		if err != nil {
			return err
		}
		if room <= 0 {
			if done.Next == 0 {
				done.Next = id
			}
			return nil
		}
		room -= weight
		if !f.PayloadsOnly || payload >= store.PayloadUnit {
			ids = append(ids, int64(id))
		}
		return nil
	})
	return ids, err
}

// scanOld reads columnsOld. It returns the size of the payload in bytes, and what
// the event counts towards store.Forget.Limit.
func scanOld(row pgx.Rows) (id store.ID, payload, weight int, err error) {
	var deliveries int
	err = row.Scan(&id, &deliveries, &payload)
	return id, payload, 1 + deliveries + payload/store.PayloadUnit, err
}
