package storetest

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

var queueTests = []test{
	{"queue dead letters again", func(b *bench) {
		s, other := b.subscribe("crm"), b.subscribe("other")
		dead, alive, others := b.event("1", s), b.event("2", s), b.event("3", other)
		b.publish(dead, alive, others)
		id := dead.Deliveries[0].ID
		b.settle(b.attempted(id, 1, store.Pending), b.attempted(alive.Deliveries[0].ID, 1, store.Delivered),
			b.attempted(others.Deliveries[0].ID, 1, store.Dead))
		b.settle(b.attempted(id, 2, store.Dead))
		done := b.requeue(store.Query{States: []store.State{store.Dead}, Subscription: "crm", Limit: 9})
		equal(b, "count", done.Count, 1)
		equal(b, "last", done.Last, id)
		same(b, "subscriptions", done.Subscriptions, []store.ID{s.Key})
		r := b.delivery(id)
		equal(b, "state", r.State, store.Pending)
		equal(b, "reason", r.Reason, "")
		equal(b, "attempts", r.Attempts, 2)
		equal(b, "round", r.Round, 2)
		h := b.claim(s, 9).Deliveries
		same(b, "claimed", heldIDs(h), []store.ID{id})
		equal(b, "the round of what is held", h[0].Round, 2)
		equal(b, "its attempts", h[0].Attempts, 2)
		equal(b, "attempts kept", len(must.Get(b.Attempts(b.ctx(), id))(b)), 2)
		same(b, "dead letters", b.list(store.Query{States: []store.State{store.Dead}}), deliveries(others))
	}},
	{"discard dead letters", func(b *bench) {
		s, other := b.subscribe("crm"), b.subscribe("other")
		one, two, alive, waits, others := b.event("1", s), b.event("2", s), b.event("3", s), b.event("4", s), b.event("5", other)
		b.publish(one, two, alive, waits, others)
		b.settle(b.attempted(one.Deliveries[0].ID, 1, store.Dead), b.attempted(two.Deliveries[0].ID, 1, store.Dead),
			b.attempted(alive.Deliveries[0].ID, 1, store.Delivered), b.attempted(others.Deliveries[0].ID, 1, store.Dead))
		b.check(b.DeleteSubscription(b.ctx(), "other"))
		done := must.Get(b.Discard(b.ctx(), store.Query{Limit: 2}))(b)
		equal(b, "count", done.Count, 2)
		equal(b, "more", done.More, true)
		equal(b, "last", done.Last, two.Deliveries[0].ID)
		same(b, "dead letters", b.list(store.Query{States: []store.State{store.Dead}}), deliveries(one))
		same(b, "discarded", b.list(store.Query{States: []store.State{store.Discarded}}), newestFirst(deliveries(two, others)...))
		equal(b, "dead letters in the figures", must.Get(b.Stats(b.ctx()))(b).Dead, 1)
		r := b.delivery(two.Deliveries[0].ID)
		equal(b, "state", r.State, store.Discarded)
		if r.Reason == "" || r.Last == nil {
			b.Errorf("what was discarded has lost its record: %+v", r)
		}
		equal(b, "count of the second time", must.Get(b.Discard(b.ctx(), store.Query{Delivery: two.Deliveries[0].ID, Limit: 1}))(b).Count, 0)
		b.requeue(store.Query{Delivery: two.Deliveries[0].ID, Limit: 1})
		equal(b, "state when it is queued", b.delivery(two.Deliveries[0].ID).State, store.Pending)
	}},
	{"queue what was delivered again", func(b *bench) {
		s := b.subscribe("crm")
		p := b.event("1", s)
		b.publish(p)
		b.settle(b.attempted(p.Deliveries[0].ID, 1, store.Delivered))
		equal(b, "count", b.requeue(store.Query{Delivery: p.Deliveries[0].ID, Limit: 1}).Count, 1)
		same(b, "claimed", b.claimed(s, 9), deliveries(p))
	}},
	{"queue what waits for later", func(b *bench) {
		s := b.subscribe("crm")
		p := b.event("1", s)
		p.Deliveries[0].Due = b.now().Add(time.Hour)
		b.publish(p)
		equal(b, "count", b.requeue(store.Query{Limit: 9}).Count, 1)
		same(b, "claimed", b.claimed(s, 9), deliveries(p))
	}},
	{"what is held stays held when it is queued", func(b *bench) {
		s := b.subscribe("crm")
		p := b.event("1", s)
		p.Deliveries[0].Hold = true
		b.publish(p)
		equal(b, "count", b.requeue(store.Query{Limit: 9}).Count, 1)
		same(b, "claimed", b.claimed(s, 9), nil)
	}},
	{"queue in steps, the newest first", func(b *bench) {
		s := b.subscribe("crm")
		ps := b.deliveredTo(s, 5)
		q := store.Query{Limit: 2}
		var counts []int
		for {
			done := b.requeue(q)
			counts = append(counts, done.Count)
			if !done.More {
				break
			}
			q.Before = done.Last
		}
		same(b, "counts", counts, []int{2, 2, 1})
		same(b, "pending", b.list(store.Query{States: []store.State{store.Pending}}), newestFirst(deliveries(ps...)...))
	}},
	{"queue in steps, the oldest first", func(b *bench) {
		s := b.subscribe("crm")
		all := deliveries(b.deliveredTo(s, 5)...)
		q := store.Query{States: []store.State{store.Delivered}, After: 1, Limit: 2}
		for i, want := range [][]store.ID{all[:2], all[2:4], all[4:]} {
			done := b.requeue(q)
			equal(b, "count", done.Count, len(want))
			equal(b, "the last", done.Last, want[len(want)-1])
			same(b, fmt.Sprintf("claimed after step %d", i+1), b.claimed(s, 9), want)
			q.After = done.Last
		}
	}},
	{"nothing is queued for a deleted subscription", func(b *bench) {
		s := b.subscribe("crm")
		p := b.event("1", s)
		b.publish(p)
		b.settle(b.attempted(p.Deliveries[0].ID, 1, store.Dead))
		b.check(b.DeleteSubscription(b.ctx(), "crm"))
		equal(b, "count", b.requeue(store.Query{Limit: 9}).Count, 0)
	}},
	{"bury one that waits", func(b *bench) {
		s, other := b.subscribe("crm"), b.subscribe("other")
		held, one, two := b.event("1", s), b.event("2", s), b.event("3", s, other)
		held.Deliveries[0].Hold = true
		one.Deliveries[0].Due = b.now().Add(time.Hour)
		b.publish(held, one, two)
		for _, try := range []struct{ subscription, delivery, want store.ID }{
			{s.Key, one.Deliveries[0].ID, one.Deliveries[0].ID},
			{s.Key, one.Deliveries[0].ID, 0}, // it is already dead
			{s.Key, held.Deliveries[0].ID, 0},
			{other.Key, two.Deliveries[0].ID, 0}, // of another subscription
		} {
			var got store.ID
			records := must.Get(b.Bury(b.ctx(), store.Burial{Subscription: try.subscription, Delivery: try.delivery, Reason: "by hand", Limit: 9}))(b)
			for _, r := range records {
				got = r.ID
			}
			equal(b, "buried", got, try.want)
		}
		same(b, "claimed", b.claimed(s, 9), deliveries(two)[:1])
		same(b, "dead letters", b.list(store.Query{States: []store.State{store.Dead}}), deliveries(one))
	}},
	{"bury what waits, in steps, but not what is held", func(b *bench) {
		s, other := b.subscribe("crm"), b.subscribe("other")
		held, one, two, three := b.event("1", s, other), b.event("2", s), b.event("3", s), b.event("4", s)
		held.Deliveries[0].Hold = true
		two.Deliveries[0].Due = b.now().Add(time.Hour)
		b.publish(held, one, two, three)
		for number := range 2 {
			b.settle(b.attempted(three.Deliveries[0].ID, number+1, store.Pending))
		}
		b.check(b.DeleteSubscription(b.ctx(), s.ID))
		var buried []*store.Record
		for _, want := range []int{2, 1, 0} {
			records := must.Get(b.Bury(b.ctx(), store.Burial{Subscription: s.Key, Reason: "the subscription was deleted", Limit: 2}))(b)
			equal(b, "buried", len(records), want)
			buried = append(buried, records...)
		}
		for _, r := range buried { // as lists show them
			want := b.delivery(r.ID)
			want.Payload, want.ContentType = nil, ""
			if !reflect.DeepEqual(r, want) {
				b.Errorf("buried %+v, want %+v", r, want)
			}
		}
		same(b, "dead letters", b.list(store.Query{States: []store.State{store.Dead}}), newestFirst(deliveries(one, two, three)...))
		r := b.delivery(one.Deliveries[0].ID)
		equal(b, "reason", r.Reason, "the subscription was deleted")
		if r.Last != nil || r.Attempts != 0 {
			b.Errorf("there is an attempt: %+v", r.Last)
		}
		equal(b, "attempts", len(must.Get(b.Attempts(b.ctx(), r.ID))(b)), 0)
		if _, err := b.DeliveryOf(b.ctx(), r.ID); !errors.Is(err, store.ErrNotFound) {
			b.Errorf("the delivery of an attempt that wasn't made: %v", err)
		}
		same(b, "claimed", b.claimed(s, 9), nil)
		b.check(b.Release(b.ctx(), deliveries(held)))
		same(b, "claimed when released", b.claimed(s, 9), deliveries(held)[:1])
	}},
}

// deliveredTo creates deliveries that have succeeded.
func (b *bench) deliveredTo(s *store.Subscription, n int) (ps []*store.Publication) {
	b.Helper()
	for range n {
		ps = append(ps, b.event("1", s))
	}
	b.publish(ps...)
	for _, p := range ps {
		b.settle(b.attempted(p.Deliveries[0].ID, 1, store.Delivered))
	}
	return ps
}
