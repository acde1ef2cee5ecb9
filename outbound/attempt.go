package outbound

import (
	"context"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// attempt makes one attempt at a delivery and has its outcome stored.
func (e *Engine) attempt(l *lane, h *store.Held) {
	c := e.config.Load()
	a := &store.Attempt{ID: e.attemptID(h), Number: h.Attempts + 1, At: e.clock.Now()}
	t := l.currentTarget() // then, so that no secret signs for a time at which it has expired
	a.URL = t.sub.URL
	began := e.clock.Elapsed()
	ctx, span := e.startAttempt(e.work, c, t, h, a)
	o := c.client.send(ctx, t, h.Event, a, span.inject)
	a.Latency = e.clock.Elapsed() - began
	a.Class, a.Error = o.class, o.message
	span.end(a)
	if o.aborted {
		l.abort(h)
		return
	}
	s := &store.Settlement{Delivery: h.Delivery.ID, Attempt: a}
	o.due = l.aheadOf(h)
	e.decide(l, t, h, &o, s)
	e.settle(l, t, h, s)
	l.attemptDone(weight(h.Event), a.Latency)
	e.updateLane(c, l, t, &o)
}

// attemptID gives the first attempt the delivery's own number, since it is
// kept in the delivery's row.
func (e *Engine) attemptID(h *store.Held) store.ID {
	if h.Attempts == 0 {
		return h.Delivery.ID
	}
	return e.ids.Next()
}

// decide says what is next for the delivery. An attempt that was made ahead of its
// time leaves the schedule as it is.
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

// settle has the outcome stored, and told to whoever listens by then. An ordered
// lane waits for it, and then tries the same delivery again before any other.
func (e *Engine) settle(l *lane, t *target, h *store.Held, s *store.Settlement) {
	retry, ordered := s.Due, l.ordered() // by now
	if ordered && s.State == store.Pending {
		s.Due = h.Due // it stays the first in line
	}
	done := &AttemptDone{
		Attempt: *s.Attempt, Delivery: s.Delivery, State: s.State, Reason: s.Reason, Event: h.Event, Subscription: t.sub,
	}
	var dead *OperationalEvent
	if s.State == store.Dead {
		dead = deliveryDead(done.Record())
	}
	var telling *publishing
	if dead != nil {
		if telling = e.newOperational(context.Background(), dead); telling != nil {
			telling.Tells = s.Delivery
		}
	}
	stored := make(chan struct{})
	e.outcomes.Add(1)
	e.committer.settle(s, telling, func(err error) {
		defer e.outcomes.Done()
		defer close(stored)
		again := l.removeUnsettled(h)
		if err != nil || s.Passed {
			return // it is not so, or not for us to tell
		}
		if s.State == store.Pending && !ordered {
			l.noteStored(s.Due)
		}
		if s.State == store.Pending {
			done.Due = e.clock.wall(retry)
		}
		e.reportSettled(done, dead)
		if again {
			e.requeueSettled(s.Delivery)
		}
	})
	if !ordered {
		return
	}
	select {
	case <-stored:
	case <-e.work.Done(): // the store may hang
		return
	}
	switch {
	case s.Passed:
		l.flush() // whoever has it has what comes behind it too
	case s.State == store.Pending:
		l.hold(t, retry)
	}
}

// reportSettled tells of an attempt whose outcome is stored, and of what has died of it.
func (e *Engine) reportSettled(done *AttemptDone, dead *OperationalEvent) {
	observer := e.config.Load().Observer // the attempt may be older than the settings
	observer.AttemptDone(done)
	e.watches.send(done)
	if done.State == store.Dead {
		e.deadLog.wakeUp()
	}
	if dead != nil {
		observer.Operational(dead)
	}
}

// updateLane draws the conclusions for the lane.
func (e *Engine) updateLane(c *config, l *lane, t *target, o *outcome) {
	if o.eventFault {
		if o.early() {
			l.scheduleNextAhead(t.retry.first())
		}
		return
	}
	if o.detail != "" {
		e.attemptLog.Do(func() {
			c.Logger.Warn("an attempt got no connection", Named(t.sub.ID, t.sub.Tenant), "class", o.class, "error", o.detail)
		})
	}
	if !sameReceiver(t.sub, l.target.Load().sub) {
		return // nor is it a word of the receiver that it has now
	}
	n := l.record(o, c)
	if !n.aheadAt.IsZero() {
		e.claims.schedule(l, n.aheadAt)
	}
	if pause := max(n.pause, o.retryAfter); pause > 0 {
		l.pauseUntil(e.now().Add(pause))
	}
	if n.warn {
		c.Logger.Warn("a receiver fails for long: its subscription is deactivated if that goes on",
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
	case o.gone:
		e.background(func(ctx context.Context) {
			e.disable(ctx, t.sub, ReasonGone, func() bool { return true })
		})
	case n.wentDown:
		l.flush() // what it can't deliver soon would take the memory of others
		c.Logger.Warn("a receiver is down: one attempt at a time, with growing pauses, until it answers",
			Named(t.sub.ID, t.sub.Tenant), "host", t.host(), "class", o.class, "error", o.message)
	case n.cameBack:
		c.Logger.Info("a receiver is back: what waits for it is tried now",
			Named(t.sub.ID, t.sub.Tenant), "host", t.host(), "failed_for", n.failingFor)
	}
}

// transition is what an outcome says of a receiver.
type transition struct {
	wentDown, cameBack bool
	persist            bool          // the store is to be told whether it is down
	pause              time.Duration // before the next attempt, while it is down
	aheadAt            time.Time     // when to try something ahead of its time, zero for not

	// A row of failures, with the one that has just come or until just now, and
	// whether it is long: half of what deactivates the subscription, or all.
	failing       Failing
	failingFor    time.Duration
	warn, disable bool
	recovered     time.Time // since when it had failed for long, zero for not
}

// record tells the breaker. One attempt that was made ahead of its time doesn't count
// as one more failure, or one event would do for a receiver that is down.
func (l *lane) record(o *outcome, c *config) (n transition) {
	now := l.e.now()
	t := l.target.Load()
	first := t.retry.first()
	l.mu.Lock()
	defer l.mu.Unlock()
	defer func() { n.aheadAt = l.breaker.aheadAt }()
	if until := now.Add(o.retryAfter); o.retryAfter > 0 && until.After(l.askedUntil) {
		l.askedUntil = until
	}
	if o.ok() {
		l.lastSuccess = l.e.clock.Now()
		n.failingFor = now.Sub(l.breaker.since).Round(time.Millisecond)
		n.recovered = l.breaker.warnedSince(c.DisableAfter, now)
		l.breaker.aheadAfterSuccess(now, first, o.early())
		n.cameBack = l.breaker.succeeded()
		n.persist = l.shouldPersist(n.cameBack)
		return n
	}
	l.lastFailure, l.lastError = l.e.clock.Now(), o.message
	if !o.early() {
		n.wentDown = l.breaker.failed(now, o.overloaded, l.running)
	}
	l.breaker.aheadAfterFailure(now, first)
	n.persist = l.shouldPersist(n.wentDown)
	n.pause = l.breaker.pause(first)
	if o.overloaded && !l.notBefore.After(now) { // else it is about attempts that were under way together
		n.pause = max(n.pause, l.breaker.slowDown(first))
	}
	n.failing = l.breaker.failing()
	n.failingFor = now.Sub(n.failing.Since).Round(time.Second)
	n.disable = c.DisableAfter.reached(n.failing, now, 1)
	if n.warn = l.breaker.warned.IsZero() && c.DisableAfter.reached(n.failing, now, 2); n.warn {
		l.breaker.warned = n.failing.Since
	}
	return n
}

// Timeout is how long an attempt may take now, unless its subscription says otherwise.
func (e *Engine) Timeout() time.Duration { return e.config.Load().Timeout }
