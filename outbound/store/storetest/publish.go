package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

var publishTests = []test{
	{"every field comes back as it was", func(b *bench) {
		p := b.chosen("order-17_a", `{"total": 1.50}`)
		p.Event.Tenant = "acme"
		p.Event.Headers = map[string]string{"X-GitHub-Event": "push", "X-Quote": `"\` + "\t"}
		p.Event.TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
		p.Event.TraceState = "vendor=1"
		b.publish(p)
		got := must.Get(b.Event(b.ctx(), "acme", "order-17_a"))(b)
		if !reflect.DeepEqual(got, p.Event) {
			b.Fatalf("got %+v, want %+v", got, p.Event)
		}
		if !got.Created().Equal(b.now()) {
			b.Fatalf("created at %v, want %v", got.Created(), b.now())
		}
	}},
	{"payloads are kept to the byte", func(b *bench) {
		payloads := map[string][]byte{
			"empty":          {},
			"spaces":         []byte(" { \"a\":1.0 }\r\n"),
			"a zero byte":    []byte("a\x00b"),
			"only zeros":     make([]byte, 100),
			"not UTF-8":      {0xff, 0xfe, 'a', 0xc3},
			"a byte order":   []byte("\xef\xbb\xbf{}"),
			"not characters": []byte("\xed\xa0\x80 \xf4\x90\x80\x80"),
			"emoji":          []byte("🪝"),
			"large":          bytes.Repeat([]byte("0123456789abcdef"), 1<<16),
			"large binary":   bytes.Repeat([]byte{0, 1, 0xfe, 0xff}, 1<<16),
		}
		for name, payload := range payloads {
			p := b.event("")
			p.Event.Payload = payload
			b.publish(p)
			got := must.Get(b.Event(b.ctx(), "", p.Event.ID))(b)
			if !bytes.Equal(got.Payload, payload) {
				b.Errorf("%s: got %.40q…, want %.40q…", name, got.Payload, payload)
			}
		}
	}},
	{"the same id with the same event is a duplicate", func(b *bench) {
		s := b.subscribe("crm")
		first, again := b.chosen("x", "1", s), b.chosen("x", "1", s, s)
		equal(b, "the first", b.publish(first)[0], store.PublishResult{Outcome: store.Stored, Deliveries: 1})
		equal(b, "the second", b.publish(again)[0], store.PublishResult{Outcome: store.Duplicate, Deliveries: 1})
		same(b, "deliveries", b.list(store.Query{}), deliveries(first))
	}},
	{"a duplicate without a content type", func(b *bench) {
		plain := func() *store.Publication {
			p := b.chosen("x", "1")
			p.Event.ContentType = ""
			return p
		}
		equal(b, "the first", b.publish(plain())[0].Outcome, store.Stored)
		equal(b, "the second", b.publish(plain())[0].Outcome, store.Duplicate)
		equal(b, "one with a content type", b.publish(b.chosen("x", "1"))[0].Outcome, store.Reused)
	}},
	{"the same id with another event is refused", func(b *bench) {
		b.publish(b.chosen("x", "1"))
		payload, kind, content := b.chosen("x", "2"), b.chosen("x", "1"), b.chosen("x", "1")
		kind.Event.Type = "order.deleted"
		content.Event.ContentType = "text/plain"
		for _, p := range []*store.Publication{payload, kind, content} {
			equal(b, "outcome", b.publish(p)[0].Outcome, store.Reused)
		}
		equal(b, "the first one's payload", string(must.Get(b.Event(b.ctx(), "", "x"))(b).Payload), "1")
	}},
	{"duplicates in one batch", func(b *bench) {
		s := b.subscribe("crm")
		first, again, other := b.chosen("x", "1", s), b.chosen("x", "1", s), b.chosen("x", "2", s)
		results := b.publish(first, again, other)
		same(b, "results", results, []store.PublishResult{{Outcome: store.Stored, Deliveries: 1}, {Outcome: store.Duplicate, Deliveries: 1}, {Outcome: store.Reused, Deliveries: 1}})
		same(b, "deliveries", b.list(store.Query{}), deliveries(first))
	}},
	{"an id belongs to its tenant", func(b *bench) {
		mine, yours := b.chosen("x", "1"), b.chosen("x", "2")
		mine.Event.Tenant, yours.Event.Tenant = "me", "you"
		same(b, "results", b.publish(mine, yours), []store.PublishResult{{}, {}})
		for _, p := range []*store.Publication{mine, yours} {
			equal(b, "key", must.Get(b.Event(b.ctx(), p.Event.Tenant, "x"))(b).Key, p.Event.Key)
		}
		if _, err := b.Event(b.ctx(), "", "x"); !errors.Is(err, store.ErrNotFound) {
			b.Fatalf("without a tenant: %v", err)
		}
	}},
	{"a chosen id may look like ours", func(b *bench) {
		p := b.event("ours")
		look := b.chosen(p.Event.ID, "theirs")
		look.Event.Tenant = "them"
		b.publish(p, look)
		got := must.Get(b.Event(b.ctx(), "", p.Event.ID))(b)
		equal(b, "ours", string(got.Payload), "ours")
		got = must.Get(b.Event(b.ctx(), "them", p.Event.ID))(b)
		equal(b, "theirs", string(got.Payload), "theirs")
		if _, err := b.Event(b.ctx(), "them", look.Event.Key.With(store.EventPrefix)); !errors.Is(err, store.ErrNotFound) {
			b.Fatalf("the key of an event with a chosen id: %v", err)
		}
	}},
	{"an unknown id", func(b *bench) {
		for _, id := range []string{"", "x", "evt_", "evt_0000000000000000", b.ids.Next().With(store.EventPrefix)} {
			if _, err := b.Event(b.ctx(), "", id); !errors.Is(err, store.ErrNotFound) {
				b.Errorf("%q: %v", id, err)
			}
		}
	}},
	{"all of a batch or nothing", func(b *bench) {
		s := b.subscribe("crm")
		good, bad := b.chosen("x", "1", s), b.event("2", s)
		b.publish(b.event("0", s))
		taken := b.list(store.Query{})[0]
		good.Deliveries[0].Hold = true
		bad.Deliveries[0].ID = taken
		if err := b.Commit(b.ctx(), &store.Batch{Publications: []*store.Publication{good, bad}}); err == nil {
			b.Fatal("an id that is taken was accepted")
		}
		if _, err := b.Event(b.ctx(), "", "x"); !errors.Is(err, store.ErrNotFound) {
			b.Fatalf("a part of a failed batch is there: %v", err)
		}
		equal(b, "outcome of a second try", b.publish(good)[0].Outcome, store.Stored)
		b.check(b.Release(b.ctx(), deliveries(good)))
		same(b, "claimed", b.claimed(s, 9), []store.ID{good.Deliveries[0].ID, taken})
	}},
	{"nothing of a batch that was cancelled before", func(b *bench) {
		ctx, cancel := context.WithCancel(b.ctx())
		cancel()
		p := b.chosen("x", "1")
		if err := b.Commit(ctx, &store.Batch{Publications: []*store.Publication{p}}); err == nil {
			return // it is stored, and says so
		}
		if _, err := b.Event(b.ctx(), "", "x"); !errors.Is(err, store.ErrNotFound) {
			b.Fatalf("it is there: %v", err)
		}
	}},
	{"an empty batch", func(b *bench) {
		b.check(b.Commit(b.ctx(), &store.Batch{}))
	}},
	{"one event to 10,000 subscriptions", func(b *bench) {
		p := b.event("1")
		for i := range 10_000 {
			p.Deliveries = append(p.Deliveries, store.NewDelivery{ID: b.ids.Next(), Subscription: store.ID(i + 1), Due: b.now()})
		}
		equal(b, "result", b.publish(p)[0], store.PublishResult{Deliveries: 10_000})
		equal(b, "deliveries of the event", len(b.list(store.Query{Event: p.Event.Key})), 10_000)
		equal(b, "backlogs", len(must.Get(b.Backlogs(b.ctx()))(b)), 10_000)
	}},
	{"the greatest id", func(b *bench) {
		last := func() store.ID {
			_, last, err := b.Identity(b.ctx())
			b.check(err)
			return last
		}
		equal(b, "of an empty store", last(), 0)
		s := b.subscribe("crm")
		equal(b, "after a subscription", last(), s.Key)
		p := b.event("1")
		b.publish(p)
		equal(b, "after an event", last(), p.Event.Key)
		p = b.event("1", s)
		b.publish(p)
		equal(b, "after a delivery", last(), p.Deliveries[0].ID)
		b.settle(b.attempted(p.Deliveries[0].ID, 1, store.Pending))
		again := b.attempted(p.Deliveries[0].ID, 2, store.Delivered)
		b.settle(again)
		equal(b, "after an attempt", last(), again.Attempt.ID)
	}},
	{"figures", func(b *bench) {
		s, other, idle := b.subscribe("crm"), b.subscribe("erp"), b.subscribe("idle")
		early, late, dead := b.event("1", s), b.event("2", s, other), b.event("3", s, idle)
		early.Deliveries[0].Due = b.now().Add(-time.Hour)
		b.publish(early, late, dead)
		b.settle(b.attempted(dead.Deliveries[0].ID, 1, store.Dead), b.attempted(dead.Deliveries[1].ID, 1, store.Delivered))
		stats := must.Get(b.Stats(b.ctx()))(b)
		equal(b, "pending", stats.Pending, 3)
		equal(b, "by subscription", fmt.Sprint(stats.Waiting), fmt.Sprint(map[store.ID]int64{s.Key: 2, other.Key: 1}))
		equal(b, "dead", stats.Dead, 1)
		equal(b, "dead by subscription", fmt.Sprint(stats.DeadBy), fmt.Sprint(map[store.ID]int64{s.Key: 1}))
		if stats.Bytes <= 0 || stats.Path == "" {
			b.Errorf("bytes %d, path %q", stats.Bytes, stats.Path)
		}
	}},
	{"long and odd words", func(b *bench) {
		p := b.chosen(strings.Repeat("i", 128), "1")
		p.Event.Type = strings.Repeat("t.", 100) + "'; DROP TABLE event; --"
		p.Event.Tenant = "ä\n%_*"
		b.publish(p)
		equal(b, "type", must.Get(b.Event(b.ctx(), p.Event.Tenant, p.Event.ID))(b).Type, p.Event.Type)
		equal(b, "found", fmt.Sprint(len(b.listEvents(store.Query{Tenant: p.Event.Tenant, EventType: p.Event.Type}))), "1")
	}},
}
