package storetest

import (
	"errors"
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
		b.settle(b.attempted(one, s, 1, store.Pending), b.attempted(two, other, 1, store.Dead))
		b.settle(b.attempted(one, s, 2, store.Delivered))
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
		b.settle(b.attempted(waits.Deliveries[0].ID, s, 1, store.Delivered))
		b.clock = b.clock.Add(time.Hour)
		done := b.forget(store.Forget{Before: b.now(), Limit: 9})
		equal(b, "removed", done.Events, 0)
		equal(b, "last", done.Last, waits.Event.Key)
		same(b, "deliveries", b.list(store.Query{}), newestFirst(deliveries(held, waits)...))
	}},
	{"forget the oldest first, in pieces", func(b *bench) {
		s := b.subscribe("crm")
		var ps []*store.Publication
		for range 4 {
			p := b.event("1", s)
			b.publish(p)
			b.settle(b.attempted(p.Deliveries[0].ID, s, 1, store.Delivered))
			b.clock = b.clock.Add(time.Second)
			ps = append(ps, p)
		}
		before := ps[3].Event.Key.Time()
		done := b.forget(store.Forget{Before: before, Limit: 3}) // an event and its delivery are two
		equal(b, "removed", done.Events, 2)
		equal(b, "more", done.More, true)
		equal(b, "last", done.Last, ps[1].Event.Key)
		same(b, "deliveries", b.list(store.Query{}), newestFirst(deliveries(ps[2:]...)...))
		done = b.forget(store.Forget{After: done.Last, Before: before, Limit: 3})
		equal(b, "removed", done.Events, 1)
		equal(b, "more", done.More, false)
		same(b, "deliveries", b.list(store.Query{}), deliveries(ps[3:]...))
	}},
	{"keep dead letters", func(b *bench) {
		s := b.subscribe("crm")
		dead, fine := b.event("1", s), b.event("2", s)
		b.publish(dead, fine)
		b.settle(b.attempted(dead.Deliveries[0].ID, s, 1, store.Dead), b.attempted(fine.Deliveries[0].ID, s, 1, store.Delivered))
		b.clock = b.clock.Add(time.Hour)
		equal(b, "removed", b.forget(store.Forget{Before: b.now(), KeepDead: true, Limit: 9}).Events, 1)
		same(b, "deliveries", b.list(store.Query{}), deliveries(dead))
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
	{"what is forgotten isn't queued again", func(b *bench) {
		s := b.subscribe("crm")
		p := b.event("1", s)
		b.publish(p)
		b.settle(b.attempted(p.Deliveries[0].ID, s, 1, store.Dead))
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
