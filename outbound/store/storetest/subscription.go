package storetest

import (
	"errors"
	"reflect"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

var subscriptionTests = []test{
	{"every field comes back as it was", func(b *bench) {
		s := &store.Subscription{
			Key: b.ids.Next(), ID: "sub_1", Tenant: "acme", URL: "https://example.com/?a=b", Description: "the CRM's",
			EventTypes: []string{"order.*", "customer.created"}, Headers: map[string]string{"X-Env": "production"},
			Scheme: "github", RateLimit: 12.5, Ordered: true, Filter: "payload.total > 100", FromConfig: true,
			Timeout: 90 * time.Second, Retry: []time.Duration{time.Second, 1500 * time.Millisecond}, Metadata: map[string]string{"customer": "42"},
			Transform: `{"text": payload.title}`, Handshake: "hooks.example.com",
			Secrets: []store.Secret{{Value: "whsec_new"}, {Value: "whsec_old", Expires: b.now().Add(time.Hour)}},
			OAuth2: store.OAuth2{
				TokenURL: "https://login.example.com/token", ClientID: "webhooks", ClientSecret: "hunter2",
				Scopes: []string{"read", "write"}, Params: map[string]string{"audience": "crm"}, AuthStyle: "body",
			},
			Active: false, Reason: "it was gone (410)", Updated: b.now().Add(time.Second), FailingSince: b.now().Add(-time.Hour),
		}
		b.check(b.CreateSubscription(b.ctx(), s))
		sameSubscriptions(b, s)
	}},
	{"only what must be there", func(b *bench) {
		s := &store.Subscription{Key: b.ids.Next(), ID: "sub_1", URL: "https://example.com", EventTypes: []string{"*"}, Active: true, Updated: b.now()}
		b.check(b.CreateSubscription(b.ctx(), s))
		sameSubscriptions(b, s)
	}},
	{"no retries are not those of the engine", func(b *bench) {
		s := &store.Subscription{Key: b.ids.Next(), ID: "sub_1", URL: "https://example.com", EventTypes: []string{"*"}, Retry: []time.Duration{}, Updated: b.now()}
		b.check(b.CreateSubscription(b.ctx(), s))
		sameSubscriptions(b, s)
	}},
	{"by key", func(b *bench) {
		z, a := b.subscribe("z"), b.subscribe("a")
		sameSubscriptions(b, z, a)
	}},
	{"an id that is taken", func(b *bench) {
		s := b.subscribe("crm")
		again := *s
		again.Key, again.URL = b.ids.Next(), "https://elsewhere.example"
		if err := b.CreateSubscription(b.ctx(), &again); !errors.Is(err, store.ErrConflict) {
			b.Fatalf("got %v", err)
		}
		sameSubscriptions(b, s)
	}},
	{"change", func(b *bench) {
		s := b.subscribe("crm")
		got := must.Get(b.UpdateSubscription(b.ctx(), "crm", func(s *store.Subscription) error {
			s.URL, s.EventTypes, s.Headers, s.Secrets = "https://new.example", []string{"a", "b.*"}, map[string]string{"A": "b"}, nil
			s.Timeout, s.Retry, s.Metadata = time.Minute, []time.Duration{time.Hour}, map[string]string{"c": "d"}
			s.Transform, s.Handshake = "payload.order", "hooks.example.com"
			s.Active, s.Reason, s.FailingSince = false, "paused", time.Time{}
			s.Key, s.ID = 1, "other" // which must have no effect
			return nil
		}))(b)
		want := *s
		want.URL, want.EventTypes, want.Headers, want.Secrets = "https://new.example", []string{"a", "b.*"}, map[string]string{"A": "b"}, nil
		want.Timeout, want.Retry, want.Metadata = time.Minute, []time.Duration{time.Hour}, map[string]string{"c": "d"}
		want.Transform, want.Handshake = "payload.order", "hooks.example.com"
		want.Active, want.Reason = false, "paused"
		sameSubscription(b, got, &want)
		sameSubscriptions(b, &want)
	}},
	{"a change that is refused", func(b *bench) {
		s := b.subscribe("crm")
		no := errors.New("no")
		_, err := b.UpdateSubscription(b.ctx(), "crm", func(s *store.Subscription) error {
			s.URL = "https://new.example"
			return no
		})
		if !errors.Is(err, no) {
			b.Fatalf("got %v", err)
		}
		sameSubscriptions(b, s)
	}},
	{"delete", func(b *bench) {
		s, other := b.subscribe("crm"), b.subscribe("other")
		p := b.event("1", s)
		b.publish(p)
		b.check(b.DeleteSubscription(b.ctx(), "crm"))
		sameSubscriptions(b, other)
		r := b.delivery(p.Deliveries[0].ID)
		equal(b, "the delivery's subscription", r.SubscriptionID, "crm")
		equal(b, "the delivery's URL", r.URL, s.URL)
		same(b, "its deliveries", b.list(store.Query{Subscription: "crm"}), deliveries(p))
	}},
	{"an id is free again after its deletion", func(b *bench) {
		first := b.subscribe("crm")
		p := b.event("1", first)
		b.publish(p)
		b.check(b.DeleteSubscription(b.ctx(), "crm"))
		second := b.subscribe("crm")
		sameSubscriptions(b, second)
		b.check(b.DeleteSubscription(b.ctx(), "crm"))
		equal(b, "the delivery's subscription", b.delivery(p.Deliveries[0].ID).Subscription, first.Key)
	}},
	{"unknown ids", func(b *bench) {
		b.subscribe("crm")
		b.check(b.DeleteSubscription(b.ctx(), "crm"))
		for _, id := range []string{"", "nobody", "crm"} {
			_, update := b.UpdateSubscription(b.ctx(), id, func(*store.Subscription) error { panic("called for no subscription") })
			for _, err := range []error{update, b.DeleteSubscription(b.ctx(), id)} {
				if !errors.Is(err, store.ErrNotFound) {
					b.Errorf("%q: %v", id, err)
				}
			}
		}
	}},
}

var eventTypeTests = []test{
	{"put, replace, delete", func(b *bench) {
		want := []store.EventType{
			{Name: "order.created", Description: "An order was placed", Schema: []byte(`{"type":"object"}`)},
			{Name: "user.deleted", FromConfig: true},
		}
		b.check(b.PutEventType(b.ctx(), store.EventType{Name: "user.deleted", Description: "to be replaced", Schema: []byte("{}")}))
		for _, t := range []store.EventType{want[1], want[0]} {
			b.check(b.PutEventType(b.ctx(), t))
		}
		got := must.Get(b.EventTypes(b.ctx()))(b)
		if !reflect.DeepEqual(got, want) {
			b.Fatalf("got %+v, want %+v", got, want)
		}
		b.check(b.DeleteEventType(b.ctx(), "order.created"))
		got = must.Get(b.EventTypes(b.ctx()))(b)
		if !reflect.DeepEqual(got, want[1:]) {
			b.Fatalf("got %+v, want %+v", got, want[1:])
		}
		if err := b.DeleteEventType(b.ctx(), "order.created"); !errors.Is(err, store.ErrNotFound) {
			b.Fatalf("deleting it again: %v", err)
		}
	}},
}

// sameSubscriptions compares the stored subscriptions with want.
func sameSubscriptions(b *bench, want ...*store.Subscription) {
	b.Helper()
	got := must.Get(b.Subscriptions(b.ctx()))(b)
	if len(got) != len(want) {
		b.Fatalf("got %d subscriptions, want %d", len(got), len(want))
	}
	for i := range want {
		sameSubscription(b, got[i], want[i])
	}
}

func sameSubscription(b *bench, got, want *store.Subscription) {
	b.Helper()
	g, w := *got, *want
	if !g.Updated.Equal(w.Updated) || !g.FailingSince.Equal(w.FailingSince) || len(g.Secrets) != len(w.Secrets) {
		b.Fatalf("got %+v, want %+v", g, w)
	}
	for i := range w.Secrets {
		if g.Secrets[i].Value != w.Secrets[i].Value || !g.Secrets[i].Expires.Equal(w.Secrets[i].Expires) {
			b.Fatalf("secret %d: got %+v, want %+v", i, g.Secrets[i], w.Secrets[i])
		}
	}
	g.Updated, w.Updated, g.FailingSince, w.FailingSince = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	g.Secrets, w.Secrets = nil, nil
	if !reflect.DeepEqual(g, w) {
		b.Fatalf("got %+v, want %+v", g, w)
	}
}
