package outbound

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// TestEventType is the default type of test events.
const TestEventType = "webhook.test"

// Test sends an event to one subscription, whatever its event types and filter are,
// and returns the delivery. Only Type and Payload of n are used. The default Type is
// TestEventType, for which a Payload is generated if there is none; for other types,
// the default is the first example in the type's schema. The error may be an *Invalid,
// a *TooLarge, a *Limited, ErrNotFound, or ErrConflict if the subscription isn't
// active.
func (e *Engine) Test(ctx context.Context, subscription string, n *NewEvent) (*Record, error) {
	l := e.lanes.byID(subscription)
	if l == nil {
		return nil, ErrNotFound
	}
	s := l.sub()
	if !s.Active {
		return nil, fmt.Errorf("%w: subscription %s is not active, so that a test would only wait: activate it first", ErrConflict, s.ID)
	}
	ev, err := e.testEvent(ctx, s, &NewEvent{Type: n.Type, Payload: n.Payload})
	if err != nil {
		return nil, err
	}
	p := e.newOwnPublishing(ctx, ev, []*lane{l})
	e.submit(ctx, &p)
	if _, err := e.finishPublish(&p); err != nil {
		return nil, err
	}
	e.probeReceiver(ctx, l.key)
	return e.Delivery(ctx, p.Deliveries[0].ID.With(store.DeliveryPrefix))
}

// testEvent makes an event for a subscription, if it could be published. Type, Payload
// and Headers of n are used, the first two with the defaults of Test.
func (e *Engine) testEvent(ctx context.Context, s *Subscription, n *NewEvent) (*store.Event, error) {
	test := NewEvent{Tenant: s.Tenant, Type: cmp.Or(n.Type, TestEventType), Payload: n.Payload, Headers: n.Headers}
	if test.Payload == nil {
		var err error
		if test.Payload, err = e.example(s, test.Type); err != nil {
			return nil, err
		}
	}
	if err := e.accept(ctx, &test); err != nil {
		return nil, err
	}
	ev := &store.Event{Tenant: test.Tenant, Type: test.Type, ContentType: "application/json", Headers: test.Headers, Payload: test.Payload}
	e.assignID(ev)
	return ev, nil
}

// example returns the payload of a test event for which none was given.
func (e *Engine) example(s *Subscription, eventType string) ([]byte, error) {
	if eventType == TestEventType {
		return json.Marshal(map[string]string{
			"type": TestEventType, "subscription_id": s.ID, "timestamp": e.clock.Now().UTC().Format(time.RFC3339),
		})
	}
	if example := e.catalogue.example(eventType); example != nil {
		return example, nil
	}
	return nil, missing("payload", "give one, or add one to the examples of the event type's schema")
}
