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
	// Buried is called when deliveries that waited have become dead letters without
	// another attempt: of a deleted subscription, or cancelled.
	Buried(deliveries []*Record)
	// Unjudged is called when a delivery is made since a subscription's filter took
	// too long to judge the event.
	Unjudged()
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

// Record is the delivery as lists show it.
func (a *AttemptDone) Record() *Record {
	return &Record{
		Delivery: store.Delivery{
			ID: a.Delivery, Event: a.Event.Key, Subscription: a.Subscription.Key,
			State: a.State, Attempts: a.Attempt.Number, Due: a.Due, Reason: a.Reason,
		},
		EventID: a.Event.ID, EventType: a.Event.Type, Tenant: a.Event.Tenant,
		SubscriptionID: a.Subscription.ID, URL: a.Subscription.URL, Last: &a.Attempt,
	}
}

// noObserver is told everything and does nothing.
type noObserver struct{}

func (noObserver) PublishDone(string, time.Duration) {}
func (noObserver) AttemptDone(*AttemptDone)          {}
func (noObserver) Buried([]*Record)                  {}
func (noObserver) Unjudged()                         {}
func (noObserver) Operational(*OperationalEvent)     {}
