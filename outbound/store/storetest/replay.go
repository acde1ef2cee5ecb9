package storetest

import (
	"strings"
	"sync"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// replay creates deliveries of events, due now. It returns the ids of those that
// were created, and how many the store says it has created.
func (b *bench) replay(s *store.Subscription, ps ...*store.Publication) (made []store.ID, n int) {
	b.Helper()
	r := store.Replay{Subscription: s.Key, Due: b.now()}
	for _, p := range ps {
		r.Events = append(r.Events, p.Event.Key)
		r.Deliveries = append(r.Deliveries, b.ids.Next())
	}
	n = must.Get(b.Replay(b.ctx(), r))(b)
	for _, id := range r.Deliveries {
		if len(b.list(store.Query{Delivery: id})) > 0 {
			made = append(made, id)
		}
	}
	return made, n
}

var replayTests = []test{
	{"to whom they didn't go", func(b *bench) {
		crm, late := b.subscribe("crm"), b.subscribe("late")
		sent, unheard := b.chosen("mine", "1", crm), b.event("2")
		b.publish(sent, unheard)
		b.settle(b.attempted(sent.Deliveries[0].ID, 1, store.Delivered))
		b.clock = b.clock.Add(time.Hour)
		b.publish(b.event("3", crm)) // there are ids in between
		made, n := b.replay(late, sent, unheard)
		equal(b, "made", n, 2)
		equal(b, "there", len(made), 2)
		r := b.delivery(made[0])
		equal(b, "event", r.EventID, "mine")
		equal(b, "payload", string(r.Payload), "1")
		equal(b, "state", r.State, store.Pending)
		equal(b, "due", r.Due.Equal(b.now()), true)
		equal(b, "attempts", r.Attempts, 0)

		same(b, "deliveries of the event", b.list(store.Query{EventID: "mine"}), newestFirst(made[0], sent.Deliveries[0].ID))
		equal(b, "events of the subscription", len(b.listEvents(store.Query{Subscription: "late"})), 2)
		b.reopen()
		claimed := b.claim(late, 9).Deliveries
		same(b, "claimed", heldIDs(claimed), made)
		equal(b, "its payload", string(claimed[1].Payload), "2")
		b.settle(b.attempted(made[0], 1, store.Pending), b.attempted(made[1], 1, store.Dead))
		same(b, "dead letters", b.list(store.Query{States: []store.State{store.Dead}}), made[1:])
	}},
	{"once", func(b *bench) {
		crm, late := b.subscribe("crm"), b.subscribe("late")
		p := b.event("1", crm)
		b.publish(p)
		_, n := b.replay(crm, p)
		equal(b, "made of what was sent", n, 0)
		made, n := b.replay(late, p)
		equal(b, "made", n, 1)
		_, n = b.replay(late, p)
		equal(b, "made while it waits", n, 0)
		b.claim(late, 9)
		b.settle(b.attempted(made[0], 1, store.Dead))
		_, n = b.replay(late, p)
		equal(b, "made of what is a dead letter", n, 0)
	}},
	{"not what is gone", func(b *bench) {
		s, late, deleted := b.subscribe("crm"), b.subscribe("late"), b.subscribe("deleted")
		b.check(b.DeleteSubscription(b.ctx(), "deleted"))
		large, small, kept := b.event(strings.Repeat("x", 3*store.PayloadUnit), s), b.event("small", s), b.event("kept")
		b.publish(large, small)
		b.settle(b.attempted(large.Deliveries[0].ID, 1, store.Delivered), b.attempted(small.Deliveries[0].ID, 1, store.Delivered))
		b.clock = b.clock.Add(time.Hour)
		b.publish(kept)
		b.forget(store.Forget{Before: b.now(), PayloadsOnly: true, Limit: 99})
		_, n := b.replay(late, large)
		equal(b, "made of what has no payload", n, 0)
		b.forget(store.Forget{Before: b.now(), Limit: 99})
		_, n = b.replay(late, small)
		equal(b, "made of what was removed", n, 0)
		_, n = b.replay(deleted, kept)
		equal(b, "made for a deleted subscription", n, 0)
		same(b, "deliveries", b.list(store.Query{}), nil)
	}},
	{"their event stays for them, and goes with them", func(b *bench) {
		s, late := b.subscribe("crm"), b.subscribe("late")
		p := b.event("1", s)
		b.publish(p)
		b.settle(b.attempted(p.Deliveries[0].ID, 1, store.Delivered))
		b.clock = b.clock.Add(time.Hour)
		made, _ := b.replay(late, p)
		old := store.Forget{Before: b.now(), KeepDead: true, Limit: 9}
		equal(b, "removed while it waits", b.forget(old).Events, 0)
		b.claim(late, 9)
		b.settle(b.attempted(made[0], 1, store.Pending))
		b.settle(b.attempted(made[0], 2, store.Dead))
		equal(b, "removed while it is a dead letter", b.forget(old).Events, 0)
		old.KeepDead = false
		equal(b, "removed", b.forget(old).Events, 1)
		same(b, "deliveries", b.list(store.Query{}), nil)
		attempts, _ := b.Attempts(b.ctx(), made[0])
		equal(b, "attempts", len(attempts), 0)
	}},
	{"beside each other and what removes their events", func(b *bench) {
		const callers, events = 4, 60
		late := b.subscribe("late")
		var ps []*store.Publication
		for range events {
			ps = append(ps, b.event("1"))
		}
		b.publish(ps...)
		b.clock = b.clock.Add(time.Hour)
		var all sync.WaitGroup
		for range callers {
			all.Go(func() {
				for i := 0; i < events; i += 5 {
					r := store.Replay{Subscription: late.Key, Due: b.now()}
					for _, p := range ps[i : i+5] {
						r.Events = append(r.Events, p.Event.Key)
						r.Deliveries = append(r.Deliveries, b.ids.Next())
					}
					if _, err := b.Replay(b.ctx(), r); err != nil {
						b.Errorf("replaying: %v", err)
					}
				}
			})
		}
		all.Go(func() {
			for from := store.ID(1); from != 0; {
				done, err := b.Forget(b.ctx(), store.Forget{From: from, Before: b.now(), Limit: 5})
				if err != nil {
					b.Errorf("removing: %v", err)
					return
				}
				from = done.Next
			}
		})
		all.Wait()
		left := b.listEvents(store.Query{})
		equal(b, "deliveries", must.Get(b.Stats(b.ctx()))(b).Pending, int64(len(left))) // the list has none without its event
	}},
	{"the oldest events first", func(b *bench) {
		one, two, three := b.event("1"), b.event("2"), b.event("3")
		b.publish(one, two, three)
		var found []store.ID
		q := store.Query{After: one.Event.Key, Limit: 1}
		for {
			page := b.listEvents(q)
			if len(page) == 0 {
				break
			}
			found = append(found, page...)
			q.After = page[0]
		}
		same(b, "events", found, []store.ID{two.Event.Key, three.Event.Key})
	}},
}
