package outbound

import (
	"context"
	"encoding/json"
	"maps"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// The types of operational events, which the engine publishes about itself.
// They reach the subscriptions that name them, or a prefix of them such as
// webhooks.*, but not those to everything, and nobody else can publish them. A
// tenant's go to its own subscriptions and to those without a tenant.
const (
	DeliveryDead            = store.OperationalPrefix + "delivery.dead"
	SubscriptionFailing     = store.OperationalPrefix + "subscription.failing"
	SubscriptionRecovered   = store.OperationalPrefix + "subscription.recovered"
	SubscriptionDeactivated = store.OperationalPrefix + "subscription.deactivated"
	SubscriptionActivated   = store.OperationalPrefix + "subscription.activated"
)

// OperationalEvent is a change of state that somebody may want to know of.
type OperationalEvent struct {
	Type   string
	Tenant string         // whose it is, "" where there are none
	Data   map[string]any // what JSON can say
}

// deliveryDead tells of a dead letter, but not of one that was to tell of
// something itself: nothing that the engine publishes may bring forth more.
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

// subscriptionFailing tells of one that is deactivated if its receiver goes on
// to fail.
func subscriptionFailing(s *store.Subscription, f Failing) *OperationalEvent {
	return ofSubscription(SubscriptionFailing, s, map[string]any{"failures_in_a_row": f.Attempts, "failing_since": f.Since.UTC()})
}

// subscriptionRecovered tells of one of which that was told, and whose receiver
// works again.
func subscriptionRecovered(s *store.Subscription, since time.Time) *OperationalEvent {
	return ofSubscription(SubscriptionRecovered, s, map[string]any{"failing_since": since.UTC()})
}

// subscriptionChanged tells of one that was deactivated or activated.
func subscriptionChanged(s *store.Subscription) *OperationalEvent {
	kind := SubscriptionActivated
	if !s.Active {
		kind = SubscriptionDeactivated
	}
	return ofSubscription(kind, s, map[string]any{"reason": s.Reason})
}

// ofSubscription says in the data whose it is too.
func ofSubscription(kind string, s *store.Subscription, data map[string]any) *OperationalEvent {
	metadata := map[string]string{} // no null
	maps.Copy(metadata, s.Metadata)
	data["subscription_id"], data["tenant"], data["metadata"] = s.ID, orNull(s.Tenant), metadata
	return &OperationalEvent{kind, s.Tenant, data}
}

// orNull is how JSON says that there is no tenant.
func orNull(tenant string) any {
	if tenant == "" {
		return nil
	}
	return tenant
}

// newOperational makes the event that tells of it, for the lanes that want it; nil
// where nobody does.
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
		e.config.Load().Logger.Error("writing an operational event", "event_type", o.Type, "error", err)
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

// notify tells the observer, and publishes the event for those who want it.
func (e *Engine) notify(ctx context.Context, o *OperationalEvent) {
	c := e.config.Load()
	p := e.newOperational(ctx, o)
	c.Observer.Operational(o)
	if p == nil {
		return
	}
	e.submit(context.WithoutCancel(ctx), p) // what it tells of is done
	if _, err := e.finishPublish(p); err != nil {
		c.Logger.Warn("an operational event could not be stored, and is not delivered", "event_type", o.Type, "error", err)
	}
}
