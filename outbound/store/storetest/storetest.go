// Package storetest is the test suite that every store must pass. It only uses
// the interfaces of package store.
package storetest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// Open opens the store of one place. After it was closed it can be opened again,
// and contains what was stored.
type Open func(t testing.TB, clock func() time.Time) store.Store

// Exercise runs the suite. Each call of place creates a new, empty place for a
// store, which is removed when the test ends.
func Exercise(t *testing.T, place func(t testing.TB) Open) {
	topics := []struct {
		name  string
		tests []test
	}{
		{"publish", publishTests},
		{"claim", claimTests},
		{"settle", settleTests},
		{"queue", queueTests},
		{"replay", replayTests},
		{"unlogged", unloggedTests},
		{"forget", forgetTests},
		{"list", listTests},
		{"subscription", subscriptionTests},
		{"event type", eventTypeTests},
		{"memory", memoryTests},
		{"reopen", reopenTests},
		{"concurrent", concurrentTests},
	}
	for _, topic := range topics {
		t.Run(topic.name, func(t *testing.T) {
			for _, test := range topic.tests {
				t.Run(test.name, func(t *testing.T) {
					test.run(start(t, place(t)))
				})
			}
		})
	}
	t.Run("model", func(t *testing.T) { testModel(t, place) })
}

// test is one case of a topic.
type test struct {
	name string
	run  func(*bench)
}

// bench is a store under test, with a clock that stands still unless the test sets
// it, ids, and the calls that tests make often.
type bench struct {
	reporter
	store.Store
	t     testing.TB // for opening
	open  Open
	clock time.Time
	ids   *store.IDs
}

// reporter is where failures go: a testing.TB, or a rapid.T in the model test.
type reporter interface {
	Helper()
	Error(...any)
	Errorf(string, ...any)
	Fatal(...any)
	Fatalf(string, ...any)
	Failed() bool
}

// start opens an empty store at a fixed time.
func start(t testing.TB, open Open) *bench {
	b := &bench{reporter: t, t: t, open: open, clock: time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)}
	b.ids = store.NewIDs(0, 0, b.now)
	b.Store = open(t, b.now)
	t.Cleanup(func() { _ = b.Store.Close() })
	return b
}

// reopen closes the store and opens it again.
func (b *bench) reopen() {
	b.Helper()
	b.check(b.Store.Close())
	b.Store = b.open(b.t, b.now)
}

func (b *bench) now() time.Time { return b.clock }

func (b *bench) ctx() context.Context { return context.Background() }

