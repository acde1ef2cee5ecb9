package storetest

import (
	"errors"
	"strings"
	"time"

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
		events, err := b.Events(b.ctx(), store.Query{})
		b.check(err)
		equal(b, "events", len(events), 0)
		_, err = b.Attempts(b.ctx(), one)
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
		_, err := b.Remove(b.ctx(), dead.Event.Key)
		b.check(err)
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
		after := b.forget(store.Forget{Before: b.now(), Limit: 999})
		equal(b, "removed", after.Events, 50)
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
			e, err := b.Event(b.ctx(), p.Event.Tenant, p.Event.ID)
			b.check(err)
			want := string(p.Event.Payload)
			if p == fine {
				want = ""
			}
			equal(b, "payload", string(e.Payload), want)
			equal(b, "removed", e.PayloadRemoved, p == fine)
			equal(b, "damaged", e.Damaged, false)
		}

		// It can't be sent again, and its id is still its own.
		again, err := b.Requeue(b.ctx(), store.Query{Delivery: fine.Deliveries[0].ID, Limit: 1}, b.now())
		b.check(err)
		equal(b, "queued again", again.Count, 0)
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
			removed, err := b.Remove(b.ctx(), p.Event.Key)
			b.check(err)
			equal(b, "removed", removed, want)
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
	{"what is forgotten isn't queued again", func(b *bench) {
		s := b.subscribe("crm")
		p := b.event("1", s)
		b.publish(p)
		b.settle(b.attempted(p.Deliveries[0].ID, 1, store.Dead))
		b.clock = b.clock.Add(time.Hour)
		b.forget(store.Forget{Before: b.now(), Limit: 9})
		done, err := b.Requeue(b.ctx(), store.Query{Delivery: p.Deliveries[0].ID, Limit: 1}, b.now())
		b.check(err)
		equal(b, "count", done.Count, 0)
		b.reopen()
		same(b, "deliveries", b.list(store.Query{}), nil)
	}},
}

func (b *bench) forget(f store.Forget) store.Forgotten {
	b.Helper()
	done, err := b.Forget(b.ctx(), f)
	b.check(err)
	return done
}
