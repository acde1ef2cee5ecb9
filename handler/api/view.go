package api

import (
	"context"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// view is the engine as a request sees it: all of it, or only what belongs to one
// tenant. Handlers use the engine only through a view, so that this is the one
// place where an API is confined to a tenant. What belongs to another tenant, or to
// none, is then not found.
type view struct {
	engine *outbound.Engine
	tenant string // "" for all
}

// confineTenant replaces an empty tenant by the view's, and refuses any other. In
// a view of all tenants it changes nothing.
func (v view) confineTenant(tenant *string) error {
	if v.tenant == "" {
		return nil
	}
	if *tenant != "" && *tenant != v.tenant {
		return refuse(codeOtherTenant, "the tenant is always %s here: leave it out", v.tenant).at("tenant")
	}
	*tenant = v.tenant
	return nil
}

// confine returns the query, confined to what the view sees.
func (v view) confine(q outbound.Query) (outbound.Query, error) {
	q.Within = v.tenant
	return q, v.confineTenant(&q.Tenant)
}

// confined calls do with the query, confined to what the view sees.
func confined[T any](ctx context.Context, v view, q outbound.Query, do func(context.Context, outbound.Query) (T, error)) (out T, err error) {
	if q, err = v.confine(q); err != nil {
		return out, err
	}
	return do(ctx, q)
}

// The server as a whole.

func (v view) MaxPayload() int64 { return v.engine.MaxPayload() }

// Status reports whether it is that of the whole server, or only of a tenant's
// subscriptions.
func (v view) Status(ctx context.Context) (s outbound.Status, whole bool, err error) {
	s, err = v.engine.Status(ctx)
	if v.tenant != "" {
		return s.OfTenant(v.tenant), false, err
	}
	return s, true, err
}

func (v view) Watch(tenant string) (*outbound.Watch, error) {
	if err := v.confineTenant(&tenant); err != nil {
		return nil, err
	}
	return v.engine.Watch(v.tenant)
}

// Events.

func (v view) Publish(ctx context.Context, n *outbound.NewEvent) (outbound.Published, error) {
	if err := v.confineTenant(&n.Tenant); err != nil {
		return outbound.Published{}, err
	}
	return v.engine.Publish(ctx, n)
}

func (v view) PublishAll(ctx context.Context, ns []*outbound.NewEvent) []outbound.Answer {
	answers := make([]outbound.Answer, len(ns))
	allowed := make([]*outbound.NewEvent, 0, len(ns))
	for i, n := range ns {
		if answers[i].Err = v.confineTenant(&n.Tenant); answers[i].Err == nil {
			allowed = append(allowed, n)
		}
	}
	published := v.engine.PublishAll(ctx, allowed)
	for i := range answers {
		if answers[i].Err == nil {
			answers[i], published = published[0], published[1:]
		}
	}
	return answers
}

func (v view) Events(ctx context.Context, q outbound.Query) ([]*outbound.Event, error) {
	return confined(ctx, v, q, v.engine.Events)
}

func (v view) Find(ctx context.Context, q outbound.Query, filter string) ([]*outbound.Event, store.ID, error) {
	q, err := v.confine(q)
	if err != nil {
		return nil, 0, err
	}
	return v.engine.Find(ctx, q, filter)
}

func (v view) Event(ctx context.Context, tenant, id string) (*outbound.Event, error) {
	if err := v.confineTenant(&tenant); err != nil {
		return nil, err
	}
	return v.engine.Event(ctx, tenant, id)
}

func (v view) DeleteEvent(ctx context.Context, tenant, id string) error {
	e, err := v.Event(ctx, tenant, id)
	switch {
	case err != nil:
		return err
	case v.tenant != "" && store.Operational(e.Type): // it may be for whoever runs the server too
		return refuse(codeOtherTenant, "event %s is the server's own: it is removed when it is old enough", id)
	}
	return v.engine.DeleteEvent(ctx, e)
}

// DeleteEvents leaves out the server's own events if the view is a tenant's, as
// DeleteEvent refuses them.
func (v view) DeleteEvents(ctx context.Context, q outbound.Query, filter string) (deleted, pending int, err error) {
	if q, err = v.confine(q); err != nil {
		return 0, 0, err
	}
	q.Published = v.tenant != ""
	return v.engine.DeleteEvents(ctx, q, filter)
}

// Deliveries.

// checkDelivery returns outbound.ErrNotFound if the view doesn't see the delivery.
func (v view) checkDelivery(ctx context.Context, id string) error {
	if v.tenant == "" {
		return nil
	}
	key, ok := store.ParseID(store.DeliveryPrefix, id)
	if !ok {
		return outbound.ErrNotFound
	}
	seen, err := v.engine.Deliveries(ctx, outbound.Query{Delivery: key, Within: v.tenant, Limit: 1})
	if err == nil && len(seen) == 0 {
		err = outbound.ErrNotFound
	}
	return err
}

// withDelivery calls do with the id of a delivery, if the view sees it.
func withDelivery[T any](ctx context.Context, v view, id string, do func(context.Context, string) (T, error)) (out T, err error) {
	if err := v.checkDelivery(ctx, id); err != nil {
		return out, err
	}
	return do(ctx, id)
}

func (v view) Deliveries(ctx context.Context, q outbound.Query) ([]*outbound.Record, error) {
	return confined(ctx, v, q, v.engine.Deliveries)
}

func (v view) Delivery(ctx context.Context, id string) (*outbound.Record, error) {
	return withDelivery(ctx, v, id, v.engine.Delivery)
}

func (v view) Attempts(ctx context.Context, id string) ([]*outbound.Attempt, error) {
	return withDelivery(ctx, v, id, v.engine.Attempts)
}

func (v view) Redeliver(ctx context.Context, id string) (*outbound.Record, error) {
	return withDelivery(ctx, v, id, v.engine.Redeliver)
}

func (v view) RedeliverAttempt(ctx context.Context, id string) (*outbound.Record, error) {
	delivery, err := v.engine.DeliveryOf(ctx, id)
	if err != nil {
		return nil, err
	}
	return v.Redeliver(ctx, delivery)
}

func (v view) Cancel(ctx context.Context, id string) (*outbound.Record, error) {
	return withDelivery(ctx, v, id, v.engine.Cancel)
}

func (v view) RedeliverDead(ctx context.Context, q outbound.Query) (int, error) {
	return confined(ctx, v, q, v.engine.RedeliverDead)
}

func (v view) RedeliverDelivered(ctx context.Context, q outbound.Query) (int, error) {
	return confined(ctx, v, q, v.engine.RedeliverDelivered)
}

func (v view) DeleteDead(ctx context.Context, q outbound.Query) (int, error) {
	return confined(ctx, v, q, v.engine.DeleteDead)
}

// Subscriptions.

// checkSubscription returns outbound.ErrNotFound if the view doesn't see the
// subscription.
func (v view) checkSubscription(id string) error {
	if v.tenant == "" {
		return nil
	}
	_, err := v.Subscription(id)
	return err
}

// withSubscription calls do with the id of a subscription and with a, if the view sees
// the subscription.
func withSubscription[A, T any](ctx context.Context, v view, id string, a A, do func(context.Context, string, A) (T, error)) (out T, err error) {
	if err := v.checkSubscription(id); err != nil {
		return out, err
	}
	return do(ctx, id, a)
}

// maxSubscriptions is how many subscriptions a tenant may have before its own API
// refuses to create more: each of them takes memory.
const maxSubscriptions = 200

func (v view) CreateSubscription(ctx context.Context, spec outbound.SubscriptionSpec) (*outbound.Subscription, error) {
	if err := v.confineTenant(&spec.Tenant); err != nil {
		return nil, err
	}
	if _, err := v.Subscription(spec.ID); err != nil && v.tenant != "" && len(v.engine.Subscriptions(v.tenant, 0, maxSubscriptions)) == maxSubscriptions {
		return nil, refuse(codeConflict, "there are %d subscriptions, which is the most that a tenant can have here: delete one that is not needed", maxSubscriptions)
	}
	if err := v.checkTimeout(spec.Timeout, 0); err != nil {
		return nil, err
	}
	return v.engine.CreateSubscription(ctx, spec)
}

// checkTimeout refuses a tenant a longer timeout than the server's, or than the
// subscription had before: attempts that hang keep others waiting.
func (v view) checkTimeout(timeout, before time.Duration) error {
	if most := max(v.engine.Timeout(), before); v.tenant != "" && timeout > most {
		return invalidField("timeout", "must be at most %s here, since attempts that hang keep others waiting", outbound.FormatDuration(most))
	}
	return nil
}

func (v view) Subscriptions(tenant string, after store.ID, limit int) ([]*outbound.Subscription, error) {
	if err := v.confineTenant(&tenant); err != nil {
		return nil, err
	}
	return v.engine.Subscriptions(tenant, after, limit), nil
}

func (v view) Subscription(id string) (*outbound.Subscription, error) {
	s, err := v.engine.Subscription(id)
	if err == nil && v.tenant != "" && s.Tenant != v.tenant {
		return nil, outbound.ErrNotFound
	}
	return s, err
}

func (v view) UpdateSubscription(ctx context.Context, id string, edit func(*outbound.SubscriptionSpec) error) (*outbound.Subscription, error) {
	if err := v.checkSubscription(id); err != nil {
		return nil, err
	}
	return v.engine.UpdateSubscription(ctx, id, func(spec *outbound.SubscriptionSpec) error {
		before := spec.Timeout
		if err := edit(spec); err != nil {
			return err
		}
		return v.checkTimeout(spec.Timeout, before)
	})
}

func (v view) DeleteSubscription(ctx context.Context, id string) error {
	if err := v.checkSubscription(id); err != nil {
		return err
	}
	return v.engine.DeleteSubscription(ctx, id)
}

// Signing needs no check: only subscriptions that the view sees get here.
func (v view) Signing(s *outbound.Subscription) outbound.Signing { return v.engine.Signing(s) }

func (v view) RotateSecret(ctx context.Context, id, secret string) (outbound.Signing, error) {
	return withSubscription(ctx, v, id, secret, v.engine.RotateSecret)
}

func (v view) Activate(ctx context.Context, id string) (*outbound.Subscription, error) {
	if err := v.checkSubscription(id); err != nil {
		return nil, err
	}
	return v.engine.Activate(ctx, id)
}

func (v view) Deactivate(ctx context.Context, id, reason string) (*outbound.Subscription, error) {
	return withSubscription(ctx, v, id, reason, v.engine.Deactivate)
}

func (v view) Test(ctx context.Context, id string, n *outbound.NewEvent) (*outbound.Record, error) {
	return withSubscription(ctx, v, id, n, v.engine.Test)
}

func (v view) Preview(ctx context.Context, id string, n *outbound.NewEvent) (*outbound.Preview, error) {
	return withSubscription(ctx, v, id, n, v.engine.Preview)
}

func (v view) Replay(ctx context.Context, id string, q outbound.Query) (int, error) {
	q, err := v.confine(q)
	if err != nil {
		return 0, err
	}
	return withSubscription(ctx, v, id, q, v.engine.Replay)
}

// DeleteTenant is refused to tenants, because it also deletes the server's own
// events about them.
func (v view) DeleteTenant(ctx context.Context, tenant string) (outbound.DeletedTenant, error) {
	if v.tenant != "" {
		return outbound.DeletedTenant{}, refuse(codeOtherTenant, "tenants are deleted by whoever runs this server")
	}
	return v.engine.DeleteTenant(ctx, tenant)
}

// MayIssueTokens returns an error if the view is a tenant's: otherwise its access would
// have no end.
func (v view) MayIssueTokens() error {
	if v.tenant != "" {
		return refuse(codeOtherTenant, "tokens for tenants are issued by whoever runs this server")
	}
	return nil
}

// The catalogue, which all tenants share and only an API for all of them changes.

func (v view) EventTypes(ctx context.Context) ([]outbound.EventType, error) {
	return v.engine.EventTypes(ctx)
}

func (v view) PutEventType(ctx context.Context, t outbound.EventType) (added bool, err error) {
	if v.tenant != "" {
		return false, sharedCatalogue()
	}
	return v.engine.PutEventType(ctx, t)
}

func (v view) DeleteEventType(ctx context.Context, name string) error {
	if v.tenant != "" {
		return sharedCatalogue()
	}
	return v.engine.DeleteEventType(ctx, name)
}

func sharedCatalogue() error {
	return refuse(codeOtherTenant, "event types are the same for every tenant: whoever runs this server changes them")
}
