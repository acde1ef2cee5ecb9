package outbound

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// TestEventType is the type of the events that Test makes where it is told no other.
const TestEventType = "webhook.test"

// Test sends an event to one subscription alone, whatever events that asked for, and
// returns its delivery. Of a NewEvent it takes the type and the payload, which may be
// missing: one of another type than TestEventType then has the first of the examples
// in the schema of its type. It may return an *Invalid, a *TooLarge, a *Limited,
// ErrNotFound, or ErrConflict: the subscription is not active.
func (e *Engine) Test(ctx context.Context, subscription string, n *NewEvent) (*Record, error) {
	l := e.lanes.byID(subscription)
	if l == nil {
		return nil, ErrNotFound
	}
	s := l.target.Load().sub
	if !s.Active {
		return nil, fmt.Errorf("%w: subscription %s is not active, so that a test would only wait: activate it first", ErrConflict, s.ID)
	}
	of := NewEvent{Tenant: s.Tenant, Type: n.Type, Payload: n.Payload}
	setDefault(&of.Type, TestEventType)
	if of.Payload == nil {
		var err error
		if of.Payload, err = e.example(s, of.Type); err != nil {
			return nil, err
		}
	}
	if err := e.accept(ctx, &of); err != nil {
		return nil, err
	}
	ev := &store.Event{Tenant: of.Tenant, Type: of.Type, ContentType: "application/json", Payload: of.Payload}
	e.assignID(ev)
	p := e.newOwnPublishing(ctx, ev, []*lane{l})
	e.submit(ctx, &p)
	if _, err := e.finishPublish(&p); err != nil {
		return nil, err
	}
	e.probeReceiver(ctx, l.key)
	return e.Delivery(ctx, p.Deliveries[0].ID.With(store.DeliveryPrefix))
}

// example is the payload of an event that nobody gave one.
func (e *Engine) example(s *Subscription, eventType string) ([]byte, error) {
	if eventType == TestEventType {
		return json.Marshal(map[string]string{
			"type": TestEventType, "subscription_id": s.ID, "timestamp": e.clock.Now().UTC().Format(time.RFC3339),
		})
	}
	if example := e.catalogue.example(eventType); example != nil {
		return example, nil
	}
	return nil, missing("payload", "give one, or put one into the examples of the event type's schema")
}
