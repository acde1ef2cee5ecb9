package outbound

import "time"

// A lane keeps still while its receiver is down or has asked for it, while its rate
// is used up, and, in order, while what is first in its line waits for a retry.

// pausedUntil is until when the lane must keep still, but for its rate. An ordered one
// waits for what is first in its line. The caller holds mu.
func (l *lane) pausedUntil() time.Time {
	if l.ordered() && !l.headDue.IsZero() {
		if t := l.breaker.aheadOr(l.headDue); t.After(l.notBefore) {
			return t
		}
	}
	return l.notBefore
}

// rateDelay is how long the lane must keep still for its rate. The caller holds mu.
func (l *lane) rateDelay(now time.Time) time.Duration {
	if limiter := l.target.Load().limiter; limiter != nil {
		r := limiter.ReserveN(now, 1)
		if d := r.DelayFrom(now); d > 0 {
			r.CancelAt(now)
			return d
		}
	}
	return 0
}

// pauseUntil keeps the lane still, as its receiver or its rate asks.
func (l *lane) pauseUntil(t time.Time) {
	l.mu.Lock()
	if t.After(l.notBefore) {
		l.notBefore = t
	}
	l.mu.Unlock()
	l.startPause(t)
}

// startPause gives back what is of no use in a pause until then.
func (l *lane) startPause(t time.Time) {
	now := l.e.now()
	l.mu.Lock()
	useless := l.room(now) == 0
	l.mu.Unlock()
	l.e.claims.schedule(l, t)
	if useless {
		l.flush()
	}
}

// hold keeps an ordered lane still after a failure, unless it is ordered no
// more or has another receiver: unpause and resume come after such a change.
func (l *lane) hold(failed *target, retry time.Time) {
	l.mu.Lock()
	if s := l.target.Load().sub; s.Ordered && sameReceiver(s, failed.sub) {
		l.headDue = retry
	}
	l.mu.Unlock()
	l.flush()
	l.e.claims.schedule(l, l.e.now())
}

// resume starts afresh, after a pause by hand or with another receiver: what was
// held is due, and what waits for a retry is tried ahead of its time.
func (l *lane) resume() {
	now := l.e.now()
	l.mu.Lock()
	l.breaker, l.notBefore, l.askedUntil, l.headDue = breaker{aheadAt: now}, time.Time{}, time.Time{}, time.Time{}
	l.mu.Unlock()
	l.noteStored(now)
}

// unpause ends a pause that the rate or the order has made, and leaves alone what
// the receiver has asked for.
func (l *lane) unpause() {
	l.mu.Lock()
	l.notBefore, l.headDue = l.askedUntil, time.Time{}
	l.mu.Unlock()
	l.noteStored(l.e.now())
}

// probe has the receiver tried at once, since somebody asks for it: ahead of time
// where something waits for a retry. Its own wish for a pause counts for more, but
// not where it is down.
func (l *lane) probe() {
	now := l.e.now()
	l.mu.Lock()
	l.breaker.restartAhead(now)
	l.notBefore = l.askedUntil
	if l.breaker.down() {
		l.notBefore = time.Time{}
	}
	l.mu.Unlock()
	l.noteStored(now)
}
