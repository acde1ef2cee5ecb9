package storetest

import (
	"errors"
	"strings"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

var forgetTests = []test{
	{"forget what is settled", func(b *bench) {
		s, other := b.subscribe("crm"), b.subscribe("other")
		p, unheard := b.event("1", s, other), b.event("2")
		p.Chosen, p.Event.ID, p.Event.Tenant = true, "mine", "t"
		b.publish(p, unheard)
		one, two := p.Deliveries[0].ID, p.Deliveries[1].ID
		b.settle(b.attempted(one, 1, store.Pending), b.attempted(two, 1, store.Dead))
		b.settle(b.attempted(one, 2, store.Delivered))
		b.clock = b.clock.Add(time.Hour)
		equal(b, "removed", b.forget(store.Forget{Before: b.now(), Limit: 9}).Events, 2)
		same(b, "deliveries", b.list(store.Query{}), nil)
		equal(b, "events", len(b.listEvents(store.Query{})), 0)
		_, err := b.Attempts(b.ctx(), one)
		equal(b, "its attempts are not found", errors.Is(err, store.ErrNotFound), true)
		again := b.event("other bytes", s)
		again.Chosen, again.Event.ID, again.Event.Tenant = true, "mine", "t"
		equal(b, "the id again", b.publish(again)[0].Outcome, store.Stored)
	}},
	{"never forget what is pending", func(b *bench) {
		s, other := b.subscribe("crm"), b.subscribe("other")
		held, waits := b.event("1", s), b.event("2", s, other)
		held.Deliveries[0].Hold = true
		b.publish(held, waits)
		b.settle(b.attempted(waits.Deliveries[0].ID, 1, store.Delivered))
		b.clock = b.clock.Add(time.Hour)
		done := b.forget(store.Forget{Before: b.now(), Limit: 9})
		equal(b, "removed", done.Events, 0)
		equal(b, "next", done.Next, 0)
		same(b, "deliveries", b.list(store.Query{}), newestFirst(deliveries(held, waits)...))
	}},
	{"forget the oldest first, in pieces", func(b *bench) {
		s := b.subscribe("crm")
		var ps []*store.Publication
		for range 4 {
			p := b.event("1", s)
			b.publish(p)
			b.settle(b.attempted(p.Deliveries[0].ID, 1, store.Delivered))
			b.clock = b.clock.Add(time.Second)
			ps = append(ps, p)
		}
		before := ps[3].Event.Key.Time()
		done := b.forget(store.Forget{Before: before, Limit: 3}) // an event and its delivery are two
		equal(b, "removed", done.Events, 2)
		equal(b, "next", done.Next, ps[2].Event.Key)
		same(b, "deliveries", b.list(store.Query{}), newestFirst(deliveries(ps[2:]...)...))
		done = b.forget(store.Forget{From: done.Next, Before: before, Limit: 3})
		equal(b, "removed", done.Events, 1)
		equal(b, "next", done.Next, 0)
		same(b, "deliveries", b.list(store.Query{}), deliveries(ps[3:]...))
	}},
	{"deleted subscriptions that nothing names", func(b *bench) {
		gone, other := b.subscribe("crm"), b.subscribe("other")
		waits := b.event("1", gone)
		b.publish(waits)
		b.clock = b.clock.Add(2 * time.Hour)
		dead := b.event("2", gone)
		b.publish(dead)
		b.settle(b.attempted(dead.Deliveries[0].ID, 1, store.Dead))
		b.check(b.DeleteSubscription(b.ctx(), "crm"))
		again := b.subscribe("crm")
		for range 2 {
			b.forget(store.Forget{Before: b.now(), KeepDead: true, Limit: 9})
		}
		equal(b, "at once", b.delivery(dead.Deliveries[0].ID).SubscriptionID, "crm")
		pass := func() {
			b.clock = b.clock.Add(2 * time.Hour)
			later := b.event("3", other)
			b.publish(later)
			b.settle(b.attempted(later.Deliveries[0].ID, 1, store.Delivered))
			for range 2 {
				b.forget(store.Forget{Before: later.Event.Key.Time(), KeepDead: true, Limit: 9})
			}
		}
		pass()
		equal(b, "while it has deliveries", b.delivery(dead.Deliveries[0].ID).SubscriptionID, "crm")
		b.settle(b.attempted(waits.Deliveries[0].ID, 1, store.Delivered))
		pass()
		equal(b, "while it has a dead letter", b.delivery(dead.Deliveries[0].ID).SubscriptionID, "crm")
		b.remove(store.Removal{Events: events(dead), Limit: 1})
		pass()
		late := b.event("4", gone)
		b.publish(late)
		equal(b, "when it has none", b.delivery(late.Deliveries[0].ID).SubscriptionID, "")
		sameSubscriptions(b, other, again)
	}},
	{"keep dead letters", func(b *bench) {
		s := b.subscribe("crm")
		dead, fine := b.chosen("dead", "1", s), b.chosen("fine", "2", s)
		b.publish(dead, fine)
		b.settle(b.attempted(dead.Deliveries[0].ID, 1, store.Dead), b.attempted(fine.Deliveries[0].ID, 1, store.Delivered))
		b.clock = b.clock.Add(time.Hour)
		equal(b, "removed", b.forget(store.Forget{Before: b.now(), KeepDead: true, Limit: 9}).Events, 1)
		same(b, "deliveries", b.list(store.Query{}), deliveries(dead))
		equal(b, "its id", b.publish(b.chosen("dead", "1"))[0].Outcome, store.Duplicate)
	}},
	{"use less", func(b *bench) {
		for range 50 {
			b.publish(b.event(string(make([]byte, 8<<10))))
		}
		b.clock = b.clock.Add(time.Hour)
		before := b.forget(store.Forget{Before: b.now()})
		equal(b, "removed with no room to look", before.Events, 0)
		equal(b, "removed with room for more than one", b.forget(store.Forget{Before: b.now(), Limit: 4}).Events, 2) // each weighs like three rows
		after := b.forget(store.Forget{Before: b.now(), Limit: 999})
		equal(b, "removed", after.Events, 48)
		if freed := before.Used - after.Used; freed < 400<<10 {
			b.Errorf("%d bytes are free, of %d", freed, before.Used)
		}
	}},
	{"payloads before their records", func(b *bench) {
		s, other := b.subscribe("crm"), b.subscribe("other")
		large := strings.Repeat("x", 3*store.PayloadUnit)
		fine, dead, waits, small := b.event(large, s), b.event(large, s, other), b.event(large, s), b.event("small", s)
		fine.Chosen, fine.Event.ID, fine.Event.Tenant = true, "mine", "t"
		b.publish(fine, dead, waits, small)
		b.settle(
			b.attempted(fine.Deliveries[0].ID, 1, store.Delivered), b.attempted(small.Deliveries[0].ID, 1, store.Delivered),
			b.attempted(dead.Deliveries[0].ID, 1, store.Delivered), b.attempted(dead.Deliveries[1].ID, 1, store.Dead))
		b.clock = b.clock.Add(time.Hour)
		before := b.forget(store.Forget{Before: b.now()}).Used
		f := store.Forget{Before: b.now(), KeepDead: true, PayloadsOnly: true, Limit: 99}
		done := b.forget(f)
		equal(b, "removed", done.Events, 1)
		if before-done.Used < 2*store.PayloadUnit {
			b.Errorf("%d bytes are in use, %d were", done.Used, before)
		}
		equal(b, "removed again", b.forget(f).Events, 0)
		b.reopen()
		same(b, "deliveries", b.list(store.Query{}), newestFirst(deliveries(fine, dead, waits, small)...))
		for _, p := range []*store.Publication{fine, dead, waits, small} {
			e := must.Get(b.Event(b.ctx(), p.Event.Tenant, p.Event.ID))(b)
			want := string(p.Event.Payload)
			if p == fine {
				want = ""
			}
			equal(b, "payload", string(e.Payload), want)
			equal(b, "removed", e.PayloadRemoved, p == fine)
			equal(b, "damaged", e.Damaged, false)
		}

		// It can't be sent again, and its id is still its own.
		equal(b, "queued again", b.requeue(store.Query{Delivery: fine.Deliveries[0].ID, Limit: 1}).Count, 0)
		for kind, want := range map[string]store.Outcome{fine.Event.Type: store.Duplicate, "other.type": store.Reused} {
			p := b.event(large, s)
			p.Chosen, p.Event.ID, p.Event.Tenant, p.Event.Type = true, "mine", "t", kind
			equal(b, kind, b.publish(p)[0].Outcome, want)
		}
		f.PayloadsOnly = false
		equal(b, "removed as a whole", b.forget(f).Events, 2)
		same(b, "deliveries", b.list(store.Query{}), newestFirst(deliveries(dead, waits)...))
	}},
	{"one by hand", func(b *bench) {
		s, late := b.subscribe("crm"), b.subscribe("late")
		p, other := b.chosen("mine", "1", s), b.event("2", s)
		b.publish(p, other)
		remove := func(want bool) {
			b.Helper()
			done := b.remove(store.Removal{Events: events(p), Limit: 1})
			equal(b, "removed", done.Count > 0, want)
		}
		remove(false)
		b.settle(b.attempted(p.Deliveries[0].ID, 1, store.Pending))
		b.settle(b.attempted(p.Deliveries[0].ID, 2, store.Dead))
		made, _ := b.replay(late, p)
		remove(false)
		b.settle(b.attempted(made[0], 1, store.Delivered))
		remove(true)
		remove(false)
		same(b, "deliveries", b.list(store.Query{}), deliveries(other))
		_, err := b.Attempts(b.ctx(), p.Deliveries[0].ID)
		equal(b, "its attempts are not found", errors.Is(err, store.ErrNotFound), true)
		equal(b, "the id again", b.publish(b.chosen("mine", "3"))[0].Outcome, store.Stored)
	}},
	{"some by hand, in pieces", func(b *bench) {
		s := b.subscribe("crm")
		waits, large, small, gone := b.event("1", s), b.event(strings.Repeat("x", 3*store.PayloadUnit), s), b.event("2", s), b.event("3")
		b.publish(waits, large, small)
		for _, p := range []*store.Publication{large, small} {
			b.settle(b.attempted(p.Deliveries[0].ID, 1, store.Delivered))
		}
		r := store.Removal{Events: events(waits, large, gone, small), Limit: 7} // two, two and three payload units
		done := b.remove(r)
		equal(b, "removed", done.Count, 1)
		same(b, "kept", done.Kept, events(waits))
		same(b, "left to look at", done.Rest, events(gone, small))
		r.Events = done.Rest
		done = b.remove(r)
		equal(b, "removed", done.Count, 1)
		same(b, "kept", done.Kept, nil)
		same(b, "left to look at", done.Rest, nil)
		same(b, "deliveries", b.list(store.Query{}), deliveries(waits))
	}},
	{"what is pending, by hand", func(b *bench) {
		s, late := b.subscribe("crm"), b.subscribe("late")
		waits, held := b.chosen("mine", "1", s), b.event("2", s, late)
		b.publish(waits, held)
		made, _ := b.replay(late, waits)
		same(b, "claimed", b.claimed(late, 9), append(deliveries(held)[1:], made...))
		r := store.Removal{Events: events(waits, held), Pending: true, Limit: 9}
		done := b.remove(r)
		equal(b, "removed", done.Count, 0)
		same(b, "kept", done.Kept, events(waits, held))
		same(b, "claimed", b.claimed(s, 9), []store.ID{deliveries(waits)[0], deliveries(held)[0]}) // they weren't claimed
		b.check(b.Release(b.ctx(), append(made, deliveries(waits)...)))
		done = b.remove(r)
		equal(b, "removed", done.Count, 1)
		same(b, "kept", done.Kept, events(held))
		b.settle(b.attempted(deliveries(held)[0], 1, store.Pending), b.attempted(deliveries(held)[1], 1, store.Dead))
		equal(b, "removed", b.remove(r).Count, 1)
		same(b, "deliveries", b.list(store.Query{}), nil)
		b.clock = b.clock.Add(time.Hour)
		same(b, "claimed", b.claimed(s, 9), nil)
		b.settle(b.attempted(deliveries(held)[0], 2, store.Pending)) // an outcome that comes too late
		equal(b, "the id again", b.publish(b.chosen("mine", "3"))[0].Outcome, store.Stored)
		equal(b, "backlogs", len(must.Get(b.Backlogs(b.ctx()))(b)), 0)
	}},
	{"what is left of a tenant's subscriptions", func(b *bench) {
		there, other := b.subscribeOf("acme", "there"), b.subscribe("other")
		var gone []*store.Subscription
		for _, id := range []string{"one", "two", "three"} {
			gone = append(gone, b.subscribeOf("acme", id))
		}
		elsewhere := b.subscribeOf("globex", "elsewhere")
		p := b.event("1", gone[0], elsewhere)
		b.publish(p)
		for _, s := range append(gone, elsewhere) {
			b.check(b.DeleteSubscription(b.ctx(), s.ID))
		}
		for _, want := range []int{2, 1, 0} {
			equal(b, "forgotten", must.Get(b.ForgetSubscriptions(b.ctx(), "acme", 2))(b), want)
		}
		sameSubscriptions(b, there, other)
		equal(b, "a delivery to one", b.delivery(p.Deliveries[0].ID).URL, "")
		equal(b, "a delivery to another tenant's", b.delivery(p.Deliveries[1].ID).URL, elsewhere.URL)
		equal(b, "given up", len(must.Get(b.Bury(b.ctx(), store.Burial{Subscription: gone[0].Key, Limit: 9}))(b)), 1)
	}},
	{"what is forgotten isn't queued again", func(b *bench) {
		s := b.subscribe("crm")
		p := b.event("1", s)
		b.publish(p)
		b.settle(b.attempted(p.Deliveries[0].ID, 1, store.Dead))
		b.clock = b.clock.Add(time.Hour)
		b.forget(store.Forget{Before: b.now(), Limit: 9})
		equal(b, "count", b.requeue(store.Query{Delivery: p.Deliveries[0].ID, Limit: 1}).Count, 0)
		b.reopen()
		same(b, "deliveries", b.list(store.Query{}), nil)
	}},
}

func (b *bench) remove(r store.Removal) store.Removed {
	b.Helper()
	return must.Get(b.Remove(b.ctx(), r))(b)
}

// events returns the keys of publications' events.
func events(ps ...*store.Publication) (keys []store.ID) {
	for _, p := range ps {
		keys = append(keys, p.Event.Key)
	}
	return keys
}

func (b *bench) forget(f store.Forget) store.Forgotten {
	b.Helper()
	return must.Get(b.Forget(b.ctx(), f))(b)
}
