package outbound

import (
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// A schedule's delays are soon longer than most outages. So that what waits for a
// retry doesn't wait for long after its receiver is back, one delivery at a time is
// tried ahead of its time, and with a success the others follow, each once. Their
// schedules don't count that. The breaker knows when.

// waitAhead has something tried ahead of its time after a failure, as long as they
// go on: later by half of how long they have, and after what has just failed for the
// first time is tried again. Where only what was ahead of its time has failed, it may
// be the event's fault, and the next one is tried.
func (b *breaker) waitAhead(now time.Time, first time.Duration) {
	b.misses++
	switch {
	case !b.since.IsZero():
		b.ahead = now.Add(jitter(first + max(first, now.Sub(b.since))/2))
	case b.misses <= maxMisses:
		b.ahead = now
	default:
		b.ahead = time.Time{}
	}
}

// goAhead has what waits tried ahead of its time after a success: of an attempt
// that was so itself, or the end of failures that went on. Failures of single events
// between others that succeed are no outage, or one that always fails would be tried
// after each of these.
func (b *breaker) goAhead(now time.Time, first time.Duration, early bool) {
	failed := !b.since.IsZero()
	b.misses = 0
	switch {
	case failed && (early || b.down() || now.Sub(b.since) >= first/2):
		b.beginAhead(now) // what was tried meanwhile is tried again
	case early:
		b.ahead = now
	case failed:
		b.ahead = time.Time{}
	}
}

// beginAhead has what waits tried ahead of its time from then on, from the first on.
func (b *breaker) beginAhead(t time.Time) { b.ahead, b.passed = t, store.Place{} }

// sooner is the earlier of a time and the one to try something ahead; zero is
// never.
func (b *breaker) sooner(t time.Time) time.Time {
	if b.ahead.IsZero() || !t.IsZero() && t.Before(b.ahead) {
		return t
	}
	return b.ahead
}

// tryAt has something that waits for a retry tried ahead of its time.
func (l *lane) tryAt(t time.Time) {
	l.mu.Lock()
	l.breaker.beginAhead(t)
	l.mu.Unlock()
	l.e.claims.schedule(l, t)
}

// tryNext has the next one tried ahead of its time where what was tried so has told
// nothing of the receiver.
func (l *lane) tryNext(first time.Duration) {
	next := l.e.now().Add(jitter(first)) // and not at once: all that wait may be like it
	l.mu.Lock()
	l.breaker.ahead = next
	l.mu.Unlock()
	l.e.claims.schedule(l, next)
}

// lookAhead is look where nothing is due: one may be claimed ahead of its time, and
// when the receiver is back as many as it may have at once. What an ordered lane
// waits for is due. The caller holds mu.
func (l *lane) lookAhead(now time.Time) (n int, t ticket, again time.Time) {
	switch {
	case l.due.IsZero():
		if len(l.unsettled)+l.queue.len()+l.leaving == 0 {
			l.breaker.ahead = time.Time{} // nothing waits
		}
		return 0, t, time.Time{}
	case l.ordered() || l.breaker.ahead.IsZero():
		return 0, t, l.due
	case l.breaker.ahead.After(now):
		return 0, t, l.breaker.sooner(l.due)
	}
	n = 1
	if l.breaker.since.IsZero() {
		n = max(l.limit()-l.running-l.queue.len(), 1)
	}
	t = l.ticket()
	t.ahead, t.after = true, l.breaker.passed
	return n, t, time.Time{}
}

// wentAhead notes what was claimed ahead of its time behind there, and begins anew
// behind the last, as long as the receiver fails. The caller holds mu.
func (l *lane) wentAhead(hs []*store.Held, after store.Place) {
	b := &l.breaker
	if b.passed != after {
		return // it was begun anew meanwhile
	}
	if n := len(hs); n > 0 {
		b.ahead = time.Time{} // until it is known what came of it
		b.passed = store.Place{Due: hs[n-1].Due, ID: hs[n-1].Delivery.ID}
		return
	}
	if b.since.IsZero() || b.passed == (store.Place{}) {
		b.ahead = time.Time{}
	}
	b.passed = store.Place{}
}

// taking notes whether an attempt is made ahead of its time. The caller holds mu.
func (l *lane) taking(h *store.Held, now time.Time) *taken {
	due := h.Due
	if l.ordered() {
		due, l.retry, l.breaker.ahead = l.retry, time.Time{}, time.Time{}
	}
	if due.After(now) {
		return &taken{due: due}
	}
	return &taken{}
}

// scheduled is when an attempt that was begun was to be made, where it is made
// ahead of that, and zero otherwise.
func (l *lane) scheduled(h *store.Held) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.unsettled[h].due
}
