package outbound

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

const (
	// laneRoom is how many deliveries a lane holds; beyond them they stay in
	// the store until it has room.
	laneRoom = 4096
	// laneLow is when a lane with a backlog asks for more.
	laneLow = laneRoom / 4
	// heldLimit bounds what the deliveries in all lanes together weigh.
	heldLimit = 48 << 20
	// longPause is for how long a lane that must keep still keeps what it has.
	longPause = time.Second
)

// lane is what is ready for one subscription, and how fast it may go. A lane
// never waits for another.
type lane struct {
	e      *Engine
	key    store.ID
	target atomic.Pointer[target]

	mu        sync.Mutex
	queue     fifo[*store.Held]
	reserved  int                               // room promised to events that are being stored
	releasing int                               // how many times deliveries are on their way back to the store
	running   int                               // attempts under way
	unsettled map[*store.Held]*unsettledAttempt // attempts whose outcome isn't told yet
	closed    bool                              // the subscription is deleted

	// The store has deliveries that are due. Until they are here, new ones go
	// behind them. asked grows whenever something is stored past the lane, so
	// that a claim that was under way meanwhile does not count as the last.
	backlog   bool
	storedSeq uint64
	requeued  map[store.ID]bool // queued anew since the last claim began
	flushSeq  uint64            // how often everything was given back
	nextDue   time.Time         // when the first of those that are not due yet will be, zero for none

	notBefore  time.Time // the receiver is down or asked for a pause, or the rate is used up
	askedUntil time.Time // until when the receiver asked for it
	headDue    time.Time // when what is first in the line of an ordered lane is to be tried again
	breaker    breaker
	pace       pace
	// The store is being told whether the receiver is down.
	persisting bool
	// For the status.
	lastSuccess, lastFailure time.Time
	lastError                string

	queued [tiers]bool // in the dispatcher's queues; guarded by the dispatcher

	alarm alarm // guarded by the claimer
}

// active tells whether attempts may be made. The caller holds mu.
func (l *lane) active() bool { return !l.closed && l.target.Load().sub.Active }

// ordered tells whether the order of publishing is to be kept.
func (l *lane) ordered() bool { return l.target.Load().sub.Ordered }

// room is how many deliveries the lane may hold: few while its receiver is down
// or slow by its rate, none while it must keep still for long, so that others
// have the memory.
// The caller holds mu.
func (l *lane) room(now time.Time) int {
	switch {
	case l.pausedUntil().Sub(now) > longPause:
		return 0
	case l.breaker.down():
		return downRoom
	}
	if limiter := l.target.Load().limiter; limiter != nil {
		return min(laneRoom, int(4*limiter.Limit())+1) // for four seconds
	}
	return laneRoom
}

// reserve promises room for a delivery that is about to be stored. Without
// it, the delivery is to be claimed from the store when there is room.
func (l *lane) reserve(size int) bool {
	now := l.e.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.backlog || l.exclusive(l.target.Load().sub) || l.e.draining.Load() || !l.active() || l.queue.len()+l.reserved >= l.room(now) {
		l.backlog = true
		return false
	}
	if l.e.heldSize.Add(int64(size)) > heldLimit && l.queue.len()+l.reserved > 0 {
		l.e.heldSize.Add(-int64(size))
		l.backlog = true
		return false
	}
	l.reserved++
	return true
}

func (l *lane) unreserve(size int) {
	l.e.heldSize.Add(-int64(size))
	l.mu.Lock()
	l.reserved--
	asks := l.backlog
	l.mu.Unlock()
	if asks {
		l.e.claims.schedule(l, l.e.now()) // there may have been no room but for this
	}
}

// push hands over a delivery for which there was a reservation.
func (l *lane) push(h *store.Held) {
	now := l.e.now()
	l.mu.Lock()
	l.reserved--
	var unwanted []*store.Held
	if !l.active() || l.backlog && l.ordered() || l.room(now) == 0 {
		unwanted = l.startRelease(h)
	} else {
		l.queue.push(h)
	}
	l.mu.Unlock()
	l.release(unwanted)
	l.e.dispatch.kick(l)
}

// take returns the next delivery to attempt, and nil when there is none or it
// may not be attempted yet. The lane counts it as running until done.
func (l *lane) take() *store.Held {
	now := l.e.now()
	h, until := l.next(now)
	if !until.IsZero() {
		l.startPause(until)
	}
	return h
}

// next keeps the lane still where it must wait, and tells until when.
func (l *lane) next(now time.Time) (*store.Held, time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.queue.len() == 0 || l.running >= l.limit() || !l.active() || l.e.draining.Load() {
		return nil, time.Time{}
	}
	if until := l.pausedUntil(); until.After(now) {
		return nil, until
	}
	if wait := l.rateDelay(now); wait > 0 {
		l.notBefore = now.Add(wait)
		return nil, l.notBefore
	}
	h := l.queue.pop()
	l.running++
	if l.unsettled == nil {
		l.unsettled = map[*store.Held]*unsettledAttempt{}
	}
	l.unsettled[h] = l.newUnsettled(h, now)
	if l.backlog && l.queue.len() == laneLow {
		l.e.claims.schedule(l, now)
	}
	return h, time.Time{}
}

// attemptDone ends an attempt that take began, and that took so long.
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

// limit is how many attempts may be under way. The caller holds mu.
func (l *lane) limit() int {
	if l.ordered() {
		return 1
	}
	return l.breaker.limit(l.target.Load().concurrency)
}

// runnable tells the dispatcher whether one more attempt could start now, and
// among whom the lane counts.
func (l *lane) runnable() (wants bool, as tier) {
	now := l.e.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	wants = l.queue.len() > 0 && l.running < l.limit() && l.active() && !l.pausedUntil().After(now) && !l.e.draining.Load()
	return wants, l.tier(now)
}

// flush gives back what the lane has, in order that it comes again later, in
// its order.
func (l *lane) flush() {
	l.mu.Lock()
	l.backlog = true
	l.storedSeq++
	l.flushSeq++
	hs := l.startRelease(l.queue.popAll()...)
	l.mu.Unlock()
	l.release(hs)
}

// startRelease begins what giveBack ends. From here on an ordered lane claims nothing: it
// would get what comes behind them. The caller holds mu.
func (l *lane) startRelease(hs ...*store.Held) []*store.Held {
	if len(hs) > 0 {
		l.releasing++
	}
	return hs
}

// release returns deliveries that leave the lane to the store, unattempted.
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
		l.e.config.Load().Logger.Error("giving deliveries back to the store: they are attempted after a restart", "error", err)
	}
	l.mu.Lock()
	l.releasing--
	l.mu.Unlock()
	l.noteStored(l.e.now())
}

// close ends the lane of a deleted subscription. From now on the claimer buries
// what the store has for it, whenever there is something new.
func (l *lane) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.flush()
	l.e.claims.schedule(l, l.e.now())
}

// isClosed tells whether the subscription was deleted.
func (l *lane) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}
