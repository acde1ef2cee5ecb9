package outbound

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

const (
	// laneRoom is how many deliveries a lane holds. Any more stay in the store
	// until there is room.
	laneRoom = 4096
	// laneLow is how few deliveries a lane must hold before it claims more of a
	// backlog.
	laneLow = laneRoom / 4
	// heldLimit bounds the weight of the deliveries in all lanes together.
	heldLimit = 48 << 20
	// longPause is how long a lane may pause and still keep its deliveries in
	// memory.
	longPause = time.Second
)

// lane holds the deliveries of one subscription that are ready to be attempted, and
// decides how fast they go. Lanes never wait for each other.
type lane struct {
	e      *Engine
	key    store.ID
	target atomic.Pointer[target]

	mu        sync.Mutex
	queue     fifo[*store.Held]
	reserved  int                               // room reserved for events that are being stored
	releasing int                               // releases to the store that are under way
	running   int                               // attempts under way
	unsettled map[*store.Held]*unsettledAttempt // attempts whose outcome isn't stored yet
	closed    bool                              // the subscription is deleted

	// backlog is set while the store has deliveries that are due. New ones then
	// queue up behind them, in the store.
	backlog   bool
	storedSeq uint64            // counts deliveries stored for the lane that it doesn't hold; see ticket
	requeued  map[store.ID]bool // deliveries requeued by hand since the last claim began
	flushSeq  uint64            // counts calls of flush; see ticket
	nextDue   time.Time         // when the first delivery in the store that isn't due yet will be; zero if there is none

	notBefore  time.Time // end of the pause while the receiver is down, asked for it, or the rate limit is used up
	askedUntil time.Time // end of the pause that the receiver asked for
	head       store.ID  // the delivery that an ordered lane retries before any other
	headDue    time.Time // when that is; zero if none is
	breaker    breaker
	pace       pace
	limiter    *rate.Limiter // nil before the first attempt with a limit; see rateDelay
	// persisting is set while the store is being told whether the receiver is down.
	persisting bool
	// These are for Status.
	lastSuccess, lastFailure time.Time
	lastError                string

	queued [tiers]bool // which of the dispatcher's queues it is in; guarded by the dispatcher

	alarm alarm // guarded by the claimer
}

// sub returns the subscription as it is now.
func (l *lane) sub() *store.Subscription { return l.target.Load().sub }

// active reports whether attempts may be made. The caller holds mu.
func (l *lane) active() bool { return !l.closed && l.sub().Active }

// ordered reports whether deliveries keep the order in which events were published.
func (l *lane) ordered() bool { return l.sub().Ordered }

// room returns how many deliveries the lane may hold: few while its receiver is
// down or its rate limit is low, none during a long pause, so that other lanes get
// the memory. The caller holds mu.
func (l *lane) room(now time.Time) int {
	switch {
	case l.pausedUntil().Sub(now) > longPause:
		return 0
	case l.breaker.down():
		return downRoom
	}
	return int(min(laneRoom, 4*l.target.Load().rate()+1)) // what it can send in four seconds
}

// reserve reserves room for a delivery of that size that is about to be stored. If
// it returns false, the delivery isn't held, but claimed from the store later.
func (l *lane) reserve(size int) bool {
	now := l.e.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	held := l.queue.len() + l.reserved
	fits := !l.backlog && !l.exclusive(l.sub()) && !l.e.draining.Load() && l.active() && held < l.room(now)
	if fits && l.e.heldSize.Add(int64(size)) > heldLimit && held > 0 {
		l.e.heldSize.Add(-int64(size))
		fits = false
	}
	if !fits {
		l.backlog = true
		return false
	}
	l.reserved++
	return true
}

// unreserve gives back a reservation that isn't used.
func (l *lane) unreserve(size int) {
	l.e.heldSize.Add(-int64(size))
	l.mu.Lock()
	l.reserved--
	backlog := l.backlog
	l.mu.Unlock()
	if backlog {
		l.e.claims.schedule(l, l.e.now()) // the reservation may be what left no room for a claim
	}
}

