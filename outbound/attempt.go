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
	o := c.sender.send(ctx, t, h.Event, a, span.inject)
	a.Latency = e.clock.Elapsed() - began
	a.Class, a.Error = o.class, o.message
	span.end(a)
	if o.aborted {
		if o.detail != "" {
			c.sender.transport.CloseIdleConnections() // these may be what has used everything up
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

// Timeout returns how long an attempt may take, unless its subscription sets
// another timeout.
func (e *Engine) Timeout() time.Duration { return e.config.Load().Timeout }
