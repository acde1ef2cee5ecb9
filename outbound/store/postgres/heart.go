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
	// thoroughEvery is how many beats there are to one that also looks for deliveries
	// held by no session, and for those that only the database says we hold.
	thoroughEvery = 12
	// apart is how far a node's clock may differ from the server's without a warning.
	apart = 5 * time.Second
)

const (
	rejoin = `UPDATE webhooks.node SET session = $1, until = clock_timestamp() + $2::interval
		WHERE number = $3 AND (session IS NULL OR session = $1)`
	renew = `UPDATE webhooks.node SET until = clock_timestamp() + $1::interval
		WHERE number = $2 AND session = $3 RETURNING (SELECT n FROM webhooks.revision), clock_timestamp()`
	selectLapsed = `SELECT session FROM webhooks.node WHERE session IS NOT NULL AND until < clock_timestamp()`
	endLapsed    = `UPDATE webhooks.node SET session = NULL WHERE session = ANY($1) AND until < clock_timestamp() RETURNING lpad(to_hex(number::int), 2, '0') || ' ' || host`

	// selectWaiting selects the backlogs that this node may deliver.
	selectWaiting = waiting + ` SELECT w.subscription, w.due FROM w LEFT JOIN webhooks.subscription s ON s.key = w.subscription
		WHERE s.key IS NULL OR s.owner IS NULL OR s.owner = $1 OR NOT ` + exclusive
)

// runHeart runs the heart of the node until ctx is done.
func (s *Store) runHeart(ctx context.Context) {
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
				s.log.Warn("webhooks store: can't renew this node's lease or hear of the other nodes; trying again", "error", s.fail("renewing the lease", err))
			})
		}
	}
}

// heart does what a node must do regularly, at each beat.
type heart struct {
	s        *Store
	began    time.Time
	renewed  time.Time      // when the last renewal that succeeded was sent
	next     int64          // the new session to begin, 0 if none is needed
	revision int64          // the last one seen, see change
	lapsed   []int64        // sessions whose lease had lapsed at the last beat
	sweeping bool           // not everything that ended sessions held has been released
	unknown  []int64        // deliveries that only the database says we hold, at the last beat
	count    int            // of beats
	warnings rate.Sometimes // about the clock
}

// thorough reports whether this beat is one of the thorough ones.
func (h *heart) thorough() bool { return h.count%thoroughEvery == 0 }

// beat does all parts of a beat. Its error is that of the first part that failed.
func (h *heart) beat(ctx context.Context) error {
	h.count++
	err := h.within(ctx, h.renew)
	if err != nil && time.Since(h.renewed) > h.s.lease && !h.s.lapsed.Swap(true) {
		// Others take what this node holds, so it must not attempt that any more.
		h.s.news.add(func(n *store.News) { n.Lost = true })
	}
	return cmp.Or(err, h.within(ctx, h.reap), h.within(ctx, h.tidy), h.within(ctx, h.look)) // they fail for the same reason
}

// within limits the time of a part of a beat, so that the next beat is on time.
func (h *heart) within(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, max(h.s.lease/beats/2, time.Second))
	defer cancel()
	return f(ctx)
}

// renew renews the lease of the session, or begins a new session if others have
// ended it.
func (h *heart) renew(ctx context.Context) error {
	s, began := h.s, time.Now()
	var revision int64
	var serverTime time.Time
	err := s.pool.QueryRow(ctx, renew, s.lease, s.number, s.sessions.current()).Scan(&revision, &serverTime)
	if errors.Is(err, pgx.ErrNoRows) {
		return h.rejoin(ctx)
	}
	if err != nil {
		return err
	}
	h.renewed = began
	s.lapsed.Store(false)
	h.checkClock(began.Add(time.Since(began)/2), serverTime)
	if revision != h.revision {
		h.revision = revision
		s.news.add(func(n *store.News) { n.Changed = true })
	}
	return nil
}

// checkClock warns if this node's clock differs from the server's, or did at the
// start: the engine reads the wall clock once and then counts the time that has
// passed.
func (h *heart) checkClock(here, server time.Time) {
	wall, counted := here.Round(0).Sub(server), h.began.Round(0).Add(here.Sub(h.began)).Sub(server)
	if max(wall.Abs(), counted.Abs()) <= apart {
		return
	}
	h.warnings.Do(func() {
		h.s.log.Warn("webhooks store: the clocks of this node and of the database server differ, so that deliveries may come early, late or out of order, and events may be removed early: synchronise both by NTP, and restart this node if its clock was set while it ran",
			"store", h.s.name, "ahead", wall.Round(time.Millisecond), "ahead_at_the_start", counted.Round(time.Millisecond))
	})
}

// rejoin begins a new session. If the answer is lost, the next call begins the same
// one.
func (h *heart) rejoin(ctx context.Context) error {
	s, began := h.s, time.Now()
	if h.next == 0 {
		h.next = rand.Int64()
	}
	done, err := s.pool.Exec(ctx, rejoin, h.next, s.lease, s.number)
	if err == nil && done.RowsAffected() == 0 {
		return errors.New("this node could not renew its lease for so long that another one has taken its number: restart it")
	}
	if err != nil {
		return err
	}
	s.sessions.begin(h.next)
	h.next, h.renewed = 0, began
	s.lapsed.Store(false)
	s.news.add(func(n *store.News) { n.Lost = true })
	s.log.Warn("webhooks store: this node could not renew its lease in time, and others have taken what it held", "store", s.name, "lease", s.lease)
	return nil
}

// reap ends the sessions whose lease had lapsed at the last beat and still has. When
// the server itself was down, all have lapsed, and their nodes need the time of a
// beat to renew them.
func (h *heart) reap(ctx context.Context) error {
	s := h.s
	lapsed, err := collect[int64](s.pool.Query(ctx, selectLapsed))
	if err != nil {
		return err
	}
	dead := slices.DeleteFunc(slices.Clone(lapsed), func(session int64) bool { return !slices.Contains(h.lapsed, session) })
	h.lapsed = lapsed
	if len(dead) > 0 {
		nodes, err := collect[string](s.pool.Query(ctx, endLapsed, dead))
		if err != nil {
			return err
		}
		for _, node := range nodes { // by its number and host, as in status
			s.log.Warn("webhooks store: a node's lease has lapsed, and the other nodes take what it held", "node", node)
		}
		h.sweeping = true
	}
	if !h.sweeping && !h.thorough() {
		return nil
	}
	h.sweeping = true // so that the next beat continues if this one fails
	if err := s.sweep(ctx); err != nil {
		return err
	}
	h.sweeping = false
	return nil
}

// look adds the deliveries that wait, and that nobody holds, to the news.
func (h *heart) look(ctx context.Context) error {
	rows, err := h.s.pool.Query(ctx, selectWaiting, h.s.sessions.current())
	waits, err := collectBacklogs(rows, err)
	if err == nil && len(waits) > 0 {
		h.s.news.wait(waits...)
	}
	return err
}
