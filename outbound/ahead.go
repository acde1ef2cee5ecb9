package outbound

import (
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// A schedule's delays are soon longer than most outages. So that what waits for a
// retry doesn't wait for long after its receiver is back, one delivery at a time is
// tried ahead of its time, and with a success the others follow, each once. Their
// schedules don't count that. The breaker knows when.

// aheadAfterFailure has something tried ahead of its time after a failure, as long as they
// go on: later by half of how long they have, and after what has just failed for the
// first time is tried again. Where only what was ahead of its time has failed, it may
// be the event's fault, and the next one is tried.
func (b *breaker) aheadAfterFailure(now time.Time, first time.Duration) {
	b.aheadMisses++
	switch {
	case !b.since.IsZero():
		b.aheadAt = now.Add(jitter(first + max(first, now.Sub(b.since))/2))
	case b.aheadMisses <= maxAheadMisses:
		b.aheadAt = now
	default:
		b.aheadAt = time.Time{}
	}
}

// aheadAfterSuccess has what waits tried ahead of its time after a success: of an attempt
// that was so itself, or the end of failures that went on. Failures of single events
// between others that succeed are no outage, or one that always fails would be tried
// after each of these.
func (b *breaker) aheadAfterSuccess(now time.Time, first time.Duration, early bool) {
	failed := !b.since.IsZero()
	b.aheadMisses = 0
	switch {
	case failed && (early || b.down() || now.Sub(b.since) >= first/2):
		b.restartAhead(now) // what was tried meanwhile is tried again
	case early:
		b.aheadAt = now
	case failed:
		b.aheadAt = time.Time{}
	}
}

// restartAhead has what waits tried ahead of its time from then on, from the first on.
func (b *breaker) restartAhead(t time.Time) { b.aheadAt, b.aheadCursor = t, store.Place{} }

// aheadOr is the earlier of a time and the one to try something ahead; zero is
// never.
func (b *breaker) aheadOr(t time.Time) time.Time {
	if b.aheadAt.IsZero() || !t.IsZero() && t.Before(b.aheadAt) {
		return t
	}
	return b.aheadAt
}

// scheduleAhead has something that waits for a retry tried ahead of its time.
func (l *lane) scheduleAhead(t time.Time) {
	l.mu.Lock()
	l.breaker.restartAhead(t)
	l.mu.Unlock()
	l.e.claims.schedule(l, t)
}

// scheduleNextAhead has the next one tried ahead of its time where what was tried so has told
// nothing of the receiver.
func (l *lane) scheduleNextAhead(first time.Duration) {
	next := l.e.now().Add(jitter(first)) // and not at once: all that wait may be like it
	l.mu.Lock()
	l.breaker.aheadAt = next
	l.mu.Unlock()
	l.e.claims.schedule(l, next)
}

// claimSizeAhead is look where nothing is due: one may be claimed ahead of its time, and
// when the receiver is back as many as it may have at once. What an ordered lane
// waits for is due. The caller holds mu.
func (l *lane) claimSizeAhead(now time.Time) (n int, t ticket, again time.Time) {
	switch {
	case l.nextDue.IsZero():
		if len(l.unsettled)+l.queue.len()+l.releasing == 0 {
			l.breaker.aheadAt = time.Time{} // nothing waits
		}
		return 0, t, time.Time{}
	case l.ordered() || l.breaker.aheadAt.IsZero():
		return 0, t, l.nextDue
	case l.breaker.aheadAt.After(now):
		return 0, t, l.breaker.aheadOr(l.nextDue)
	}
	n = 1
	if l.breaker.since.IsZero() {
		n = max(l.limit()-l.running-l.queue.len(), 1)
	}
	t = l.ticket()
	t.ahead, t.after = true, l.breaker.aheadCursor
	return n, t, time.Time{}
}

// claimedAhead notes what was claimed ahead of its time behind there, and begins anew
// behind the last, as long as the receiver fails. The caller holds mu.
func (l *lane) claimedAhead(hs []*store.Held, after store.Place) {
	b := &l.breaker
	if b.aheadCursor != after {
		return // it was begun anew meanwhile
	}
	if n := len(hs); n > 0 {
		b.aheadAt = time.Time{} // until it is known what came of it
		b.aheadCursor = store.Place{Due: hs[n-1].Due, ID: hs[n-1].Delivery.ID}
		return
	}
	if b.since.IsZero() || b.aheadCursor == (store.Place{}) {
		b.aheadAt = time.Time{}
	}
	b.aheadCursor = store.Place{}
}

// newUnsettled notes whether an attempt is made ahead of its time. The caller holds mu.
func (l *lane) newUnsettled(h *store.Held, now time.Time) *unsettledAttempt {
	due := h.Due
	if l.ordered() {
		due, l.headDue, l.breaker.aheadAt = l.headDue, time.Time{}, time.Time{}
	}
	if due.After(now) {
		return &unsettledAttempt{due: due}
	}
	return &unsettledAttempt{}
}

// aheadOf is when an attempt that was begun was to be made, where it is made
// ahead of that, and zero otherwise.
func (l *lane) aheadOf(h *store.Held) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.unsettled[h].due
}
