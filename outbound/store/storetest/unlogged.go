package storetest

import (
	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// log stores outcomes whose dead letters are to be logged.
func (b *bench) log(ts ...*store.Settlement) {
	b.Helper()
	b.check(b.Commit(b.ctx(), &store.Batch{Settlements: ts, Log: true}))
}

// unlogged checks which dead letters are still to be logged.
func (b *bench) unlogged(what string, want ...store.ID) {
	b.Helper()
	ids := must.Get(b.Unlogged(b.ctx(), 9))(b)
	same(b, what, ids, want)
}

var unloggedTests = []test{
	{"dead letters, if they are to be", func(b *bench) {
		s := b.subscribe("crm")
		delivered, waiting, one, two, plain := b.event("1", s), b.event("2", s), b.event("3", s), b.event("4", s), b.event("5", s)
		b.publish(delivered, waiting, one, two, plain)
		dead := deliveries(one, two)
		b.log(b.attempted(deliveries(delivered)[0], 1, store.Delivered), b.attempted(deliveries(waiting)[0], 1, store.Pending),
			b.attempted(dead[0], 1, store.Dead))
		for number := range 2 {
			b.log(b.attempted(dead[1], number+1, []store.State{store.Pending, store.Dead}[number]))
		}
		b.settle(b.attempted(deliveries(plain)[0], 1, store.Dead))
		b.unlogged("to be logged", dead...)
		some := must.Get(b.Unlogged(b.ctx(), 1))(b)
		same(b, "one of them", some, dead[:1])
		b.check(b.Logged(b.ctx(), some))
		b.unlogged("when one is logged", dead[1])
		b.log(b.attempted(dead[1], 2, store.Dead)) // again, as after an answer was lost
		b.unlogged("when it was stored twice", dead[1])
		b.reopen()
		b.unlogged("when it is opened again", dead[1])
		b.check(b.Logged(b.ctx(), dead))
		b.unlogged("when all are logged")
	}},
	{"buried ones, if they are to be", func(b *bench) {
		s, other := b.subscribe("crm"), b.subscribe("other")
		p, quiet := b.event("1", s), b.event("2", other)
		b.publish(p, quiet)
		for _, burial := range []store.Burial{{Subscription: s.Key, Limit: 9, Log: true}, {Subscription: other.Key, Limit: 9}} {
			equal(b, "buried", len(must.Get(b.Bury(b.ctx(), burial))(b)), 1)
		}
		b.unlogged("to be logged", deliveries(p)...)
	}},
	{"those that are queued again aren't", func(b *bench) {
		s := b.subscribe("crm")
		p := b.event("1", s)
		b.publish(p)
		id := deliveries(p)[0]
		b.log(b.attempted(id, 1, store.Dead))
		b.requeue(store.Query{Delivery: id, Limit: 1})
		b.unlogged("while it waits")
		b.log(b.attempted(id, 2, store.Delivered))
		b.unlogged("when it is delivered")
	}},
}
