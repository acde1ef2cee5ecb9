package outbound

import (
	"time"

	"golang.org/x/time/rate"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// A lane pauses while its receiver is down or has asked for it, while its rate
// limit is used up, and, if it is ordered, while its first delivery waits for a
// retry.

// pausedUntil returns the end of the lane's pause, apart from the rate limit. An
// ordered lane waits for its first delivery. The caller holds mu.
func (l *lane) pausedUntil() time.Time {
	if l.ordered() && !l.headDue.IsZero() {
		if t := earlier(l.headDue, l.breaker.aheadAt); t.After(l.notBefore) {
			return t
		}
	}
	return l.notBefore
}

// rateDelay returns how long the lane must wait for its rate limit; if it needn't,
// the attempt is counted. If the limit has changed, counting starts anew. The caller
// holds mu.
func (l *lane) rateDelay(now time.Time) time.Duration {
	limit := l.target.Load().rate()
	if limit == rate.Inf {
		return 0
	}
	if l.limiter == nil || l.limiter.Limit() != limit {
		l.limiter = rate.NewLimiter(limit, int(min(max(limit/10, 1), maxRate)))
	}
	r := l.limiter.ReserveN(now, 1)
	d := r.DelayFrom(now)
	if d > 0 {
		r.CancelAt(now)
	}
	return d
}

// startPause schedules the lane for the end of its pause, and releases its
// deliveries if that is far off.
func (l *lane) startPause() {
	now := l.e.now()
	l.mu.Lock()
	until, useless := l.pausedUntil(), l.room(now) == 0
	l.mu.Unlock()
	l.e.claims.schedule(l, until)
	if useless {
		l.flush()
	}
}

// hold pauses an ordered lane until its failed delivery is retried, unless the
// subscription is no longer ordered or has another receiver: such a change has
// ended the pause already.
func (l *lane) hold(failed *target, h *store.Held, retry time.Time) {
	l.mu.Lock()
	if s := l.sub(); s.Ordered && sameReceiver(s, failed.sub) {
		l.head, l.headDue = h.Delivery.ID, retry
	}
	l.mu.Unlock()
	l.flush()
}

// resume resets the lane after a deactivation or a change of receiver: deliveries
// that were held are due now, and those that wait for a retry are attempted ahead
// of schedule.
func (l *lane) resume() {
	now := l.e.now()
	l.mu.Lock()
	l.breaker = breaker{aheadRound: l.breaker.aheadRound, aheadStarts: l.breaker.aheadStarts}
	l.breaker.restartAhead(now)
	l.notBefore, l.askedUntil, l.headDue = time.Time{}, time.Time{}, time.Time{}
	l.mu.Unlock()
	l.noteStored(now)
}

// unpause ends a pause due to the rate limit, or to an order that needn't be kept any
// more, but not one that the receiver asked for.
func (l *lane) unpause() {
	l.mu.Lock()
	l.notBefore = l.askedUntil
	if !l.ordered() {
		l.headDue = time.Time{}
	}
	l.mu.Unlock()
	l.noteStored(l.e.now())
}

// probe attempts a delivery at once because a user has asked for it, ahead of
// schedule if need be. A pause that the receiver asked for still applies, unless
// the receiver is down.
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