func (b *bench) check(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// subscribe creates an active subscription to everything.
func (b *bench) subscribe(id string) *store.Subscription {
	b.Helper()
	return b.subscribeOf("", id)
}

func (b *bench) subscribeOf(tenant, id string) *store.Subscription {
	b.Helper()
	s := &store.Subscription{
		Key: b.ids.Next(), ID: id, Tenant: tenant, URL: "https://example.com/" + id, EventTypes: []string{"*"},
		Secrets: []store.Secret{{Value: "whsec_" + id}}, Active: true, Updated: b.now(),
	}
	b.check(b.CreateSubscription(b.ctx(), s))
	return s
}

// event returns a publication with a delivery to each subscription, due at once
// and held by nobody.
func (b *bench) event(payload string, subscriptions ...*store.Subscription) *store.Publication {
	p := &store.Publication{Event: &store.Event{
		Key: b.ids.Next(), Type: "order.created", ContentType: "application/json", Payload: []byte(payload),
	}}
	p.Event.ID = p.Event.Key.With(store.EventPrefix)
	for _, s := range subscriptions {
		p.Deliveries = append(p.Deliveries, store.NewDelivery{ID: b.ids.Next(), Subscription: s.Key, Due: b.now()})
	}
	return p
}

// chosen is event with an id chosen by the publisher.
func (b *bench) chosen(id, payload string, subscriptions ...*store.Subscription) *store.Publication {
	p := b.event(payload, subscriptions...)
	p.Event.ID, p.Chosen = id, true
	return p
}

// publish commits publications and returns their results.
func (b *bench) publish(ps ...*store.Publication) []store.PublishResult {
	b.Helper()
	b.check(b.Commit(b.ctx(), &store.Batch{Publications: ps}))
	var results []store.PublishResult
	for _, p := range ps {
		results = append(results, p.Result)
	}
	return results
}

// claim takes what is due for one subscription.
func (b *bench) claim(s *store.Subscription, limit int) store.Claimed {
	b.Helper()
	claimed := must.Get(b.Claim(b.ctx(), b.now(), 1<<20, []store.Want{{Subscription: s.Key, Limit: limit}}))(b)
	if len(claimed) != 1 {
		b.Fatalf("Claim gave %d answers to one want", len(claimed))
	}
	return claimed[0]
}

// claimed returns the ids of what claim takes.
func (b *bench) claimed(s *store.Subscription, limit int) []store.ID {
	b.Helper()
	return heldIDs(b.claim(s, limit).Deliveries)
}

func heldIDs(hs []*store.Held) []store.ID {
	var ids []store.ID
	for _, h := range hs {
		ids = append(ids, h.Delivery.ID)
	}
	return ids
}

// settle commits settlements.
func (b *bench) settle(ts ...*store.Settlement) {
	b.Helper()
	b.check(b.Commit(b.ctx(), &store.Batch{Settlements: ts}))
}

// attempted returns the settlement of an attempt.
func (b *bench) attempted(d store.ID, number int, state store.State) *store.Settlement {
	a := &store.Attempt{
		ID: d, Number: number, At: b.now(), URL: fmt.Sprint("https://example.com/?n=", number),
		Latency: 12345 * time.Microsecond, Status: 200, TraceID: "4bf92f3577b34da6a3ce929d0e0e4736",
	}
	if number > 1 {
		a.ID = b.ids.Next()
	}
	t := &store.Settlement{Delivery: d, Attempt: a, State: state}
	if state != store.Delivered {
		a.Status, a.Class, a.Error = 503, "status", "answered 503 Service Unavailable"
		a.ResponseBody, a.ResponseHeaders = []byte("busy"), map[string]string{"Retry-After": "5"}
	}
	switch state {
	case store.Pending:
		t.Due = b.now().Add(time.Minute)
	case store.Dead:
		t.Reason = "every attempt failed"
	}
	return t
}

// delivery returns a delivery that must exist.
func (b *bench) delivery(id store.ID) *store.Record {
	b.Helper()
	return must.Get(b.Delivery(b.ctx(), id))(b)
}

// list returns the ids of the deliveries that match.
func (b *bench) list(q store.Query) (ids []store.ID) {
	b.Helper()
	for _, r := range must.Get(b.Deliveries(b.ctx(), q))(b) {
		ids = append(ids, r.ID)
	}
	return ids
}

// listEvents returns the keys of the events that match, which come without payloads.
func (b *bench) listEvents(q store.Query) (keys []store.ID) {
	b.Helper()
	for _, e := range must.Get(b.Events(b.ctx(), q))(b) {
		keys = append(keys, e.Key)
		if e.Payload != nil {
			b.Errorf("event %s has a payload, want none", e.ID)
		}
	}
	return keys
}

// requeue makes the deliveries that match due now.
func (b *bench) requeue(q store.Query) store.Changed {
	b.Helper()
	return must.Get(b.Requeue(b.ctx(), q, b.now()))(b)
}

// deliveries returns the ids of the deliveries of publications.
func deliveries(ps ...*store.Publication) []store.ID {
	var ids []store.ID
	for _, p := range ps {
		for _, d := range p.Deliveries {
			ids = append(ids, d.ID)
		}
	}
	return ids
}

// newestFirst returns ids in the order of lists.
func newestFirst(ids ...store.ID) []store.ID {
	ids = slices.Clone(ids)
	slices.SortFunc(ids, func(a, b store.ID) int { return cmp.Compare(b, a) })
	return ids
}

// same fails unless got equals want. Nil equals an empty slice.
func same[T comparable](b *bench, what string, got, want []T) {
	b.Helper()
	if !slices.Equal(got, want) {
		b.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

// equal fails unless got equals want.
func equal[T comparable](b *bench, what string, got, want T) {
	b.Helper()
	if got != want {
		b.Fatalf("%s: got %v, want %v", what, got, want)
	}
}
