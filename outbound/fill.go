package outbound

import (
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// How a lane gets deliveries from the store: noteStored tells it that there are
// some, the claimer asks claimSize how many to claim, and fill adds them.

// noteStored tells the lane that the store has a delivery for it that is due then.
func (l *lane) noteStored(due time.Time) {
	now := l.e.now()
	l.mu.Lock()
	l.storedSeq++
	if l.closed {
		due = now // so that the claimer makes a dead letter of it
	}
	enough := false
	if due.After(now) {
		l.nextDue = earlier(l.nextDue, due)
		due = earlier(due, l.breaker.aheadAt)
	} else {
		l.backlog = true
		enough = l.queue.len() > laneLow // take schedules a claim when the queue runs low
	}
	l.mu.Unlock()
	if !enough {
		l.e.claims.schedule(l, due)
	}
}

// claimSize returns how many deliveries to claim, with a ticket to pass to fill. If
// there are none, again is when to ask the next time; zero if noteStored or another
// event will schedule it. When memory is tight, only an empty lane may claim.
func (l *lane) claimSize(tight bool) (n int, t ticket, again time.Time) {
	now := l.e.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requeued = nil // claims from here on read what Requeue has stored
	switch {
	case !l.active() || l.e.draining.Load():
		return 0, t, time.Time{}
	case l.pausedUntil().After(now):
		return 0, t, l.pausedUntil()
	case !l.backlog && (l.nextDue.IsZero() || l.nextDue.After(now)):
		return l.claimSizeAhead(now)
	}
	n = l.room(now) - l.queue.len() - l.reserved
	if l.ordered() && l.reserved+l.releasing > 0 {
		n = 0 // these come before what the store has
	}
	if n <= 0 {
		l.backlog = true // a claim is scheduled when it has room
		return 0, t, time.Time{}
	}
	if tight && l.queue.len()+l.reserved > 0 {
		return 0, t, now.Add(memoryPause)
	}
	return n, l.ticket(), time.Time{}
}

// ticket records the state of a lane when a claim begins, so that fill can tell
// what has changed since: whether more was stored, in which case the claim doesn't
// tell when the next delivery is due, and whether the lane was flushed.
type ticket struct {
	storedSeq, flushSeq uint64
	ahead               bool        // the claim is ahead of schedule
	after               store.Place // and starts after this place
	starts              int         // aheadStarts of the breaker
}

// ticket returns the lane's present state. The caller holds mu.
func (l *lane) ticket() ticket { return ticket{storedSeq: l.storedSeq, flushSeq: l.flushSeq} }

// fill adds the deliveries of a claim that was made at the time claimed. Anything
// due since then is for the next claim. again is how long to wait before claiming
// again if the claim returned nothing although something is due.
func (l *lane) fill(c store.Claimed, t ticket, claimed time.Time, again time.Duration) {
	l.e.heldSize.Add(int64(totalWeight(c.Deliveries)))
	l.mu.Lock()
	if !l.active() || l.flushSeq != t.flushSeq {
		hs := l.startRelease(c.Deliveries...)
		l.mu.Unlock()
		l.release(hs)
		l.e.claims.schedule(l, claimed) // for the rest
		return
	}
	for _, h := range c.Deliveries {
		if l.requeued[h.Delivery.ID] {
			h.Round = h.Attempts
		}
		l.queue.push(h)
	}
	more := !c.Next.IsZero() && !c.Next.After(claimed)
	switch {
	case l.storedSeq == t.storedSeq:
		l.backlog, l.nextDue = more, time.Time{}
		if !more {
			l.nextDue = c.Next
		}
	case more:
		l.backlog = true
	default:
		l.nextDue = earlier(l.nextDue, c.Next)
	}
	if t.ahead {
		l.claimedAhead(c.Deliveries, t)
	}
	next := earlier(c.Next, l.breaker.aheadAt)
	low := l.backlog && l.queue.len() <= laneLow
	l.mu.Unlock()
	switch {
	case low && len(c.Deliveries) == 0 && more:
		l.e.claims.schedule(l, l.e.now().Add(again))
	case low:
		l.e.claims.schedule(l, claimed)
	case !more && !c.Next.IsZero():
		l.e.claims.schedule(l, next)
	}
	l.e.dispatch.kick(l)
}

// weight returns roughly how many bytes a delivery takes in a lane. The event is
// counted in full although deliveries share it; the constant is for the rest, which
// dominates if payloads are small.
func weight(ev *store.Event) int { return ev.Size() + 512 }

// totalWeight returns the sum of their weights.
func totalWeight(hs []*store.Held) (size int) {
	for _, h := range hs {
		size += weight(h.Event)
	}
	return size
}
