package outbound

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// DisableAfter says when a subscription is deactivated whose receiver fails.
type DisableAfter struct {
	Failures int           // attempts in a row that must have failed; negative: never
	For      time.Duration // and how long ago the first of them
}

func (d DisableAfter) check() error {
	if d.Failures == 0 || d.Failures > 0 && d.For <= 0 {
		return errors.New("needs both how many attempts must have failed and for how long, such as 50 and 24h")
	}
	return nil
}

// reached tells whether a row of failures has lasted a share of that.
func (d DisableAfter) reached(f Failing, now time.Time, share int) bool {
	return f.Attempts >= d.Failures/share && d.lasted(f, now, share)
}

// lasted looks at the time alone.
func (d DisableAfter) lasted(f Failing, now time.Time, share int) bool {
	return d.Failures > 0 && !f.Since.IsZero() && now.Sub(f.Since) >= d.For/time.Duration(share)
}

// Failing is a row of failed attempts that goes on.
type Failing struct {
	Attempts int
	Since    time.Time // when the first of them was
}

func (b *breaker) failing() Failing { return Failing{b.failures, b.since} }

// shouldPersist tells whether the caller is to have the store remember whether the
// receiver is down: when that has changed, or the store says otherwise, since
// another node has told it so or telling it has failed; then one caller at a time.
// The caller holds mu.
func (l *lane) shouldPersist(changed bool) bool {
	s := l.target.Load().sub
	otherwise := s.FailingSince.IsZero() == (l.breaker.down() && s.Active)
	if !changed && (!otherwise || l.persisting) {
		return false
	}
	l.persisting = true
	return true
}

// persistFailing has the store know since when a receiver is down, or that it
// isn't, so that neither is forgotten by a restart. Whichever call comes last
// says what is true by then.
func (e *Engine) persistFailing(ctx context.Context, l *lane) {
	defer func() {
		l.mu.Lock()
		l.persisting = false
		l.mu.Unlock()
	}()
	e.lanes.changing.Lock()
	defer e.lanes.changing.Unlock()
	known := l.target.Load().sub
	s, err := e.store.UpdateSubscription(ctx, known.ID, func(s *store.Subscription) error {
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
		e.config.Load().Logger.Warn("keeping since when a receiver fails: a restart forgets it", Named(known.ID, known.Tenant), "error", err)
	}
}

// restartFailures begins the row of failures anew where another node has just had a
// success with a receiver that is down for this one: that is no reason to
// deactivate its subscription.
func (l *lane) restartFailures() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.breaker.down() {
		l.breaker.since = l.e.now()
	}
}

// disable deactivates a subscription for how an attempt at its receiver has ended,
// unless it has another receiver by now, or that isn't so any more.
func (e *Engine) disable(ctx context.Context, failed *store.Subscription, reason string, still func() bool) {
	_, err := e.setActiveIf(ctx, failed.ID, false, reason, func(s *store.Subscription) bool { return sameReceiver(s, failed) && still() })
	if err != nil && ctx.Err() == nil && !errors.Is(err, ErrNotFound) {
		e.config.Load().Logger.Error("deactivating a subscription whose receiver fails; trying again after the next failure", Named(failed.ID, failed.Tenant), "error", err)
	}
}

// shouldDisable tells whether the row of failures that goes on is one to give up for.
func (l *lane) shouldDisable(d DisableAfter) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return d.reached(l.breaker.failing(), l.e.now(), 1)
}
