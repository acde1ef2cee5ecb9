package postgres

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

const (
	// beats is how often the session is renewed in the time of a lease.
	beats = 3
	// sweepEvery is how many beats pass until what no session holds is looked
	// for, where none was found to have lapsed.
	sweepEvery = 12
	// nearly is how soon something is due that is told of.
	nearly = 10 * time.Second
)

const (
	// The number that was free for longest, so that ids made by two nodes differ
	// even if the clocks of the two do.
	registerNode = `INSERT INTO webhooks.node AS n (number, session, until, host)
		SELECT number, nextval('webhooks.session'), clock_timestamp() + $1::interval, $2
		FROM generate_series(0, $3) AS number LEFT JOIN webhooks.node old USING (number)
		WHERE old.session IS NULL
		ORDER BY old.until NULLS FIRST, number LIMIT 1
		ON CONFLICT (number) DO UPDATE SET session = excluded.session, until = excluded.until, host = excluded.host
			WHERE n.session IS NULL
		RETURNING number, session`
	rejoin = `UPDATE webhooks.node SET session = nextval('webhooks.session'), until = clock_timestamp() + $1::interval
		WHERE number = $2 AND session IS NULL RETURNING session`
	renew = `UPDATE webhooks.node SET until = clock_timestamp() + $1::interval
		WHERE number = $2 AND session = $3 RETURNING (SELECT n FROM webhooks.revision)`
	selectLapsed = `SELECT session FROM webhooks.node WHERE session IS NOT NULL AND until < clock_timestamp()`
	endLapsed    = `UPDATE webhooks.node SET session = NULL WHERE session = ANY($1) AND until < clock_timestamp() RETURNING host`
	endOwn       = `UPDATE webhooks.node SET session = NULL, until = clock_timestamp() WHERE session = $1`

	// What sessions that ended have held and owned. That of a retry keeps its
	// time.
	sweepHeld  = `UPDATE webhooks.delivery SET holder = NULL, again = NULL WHERE holder IS NOT NULL AND holder <> ALL(` + sessions + `)`
	sweepOwned = `UPDATE webhooks.subscription SET owner = NULL WHERE owner IS NOT NULL AND owner <> ALL(` + sessions + `)`
	sessions   = `ARRAY(SELECT session FROM webhooks.node WHERE session IS NOT NULL)`

	// Jumps from one subscription to the next.
	selectWaiting = `WITH RECURSIVE w AS (
			(SELECT subscription, due FROM webhooks.delivery WHERE state = 0 AND holder IS NULL ORDER BY subscription, due LIMIT 1)
			UNION ALL
			SELECT n.subscription, n.due FROM w CROSS JOIN LATERAL (
				SELECT subscription, due FROM webhooks.delivery
				WHERE state = 0 AND holder IS NULL AND subscription > w.subscription ORDER BY subscription, due LIMIT 1) n
		) SELECT w.subscription, w.due FROM w`
	waitsForUs = ` LEFT JOIN webhooks.subscription s ON s.key = w.subscription
		WHERE w.due < $1 AND (s.key IS NULL OR s.owner IS NULL OR s.owner = $2 OR NOT ` + exclusive + `)`
)

// exclusive are subscriptions s that one node delivers to at a time: in order,
// or by a rate.
const exclusive = `(s.ordered OR s.rate_limit > 0)`

// register gives the node a number and a session.
func (s *Store) register(ctx context.Context) error {
	for range tries {
		var session int64
		err := s.pool.QueryRow(ctx, registerNode, s.lease, text(s.host), store.MaxNodes-1).Scan(&s.number, &session)
		if errors.Is(err, pgx.ErrNoRows) {
			continue // another one was quicker
		}
		s.session.Store(session)
		return err
	}
	return errCrowded
}

// leave ends the session.
func (s *Store) leave(ctx context.Context) error {
	var b pgx.Batch
	b.Queue(endOwn, s.session.Load())
	b.Queue(sweepHeld)
	b.Queue(sweepOwned)
	s.notify(&b, newsWaits)
	return s.pool.SendBatch(ctx, &b).Close()
}

// keep is the heart of the node, until ctx is done.
func (s *Store) keep(ctx context.Context) {
	ticker := time.NewTicker(s.lease / beats)
	defer ticker.Stop()
	h := heart{s: s, renewed: time.Now()}
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-s.news.look:
		}
		if err := h.beat(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("webhooks store: no news of the other nodes; trying again", "error", s.fail("renewing the lease", err))
		}
	}
}

