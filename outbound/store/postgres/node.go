package postgres

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync/atomic"

	"github.com/jackc/pgx/v5"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// sweepRows is how many deliveries sweep releases in one transaction.
const sweepRows = 5000

const (
	// registerNode takes the number that has been free for longest, so that two nodes
	// make different ids even if their clocks differ. The number of a node whose lease
	// lapsed a minute ago is free too, even if nobody was there to end its session.
	registerNode = `INSERT INTO webhooks.node AS n (number, session, until, host)
		SELECT number, $1, clock_timestamp() + $2::interval, $3
		FROM generate_series(0, $4) AS number LEFT JOIN webhooks.node old USING (number)
		WHERE old.session IS NULL OR old.until < clock_timestamp() - interval '1 minute'
		ORDER BY old.session IS NOT NULL, old.until NULLS FIRST, number LIMIT 1
		ON CONFLICT (number) DO UPDATE SET session = excluded.session, until = excluded.until, host = excluded.host
			WHERE n.session IS NULL OR n.until < clock_timestamp() - interval '1 minute'
		RETURNING number`
	endOwn = `UPDATE webhooks.node SET session = NULL, until = clock_timestamp() WHERE session = $1`
	alive  = `EXISTS (SELECT FROM webhooks.node WHERE session = ` // a session and ")" follow

	// sweepHeld and sweepOwned release what ended sessions held and owned. A retry
	// keeps its due time. With an ARRAY the limit holds, see bury.
	sweepHeld = `UPDATE webhooks.delivery SET holder = NULL, again = NULL WHERE id = ANY(ARRAY(
			SELECT id FROM webhooks.delivery WHERE holder IS NOT NULL AND holder <> ALL(` + sessionsThere + `) LIMIT $1 FOR UPDATE SKIP LOCKED))`
	sweepOwned = `UPDATE webhooks.subscription SET owner = NULL WHERE key IN (
			SELECT key FROM webhooks.subscription WHERE owner IS NOT NULL AND owner <> ALL(` + sessionsThere + `) FOR UPDATE SKIP LOCKED)`
	yieldOwned    = `UPDATE webhooks.subscription SET owner = NULL WHERE owner = ANY($1)`
	sessionsThere = `ARRAY(SELECT session FROM webhooks.node WHERE session IS NOT NULL)`
)

// exclusive is the condition that a subscription s has an owner, the one node that
// delivers to it: it is ordered, or has a rate limit or a handshake.
const exclusive = `(s.ordered OR s.rate_limit > 0 OR s.handshake <> '')`

// sessions are all the sessions of this process, the current one last.
type sessions struct{ list atomic.Pointer[[]int64] }

// maxSessions is how many sessions are remembered. What an older one held, another
// node has taken long ago.
const maxSessions = 8

// begin makes a session the current one.
func (s *sessions) begin(session int64) {
	var all []int64
	if before := s.list.Load(); before != nil {
		all = slices.Clone(*before)
	}
	all = append(all, session)
	all = all[max(0, len(all)-maxSessions):]
	s.list.Store(&all)
}

// own returns all the sessions.
func (s *sessions) own() []int64 { return *s.list.Load() }

func (s *sessions) current() int64 {
	own := s.own()
	return own[len(own)-1]
}

// register gives the node a number and a session.
func (s *Store) register(ctx context.Context) error {
	session := rand.Int64()
	for range maxTries {
		err := s.pool.QueryRow(ctx, registerNode, session, s.lease, text(s.host), store.MaxNodes-1).Scan(&s.number)
		if errors.Is(err, pgx.ErrNoRows) {
			continue // another node took the number first
		}
		s.sessions.begin(session)
		return err
	}
	return errCrowded
}

// Nodes implements store.Shared.
func (s *Store) Nodes(ctx context.Context) (nodes []store.Node, err error) {
	err = s.read(ctx, func(ctx context.Context, db querier) error {
		rows, err := db.Query(ctx, `SELECT number, host, until < clock_timestamp() FROM webhooks.node WHERE session IS NOT NULL ORDER BY number`)
		nodes, err = collectBy(rows, err, func(row pgx.CollectableRow) (n store.Node, err error) {
			err = row.Scan(&n.Number, &n.Host, &n.Lapsed)
			n.Self = n.Number == s.number
			return n, err
		})
		return err
	})
	return nodes, s.fail("listing the nodes", err)
}

// Yield implements store.Shared. It waits for claims that are under way: the next
// owner could otherwise pass over what they take.
func (s *Store) Yield(ctx context.Context) error {
	s.claiming.Lock()
	s.yielded = true
	s.claiming.Unlock()
	err := s.send(ctx, func(b *pgx.Batch) {
		b.Queue(yieldOwned, s.sessions.own())
		b.Queue(notify, s.message(newsWaits))
	})
	return s.fail("leaving subscriptions to other nodes", err)
}

// leave ends the session, and tells the others.
func (s *Store) leave(ctx context.Context) error {
	if _, err := s.pool.Exec(ctx, endOwn, s.sessions.current()); err != nil {
		return err
	}
	swept := s.sweep(ctx)
	_, notified := s.pool.Exec(ctx, notify, s.message(newsWaits))
	return errors.Join(swept, notified)
}

// sweep releases everything that is held or owned by a session that has ended.
func (s *Store) sweep(ctx context.Context) error {
	for {
		swept, err := s.pool.Exec(ctx, sweepHeld, sweepRows)
		if err != nil {
			return err
		}
		if swept.RowsAffected() < sweepRows {
			break
		}
	}
	_, err := s.pool.Exec(ctx, sweepOwned)
	return err
}
