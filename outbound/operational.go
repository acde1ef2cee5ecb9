package outbound

import (
	"context"
	"encoding/json"
	"maps"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// Types of operational events, which only the engine itself can publish. They are
// delivered to subscriptions that name them, or a prefix such as webhooks.*, but not
// to subscriptions to "*". Those about a tenant go to the tenant's subscriptions and to
// those without a tenant.
const (
	DeliveryDead            = store.OperationalPrefix + "delivery.dead"
	SubscriptionFailing     = store.OperationalPrefix + "subscription.failing"
	SubscriptionRecovered   = store.OperationalPrefix + "subscription.recovered"
	SubscriptionDeactivated = store.OperationalPrefix + "subscription.deactivated"
	SubscriptionActivated   = store.OperationalPrefix + "subscription.activated"
)

// OperationalEvent is a change of state that the engine publishes.
type OperationalEvent struct {
	Type   string
	Tenant string         // "" for none
	Data   map[string]any // marshaled as JSON
}

// deliveryDead returns the event about a dead letter. It returns nil if that was an
// operational event itself, since these mustn't cause more of them.
func deliveryDead(r *Record) *OperationalEvent {
	if store.Operational(r.EventType) {
		return nil
	}
	return &OperationalEvent{DeliveryDead, r.Tenant, map[string]any{
		"delivery_id":     r.ID.With(store.DeliveryPrefix),
		"event_id":        r.EventID,
		"event_type":      r.EventType,
		"subscription_id": r.SubscriptionID,
		"tenant":          orNull(r.Tenant),
		"attempts":        r.Attempts,
		"reason":          r.Reason,
	}}
}

// subscriptionFailing returns the event about a subscription that will be
// deactivated if its receiver keeps failing.
func subscriptionFailing(s *store.Subscription, f Failing) *OperationalEvent {
	return ofSubscription(SubscriptionFailing, s, map[string]any{"failures_in_a_row": f.Attempts, "failing_since": f.Since.UTC()})
}

// subscriptionRecovered returns the event about a subscription whose receiver works
// again, after a subscriptionFailing.
func subscriptionRecovered(s *store.Subscription, since time.Time) *OperationalEvent {
	return ofSubscription(SubscriptionRecovered, s, map[string]any{"failing_since": since.UTC()})
}

// subscriptionChanged returns the event about a subscription that was activated or
// deactivated.
func subscriptionChanged(s *store.Subscription) *OperationalEvent {
	kind := SubscriptionActivated
	if !s.Active {
		kind = SubscriptionDeactivated
	}
	return ofSubscription(kind, s, map[string]any{"reason": s.Reason})
}

// ofSubscription completes the data of an event about a subscription.
func ofSubscription(kind string, s *store.Subscription, data map[string]any) *OperationalEvent {
	metadata := map[string]string{} // not null in JSON
	maps.Copy(metadata, s.Metadata)
	data["subscription_id"], data["tenant"], data["metadata"] = s.ID, orNull(s.Tenant), metadata
	return &OperationalEvent{kind, s.Tenant, data}
}

// orNull returns nil, JSON's null, for no tenant.
func orNull(tenant string) any {
	if tenant == "" {
		return nil
	}
	return tenant
}

// newOperational prepares an operational event to be stored. It returns nil if
// nobody subscribes to it.
func (e *Engine) newOperational(ctx context.Context, o *OperationalEvent) *publishing {
	ev := &store.Event{Tenant: o.Tenant, Type: o.Type, ContentType: "application/json"}
	lanes := e.match(ev)
	if len(lanes) == 0 {
		return nil
	}
	payload, err := json.Marshal(map[string]any{
		"type": o.Type, "timestamp": e.clock.Now().UTC().Format(time.RFC3339), "data": o.Data,
	})
	if err != nil {
		e.logger().Error("writing an operational event", "event_type", o.Type, "error", err)
		return nil
	}
	ev.Payload = payload
	e.assignID(ev)
	if lanes, err = e.filtered(ctx, lanes, ev); err != nil || len(lanes) == 0 {
		return nil
	}
	p := e.newOwnPublishing(ctx, ev, lanes)
	return &p
}

// reassignIDs gives an event and its deliveries new ids.
func (e *Engine) reassignIDs(p *publishing) {
	e.assignID(p.Event)
	for i := range p.Deliveries {
		p.Deliveries[i].ID = e.ids.Next()
	}
}

// notify passes an operational event to the observer and publishes it. The caller
// can't cancel that, since the change has happened.
func (e *Engine) notify(ctx context.Context, o *OperationalEvent) {
	ctx = context.WithoutCancel(ctx)
	c := e.config.Load()
	p := e.newOperational(ctx, o)
	c.Observer.Operational(o)
	if p == nil {
		return
	}
	e.submit(ctx, p)
	if _, err := e.finishPublish(p); err != nil {
		c.Logger.Warn("an operational event could not be stored, and is not delivered", "event_type", o.Type, "error", err)
	}
}
