package outbound

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// DisableAfter says when a subscription is deactivated because its receiver fails.
// Both conditions must be met.
type DisableAfter struct {
	Failures int           // attempts in a row that have failed; negative: never deactivate
	For      time.Duration // how long ago the first of them was
}

func (d DisableAfter) check() error {
	if d.Failures == 0 || d.Failures > 0 && d.For <= 0 {
		return errors.New("needs both how many attempts must have failed and for how long, such as 50 and 24h")
	}
	return nil
}

// reached reports whether a run of failures has reached 1/share of both conditions.
func (d DisableAfter) reached(f Failing, now time.Time, share int) bool {
	return f.Attempts >= d.Failures/share && d.lasted(f, now, share)
}

// lasted is reached for the duration alone.
func (d DisableAfter) lasted(f Failing, now time.Time, share int) bool {
	return d.Failures > 0 && !f.Since.IsZero() && now.Sub(f.Since) >= d.For/time.Duration(share)
}

// Failing is a run of failed attempts without a success.
type Failing struct {
	Attempts int
	Since    time.Time // when the first of them was
}

func (b *breaker) failing() Failing { return Failing{b.failures, b.since} }

// disable deactivates a subscription because of how an attempt has ended, unless it
// has been changed since, maybe on another node: a user who has just activated it
// knows better. If still isn't nil, it must also return true.
func (e *Engine) disable(ctx context.Context, failed *store.Subscription, reason string, still func() bool) {
	_, err := e.setActive(ctx, failed.ID, false, reason, func(s *store.Subscription) bool {
		return sameReceiver(s, failed) && sameUpdate(s, failed) && (still == nil || still())
	})
	if err != nil && ctx.Err() == nil && !errors.Is(err, ErrNotFound) {
		e.logger().Error("deactivating a subscription whose receiver fails; trying again after the next failure", Named(failed.ID, failed.Tenant), "error", err)
	}
}

// shouldDisable reports whether the present run of failures is long enough to
// deactivate the subscription.
func (l *lane) shouldDisable(d DisableAfter) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return d.reached(l.breaker.failing(), l.e.now(), 1)
}
