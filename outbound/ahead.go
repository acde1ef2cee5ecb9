package outbound

import (
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// The delays of a schedule soon exceed the length of most outages. To deliver
// promptly after a receiver has recovered, one delivery at a time is attempted
// ahead of schedule while it fails; after a success the others follow, each once.
// These attempts don't advance the schedules. The breaker decides when they are
// made.

// aheadAfterFailure plans the next attempt ahead of schedule after a failure. As
// long as the receiver fails, it comes later each time: by half of how long the
// failures have lasted, and no earlier than the first retry of a delivery that has
// just failed. If only attempts ahead of schedule have failed, the cause may be the
// event, and the next one is tried.
func (b *breaker) aheadAfterFailure(now time.Time, first time.Duration, round int) {
	b.aheadMisses++
	switch {
	case b.restartedSince(round, now):
	case !b.since.IsZero():
		b.aheadAt = now.Add(jitter(first + max(first, now.Sub(b.since))/2))
	case b.aheadMisses <= maxAheadMisses:
		b.aheadAt = now
	default:
		b.aheadAt = time.Time{}
	}
}

// restartedSince reports whether something has been planned for now since an attempt began,
// which was in that round. It stays then: how the attempt has ended says nothing about the
// reason, such as a change of the subscription.
func (b *breaker) restartedSince(round int, now time.Time) bool {
	return round != b.aheadRound && !b.aheadAt.IsZero() && !b.aheadAt.After(now)
}

// aheadAfterSuccess plans attempts ahead of schedule after a success: if the
// attempt was one itself, or it ends an outage. A few failures between successes
// are no outage; without that condition, an event that always fails would be
// attempted after each of them. What is planned for now stays: something else than a
// failure is the reason, such as a change of the subscription.
func (b *breaker) aheadAfterSuccess(now time.Time, first time.Duration, early bool) {
	failed := !b.since.IsZero()
	b.aheadMisses = 0
	switch {
	case failed && (early || b.down() || now.Sub(b.since) >= first/2):
		b.restartAhead(now) // including what was attempted during the outage
	case early:
		b.aheadAt = now
	case failed && b.aheadAt.After(now):
		b.aheadAt = time.Time{}
	}
}

// restartAhead plans attempts ahead of schedule from t on, in a new round.
func (b *breaker) restartAhead(t time.Time) {
	b.rewindAhead(t)
	b.aheadRound++
}

// rewindAhead plans attempts ahead of schedule from t on, starting with the first
// delivery again.
func (b *breaker) rewindAhead(t time.Time) {
	b.aheadAt, b.aheadCursor = t, store.Place{}
	b.aheadStarts++
}

// scheduleAhead has something that waits for a retry attempted at t, ahead of
// schedule.
func (l *lane) scheduleAhead(t time.Time) {
	l.mu.Lock()
	l.breaker.restartAhead(t)
	l.mu.Unlock()
	l.e.claims.schedule(l, t)
}

// scheduleNextAhead plans another attempt ahead of schedule after one whose outcome
// says nothing about the receiver.
func (l *lane) scheduleNextAhead(first time.Duration, round int) {
	now := l.e.now()
	l.mu.Lock()
	if !l.breaker.restartedSince(round, now) {
		l.breaker.aheadAt = now.Add(jitter(first)) // not at once, since all that wait may be like it
	}
	next := l.breaker.aheadAt
	l.mu.Unlock()
	l.e.claims.schedule(l, next)
}

// claimSizeAhead is claimSize when nothing is due. It allows one delivery to be
// claimed ahead of schedule, or, once the receiver is back, as many as may be
// attempted at once. An ordered lane never does: its first delivery counts as due.
// The caller holds mu.
func (l *lane) claimSizeAhead(now time.Time) (n int, t ticket, again time.Time) {
	switch {
	case l.nextDue.IsZero():
		if len(l.unsettled)+l.queue.len()+l.releasing == 0 {
			l.headDue, l.breaker.aheadAt = time.Time{}, time.Time{} // nothing waits for a retry
		}
		return 0, t, time.Time{}
	case l.ordered() || l.breaker.aheadAt.IsZero():
		return 0, t, l.nextDue
	case l.breaker.aheadAt.After(now):
		return 0, t, earlier(l.nextDue, l.breaker.aheadAt)
	}
	n = 1
	if l.breaker.since.IsZero() {
		n = max(l.limit()-l.running-l.queue.len(), 1)
	}
	t = l.ticket()
	t.ahead, t.after, t.starts = true, l.breaker.aheadCursor, l.breaker.aheadStarts
	return n, t, time.Time{}
}

// claimedAhead records what a claim ahead of schedule has returned. At the end of the
// line it starts again from the first, as long as the receiver fails. The caller holds
// mu.
func (l *lane) claimedAhead(hs []*store.Held, t ticket) {
	b := &l.breaker
	if b.aheadStarts != t.starts {
		return // the first is next, which this claim may have been too early for
	}
	if n := len(hs); n > 0 {
		b.aheadAt = time.Time{} // until the outcome is known
		b.aheadCursor = store.Place{Due: hs[n-1].Due, ID: hs[n-1].Delivery.ID}
		return
	}
	if b.since.IsZero() || b.aheadCursor == (store.Place{}) {
		b.aheadAt = time.Time{}
	}
	b.aheadCursor = store.Place{}
}

// catchUpAhead is called when a failure has been stored. If attempts ahead of
// schedule were restarted after the failure and before it was stored, they have
// missed its delivery, so they start again with the first.
func (l *lane) catchUpAhead(u *unsettledAttempt) {
	now := l.e.now()
	l.mu.Lock()
	b := &l.breaker
	missed := u.ended != b.aheadRound && b.since.IsZero() // while the receiver fails, all have their turn
	if missed {
		b.rewindAhead(now) // in the same round, or those under way now would count as missed
	}
	l.mu.Unlock()
	if missed {
		l.e.claims.schedule(l, now)
	}
}
