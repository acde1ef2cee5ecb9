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
	// heldLimit bounds the payloads in all lanes together. One that is shared
	// by several deliveries counts for each.
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
	reserved  int                    // room promised to events that are being stored
	leaving   int                    // how many times deliveries are on their way back to the store
	running   int                    // attempts under way
	unsettled map[*store.Held]*taken // attempts whose outcome isn't told yet
	closed    bool                   // the subscription is deleted

	// The store has deliveries that are due. Until they are here, new ones go
	// behind them. asked grows whenever something is stored past the lane, so
	// that a claim that was under way meanwhile does not count as the last.
	backlog bool
	asked   uint64
	anew    map[store.ID]bool // queued anew since the last claim began
	flushes uint64            // how often everything was given back
	due     time.Time         // when the first of those that are not due yet will be, zero for none

	notBefore time.Time // the receiver is down or asked for a pause, or the rate is used up
	askedFor  time.Time // until when the receiver asked for it
	retry     time.Time // when what is first in the line of an ordered lane is to be tried again
	breaker   breaker
	pace      pace
	// The store is being told whether the receiver is down.
	remembering bool
	// For the status.
	lastSuccess, lastFailure time.Time
	lastError                string

	ready [standings]bool // in the dispatcher's queues; guarded by the dispatcher

	alarm alarm // guarded by the claimer
}

// taken is an attempt that was begun.
type taken struct {
	again bool      // another one is to follow it
	due   time.Time // when it was to be made, where it is made ahead of that
}

// active tells whether attempts may be made. The caller holds mu.
func (l *lane) active() bool { return !l.closed && l.target.Load().sub.Active }

// id is the subscription's. Of one that was deleted before the start only the
// key is known, which an id made by the API holds.
func (l *lane) id() string {
	if t := l.target.Load(); t != nil {
		return t.sub.ID
	}
	return l.key.With(store.SubscriptionPrefix)
}

// ordered tells whether the order of publishing is to be kept.
func (l *lane) ordered() bool { return l.target.Load().sub.Ordered }