// heart is what a node does at each beat.
type heart struct {
	s        *Store
	renewed  time.Time // when the session was, at the latest
	revision int64
	lapsed   []int64 // sessions that had lapsed at the last beat
	count    int
}

func (h *heart) beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, max(h.s.lease/beats, time.Second))
	defer cancel()
	if err := h.renew(ctx); err != nil {
		if time.Since(h.renewed) > h.s.lease && !h.s.away.Swap(true) {
			// The others take what we hold: it isn't to be attempted here too.
			h.s.news.add(func(n *store.News) { n.Lost = true })
		}
		return err
	}
	h.count++
	return errors.Join(h.s.settleDoubts(ctx), h.reap(ctx), h.s.lookForWork(ctx))
}

// renew renews the session, or begins another one where others have ended it.
func (h *heart) renew(ctx context.Context) error {
	s, began := h.s, time.Now()
	var revision int64
	err := s.pool.QueryRow(ctx, renew, s.lease, s.number, s.session.Load()).Scan(&revision)
	if errors.Is(err, pgx.ErrNoRows) {
		return h.rejoin(ctx)
	}
	if err != nil {
		return err
	}
	h.renewed = began
	s.away.Store(false)
	if changed := revision != h.revision; changed {
		h.revision = revision
		s.news.add(func(n *store.News) { n.Changed = true })
	}
	return nil
}

func (h *heart) rejoin(ctx context.Context) error {
	s := h.s
	s.news.add(func(n *store.News) { n.Lost = true })
	var session int64
	err := s.pool.QueryRow(ctx, rejoin, s.lease, s.number).Scan(&session)
	if errors.Is(err, pgx.ErrNoRows) {
		return errors.New("this node was away for so long that another one has its number: restart it")
	}
	if err == nil {
		s.session.Store(session)
		s.away.Store(false)
		s.log.Warn("webhooks store: this node was not heard of for as long as its lease, and others have taken what it held", "store", s.name, "lease", s.lease)
	}
	return err
}

// reap ends the sessions that lapsed at the last beat and still do. Their nodes
// have had the time of a beat to renew them, which they need when the server
// itself was away.
func (h *heart) reap(ctx context.Context) error {
	lapsed, err := collect[int64](h.s.pool.Query(ctx, selectLapsed))
	if err != nil {
		return err
	}
	var dead []int64
	for _, session := range lapsed {
		if slices.Contains(h.lapsed, session) {
			dead = append(dead, session)
		}
	}
	h.lapsed = lapsed
	if len(dead) == 0 && h.count%sweepEvery != 0 {
		return nil
	}
	return pgx.BeginFunc(ctx, h.s.pool, func(tx pgx.Tx) error {
		hosts, err := collect[string](tx.Query(ctx, endLapsed, dead))
		if err != nil {
			return err
		}
		swept, err := tx.Exec(ctx, sweepHeld)
		if err != nil {
			return err
		}
		for _, host := range hosts {
			h.s.log.Warn("webhooks store: a node is gone: the others take what it held", "host", host, "deliveries", swept.RowsAffected())
		}
		_, err = tx.Exec(ctx, sweepOwned)
		return err
	})
}

// lookForWork tells of what is due and held by nobody.
func (s *Store) lookForWork(ctx context.Context) error {
	rows, err := s.pool.Query(ctx, selectWaiting+waitsForUs, time.Now().Add(nearly).UnixMilli(), s.session.Load())
	waits, err := collectBacklogs(rows, err)
	if err == nil && len(waits) > 0 {
		s.news.add(func(n *store.News) { n.Waits = waits })
	}
	return err
}

// doubts are deliveries that the database may say we hold, when we don't.
type doubts = guarded[[]int64]

// doubt remembers such deliveries after an error.
func (s *Store) doubt(ids []int64) {
	s.doubts.change(func(all *[]int64) { *all = append(*all, ids...) })
}

// settleDoubts gives them up.
func (s *Store) settleDoubts(ctx context.Context) (err error) {
	var ids []int64
	s.doubts.change(func(all *[]int64) { ids, *all = *all, nil })
	if len(ids) == 0 {
		return nil
	}
	if _, err = s.pool.Exec(ctx, release, ids, s.session.Load()); err != nil {
		s.doubt(ids)
	}
	return err
}
