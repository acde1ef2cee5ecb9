package outbound

import (
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// Observer is told what the engine does, for metrics and notifications. Its methods
// are called on the hot path: they must be fast and not block.
type Observer interface {
	// PublishDone is called once for each event that was published or refused.
	// Result is stored, unmatched (stored, but no subscription wants it),
	// duplicate, refused or failed.
	PublishDone(result string, took time.Duration)
	// AttemptDone is called for each attempt once its outcome is stored.
	AttemptDone(a *AttemptDone)
	// Buried is called when pending deliveries have become dead letters without
	// another attempt, because their subscription was deleted or they were
	// cancelled.
	Buried(deliveries []*Record)
	// Unjudged is called when an event is delivered although a subscription's
	// filter took too long to judge it.
	Unjudged()
	// Operational is called for each event that the engine publishes about itself,
	// whether or not anybody subscribes to it.
	Operational(o *OperationalEvent)
}

// AttemptDone is an attempt with the delivery, event and subscription that it was
// for.
type AttemptDone struct {
	Attempt      *store.Attempt
	Delivery     store.ID
	State        store.State // of the delivery now
	Reason       string      // if State is Dead
	Due          time.Time   // of the next attempt, if State is Pending
	Event        *store.Event
	Subscription *store.Subscription
}

// Record returns the delivery as it is listed.
func (a *AttemptDone) Record() *Record {
	return &Record{
		Delivery: store.Delivery{
			ID: a.Delivery, Event: a.Event.Key, Subscription: a.Subscription.Key,
			State: a.State, Attempts: a.Attempt.Number, Due: a.Due, Reason: a.Reason,
		},
		EventID: a.Event.ID, EventType: a.Event.Type, Tenant: a.Event.Tenant,
		SubscriptionID: a.Subscription.ID, URL: a.Subscription.URL, Last: a.Attempt,
	}
}

// noObserver does nothing.
type noObserver struct{}

func (noObserver) PublishDone(string, time.Duration) {}
func (noObserver) AttemptDone(*AttemptDone)          {}
func (noObserver) Buried([]*Record)                  {}
func (noObserver) Unjudged()                         {}
func (noObserver) Operational(*OperationalEvent)     {}
