package storetest

import (
	"errors"
	"reflect"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

var settleTests = []test{
	{"what tells of a death is stored with it", func(b *bench) {
		s, pager := b.subscribe("crm"), b.subscribe("pager")
		p := b.event("1", s)
		b.publish(p)
		news := b.event("dead", pager)
		news.Tells = p.Deliveries[0].ID
		death := b.attempted(news.Tells, 1, store.Dead)
		b.check(b.Commit(b.ctx(), &store.Batch{Publications: []*store.Publication{news}, Settlements: []*store.Settlement{death}}))
		equal(b, "outcome", news.Result, store.PublishResult{Deliveries: 1})
		equal(b, "passed", death.Passed, false)
		b.settle(death)
		equal(b, "passed the second time", death.Passed, false)
		same(b, "claimed", b.claimed(pager, 9), deliveries(news))
	}},
	{"delivered at once", func(b *bench) {
		s := b.subscribe("crm")
		p := b.event("1", s)
		p.Deliveries[0].Hold = true
		b.publish(p)
		id := p.Deliveries[0].ID
		t := b.attempted(id, 1, store.Delivered)
		b.settle(t)
		r := b.delivery(id)
		equal(b, "state", r.State, store.Delivered)
		equal(b, "attempts", r.Attempts, 1)
		equal(b, "due", r.Due, time.Time{})
		sameAttempts(b, []*store.Attempt{r.Last}, t)
		b.clock = b.clock.Add(time.Hour)
		same(b, "claimed", b.claimed(s, 9), nil)
	}},
	{"retried until it is dead", func(b *bench) {
		s := b.subscribe("crm")
		p := b.event("1", s)
		b.publish(p)
		id := p.Deliveries[0].ID
		var made []*store.Settlement
		for number := range 3 {
			h := b.claim(s, 9).Deliveries
			same(b, "claimed", heldIDs(h), []store.ID{id})
			equal(b, "attempts so far", h[0].Attempts, number)
			t := b.attempted(id, number+1, store.Pending)
			if number == 2 {
				t = b.attempted(id, number+1, store.Dead)
			}
			made = append(made, t)
			b.settle(t)
			same(b, "claimed before it is due", b.claimed(s, 9), nil)
			b.clock = b.clock.Add(time.Minute)
		}
		r := b.delivery(id)
		equal(b, "state", r.State, store.Dead)
		equal(b, "reason", r.Reason, "every attempt failed")
		equal(b, "attempts", r.Attempts, 3)
		sameAttempts(b, []*store.Attempt{r.Last}, made[2])
		attempts := must.Get(b.Attempts(b.ctx(), id))(b)
		sameAttempts(b, attempts, made...)
		for _, t := range made {
			equal(b, "delivery of an attempt", must.Get(b.DeliveryOf(b.ctx(), t.Attempt.ID))(b), id)
		}
		records := must.Get(b.Deliveries(b.ctx(), store.Query{States: []store.State{store.Dead}}))(b)
		equal(b, "dead letters", len(records), 1)
		sameAttempts(b, []*store.Attempt{records[0].Last}, made[2])
	}},
	{"an attempt without an answer", func(b *bench) {
		s := b.subscribe("crm")
		p := b.event("1", s)
		b.publish(p)
		t := b.attempted(p.Deliveries[0].ID, 1, store.Pending)
		t.Attempt = &store.Attempt{ID: p.Deliveries[0].ID, Number: 1, At: b.now(), Class: "dns", Error: "no such host"}
		b.settle(t)
		sameAttempts(b, []*store.Attempt{b.delivery(p.Deliveries[0].ID).Last}, t)
	}},
	{"an answer that is no text", func(b *bench) {
		s := b.subscribe("crm")
		p := b.event("1", s)
		b.publish(p)
		t := b.attempted(p.Deliveries[0].ID, 1, store.Dead)
		t.Attempt.ResponseBody = []byte{0xff, 0, 0xc3}
		t.Attempt.ResponseHeaders = map[string]string{"X-Odd": "a\u00e9\t\"", "Set-Cookie": ""}
		b.settle(t)
		sameAttempts(b, []*store.Attempt{b.delivery(p.Deliveries[0].ID).Last}, t)
	}},
	{"twice the same is once", func(b *bench) {
		s := b.subscribe("crm")
		p := b.event("1", s)
		b.publish(p)
		first, second := b.attempted(p.Deliveries[0].ID, 1, store.Pending), b.attempted(p.Deliveries[0].ID, 2, store.Delivered)
		b.settle(first)
		b.settle(first)
		b.settle(second)
		b.settle(second)
		attempts := must.Get(b.Attempts(b.ctx(), p.Deliveries[0].ID))(b)
		sameAttempts(b, attempts, first, second)
	}},
	{"with a publication in one batch", func(b *bench) {
		s := b.subscribe("crm")
		one, two := b.event("1", s), b.event("2", s)
		b.publish(one)
		b.check(b.Commit(b.ctx(), &store.Batch{
			Publications: []*store.Publication{two},
			Settlements:  []*store.Settlement{b.attempted(one.Deliveries[0].ID, 1, store.Delivered)},
		}))
		same(b, "claimed", b.claimed(s, 9), deliveries(two))
	}},
	{"of a delivery that is gone", func(b *bench) {
		s := b.subscribe("crm")
		p := b.event("1", s)
		first, second := b.attempted(b.ids.Next(), 1, store.Delivered), b.attempted(b.ids.Next(), 2, store.Delivered)
		b.check(b.Commit(b.ctx(), &store.Batch{
			Publications: []*store.Publication{p},
			Settlements:  []*store.Settlement{first, second},
		}))
		same(b, "deliveries", b.list(store.Query{}), deliveries(p))
		for _, t := range []*store.Settlement{first, second} {
			if of, err := b.DeliveryOf(b.ctx(), t.Attempt.ID); !errors.Is(err, store.ErrNotFound) {
				b.Errorf("its attempt %d is there, of %v: %v", t.Attempt.Number, of, err)
			}
		}
	}},
	{"unknown ids", func(b *bench) {
		id := b.ids.Next()
		_, delivery := b.Delivery(b.ctx(), id)
		_, attempts := b.Attempts(b.ctx(), id)
		_, of := b.DeliveryOf(b.ctx(), id)
		for _, err := range []error{delivery, attempts, of} {
			if !errors.Is(err, store.ErrNotFound) {
				b.Errorf("got %v", err)
			}
		}
	}},
}

// sameAttempts compares attempts with the settlements that they come from.
func sameAttempts(b *bench, got []*store.Attempt, want ...*store.Settlement) {
	b.Helper()
	if len(got) != len(want) {
		b.Fatalf("got %d attempts, want %d", len(got), len(want))
	}
	for i, a := range got {
		if a == nil {
			b.Fatalf("attempt %d is missing", i)
		}
		g, w := *a, *want[i].Attempt
		if !g.At.Equal(w.At) {
			b.Errorf("attempt %d: at %v, want %v", i, g.At, w.At)
		}
		g.At, w.At = time.Time{}, time.Time{}
		if !reflect.DeepEqual(g, w) {
			b.Errorf("attempt %d: got %+v, want %+v", i, g, w)
		}
	}
}