// push adds a delivery for which room was reserved.
func (l *lane) push(h *store.Held) {
	now := l.e.now()
	l.mu.Lock()
	l.reserved--
	var released []*store.Held
	if !l.active() || l.backlog && l.ordered() || l.room(now) == 0 {
		released = l.startRelease(h)
	} else {
		l.queue.push(h)
	}
	l.mu.Unlock()
	l.release(released)
	l.e.dispatch.kick(l)
}

// take removes the next delivery to attempt from the queue. It returns nil if there
// is none, or none may be attempted yet. The lane counts it as running until
// attemptDone is called.
func (l *lane) take() *store.Held {
	h, paused := l.next()
	if paused {
		l.startPause()
	}
	return h
}

// next is take, but only returns whether the lane must pause.
func (l *lane) next() (h *store.Held, paused bool) {
	now := l.e.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ready() {
		return nil, false
	}
	if l.pausedUntil().After(now) {
		return nil, true
	}
	if wait := l.rateDelay(now); wait > 0 {
		l.notBefore = now.Add(wait)
		return nil, true
	}
	h = l.queue.pop()
	l.running++
	l.addUnsettled(h, now)
	if l.backlog && l.queue.len() == laneLow {
		l.e.claims.schedule(l, now)
	}
	return h, false
}

// attemptDone ends an attempt begun by take, at a delivery of that size. took is
// how long it lasted.
func (l *lane) attemptDone(size int, took time.Duration) {
	l.e.heldSize.Add(-int64(size))
	l.mu.Lock()
	l.running--
	l.pace.record(took, l.e.now())
	empty := l.queue.len() == 0 && l.backlog
	l.mu.Unlock()
	if empty {
		l.e.claims.schedule(l, l.e.now())
	}
}

// limit returns how many attempts may be under way at once: only one while it isn't
// known at which rate the receiver permits them. The caller holds mu.
func (l *lane) limit() int {
	t := l.target.Load()
	if t.sub.Ordered || t.permission != nil && !t.permission.given(l.e.clock.Now()) {
		return 1
	}
	return l.breaker.limit(t.concurrency)
}

// ready reports whether an attempt can start unless the lane is paused. The caller holds
// mu.
func (l *lane) ready() bool {
	return l.queue.len() > 0 && l.running < l.limit() && l.active() && !l.e.draining.Load()
}

// runnable reports whether an attempt can start now, and the lane's tier.
func (l *lane) runnable() (wants bool, as tier) {
	now := l.e.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ready() && !l.pausedUntil().After(now), l.tier(now)
}

// flush releases all queued deliveries to the store. They are claimed again later,
// in the same order.
func (l *lane) flush() {
	l.mu.Lock()
	hs := l.startRelease(l.takeAll()...)
	l.mu.Unlock()
	l.release(hs)
}

// takeAll empties the queue for a release. The caller holds mu.
func (l *lane) takeAll() []*store.Held {
	l.backlog = true
	l.flushSeq++
	return l.queue.popAll()
}

// startRelease begins what release completes. In between, an ordered lane claims
// nothing, because it would get later deliveries first. The caller holds mu.
func (l *lane) startRelease(hs ...*store.Held) []*store.Held {
	if len(hs) > 0 {
		l.releasing++
	}
	return hs
}

// release returns deliveries to the store without an attempt.
func (l *lane) release(hs []*store.Held) {
	if len(hs) == 0 {
		return
	}
	ids := make([]store.ID, len(hs))
	for i, h := range hs {
		ids[i] = h.Delivery.ID
	}
	l.e.heldSize.Add(-int64(totalWeight(hs)))
	if err := l.e.store.Release(context.WithoutCancel(l.e.life), ids); err != nil {
		l.e.logger().Error("releasing deliveries to the store: they are only attempted after a restart", "error", err)
	}
	l.mu.Lock()
	l.releasing--
	l.mu.Unlock()
	l.noteStored(l.e.now())
}

// close ends the lane of a deleted subscription. From now on the claimer makes dead
// letters of whatever the store has for it.
func (l *lane) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.flush()
	l.e.claims.schedule(l, l.e.now())
}

// isClosed reports whether the subscription was deleted.
func (l *lane) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}
