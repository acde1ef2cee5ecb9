package storetest

import (
	"strings"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

var claimTests = []test{
	{"in the order of due time, then of id", func(b *bench) {
		s := b.subscribe("crm")
		first, second, third, fourth := b.event("1", s), b.event("2", s), b.event("3", s), b.event("4", s)
		first.Deliveries[0].Due = b.now().Add(-time.Second)
		third.Deliveries[0].Due = b.now().Add(-time.Minute)
		b.publish(first, second, third, fourth)
		same(b, "claimed", b.claimed(s, 9), deliveries(third, first, second, fourth))
	}},
	{"with all that is needed to send it", func(b *bench) {
		s := b.subscribe("crm")
		p := b.chosen("x", "1", s)
		p.Event.Headers = map[string]string{"X-A": "b"}
		p.Event.TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
		b.publish(p)
		h := b.claim(s, 1).Deliveries[0]
		equal(b, "delivery", h.Delivery.ID, p.Deliveries[0].ID)
		equal(b, "subscription", h.Subscription, s.Key)
		equal(b, "event", h.Delivery.Event, p.Event.Key)
		equal(b, "event id", h.Event.ID, "x")
		equal(b, "type", h.Type, "order.created")
		equal(b, "payload", string(h.Payload), "1")
		equal(b, "headers", h.Headers["X-A"], "b")
		equal(b, "trace", h.TraceParent, p.Event.TraceParent)
		equal(b, "state", h.State, store.Pending)
		equal(b, "attempts", h.Attempts, 0)
		if !h.Due.Equal(b.now()) {
			b.Errorf("due: got %v, want %v", h.Due, b.now())
		}
	}},
	{"not before it is due", func(b *bench) {
		s := b.subscribe("crm")
		p := b.event("1", s)
		p.Deliveries[0].Due = b.now().Add(time.Minute)
		b.publish(p)
		c := b.claim(s, 9)
		same(b, "claimed", heldIDs(c.Deliveries), nil)
		if !c.Next.Equal(p.Deliveries[0].Due) {
			b.Fatalf("next at %v, want %v", c.Next, p.Deliveries[0].Due)
		}
		b.clock = b.clock.Add(time.Minute)
		c = b.claim(s, 9)
		same(b, "claimed when due", heldIDs(c.Deliveries), deliveries(p))
		equal(b, "next when none is left", c.Next, time.Time{})
	}},
	{"ahead of their time, behind a place", func(b *bench) {
		s, other := b.subscribe("crm"), b.subscribe("other")
		var ps []*store.Publication
		for i := range 4 {
			p := b.event("1", s, other)
			for n := range p.Deliveries {
				p.Deliveries[n].Due = b.now().Add(time.Duration(i/2) * time.Minute) // two are due
			}
			ps = append(ps, p)
		}
		b.publish(ps...)
		ahead := func(limit int, after store.Place) store.Claimed {
			c := must.Get(b.Claim(b.ctx(), b.now(), 1<<20, []store.Want{{Subscription: s.Key, Limit: limit, Ahead: true, After: after}}))(b)
			return c[0]
		}
		place := func(p *store.Publication) store.Place {
			return store.Place{Due: p.Deliveries[0].Due, ID: p.Deliveries[0].ID}
		}
		c := ahead(1, place(ps[1]))
		same(b, "the next one", heldIDs(c.Deliveries), deliveries(ps[2])[:1])
		if !c.Next.Equal(b.now()) {
			b.Errorf("next at %v, want now: what comes before the place is left", c.Next)
		}
		same(b, "of those left", heldIDs(ahead(9, store.Place{}).Deliveries), []store.ID{ps[0].Deliveries[0].ID, ps[1].Deliveries[0].ID, ps[3].Deliveries[0].ID})
		same(b, "behind the last", heldIDs(ahead(9, place(ps[3])).Deliveries), nil)
		equal(b, "the other's", len(b.claimed(other, 9)), 2)
	}},
	{"a limit leaves the rest", func(b *bench) {
		s := b.subscribe("crm")
		ps := []*store.Publication{b.event("1", s), b.event("2", s), b.event("3", s)}
		b.publish(ps...)
		c := b.claim(s, 2)
		same(b, "claimed", heldIDs(c.Deliveries), deliveries(ps[:2]...))
		if !c.Next.Equal(b.now()) {
			b.Fatalf("next at %v, want now, %v", c.Next, b.now())
		}
		same(b, "claimed then", b.claimed(s, 2), deliveries(ps[2]))
		same(b, "claimed at last", b.claimed(s, 2), nil)
	}},
	{"a limit of nothing tells what is next", func(b *bench) {
		s := b.subscribe("crm")
		b.publish(b.event("1", s))
		c := b.claim(s, 0)
		equal(b, "claimed", len(c.Deliveries), 0)
		if !c.Next.Equal(b.now()) {
			b.Fatalf("next at %v, want now, %v", c.Next, b.now())
		}
	}},
	{"one answer for each want, in their order", func(b *bench) {
		one, two, none := b.subscribe("one"), b.subscribe("two"), b.subscribe("none")
		p := b.event("1", one, two)
		b.publish(p)
		claimed := must.Get(b.Claim(b.ctx(), b.now(), 1<<20, []store.Want{
			{Subscription: two.Key, Limit: 1}, {Subscription: none.Key, Limit: 1}, {Subscription: one.Key, Limit: 1}, {Subscription: 1, Limit: 1},
		}))(b)
		equal(b, "answers", len(claimed), 4)
		same(b, "two", heldIDs(claimed[0].Deliveries), []store.ID{p.Deliveries[1].ID})
		same(b, "none", heldIDs(claimed[1].Deliveries), nil)
		same(b, "one", heldIDs(claimed[2].Deliveries), []store.ID{p.Deliveries[0].ID})
		if claimed[0].Deliveries[0].Event != claimed[2].Deliveries[0].Event {
			b.Error("two deliveries of one event don't share it")
		}
	}},
	{"payloads are bounded", func(b *bench) {
		one, two := b.subscribe("one"), b.subscribe("two")
		large := strings.Repeat("x", 1000)
		ps := []*store.Publication{b.event(large, one), b.event(large, one), b.event(large, one, two)}
		b.publish(ps...)
		claimed := must.Get(b.Claim(b.ctx(), b.now(), 1500, []store.Want{{Subscription: one.Key, Limit: 9}, {Subscription: two.Key, Limit: 9}}))(b)
		same(b, "one", heldIDs(claimed[0].Deliveries), deliveries(ps[:2]...))
		same(b, "two", heldIDs(claimed[1].Deliveries), nil)
		for i, c := range claimed {
			if !c.Next.Equal(b.now()) {
				b.Errorf("answer %d: next at %v, want now, %v", i, c.Next, b.now())
			}
		}
		claimed = must.Get(b.Claim(b.ctx(), b.now(), 0, []store.Want{{Subscription: two.Key, Limit: 9}}))(b)
		equal(b, "claimed with no room at all", len(claimed[0].Deliveries), 1)
	}},
	{"what is held isn't claimed", func(b *bench) {
		s := b.subscribe("crm")
		handed, left := b.event("1", s), b.event("2", s)
		handed.Deliveries[0].Hold = true
		b.publish(handed, left)
		c := b.claim(s, 9)
		same(b, "claimed", heldIDs(c.Deliveries), deliveries(left))
		equal(b, "next when all are held", c.Next, time.Time{})
		same(b, "claimed again", b.claimed(s, 9), nil)
	}},
	{"what is released is claimed again", func(b *bench) {
		s := b.subscribe("crm")
		p := b.event("1", s)
		p.Deliveries[0].Hold = true
		b.publish(p)
		b.check(b.Release(b.ctx(), deliveries(p)))
		same(b, "claimed", b.claimed(s, 9), deliveries(p))
		b.check(b.Release(b.ctx(), deliveries(p)))
		b.check(b.Release(b.ctx(), append(deliveries(p), b.ids.Next())))
		same(b, "claimed again", b.claimed(s, 9), deliveries(p))
	}},
	{"what a duplicate would have held is free", func(b *bench) {
		s := b.subscribe("crm")
		first, again := b.chosen("x", "1", s), b.chosen("x", "1", s)
		again.Deliveries[0].Hold = true
		b.publish(first, again)
		same(b, "claimed", b.claimed(s, 9), deliveries(first))
	}},
	{"backlogs, held ones included", func(b *bench) {
		one, two, none := b.subscribe("one"), b.subscribe("two"), b.subscribe("none")
		early, late, done := b.event("1", two), b.event("2", one, two), b.event("3", none)
		early.Deliveries[0].Due = b.now().Add(-time.Minute)
		late.Deliveries[0].Hold = true
		late.Deliveries[0].Due = b.now().Add(time.Minute)
		b.publish(late, early, done)
		b.settle(b.attempted(done.Deliveries[0].ID, 1, store.Delivered))
		got := must.Get(b.Backlogs(b.ctx()))(b)
		due := map[store.ID]time.Time{}
		for _, l := range got {
			due[l.Subscription] = l.Due
		}
		equal(b, "backlogs", len(got), 2)
		if !due[one.Key].Equal(late.Deliveries[0].Due) || !due[two.Key].Equal(early.Deliveries[0].Due) {
			b.Fatalf("got %v", got)
		}
	}},
}
