package storetest

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

var reopenTests = []test{
	{"everything is there", func(b *bench) {
		s := b.subscribe("crm")
		chosen, retried, dead := b.chosen("x", "1", s), b.event("2", s), b.event("3", s)
		b.publish(chosen, retried, dead)
		retry, give := b.attempted(retried.Deliveries[0].ID, 1, store.Pending), b.attempted(dead.Deliveries[0].ID, 1, store.Dead)
		b.settle(retry, give)
		b.check(b.PutEventType(b.ctx(), store.EventType{Name: "order.created"}))
		b.reopen()
		sameSubscriptions(b, s)
		equal(b, "event types", len(must.Get(b.EventTypes(b.ctx()))(b)), 1)
		same(b, "deliveries", b.list(store.Query{}), newestFirst(deliveries(chosen, retried, dead)...))
		sameAttempts(b, []*store.Attempt{b.delivery(retry.Delivery).Last, b.delivery(give.Delivery).Last}, retry, give)
		equal(b, "a duplicate", b.publish(b.chosen("x", "1"))[0].Outcome, store.Duplicate)
		_, last, err := b.Identity(b.ctx())
		b.check(err)
		equal(b, "the greatest id", last, dead.Deliveries[0].ID)
	}},
	{"what was held is free", func(b *bench) {
		s := b.subscribe("crm")
		handed, claimed := b.event("1", s), b.event("2", s)
		handed.Deliveries[0].Hold = true
		b.publish(handed, claimed)
		same(b, "claimed", b.claimed(s, 9), deliveries(claimed))
		b.reopen()
		same(b, "claimed after", b.claimed(s, 9), deliveries(handed, claimed))
	}},
	{"a closed store says so", func(b *bench) {
		s := b.subscribe("crm")
		b.check(b.Store.Close())
		for call, err := range Calls(b.ctx(), b.Store) {
			if !errors.Is(err, store.ErrUnavailable) {
				b.Errorf("%s: %v", call, err)
			}
		}
		b.Store = b.open(b.t, b.now)
		sameSubscriptions(b, s)
	}},
}

// Calls makes each call that reads or changes something once, and returns the
// errors.
func Calls(ctx context.Context, s store.Store) map[string]error {
	errs := map[string]error{
		"Commit":             s.Commit(ctx, &store.Batch{Publications: []*store.Publication{{Event: &store.Event{Key: 1, ID: "x", Type: "a"}}}}),
		"Logged":             s.Logged(ctx, []store.ID{1}),
		"CreateSubscription": s.CreateSubscription(ctx, &store.Subscription{Key: 2, ID: "calls", EventTypes: []string{"*"}}),
		"DeleteSubscription": s.DeleteSubscription(ctx, "calls"),
		"PutEventType":       s.PutEventType(ctx, store.EventType{Name: "a"}),
		"DeleteEventType":    s.DeleteEventType(ctx, "a"),
	}
	_, _, errs["Identity"] = s.Identity(ctx)
	_, errs["Claim"] = s.Claim(ctx, time.Now(), 1, []store.Want{{Subscription: 2, Limit: 1}})
	_, errs["Backlogs"] = s.Backlogs(ctx)
	_, errs["Requeue"] = s.Requeue(ctx, store.Query{Limit: 1}, time.Now())
	_, errs["Replay"] = s.Replay(ctx, store.Replay{Subscription: 2, Due: time.Now(), Events: []store.ID{1}, Deliveries: []store.ID{3}})
	_, errs["Discard"] = s.Discard(ctx, store.Query{Limit: 1})
	_, errs["Bury"] = s.Bury(ctx, store.Burial{Subscription: 2, Limit: 1})
	_, errs["Unlogged"] = s.Unlogged(ctx, 1)
	_, errs["Forget"] = s.Forget(ctx, store.Forget{Before: time.Now(), Limit: 1})
	_, errs["Remove"] = s.Remove(ctx, store.Removal{Events: []store.ID{1}, Limit: 1})
	_, errs["ForgetSubscriptions"] = s.ForgetSubscriptions(ctx, "calls", 1)
	_, errs["UpdateSubscription"] = s.UpdateSubscription(ctx, "calls", func(*store.Subscription) error { return nil })
	_, errs["Subscriptions"] = s.Subscriptions(ctx)
	_, errs["EventTypes"] = s.EventTypes(ctx)
	_, errs["Event"] = s.Event(ctx, "", "x")
	_, errs["Events"] = s.Events(ctx, store.Query{Limit: 1})
	_, errs["Delivery"] = s.Delivery(ctx, 1)
	_, errs["Deliveries"] = s.Deliveries(ctx, store.Query{Limit: 1})
	_, errs["Attempts"] = s.Attempts(ctx, 1)
	_, errs["DeliveryOf"] = s.DeliveryOf(ctx, 1)
	_, errs["Stats"] = s.Stats(ctx)
	return errs
}
