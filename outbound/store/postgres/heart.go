package postgres

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/time/rate"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

const (
	// beats is how often the session is renewed in the time of a lease.
	beats = 3
	// thoroughEvery is how many beats pass until everything is looked at: what
	// no session holds, and what ours holds and shouldn't.
	thoroughEvery = 12
	// apart is how far a node's clock may be from the server's, and so from the
	// other nodes', without a warning.
	apart = 5 * time.Second
)

const (
	rejoin = `UPDATE webhooks.node SET session = $1, until = clock_timestamp() + $2::interval
		WHERE number = $3 AND (session IS NULL OR session = $1)`
	renew = `UPDATE webhooks.node SET until = clock_timestamp() + $1::interval
		WHERE number = $2 AND session = $3 RETURNING (SELECT n FROM webhooks.revision), clock_timestamp()`
	selectLapsed = `SELECT session FROM webhooks.node WHERE session IS NOT NULL AND until < clock_timestamp()`
	endLapsed    = `UPDATE webhooks.node SET session = NULL WHERE session = ANY($1) AND until < clock_timestamp() RETURNING host`

	// What waits that this node may deliver.
	selectWaiting = waiting + ` SELECT w.subscription, w.due FROM w LEFT JOIN webhooks.subscription s ON s.key = w.subscription
		WHERE s.key IS NULL OR s.owner IS NULL OR s.owner = $1 OR NOT ` + exclusive
)

// keep is the heart of the node, until ctx is done.
func (s *Store) keep(ctx context.Context) {
	ticker := time.NewTicker(s.lease / beats)
	defer ticker.Stop()
	h := heart{s: s, began: time.Now(), renewed: time.Now(), warnings: rate.Sometimes{First: 1, Interval: time.Hour}}
	failures := rate.Sometimes{First: 1, Interval: time.Minute}
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			err = h.beat(ctx)
		case <-s.news.look:
			err = h.within(ctx, h.look)
		}
		if err != nil && ctx.Err() == nil {
			failures.Do(func() {
				s.log.Warn("webhooks store: no news of the other nodes; trying again", "error", s.fail("renewing the lease", err))
			})
		}
	}
}

// heart is what a node does at each beat.
type heart struct {
	s         *Store
	began     time.Time
	renewed   time.Time // when the session was, at the latest
	next      int64     // the session that is to come, 0 while there is one
	revision  int64
	lapsed    []int64 // sessions that had lapsed at the last beat
	sweeping  bool    // what they held isn't all given up yet
	strangers []int64 // see tidy
	count     int
	warnings  rate.Sometimes // of its clock
}

// thorough tells whether this beat is one of those that look at everything.
func (h *heart) thorough() bool { return h.count%thoroughEvery == 0 }

func (h *heart) beat(ctx context.Context) error {
	h.count++
	err := h.within(ctx, h.renew)
	if err != nil && time.Since(h.renewed) > h.s.lease && !h.s.away.Swap(true) {
		// The others take what we hold: it isn't to be attempted here too.
		h.s.news.add(func(n *store.News) { n.Lost = true })
	}
	return cmp.Or(err, h.within(ctx, h.reap), h.within(ctx, h.tidy), h.within(ctx, h.look)) // they fail for the same reason
}

// within bounds a part of a beat, so that the next beat comes in time.
func (h *heart) within(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, max(h.s.lease/beats/2, time.Second))
	defer cancel()
	return f(ctx)
}

// renew renews the session, or begins another one where others have ended it.
func (h *heart) renew(ctx context.Context) error {
	s, began := h.s, time.Now()
	var revision int64
	var there time.Time
	err := s.pool.QueryRow(ctx, renew, s.lease, s.number, s.sessions.current()).Scan(&revision, &there)
	if errors.Is(err, pgx.ErrNoRows) {
		return h.rejoin(ctx)
	}
	if err != nil {
		return err
	}
	h.renewed = began
	s.away.Store(false)
	h.compare(began.Add(time.Since(began)/2), there)
	if revision != h.revision {
		h.revision = revision
		s.news.add(func(n *store.News) { n.Changed = true })
	}
	return nil
}

// compare warns where the clock of this node isn't the server's, or wasn't at the
// start, from which on the engine has counted what passed.
func (h *heart) compare(here, there time.Time) {
	wall, counted := here.Round(0).Sub(there), h.began.Round(0).Add(here.Sub(h.began)).Sub(there)
	if max(wall.Abs(), counted.Abs()) <= apart {
		return
	}
	h.warnings.Do(func() {
		h.s.log.Warn("webhooks store: the clocks of this node and of the database server differ, so that deliveries come early, late or out of order, and events are removed early: have both set by NTP, and restart this node if its clock was set meanwhile",
			"store", h.s.name, "ahead", wall.Round(time.Millisecond), "ahead_at_the_start", counted.Round(time.Millisecond))
	})
}

// rejoin begins another session. Should the answer be lost, it is the same one
// that is begun next time.
func (h *heart) rejoin(ctx context.Context) error {
	s, began := h.s, time.Now()
	if h.next == 0 {
		h.next = rand.Int64()
	}
	done, err := s.pool.Exec(ctx, rejoin, h.next, s.lease, s.number)
	if err == nil && done.RowsAffected() == 0 {
		return errors.New("this node was away for so long that another one has its number: restart it")
	}
	if err != nil {
		return err
	}
	s.sessions.begin(h.next)
	h.next, h.renewed = 0, began
	s.away.Store(false)
	s.news.add(func(n *store.News) { n.Lost = true })
	s.log.Warn("webhooks store: this node was not heard of for as long as its lease, and others have taken what it held", "store", s.name, "lease", s.lease)
	return nil
}

// reap ends the sessions that lapsed at the last beat and still do. Their nodes
// have had the time of a beat to renew them, which they need when the server
// itself was away.
func (h *heart) reap(ctx context.Context) error {
	s := h.s
	lapsed, err := collect[int64](s.pool.Query(ctx, selectLapsed))
	if err != nil {
		return err
	}
	dead := slices.DeleteFunc(slices.Clone(lapsed), func(session int64) bool { return !slices.Contains(h.lapsed, session) })
	h.lapsed = lapsed
	if len(dead) > 0 {
		hosts, err := collect[string](s.pool.Query(ctx, endLapsed, dead))
		if err != nil {
			return err
		}
		for _, host := range hosts {
			s.log.Warn("webhooks store: a node is gone: the others take what it held", "host", host)
		}
		h.sweeping = true
	}
	if !h.sweeping && !h.thorough() {
		return nil
	}
	h.sweeping = true // also where it doesn't come to an end
	if err := s.sweep(ctx); err != nil {
		return err
	}
	h.sweeping = false
	return nil
}

// look tells of what waits and is held by nobody.
func (h *heart) look(ctx context.Context) error {
	rows, err := h.s.pool.Query(ctx, selectWaiting, h.s.sessions.current())
	waits, err := collectBacklogs(rows, err)
	if err == nil && len(waits) > 0 {
		h.s.news.wait(waits...)
	}
	return err
}
