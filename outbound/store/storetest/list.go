package storetest

import (
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// Times outside the range of ids.
var (
	longAgo = time.Time{}.Add(1)
	farOff  = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
)

// listing is a query, and the ids of what it finds.
type listing struct {
	name string
	q    store.Query
	want []store.ID
}

var listTests = []test{
	{"deliveries by each filter", func(b *bench) {
		crm, erp := b.subscribe("crm"), b.subscribe("erp")
		first := b.chosen("x", "1", crm, erp)
		first.Event.Tenant, first.Event.Type = "acme", "order.created"
		b.publish(first)
		b.clock = b.clock.Add(time.Minute)
		second := b.event("2", crm)
		second.Event.Type = "order.line.added"
		b.publish(second)
		b.clock = b.clock.Add(time.Minute)
		third := b.event("3", erp)
		third.Event.Type = "orders"
		b.publish(third)
		b.settle(
			b.attempted(first.Deliveries[0].ID, 1, store.Delivered),
			b.attempted(first.Deliveries[1].ID, 1, store.Dead),
			b.attempted(third.Deliveries[0].ID, 1, store.Dead),
		)
		a, c, d, e := first.Deliveries[0].ID, first.Deliveries[1].ID, second.Deliveries[0].ID, third.Deliveries[0].ID
		tests := []listing{
			{"all", store.Query{}, []store.ID{e, d, c, a}},
			{"the newest", store.Query{Limit: 2}, []store.ID{e, d}},
			{"the rest", store.Query{Limit: 9, Before: d}, []store.ID{c, a}},
			{"an event's key", store.Query{Event: first.Event.Key}, []store.ID{c, a}},
			{"a chosen event id", store.Query{EventID: "x"}, []store.ID{c, a}},
			{"an event id of ours", store.Query{EventID: second.Event.ID}, []store.ID{d}},
			{"the key of an event with a chosen id", store.Query{EventID: first.Event.Key.With(store.EventPrefix)}, nil},
			{"an unknown event id", store.Query{EventID: "y"}, nil},
			{"an event id in its tenant", store.Query{EventID: "x", Tenant: "acme"}, []store.ID{c, a}},
			{"an event id in another tenant", store.Query{EventID: "x", Tenant: "other"}, nil},
			{"a delivery", store.Query{Delivery: d}, []store.ID{d}},
			{"a subscription", store.Query{Subscription: "erp"}, []store.ID{e, c}},
			{"an unknown subscription", store.Query{Subscription: "nobody"}, nil},
			{"an event type", store.Query{EventType: "orders"}, []store.ID{e}},
			{"a prefix of event types", store.Query{EventType: "order.*"}, []store.ID{d, c, a}},
			{"a longer prefix", store.Query{EventType: "order.line.*"}, []store.ID{d}},
			{"a prefix that is a type", store.Query{EventType: "orders.*"}, nil},
			{"a tenant", store.Query{Tenant: "acme"}, []store.ID{c, a}},
			{"pending", store.Query{States: []store.State{store.Pending}}, []store.ID{d}},
			{"delivered", store.Query{States: []store.State{store.Delivered}}, []store.ID{a}},
			{"dead", store.Query{States: []store.State{store.Dead}}, []store.ID{e, c}},
			{"delivered or dead", store.Query{States: []store.State{store.Delivered, store.Dead}}, []store.ID{e, c, a}},
			{"since", store.Query{Since: d.Time()}, []store.ID{e, d}},
			{"until", store.Query{Until: d.Time()}, []store.ID{c, a}},
			{"a span", store.Query{Since: d.Time(), Until: e.Time()}, []store.ID{d}},
			{"since a time after all ids", store.Query{Since: farOff}, nil},
			{"until a time after all ids", store.Query{Until: farOff}, []store.ID{e, d, c, a}},
			{"since a time before all ids", store.Query{Since: longAgo}, []store.ID{e, d, c, a}},
			{"until a time before all ids", store.Query{Until: longAgo}, nil},
			{"dead ones of a subscription since", store.Query{States: []store.State{store.Dead}, Subscription: "erp", Since: d.Time()}, []store.ID{e}},
			{"dead ones, the next page", store.Query{States: []store.State{store.Dead}, Before: e, Limit: 1}, []store.ID{c}},
			{"pending ones of a subscription", store.Query{States: []store.State{store.Pending}, Subscription: "crm"}, []store.ID{d}},
			{"dead ones of an event", store.Query{States: []store.State{store.Dead}, EventID: "x"}, []store.ID{c}},
			{"everything at once", store.Query{
				Event: first.Event.Key, EventID: "x", Delivery: c, Subscription: "erp", EventType: "order.*", Tenant: "acme",
				States: []store.State{store.Dead}, Since: c.Time(), Until: e.Time(), Before: d, Limit: 5,
			}, []store.ID{c}},
		}
		for _, test := range tests {
			same(b, test.name, b.list(test.q), test.want)
		}
	}},
	{"dead letters by how they failed", func(b *bench) {
		crm := b.subscribe("crm")
		p := b.event("1", crm, crm, crm)
		b.publish(p)
		ids := deliveries(p)
		failed := func(d store.ID, number int, state store.State, class string, status int) *store.Settlement {
			s := b.attempted(d, number, state)
			s.Attempt.Class, s.Attempt.Status = class, status
			return s
		}
		b.settle(failed(ids[0], 1, store.Dead, "dns", 0), failed(ids[1], 1, store.Pending, "dns", 0), failed(ids[2], 1, store.Dead, "status", 400))
		b.settle(failed(ids[1], 2, store.Dead, "status", 503))
		dead := []store.State{store.Dead}
		for _, test := range []listing{
			{"a class", store.Query{States: dead, Class: "dns"}, ids[:1]},
			{"another", store.Query{States: dead, Class: "status"}, []store.ID{ids[2], ids[1]}},
			{"of none", store.Query{States: dead, Class: "tls"}, nil},
			{"a status", store.Query{States: dead, Status: 400}, ids[2:]},
			{"a later one", store.Query{States: dead, Status: 503}, ids[1:2]},
			{"both", store.Query{States: dead, Class: "status", Status: 503}, ids[1:2]},
			{"neither", store.Query{States: dead, Class: "dns", Status: 503}, nil},
		} {
			same(b, test.name, b.list(test.q), test.want)
		}
		equal(b, "queued", b.requeue(store.Query{States: dead, Class: "dns", Limit: 9}).Count, 1)
	}},
	{"dead letters by when they failed", func(b *bench) {
		crm, erp := b.subscribe("crm"), b.subscribe("erp")
		published := b.now()
		p := b.event("1", crm, crm, crm, crm, erp, erp)
		b.publish(p)
		ids := deliveries(p)
		once, twice, delivered, waits, buried, tried := ids[0], ids[1], ids[2], ids[3], ids[4], ids[5]
		b.settle(
			b.attempted(twice, 1, store.Pending), b.attempted(waits, 1, store.Pending), b.attempted(tried, 1, store.Pending),
		)
		b.clock = b.clock.Add(time.Hour)
		first := b.now()
		b.settle(b.attempted(once, 1, store.Dead), b.attempted(delivered, 1, store.Delivered))
		b.clock = b.clock.Add(time.Hour)
		second := b.now()
		b.settle(b.attempted(twice, 2, store.Dead))
		must.Get(b.Bury(b.ctx(), store.Burial{Subscription: erp.Key, Reason: "deleted", Limit: 9}))(b)
		dead := []store.State{store.Dead}
		tests := []listing{
			{"all", store.Query{States: dead}, []store.ID{tried, buried, twice, once}},
			{"since the first", store.Query{States: dead, FailedSince: first}, []store.ID{twice, once}},
			{"since just after", store.Query{States: dead, FailedSince: first.Add(time.Millisecond)}, []store.ID{twice}},
			{"until the second", store.Query{States: dead, FailedUntil: second}, []store.ID{tried, once}},
			{"until just after it", store.Query{States: dead, FailedUntil: second.Add(time.Millisecond)}, []store.ID{tried, twice, once}},
			{"between the two", store.Query{States: dead, FailedSince: first, FailedUntil: second}, []store.ID{once}},
			{"when they were published", store.Query{States: dead, FailedSince: published, FailedUntil: first}, []store.ID{tried}},
			{"later", store.Query{States: dead, FailedSince: second.Add(time.Minute)}, nil},
			{"far later", store.Query{States: dead, FailedSince: farOff}, nil},
			{"until then", store.Query{States: dead, FailedUntil: farOff}, []store.ID{tried, twice, once}},
			{"long before", store.Query{States: dead, FailedUntil: longAgo}, nil},
			{"of a subscription", store.Query{States: dead, Subscription: "erp", FailedSince: published}, []store.ID{tried}},
			{"of an event", store.Query{States: dead, EventID: p.Event.ID, FailedSince: first}, []store.ID{twice, once}},
			{"published and failed", store.Query{States: dead, Until: published.Add(time.Minute), FailedSince: second}, []store.ID{twice}},
			{"the newest", store.Query{States: dead, FailedSince: published, Limit: 2}, []store.ID{tried, twice}},
			{"the next page", store.Query{States: dead, FailedSince: published, Limit: 2, Before: twice}, []store.ID{once}},
			{"of any state", store.Query{FailedSince: published}, []store.ID{tried, waits, delivered, twice, once}},
		}
		for _, test := range tests {
			same(b, test.name, b.list(test.q), test.want)
		}
		equal(b, "events", len(b.listEvents(store.Query{States: dead, FailedSince: second})), 1)
		equal(b, "events of later", len(b.listEvents(store.Query{States: dead, FailedSince: second.Add(time.Minute)})), 0)

		done := b.requeue(store.Query{States: dead, FailedSince: second, Limit: 9})
		equal(b, "queued again", done.Count, 1)
		equal(b, "which", done.Last, twice)
	}},
	{"what a delivery's record says", func(b *bench) {
		crm := b.subscribe("crm")
		p := b.chosen("x", "payload", crm)
		p.Event.Tenant = "acme"
		b.publish(p)
		records := must.Get(b.Deliveries(b.ctx(), store.Query{}))(b)
		r := records[0]
		equal(b, "id", r.ID, p.Deliveries[0].ID)
		equal(b, "event", r.Event, p.Event.Key)
		equal(b, "event id", r.EventID, "x")
		equal(b, "type", r.EventType, "order.created")
		equal(b, "tenant", r.Tenant, "acme")
		equal(b, "subscription", r.Subscription, crm.Key)
		equal(b, "subscription id", r.SubscriptionID, "crm")
		equal(b, "URL", r.URL, crm.URL)
		equal(b, "state", r.State, store.Pending)
		if !r.Due.Equal(b.now()) || r.Last != nil || r.Payload != nil {
			b.Errorf("due %v, last %v, payload %q", r.Due, r.Last, r.Payload)
		}
		records = must.Get(b.Deliveries(b.ctx(), store.Query{Payload: true}))(b)
		equal(b, "payload", string(records[0].Payload), "payload")
		equal(b, "content type", records[0].ContentType, "application/json")
	}},
	{"events by each filter", func(b *bench) {
		crm, erp := b.subscribe("crm"), b.subscribe("erp")
		first := b.chosen("x", "1", crm, erp)
		first.Event.Tenant = "acme"
		b.publish(first)
		b.clock = b.clock.Add(time.Minute)
		second, third := b.event("2", crm), b.event("3")
		third.Event.Type = "user.created"
		b.publish(second, third)
		b.settle(b.attempted(first.Deliveries[1].ID, 1, store.Dead))
		one, two, three := first.Event.Key, second.Event.Key, third.Event.Key
		tests := []listing{
			{"all", store.Query{}, []store.ID{three, two, one}},
			{"the newest", store.Query{Limit: 1}, []store.ID{three}},
			{"the rest", store.Query{Before: two}, []store.ID{one}},
			{"a key", store.Query{Event: two}, []store.ID{two}},
			{"a chosen id", store.Query{EventID: "x"}, []store.ID{one}},
			{"an id of ours", store.Query{EventID: third.Event.ID}, []store.ID{three}},
			{"a type", store.Query{EventType: "order.created"}, []store.ID{two, one}},
			{"a prefix", store.Query{EventType: "user.*"}, []store.ID{three}},
			{"a tenant", store.Query{Tenant: "acme"}, []store.ID{one}},
			{"since", store.Query{Since: two.Time()}, []store.ID{three, two}},
			{"until", store.Query{Until: two.Time()}, []store.ID{one}},
			{"to a subscription", store.Query{Subscription: "crm"}, []store.ID{two, one}},
			{"with a dead letter", store.Query{States: []store.State{store.Dead}}, []store.ID{one}},
			{"of a delivery", store.Query{Delivery: second.Deliveries[0].ID}, []store.ID{two}},
		}
		for _, test := range tests {
			same(b, test.name, b.listEvents(test.q), test.want)
		}
		equal(b, "payload", string(must.Get(b.Events(b.ctx(), store.Query{Payload: true, Limit: 1}))(b)[0].Payload), "3")
	}},
	{"what a tenant sees", func(b *bench) {
		mine, other, nobody := b.subscribeOf("acme", "mine"), b.subscribeOf("other", "other"), b.subscribe("nobody")
		gone := b.subscribeOf("acme", "gone")
		order := b.event("1", mine, gone)
		order.Event.Tenant = "acme"
		told := b.event("2", mine, nobody) // like the engine's event about a dead letter of a tenant
		told.Event.Tenant, told.Event.Type = "acme", store.OperationalPrefix+"delivery.dead"
		alone := b.event("3")
		alone.Event.Tenant = "acme"
		theirs, common := b.event("4", other), b.event("5", nobody)
		theirs.Event.Tenant = "other"
		b.publish(order, told, alone, theirs, common)
		b.check(b.DeleteSubscription(b.ctx(), gone.ID))
		b.settle(
			b.attempted(order.Deliveries[0].ID, 1, store.Dead), b.attempted(told.Deliveries[1].ID, 1, store.Dead),
			b.attempted(theirs.Deliveries[0].ID, 1, store.Dead),
		)
		dead := []store.State{store.Dead}
		d1, d2, d3 := order.Deliveries[0].ID, order.Deliveries[1].ID, told.Deliveries[0].ID
		for _, test := range []listing{
			{"all", store.Query{}, []store.ID{d3, d2, d1}},
			{"pending", store.Query{States: []store.State{store.Pending}}, []store.ID{d3, d2}},
			{"dead", store.Query{States: dead}, []store.ID{d1}},
			{"the engine's", store.Query{EventID: told.Event.ID}, []store.ID{d3}},
			{"its own", store.Query{Tenant: "acme", Subscription: "mine"}, []store.ID{d3, d1}},
			{"a deleted subscription's", store.Query{Subscription: "gone"}, []store.ID{d2}},
			{"one of another", store.Query{Delivery: theirs.Deliveries[0].ID}, nil},
			{"the engine's to another", store.Query{Delivery: told.Deliveries[1].ID}, nil},
			{"an event of another", store.Query{EventID: theirs.Event.ID}, nil},
			{"an event of nobody", store.Query{Event: common.Event.Key}, nil},
			{"another's subscription", store.Query{Subscription: "other"}, nil},
			{"nobody's subscription", store.Query{Subscription: "nobody"}, nil},
			{"another tenant", store.Query{Tenant: "other"}, nil},
		} {
			test.q.Within = "acme"
			same(b, test.name, b.list(test.q), test.want)
		}
		for _, test := range []listing{
			{"all events", store.Query{}, []store.ID{alone.Event.Key, told.Event.Key, order.Event.Key}},
			{"events that are not the engine's", store.Query{Published: true}, []store.ID{alone.Event.Key, order.Event.Key}},
			{"events to a subscription", store.Query{Subscription: "mine"}, []store.ID{told.Event.Key, order.Event.Key}},
			{"events to nobody's", store.Query{Subscription: "nobody"}, nil},
			{"events with a dead letter", store.Query{States: dead}, []store.ID{order.Event.Key}},
			{"events of another", store.Query{Tenant: "other"}, nil},
		} {
			test.q.Within = "acme"
			same(b, test.name, b.listEvents(test.q), test.want)
		}
		done := must.Get(b.Discard(b.ctx(), store.Query{Within: "acme", Limit: 9}))(b)
		equal(b, "deleted", done.Count, 1)
		done = b.requeue(store.Query{States: dead, Within: "acme", Limit: 9})
		equal(b, "queued again", done.Count, 0)
		same(b, "dead letters of others", b.list(store.Query{States: dead}), []store.ID{theirs.Deliveries[0].ID, told.Deliveries[1].ID})
	}},
	{"by pages, each once", func(b *bench) {
		crm := b.subscribe("crm")
		var ps []*store.Publication
		for range 25 {
			ps = append(ps, b.event("1", crm))
		}
		b.publish(ps...)
		var got []store.ID
		q := store.Query{Limit: 10}
		for {
			page := b.list(q)
			got = append(got, page...)
			if len(page) < q.Limit {
				break
			}
			q.Before = page[len(page)-1]
		}
		same(b, "all pages", got, newestFirst(deliveries(ps...)...))
		same(b, "the oldest first", b.list(store.Query{After: got[20], Limit: 2}), []store.ID{got[19], got[18]})
		same(b, "pending, the oldest first", b.list(store.Query{After: got[20], Limit: 2, States: []store.State{store.Pending}}), []store.ID{got[19], got[18]})
	}},
}
