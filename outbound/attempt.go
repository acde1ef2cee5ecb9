package outbound

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// attempt makes one attempt at a delivery and has its outcome stored.
func (e *Engine) attempt(l *lane, h *store.Held) {
	c := e.config.Load()
	a := &store.Attempt{ID: e.attemptID(h), Number: h.Attempts + 1, At: e.clock.Now()}
	t := l.currentTarget() // read after At, so that no secret signs a timestamp at which it has expired
	a.URL = t.sub.URL
	began := e.clock.Elapsed()
	ctx, span := e.startAttempt(e.work, c, t, h, a)
	o := c.client.send(ctx, t, h.Event, a, span.inject)
	a.Latency = e.clock.Elapsed() - began
	a.Class, a.Error = o.class, o.message
	span.end(a)
	if o.aborted {
		if o.detail != "" {
			c.client.transport.CloseIdleConnections() // these may be what has used everything up
			e.logOutage("an attempt could not be made, and doesn't count: "+o.message, errors.New(o.detail))
		}
		l.abort(h, &o)
		return
	}
	s := &store.Settlement{Delivery: h.Delivery.ID, Attempt: a}
	o.due, o.round = l.attemptEnded(h)
	e.decide(l, t, h, &o, s)
	e.settle(l, t, h, s)
	l.attemptDone(weight(h.Event), a.Latency)
	e.updateLane(c, l, t, &o)
}

// attemptID returns the id of the next attempt. The first one has the delivery's
// own, since it is kept in the delivery's row.
func (e *Engine) attemptID(h *store.Held) store.ID {
	if h.Attempts == 0 {
		return h.Delivery.ID
	}
	return e.ids.Next()
}

// decide sets what is next for the delivery: its state and, while it is pending,
// when it is due. An attempt ahead of schedule leaves the schedule as it is.
func (e *Engine) decide(l *lane, t *target, h *store.Held, o *outcome, s *store.Settlement) {
	if o.ok() {
		s.State = store.Delivered
		return
	}
	now := e.now()
	delay, more := t.retry.after(s.Attempt.Number - h.Round)
	switch {
	case o.final:
		s.State, s.Reason = store.Dead, o.message
	case l.isClosed():
		s.State, s.Reason = store.Dead, ReasonDeleted
	case o.early():
		s.Due, s.Round = now.Add(max(o.due.Sub(now), o.retryAfter)), h.Round+1
	case !more:
		s.State, s.Reason = store.Dead, "every attempt failed, the last one: "+o.message
	default:
		s.Due = now.Add(max(jitter(delay), o.retryAfter))
	}
}

// settle has the outcome stored, then reports it. In an ordered lane it waits for
// that, and then has the same delivery retried before any other.
func (e *Engine) settle(l *lane, t *target, h *store.Held, s *store.Settlement) {
	retry, ordered := s.Due, l.ordered() // the subscription may change meanwhile
	if ordered && s.State == store.Pending {
		s.Due = h.Due // so that it stays first in line
	}
	done := &AttemptDone{
		Attempt: s.Attempt, Delivery: s.Delivery, State: s.State, Reason: s.Reason, Event: h.Event, Subscription: t.sub,
	}
	var dead *OperationalEvent
	var notice *publishing
	if s.State == store.Dead {
		dead, notice = e.deathNotice(done)
	}
	e.outcomes.Add(1)
	report := func(err error) {
		defer e.outcomes.Done()
		u := l.removeUnsettled(h)
		if err != nil || s.Passed {
			return // it isn't stored, or another process reports it
		}
		if s.State == store.Pending {
			done.Due = e.clock.wall(retry)
			if !ordered {
				l.noteStored(s.Due)
				l.catchUpAhead(u)
			}
		}
		e.reportSettled(done, dead)
		if u.repeat {
			e.requeueSettled(s.Delivery)
		}
	}
	if !ordered {
		e.committer.settle(s, notice, report)
		return
	}
	stored := make(chan struct{})
	e.committer.settle(s, notice, func(err error) {
		report(err)
		close(stored)
	})
	select {
	case <-stored:
	case <-e.work.Done(): // the store may hang
		return
	}
	switch {
	case s.Passed:
		l.flush() // the process that has taken it delivers what comes after it, too
	case s.State == store.Pending:
		l.hold(t, h, retry)
	}
}

// deathNotice returns the event about a dead letter, nil if there is to be none, and
// its publishing, nil if nobody subscribes to it.
func (e *Engine) deathNotice(done *AttemptDone) (*OperationalEvent, *publishing) {
	dead := deliveryDead(done.Record())
	if dead == nil {
		return nil, nil
	}
	notice := e.newOperational(context.Background(), dead)
	if notice != nil {
		notice.Tells = done.Delivery
	}
	return dead, notice
}

// reportSettled tells the observer and the watches of an attempt whose outcome is
// stored; dead is the event about its dead letter, if any.
func (e *Engine) reportSettled(done *AttemptDone, dead *OperationalEvent) {
	observer := e.config.Load().Observer // the present one: settings may have changed since the attempt began
	observer.AttemptDone(done)
	e.watches.send(done)
	if done.State == store.Dead {
		e.deadLog.wake.ring()
	}
	if dead != nil {
		observer.Operational(dead)
	}
}

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

// Timeout returns how long an attempt may take, unless its subscription sets
// another timeout.
func (e *Engine) Timeout() time.Duration { return e.config.Load().Timeout }
