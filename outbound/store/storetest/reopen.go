package storetest

import (
	"errors"

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
		types, err := b.EventTypes(b.ctx())
		b.check(err)
		equal(b, "event types", len(types), 1)
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
		_, _, identity := b.Identity(b.ctx())
		_, claim := b.Claim(b.ctx(), b.now(), 1, []store.Want{{Subscription: s.Key, Limit: 1}})
		_, backlogs := b.Backlogs(b.ctx())
		_, requeue := b.Requeue(b.ctx(), store.Query{Limit: 1}, b.now())
		_, discard := b.Discard(b.ctx(), store.Query{Limit: 1})
		_, replay := b.Replay(b.ctx(), store.Replay{Subscription: s.Key})
		_, forget := b.Forget(b.ctx(), store.Forget{})
		_, remove := b.Remove(b.ctx(), 1)
		_, bury := b.Bury(b.ctx(), store.Burial{Subscription: s.Key, Limit: 1})
		_, unlogged := b.Unlogged(b.ctx(), 1)
		_, update := b.UpdateSubscription(b.ctx(), "crm", func(*store.Subscription) error { return nil })
		_, subscriptions := b.Subscriptions(b.ctx())
		_, types := b.EventTypes(b.ctx())
		_, event := b.Event(b.ctx(), "", "x")
		_, events := b.Events(b.ctx(), store.Query{})
		_, delivery := b.Delivery(b.ctx(), 1)
		_, deliveries := b.Deliveries(b.ctx(), store.Query{})
		_, attempts := b.Attempts(b.ctx(), 1)
		_, of := b.DeliveryOf(b.ctx(), 1)
		_, stats := b.Stats(b.ctx())
		for i, err := range []error{
			b.Commit(b.ctx(), &store.Batch{}), identity, claim, backlogs, requeue, discard, replay, forget, remove, bury, unlogged, b.Logged(b.ctx(), nil), b.CreateSubscription(b.ctx(), s), update,
			b.DeleteSubscription(b.ctx(), "crm"), subscriptions, b.PutEventType(b.ctx(), store.EventType{Name: "a"}),
			b.DeleteEventType(b.ctx(), "a"), types, event, events, delivery, deliveries, attempts, of, stats,
		} {
			if !errors.Is(err, store.ErrUnavailable) {
				b.Errorf("call %d: %v", i, err)
			}
		}
		b.Store = b.open(b.t, b.now)
		sameSubscriptions(b, s)
	}},
}
