package outbound

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// updateLane applies what an outcome says about the receiver to the lane and the
// subscription.
func (e *Engine) updateLane(c *config, l *lane, t *target, o *outcome) {
	if o.eventFault {
		l.mu.Lock()
		l.noteFailure(o)
		l.mu.Unlock()
		if o.early() {
			l.scheduleNextAhead(t.retry.first(), o.round)
		}
		return
	}
	if o.detail != "" {
		e.attemptLog.Do(func() {
			c.Logger.Warn("an attempt got no connection", Named(t.sub.ID, t.sub.Tenant), "class", o.class, "error", o.detail)
		})
	}
	n := l.record(t, o, c)
	if !n.aheadAt.IsZero() {
		e.claims.schedule(l, n.aheadAt)
	}
	if n.pause > 0 {
		l.startPause()
	}
	e.reactTo(n, c, l, t, o)
}

// reactTo deactivates the subscription if its receiver is gone or has failed for too
// long, and tells the store, subscribers and the log of other changes.
func (e *Engine) reactTo(n transition, c *config, l *lane, t *target, o *outcome) {
	if n.warn {
		c.Logger.Warn("a receiver has been failing for a long time: its subscription is deactivated if this goes on",
			Named(t.sub.ID, t.sub.Tenant), "host", t.host(), "failures_in_a_row", n.failing.Attempts, "failing_for", n.failingFor,
			"deactivated_after", c.DisableAfter.For, "class", o.class, "error", o.message)
		failing := subscriptionFailing(t.sub, Failing{n.failing.Attempts, e.clock.wall(n.failing.Since)})
		e.background(func(ctx context.Context) { e.notify(ctx, failing) })
	}
	if !n.recovered.IsZero() {
		recovered := subscriptionRecovered(t.sub, e.clock.wall(n.recovered))
		e.background(func(ctx context.Context) { e.notify(ctx, recovered) })
	}
	if n.persist {
		e.background(func(ctx context.Context) { e.persistFailing(ctx, l) })
	}
	switch {
	case n.disable:
		e.background(func(ctx context.Context) {
			e.disable(ctx, t.sub, ReasonFailing, func() bool { return l.shouldDisable(c.DisableAfter) })
		})
	case o.class == ClassGone:
		e.background(func(ctx context.Context) { e.disable(ctx, t.sub, ReasonGone, nil) })
	case n.wentDown:
		l.flush() // other lanes need the memory more
		c.Logger.Warn("a receiver is down: one attempt at a time, with growing pauses, until it answers",
			Named(t.sub.ID, t.sub.Tenant), "host", t.host(), "class", o.class, "error", o.message)
	case n.cameBack:
		c.Logger.Info("a receiver is back: what waits for it is tried now",
			Named(t.sub.ID, t.sub.Tenant), "host", t.host(), "failed_for", n.failingFor)
	}
}

// transition is how an outcome changes what is known of a receiver.
type transition struct {
	wentDown, cameBack bool
	persist            bool          // the store is to be told whether the receiver is down
	pause              time.Duration // before the next attempt; zero for none
	aheadAt            time.Time     // when to attempt something ahead of schedule; zero for never

	// failing is the run of failures that has just grown or ended.
	failing    Failing
	failingFor time.Duration
	warn       bool      // it has reached half of what deactivates the subscription
	disable    bool      // it has reached all of it
	recovered  time.Time // since when it had failed, if that was warned about; else zero
}

// record updates the breaker, the pauses and the status, unless the outcome says nothing
// about the receiver that the subscription has now. It does all of this under mu: if the
// receiver changes meanwhile, resume resets it.
func (l *lane) record(t *target, o *outcome, c *config) (n transition) {
	now := l.e.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !sameReceiver(t.sub, l.sub()) {
		return n
	}
	if o.ok() {
		n = l.recordSuccess(o, c.DisableAfter, t.retry.first(), now)
	} else {
		n = l.recordFailure(o, c.DisableAfter, t.retry.first(), now)
	}
	n.aheadAt = l.breaker.aheadAt
	n.pause = max(n.pause, o.retryAfter)
	l.askedUntil = later(l.askedUntil, now.Add(o.retryAfter))
	l.notBefore = later(l.notBefore, now.Add(n.pause))
	return n
}