// room is how many deliveries the lane may hold: few while its receiver is down
// or slow by its rate, none while it must keep still for long, so that others
// have the memory.
// The caller holds mu.
func (l *lane) room(now time.Time) int {
	switch {
	case l.rest().Sub(now) > longPause:
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
	if l.backlog || l.alone(l.target.Load().sub) || l.e.draining.Load() || !l.active() || l.queue.len()+l.reserved >= l.room(now) {
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
		unwanted = l.leave(h)
	} else {
		l.queue.push(h)
	}
	l.mu.Unlock()
	l.giveBack(unwanted)
	l.e.dispatch.kick(l)
}

// stored tells the lane that the store has a delivery for it, due then.
func (l *lane) stored(due time.Time) {
	now := l.e.now()
	l.mu.Lock()
	l.asked++
	if l.closed {
		due = now // for the claimer to bury
	}
	waits := false
	switch {
	case !due.After(now):
		l.backlog = true
		waits = l.queue.len() > laneLow // take asks for it
	case l.due.IsZero() || due.Before(l.due):
		l.due = due
	}
	l.mu.Unlock()
	if !waits {
		l.e.claims.schedule(l, due)
	}
}

// take returns the next delivery to attempt, and nil when there is none or it
// may not be attempted yet. The lane counts it as running until done.
func (l *lane) take() *store.Held {
	now := l.e.now()
	h, until := l.next(now)
	if !until.IsZero() {
		l.paused(until)
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
	if until := l.rest(); until.After(now) {
		return nil, until
	}
	if wait := l.rateUsedUp(now); wait > 0 {
		l.notBefore = now.Add(wait)
		return nil, l.notBefore
	}
	h := l.queue.pop()
	l.running++
	if l.unsettled == nil {
		l.unsettled = map[*store.Held]*taken{}
	}
	l.unsettled[h] = l.taking(h, now)
	if l.backlog && l.queue.len() == laneLow {
		l.e.claims.schedule(l, now)
	}
	return h, time.Time{}
}

// done ends an attempt that take began, and that took so long.
func (l *lane) done(size int, took time.Duration) {
	l.e.heldSize.Add(-int64(size))
	l.mu.Lock()
	l.running--
	l.pace.note(took, l.e.now())
	empty := l.queue.len() == 0 && l.backlog
	l.mu.Unlock()
	if empty {
		l.e.claims.schedule(l, l.e.now())
	}
}

// settled ends what take began, and tells whether the delivery was queued anew
// meanwhile.
func (l *lane) settled(h *store.Held) (again bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	again = l.unsettled[h].again
	delete(l.unsettled, h)
	return again
}

// brokenOff ends what take began with an attempt that doesn't count: the delivery
// goes back to the store.
func (l *lane) brokenOff(h *store.Held) {
	l.mu.Lock()
	delete(l.unsettled, h)
	l.mu.Unlock()
	l.e.background(func(context.Context) { // whoever drains doesn't wait for the store
		l.mu.Lock()
		hs := l.leave(h)
		l.mu.Unlock()
		l.giveBack(hs)
	})
	l.done(0, 0) // giveBack accounts for its size
}

// renew has another attempt follow one at the delivery that is under way, since it
// is about to be queued anew.
func (l *lane) renew(delivery store.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for h, t := range l.unsettled {
		if h.Delivery.ID == delivery {
			t.again = true
		}
	}
}

// renewed has the lane go by what is stored of a delivery that was queued anew: its
// schedule starts afresh. It may be anywhere by now: under way, in the lane, or in
// a claim that has read it before.
func (l *lane) renewed(delivery store.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for h, t := range l.unsettled {
		if h.Delivery.ID == delivery && h.Round != h.Attempts {
			t.again = true
		}
	}
	for _, h := range l.queue.all() {
		if h.Delivery.ID == delivery {
			h.Round = h.Attempts
		}
	}
	if l.anew == nil {
		l.anew = map[store.ID]bool{}
	}
	l.anew[delivery] = true
}

// limit is how many attempts may be under way. The caller holds mu.
func (l *lane) limit() int {
	if l.ordered() {
		return 1
	}
	return l.breaker.limit(l.target.Load().concurrency)
}

// wantsWorker tells the dispatcher whether one more attempt could start now, and
// among whom the lane counts.
func (l *lane) wantsWorker() (wants bool, as standing) {
	now := l.e.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	wants = l.queue.len() > 0 && l.running < l.limit() && l.active() && !l.rest().After(now) && !l.e.draining.Load()
	return wants, l.standing(now)
}

// look is what the claimer does when the lane's alarm goes off: it tells how
// many deliveries to claim, with a ticket to give back to fill. If none, again
// is when to look the next time. Where memory is tight, only a lane that has
// nothing may claim.
func (l *lane) look(tight bool) (n int, t ticket, again time.Time) {
	now := l.e.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.anew = nil // what is claimed from here on is as it is stored
	switch {
	case !l.active() || l.e.draining.Load():
		return 0, t, time.Time{}
	case l.rest().After(now):
		return 0, t, l.rest()
	case !l.backlog && (l.due.IsZero() || l.due.After(now)):
		return l.lookAhead(now)
	}
	n = l.room(now) - l.queue.len() - l.reserved
	if l.ordered() && l.reserved+l.leaving > 0 {
		n = 0 // they are older than what the store has
	}
	if n <= 0 {
		l.backlog = true // it asks again when it has room
		return 0, t, time.Time{}
	}
	if tight && l.queue.len()+l.reserved > 0 {
		return 0, t, now.Add(hungryPause)
	}
	return n, l.ticket(), time.Time{}
}

// ticket tells what has happened to a lane while its claim was under way.
type ticket struct {
	asked, flushes uint64
	ahead          bool        // what isn't due yet is claimed,
	after          store.Place // behind there
}

func (l *lane) ticket() ticket { return ticket{asked: l.asked, flushes: l.flushes} }

// fill takes what was claimed as due at that time, which is not now: what has
// come up since is for the next claim. again is when to ask once more where there
// was nothing of what is due.
func (l *lane) fill(c store.Claimed, t ticket, claimed time.Time, again time.Duration) {
	l.e.heldSize.Add(int64(payloads(c.Deliveries)))
	l.mu.Lock()
	if !l.active() || l.flushes != t.flushes {
		hs := l.leave(c.Deliveries...)
		l.mu.Unlock()
		l.giveBack(hs)
		l.e.claims.schedule(l, claimed) // for what it has left behind
		return
	}
	for _, h := range c.Deliveries {
		if l.anew[h.Delivery.ID] {
			h.Round = h.Attempts
		}
		l.queue.push(h)
	}
	more := !c.Next.IsZero() && !c.Next.After(claimed)
	switch {
	case l.asked == t.asked:
		l.backlog, l.due = more, time.Time{}
		if !more {
			l.due = c.Next
		}
	case more:
		l.backlog = true
	case !c.Next.IsZero() && (l.due.IsZero() || c.Next.Before(l.due)):
		l.due = c.Next
	}
	if t.ahead {
		l.wentAhead(c.Deliveries, t.after)
	}
	next := l.breaker.sooner(c.Next)
	hungry := l.backlog && l.queue.len() <= laneLow
	l.mu.Unlock()
	switch {
	case hungry && len(c.Deliveries) == 0 && more:
		l.e.claims.schedule(l, l.e.now().Add(again))
	case hungry:
		l.e.claims.schedule(l, claimed)
	case !more && !c.Next.IsZero():
		l.e.claims.schedule(l, next)
	}
	l.e.dispatch.kick(l)
}

// payloads is how many bytes they have, shared ones for each.
func payloads(hs []*store.Held) (size int) {
	for _, h := range hs {
		size += len(h.Payload)
	}
	return size
}

// flush gives back what the lane has, in order that it comes again later, in
// its order.
func (l *lane) flush() {
	l.mu.Lock()
	l.backlog = true
	l.asked++
	l.flushes++
	hs := l.leave(l.queue.popAll()...)
	l.mu.Unlock()
	l.giveBack(hs)
}

// leave begins what giveBack ends. From here on an ordered lane claims nothing: it
// would get what comes behind them. The caller holds mu.
func (l *lane) leave(hs ...*store.Held) []*store.Held {
	if len(hs) > 0 {
		l.leaving++
	}
	return hs
}

// giveBack returns deliveries that leave the lane to the store, unattempted.
func (l *lane) giveBack(hs []*store.Held) {
	if len(hs) == 0 {
		return
	}
	ids := make([]store.ID, len(hs))
	for i, h := range hs {
		ids[i] = h.Delivery.ID
	}
	l.e.heldSize.Add(-int64(payloads(hs)))
	if err := l.e.store.Release(context.WithoutCancel(l.e.life), ids); err != nil {
		l.e.config.Load().Logger.Error("giving deliveries back to the store: they are attempted after a restart", "error", err)
	}
	l.mu.Lock()
	l.leaving--
	l.mu.Unlock()
	l.stored(l.e.now())
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
