package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/internal/selects"
)

const (
	// settle stores outcomes, except for a delivery that another node has taken, or
	// that has a later attempt already. A delivery that was requeued during the attempt
	// is due once more. It returns the deliveries that it has skipped, without those
	// whose outcome was stored before.
	settle = `WITH s AS (
			SELECT * FROM unnest($1::bigint[], $2::smallint[], $3::bigint[], $4::text[], $5::integer[], $6::bigint[], $7::integer[], $8::bigint[], $9::bigint[],
				$10::integer[], $11::text[], $12::text[], $13::bytea[], $14::text[], $15::text[], $16::text[])
				AS s (delivery, state, due, reason, round, id, number, at, latency, status, class, error, response_body, response_headers, trace_id, url)
		), settled AS (
			UPDATE webhooks.delivery d SET
				state = CASE WHEN d.again IS NULL THEN s.state ELSE 0 END,
				due = coalesce(d.again, s.due),
				reason = CASE WHEN d.again IS NULL THEN s.reason END,
				round = CASE WHEN d.again IS NULL THEN greatest(d.round, s.round) ELSE s.number END,
				attempts = s.number,
				holder = NULL,
				again = NULL,
				unlogged = CASE WHEN d.again IS NULL AND s.state = 2 THEN $18::bigint END,
				at = CASE WHEN s.number = 1 THEN s.at ELSE d.at END,
				latency = CASE WHEN s.number = 1 THEN s.latency ELSE d.latency END,
				status = CASE WHEN s.number = 1 THEN s.status ELSE d.status END,
				class = CASE WHEN s.number = 1 THEN s.class ELSE d.class END,
				error = CASE WHEN s.number = 1 THEN s.error ELSE d.error END,
				response_body = CASE WHEN s.number = 1 THEN s.response_body ELSE d.response_body END,
				response_headers = CASE WHEN s.number = 1 THEN s.response_headers::json ELSE d.response_headers END,
				trace_id = CASE WHEN s.number = 1 THEN s.trace_id ELSE d.trace_id END,
				url = CASE WHEN s.number = 1 THEN s.url ELSE d.url END
			FROM s
			WHERE d.id = s.delivery AND (d.holder IS NULL OR d.holder = ANY($17)) AND s.number > d.attempts
			RETURNING d.id
		), recorded AS (
			INSERT INTO webhooks.attempt (id, delivery, number, ` + selects.Attempt + `)
			SELECT s.id, s.delivery, s.number, s.at, s.latency, s.status, s.class, s.error, s.response_body, s.response_headers::json, s.trace_id, s.url
			FROM s JOIN settled ON settled.id = s.delivery WHERE s.number > 1
		) SELECT s.delivery FROM s
		CROSS JOIN LATERAL (SELECT d.at FROM webhooks.delivery d WHERE d.id = s.delivery LIMIT 1) d
		WHERE s.delivery NOT IN (SELECT id FROM settled) AND NOT
			CASE WHEN s.number = 1 THEN d.at IS NOT DISTINCT FROM s.at ELSE (SELECT count(*) FROM webhooks.attempt a WHERE a.id = s.id) > 0 END`

	addBytes = `UPDATE webhooks.node SET bytes = bytes + $1 WHERE number = $2`

	// compare finds the events that have the chosen ids of other publications, and
	// compares them.
	compare = `SELECT p.id, e.deliveries, e.type = p.type AND e.content_type IS NOT DISTINCT FROM p.content_type AND (e.payload_removed OR sha256(e.payload) = p.digest)
		FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[]) AS p (id, chosen, tenant, type, content_type, digest)
		JOIN webhooks.chosen c ON c.id = p.chosen AND c.tenant = coalesce(p.tenant, '')
		JOIN webhooks.event e ON e.id = c.event AND e.id <> p.id`
)

// publish stores events and their deliveries.
var publish = publication(`d.due`, ``)

// publishInOrder is publish, but a delivery that must be in order becomes due after
// those that its subscription has, even if they come from a node whose clock is
// ahead: two clocks may be twice as far apart as each is from the server's. It looks
// at held deliveries as well as waiting ones, which may come before the held ones: a
// failure is stored before the deliveries behind it are released.
var publishInOrder = publication(`greatest(d.due, (SELECT ahead.due FROM ahead WHERE ahead.subscription = d.subscription))`, `, ahead AS (
			SELECT w.subscription, CASE WHEN last.id < w.id THEN last.due ELSE last.due + 1 END AS due
			FROM (SELECT subscription, min(id) AS id, max(due) + $19 AS due FROM d WHERE ordered GROUP BY subscription) w
			CROSS JOIN LATERAL (
				(`+selectLast+` AND state = 0 AND holder IS NULL`+lastOne+`) UNION ALL (`+selectLast+` AND holder IS NOT NULL`+lastOne+`)
				`+lastOne+`) last
		)`)

const (
	selectLast = `SELECT due, id FROM webhooks.delivery WHERE subscription = w.subscription AND due <= w.due`
	lastOne    = ` ORDER BY due DESC, id DESC LIMIT 1`
)