// recordSuccess is record for a success. The caller holds mu.
func (l *lane) recordSuccess(o *outcome, d DisableAfter, first time.Duration, now time.Time) (n transition) {
	l.lastSuccess = l.e.clock.Now()
	n.failingFor = now.Sub(l.breaker.since).Round(time.Millisecond)
	n.recovered = l.breaker.warnedSince(d, now)
	l.breaker.aheadAfterSuccess(now, first, o.early())
	n.cameBack = l.breaker.succeeded()
	n.persist = l.shouldPersist(n.cameBack)
	return n
}

// noteFailure keeps what the status shows of a failure, also of one that is the event's
// fault. The caller holds mu.
func (l *lane) noteFailure(o *outcome) {
	l.lastFailure, l.lastError = l.e.clock.Now(), o.message
}

// recordFailure is record for a failure. An attempt ahead of schedule isn't counted
// as one more: otherwise a single event could make its receiver count as down. The
// caller holds mu.
func (l *lane) recordFailure(o *outcome, d DisableAfter, first time.Duration, now time.Time) (n transition) {
	l.noteFailure(o)
	if !o.early() {
		n.wentDown = l.breaker.failed(now, o.overloaded, l.running)
	}
	l.breaker.aheadAfterFailure(now, first, o.round)
	n.persist = l.shouldPersist(n.wentDown)
	n.pause = l.breaker.pause(first)
	// During a pause, the lane has been slowed down for an attempt that was under
	// way at the same time.
	if o.overloaded && !l.notBefore.After(now) {
		n.pause = max(n.pause, l.breaker.slowDown(first))
	}
	n.failing = l.breaker.failing()
	n.failingFor = now.Sub(n.failing.Since).Round(time.Second)
	n.disable = d.reached(n.failing, now, 1)
	if n.warn = l.breaker.warned.IsZero() && d.reached(n.failing, now, 2); n.warn {
		l.breaker.warned = n.failing.Since
	}
	return n
}

// shouldPersist reports whether the caller should store whether the receiver is
// down: because that has just changed, or because the store has it wrong, after
// another node wrote it or writing it failed. In the second case it returns true to
// one caller at a time. The caller holds mu.
func (l *lane) shouldPersist(changed bool) bool {
	s := l.sub()
	down := l.breaker.down() && s.Active
	wrong := down == s.FailingSince.IsZero()
	if !changed && (!wrong || l.persisting) {
		return false
	}
	l.persisting = true
	return true
}

// persistFailing stores since when a receiver has been down, or that it isn't, for
// the next start. It reads the present state, so of several calls the last one is
// right.
func (e *Engine) persistFailing(ctx context.Context, l *lane) {
	defer func() {
		l.mu.Lock()
		l.persisting = false
		l.mu.Unlock()
	}()
	e.lanes.changing.Lock()
	defer e.lanes.changing.Unlock()
	known := l.sub()
	s, err := e.store.UpdateSubscription(ctx, known.ID, func(s *store.Subscription) error {
		if s.Key != known.Key { // it was deleted, and another one has its id
			return ErrNotFound
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		s.FailingSince = time.Time{}
		if l.breaker.down() && s.Active {
			s.FailingSince = l.breaker.since
		}
		return nil
	})
	if err == nil {
		e.applySubscription(s)
	} else if ctx.Err() == nil && !errors.Is(err, ErrNotFound) {
		e.logger().Warn("storing since when a receiver has been failing: a restart will forget it", Named(known.ID, known.Tenant), "error", err)
	}
}

// restartFailures restarts the run of failures of a receiver that is down for this
// node, after another node has had a success: the subscription mustn't be
// deactivated then.
func (l *lane) restartFailures() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.breaker.down() {
		l.breaker.since = l.e.now()
	}
}
