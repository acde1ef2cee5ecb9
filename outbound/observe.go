package outbound

import (
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// Observer is told what the engine does, for metrics and notices. Its methods
// are called on the hot path: they must be quick and not block.
type Observer interface {
	// PublishDone is called once for each event that was published, or refused.
	// Result is stored, unmatched (stored, and no subscription wants it),
	// duplicate, refused or failed.
	PublishDone(result string, took time.Duration)
	// AttemptDone is called for each attempt, when its outcome is stored.
	AttemptDone(a *AttemptDone)
	// Buried is called when deliveries that waited for a deleted subscription
	// have become dead letters.
	Buried(subscription string, deliveries int)
	// Operational is called for each change of state that somebody may want to
	// know of.
	Operational(o *OperationalEvent)
}

// AttemptDone is an attempt with what it was for.
type AttemptDone struct {
	Attempt      store.Attempt
	Delivery     store.ID
	State        store.State // of the delivery now
	Reason       string      // where that is Dead
	Due          time.Time   // of the next attempt, while that is Pending
	Event        *store.Event
	Subscription *store.Subscription
}

// noObserver is told everything and does nothing.
type noObserver struct{}

func (noObserver) PublishDone(string, time.Duration) {}
func (noObserver) AttemptDone(*AttemptDone)          {}
func (noObserver) Buried(string, int)                {}
func (noObserver) Operational(*OperationalEvent)     {}
