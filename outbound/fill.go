package outbound

import (
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// How a lane gets what the store has for it: it is told that there is something, the
// claimer looks how much it wants, and fills it.

// noteStored tells the lane that the store has a delivery for it, due then.
func (l *lane) noteStored(due time.Time) {
	now := l.e.now()
	l.mu.Lock()
	l.storedSeq++
	if l.closed {
		due = now // for the claimer to bury
	}
	waits := false
	switch {
	case !due.After(now):
		l.backlog = true
		waits = l.queue.len() > laneLow // take asks for it
	case l.nextDue.IsZero() || due.Before(l.nextDue):
		l.nextDue = due
	}
	l.mu.Unlock()
	if !waits {
		l.e.claims.schedule(l, due)
	}
}

// claimSize is what the claimer does when the lane's alarm goes off: it tells how
// many deliveries to claim, with a ticket to give back to fill. If none, again
// is when to look the next time. Where memory is tight, only a lane that has
// nothing may claim.
func (l *lane) claimSize(tight bool) (n int, t ticket, again time.Time) {
	now := l.e.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requeued = nil // what is claimed from here on is as it is stored
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
		n = 0 // they are older than what the store has
	}
	if n <= 0 {
		l.backlog = true // it asks again when it has room
		return 0, t, time.Time{}
	}
	if tight && l.queue.len()+l.reserved > 0 {
		return 0, t, now.Add(memoryPause)
	}
	return n, l.ticket(), time.Time{}
}

// ticket tells what has happened to a lane while its claim was under way.
type ticket struct {
	storedSeq, flushSeq uint64
	ahead               bool        // what isn't due yet is claimed,
	after               store.Place // behind there
}

func (l *lane) ticket() ticket { return ticket{storedSeq: l.storedSeq, flushSeq: l.flushSeq} }

// fill takes what was claimed as due at that time, which is not now: what has
// come up since is for the next claim. again is when to ask once more where there
// was nothing of what is due.
func (l *lane) fill(c store.Claimed, t ticket, claimed time.Time, again time.Duration) {
	l.e.heldSize.Add(int64(totalWeight(c.Deliveries)))
	l.mu.Lock()
	if !l.active() || l.flushSeq != t.flushSeq {
		hs := l.startRelease(c.Deliveries...)
		l.mu.Unlock()
		l.release(hs)
		l.e.claims.schedule(l, claimed) // for what it has left behind
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
	case !c.Next.IsZero() && (l.nextDue.IsZero() || c.Next.Before(l.nextDue)):
		l.nextDue = c.Next
	}
	if t.ahead {
		l.claimedAhead(c.Deliveries, t.after)
	}
	next := l.breaker.aheadOr(c.Next)
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

// weight is about how many bytes a delivery takes in a lane, its event counted though
// others share it. Where payloads are small, the rest is what counts.
func weight(ev *store.Event) int { return ev.Size() + 512 }

// totalWeight is the weight of them all.
func totalWeight(hs []*store.Held) (size int) {
	for _, h := range hs {
		size += weight(h.Event)
	}
	return size
}