// publication returns a statement that stores events and their deliveries. due is
// the expression for when a delivery d is due, for which the statement may need more
// CTEs (with). Events whose chosen id is taken are skipped. The ids are inserted in
// their order, so that two batches don't deadlock.
func publication(due, with string) string {
	return `WITH p AS (
			SELECT * FROM unnest($1::bigint[], $2::integer[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::bytea[], $17::bigint[])
				AS p (id, deliveries, type, tenant, chosen, content_type, headers, trace_parent, trace_state, payload, tells)
		), d AS (
			SELECT * FROM unnest($11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[], $16::boolean[], $18::boolean[])
				AS d (id, event, subscription, due, hold, ordered)
		), taken AS (
			INSERT INTO webhooks.chosen (id, tenant, event)
			SELECT chosen, coalesce(tenant, ''), id FROM p WHERE chosen IS NOT NULL ORDER BY 1, 2, 3
			ON CONFLICT DO NOTHING RETURNING event
		), stored AS (
			INSERT INTO webhooks.event (id, deliveries, type, tenant, chosen, content_type, headers, trace_parent, trace_state, payload)
			SELECT id, deliveries, type, tenant, chosen, content_type, headers::json, trace_parent, trace_state, payload FROM p
			WHERE (chosen IS NULL OR id IN (SELECT event FROM taken))
				AND (tells = 0 OR (SELECT d.state = 2 FROM webhooks.delivery d WHERE d.id = tells))
			RETURNING id
		)` + with + `, addressed AS (
			INSERT INTO webhooks.delivery (id, event, subscription, state, due, attempts, round, holder)
			SELECT d.id, d.event, d.subscription, 0, ` + due + `, 0, 0, CASE WHEN d.hold AND ` + alive + `$15) THEN $15::bigint END
			FROM d JOIN stored ON stored.id = d.event
		) SELECT id FROM stored`
}

// Commit implements store.Store.
func (s *Store) Commit(ctx context.Context, b *store.Batch) error {
	p := newPublications(b.Publications)
	rounds, size := newOutcomes(b.Settlements)
	size += p.size
	var results map[int64]store.PublishResult // by event
	var passed map[int64]bool                 // deliveries whose settlement was skipped
	s.holds.take(p.held)
	err := s.send(ctx, func(batch *pgx.Batch) {
		results, passed = map[int64]store.PublishResult{}, map[int64]bool{}
		batch.Queue(byKeys)
		for _, r := range rounds {
			batch.Queue(settle, r.args(s.sessions.own(), s.logger(b.Log))...).Query(eachID(func(id int64) { passed[id] = true }))
		}
		if len(b.Publications) > 0 {
			sql, args := p.statement(s.sessions.current())
			batch.Queue(sql, args...).Query(eachID(func(id int64) { results[id] = store.PublishResult{Outcome: store.Stored} }))
		}
		if p.anyChosen {
			batch.Queue(compare, p.id, p.chosen, p.tenant, p.eventType, p.contentType, p.digest).Query(func(rows pgx.Rows) error { return readCompared(rows, results) })
		}
		if len(p.waiting) > 0 {
			s.queueNotifyOwners(batch, newsWaits, p.waiting)
		}
		if size > 0 {
			batch.Queue(addBytes, size, s.number)
		}
	})
	if err != nil {
		s.holds.dropUnsure(p.held)
		return s.fail("committing", err)
	}
	for _, pub := range b.Publications {
		if pub.Result = publishResult(pub, results); pub.Result.Outcome != store.Stored {
			s.holds.drop(deliveryKeys(pub))
		}
	}
	for _, t := range b.Settlements {
		t.Passed = passed[int64(t.Delivery)]
	}
	for _, r := range rounds {
		s.holds.drop(r.delivery)
	}
	return nil
}

// publishResult returns the result of a publication. If neither publish nor compare
// has returned its event, results has none.
func publishResult(p *store.Publication, results map[int64]store.PublishResult) store.PublishResult {
	r, ok := results[int64(p.Event.Key)]
	switch {
	case !ok && p.Tells != 0:
		r.Outcome = store.Untold
	case !ok: // the event that has its id was removed just now
		r.Outcome = store.Reused
	case r.Outcome == store.Stored:
		r.Deliveries = len(p.Deliveries)
	}
	return r
}

// eachID returns a function that calls f for each row, an id.
func eachID(f func(int64)) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		return each(rows, nil, func(row pgx.Rows) error {
			var id int64
			err := row.Scan(&id)
			f(id)
			return err
		})
	}
}

// deliveryKeys returns the keys of a publication's deliveries.
func deliveryKeys(p *store.Publication) (ids []int64) {
	for _, d := range p.Deliveries {
		ids = append(ids, int64(d.ID))
	}
	return ids
}

// readCompared reads the rows of compare into results.
func readCompared(rows pgx.Rows, results map[int64]store.PublishResult) error {
	return each(rows, nil, func(row pgx.Rows) error {
		var id int64
		var same bool
		r := store.PublishResult{Outcome: store.Reused}
		err := row.Scan(&id, &r.Deliveries, &same)
		if same {
			r.Outcome = store.Duplicate
		}
		results[id] = r
		return err
	})
}
