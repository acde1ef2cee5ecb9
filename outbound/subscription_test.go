package outbound_test

import (
	"errors"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// Whoever creates a subscription can choose its id, but neither one that the engine may
// generate nor, for a tenant, one that another tenant could have.
func TestChosenID(t *testing.T) {
	h := open(t)
	for _, c := range []struct {
		id, tenant string
		valid      bool
	}{
		{"sub_crm", "", true},
		{"sub_" + strings.Repeat("aB3-_", 12) + "1234", "", true}, // the longest
		{"sub_acme.crm", "acme", true},
		{"sub_a.b.c", "a.b", true},
		{"sub_a.b", "a", true},

		{"crm", "", false},
		{"sub_", "", false},
		{"sub_" + strings.Repeat("a", 65), "", false},
		{"sub_c r m", "", false},
		{"sub_acme.crm", "", false},
		{store.ID(1).With(store.SubscriptionPrefix), "", false},
		{"sub_acme.", "acme", false},
		{"sub_crm2", "acme", false},
		{"sub_rival.crm", "acme", false},
		{"sub_a.b.d", "a", false}, // may be that of the tenant a.b
		{"acme.crm", "acme", false},
	} {
		s, err := h.CreateSubscription(t.Context(), outbound.SubscriptionSpec{ID: c.id, Tenant: c.tenant, URL: "http://127.0.0.1:9/", EventTypes: []string{"a"}})
		var refused *outbound.Invalid
		switch {
		case c.valid && (err != nil || s.ID != c.id):
			t.Errorf("%s of %q: got %+v, %v", c.id, c.tenant, s, err)
		case !c.valid && (!errors.As(err, &refused) || refused.Field != "subscription_id"):
			t.Errorf("%s of %q: got %v, want it refused", c.id, c.tenant, err)
		}
	}
}

// A subscription that is created again under its id stays as it is. The error says
// whether it is what was asked for now.
func TestCreatedAgain(t *testing.T) {
	h := open(t)
	spec := outbound.SubscriptionSpec{
		ID: "sub_crm", URL: "http://127.0.0.1:9/", EventTypes: []string{"a", "b.*"}, Description: "d", Headers: map[string]string{"X-A": "1"},
		OAuth2:    outbound.OAuth2{TokenURL: "http://127.0.0.1:9/token", ClientID: "c", ClientSecret: "s", Scopes: []string{}, Params: map[string]string{}},
		Handshake: "a.example.com", Scheme: "standard-webhooks", RateLimit: 50, Timeout: time.Minute, Retry: outbound.Schedule{}, Metadata: map[string]string{"m": "1"},
		Filter: "true", Transform: "payload", Secrets: []string{"whsec_" + strings.Repeat("A", 32)},
	}
	first := h.subscribe(spec)
	again := func(spec outbound.SubscriptionSpec) *outbound.Taken {
		t.Helper()
		_, err := h.CreateSubscription(t.Context(), spec)
		taken, ok := errors.AsType[*outbound.Taken](err)
		if !ok {
			t.Fatalf("got %v, want a Taken", err)
		}
		return taken
	}
	for range 2 {
		if got := again(spec); len(got.Differs) > 0 || got.Subscription.Key != first.Key {
			t.Errorf("the same: got %+v, differs in %v", got.Subscription, got.Differs)
		}
		h.restart() // now it comes from the store
	}
	withoutSecret := spec
	withoutSecret.Secrets = nil
	if got := again(withoutSecret); len(got.Differs) > 0 || got.Subscription.Secrets[0] != first.Secrets[0] {
		t.Errorf("with any secret: got %+v, differs in %v", got.Subscription, got.Differs)
	}

	for field, change := range map[string]func(*outbound.SubscriptionSpec){
		"url":         func(s *outbound.SubscriptionSpec) { s.URL += "a" },
		"event_types": func(s *outbound.SubscriptionSpec) { s.EventTypes = []string{"a"} },
		"description": func(s *outbound.SubscriptionSpec) { s.Description = "" },
		"headers":     func(s *outbound.SubscriptionSpec) { s.Headers = map[string]string{"X-A": "2"} },
		"oauth2":      func(s *outbound.SubscriptionSpec) { s.OAuth2.ClientSecret = "t" },
		"handshake":   func(s *outbound.SubscriptionSpec) { s.Handshake = "" },
		"scheme":      func(s *outbound.SubscriptionSpec) { s.Scheme = "" },
		"rate_limit":  func(s *outbound.SubscriptionSpec) { s.RateLimit = 0 },
		"timeout":     func(s *outbound.SubscriptionSpec) { s.Timeout = 0 },
		"retry":       func(s *outbound.SubscriptionSpec) { s.Retry = nil },
		"metadata":    func(s *outbound.SubscriptionSpec) { s.Metadata = nil },
		"ordered":     func(s *outbound.SubscriptionSpec) { s.Ordered = true },
		"filter":      func(s *outbound.SubscriptionSpec) { s.Filter = "false" },
		"transform":   func(s *outbound.SubscriptionSpec) { s.Transform = "" },
		"secret":      func(s *outbound.SubscriptionSpec) { s.Secrets = []string{"whsec_" + strings.Repeat("B", 32)} },
	} {
		other := spec
		change(&other)
		got := again(other)
		if !reflect.DeepEqual(got.Differs, []string{field}) {
			t.Errorf("with another %s: differs in %v", field, got.Differs)
		}
		if !strings.Contains(got.Error(), field) || strings.Contains(got.Error(), "whsec_") {
			t.Errorf("with another %s: %v", field, got)
		}
	}
	if got := must.Get(h.Subscription("sub_crm"))(t); got.URL != spec.URL || got.Secrets[0].Value != spec.Secrets[0] || !got.Active {
		t.Errorf("got %+v, want it unchanged", got)
	}

	must.Get(h.RotateSecret(t.Context(), "sub_crm", ""))(t)
	if got := again(spec); !reflect.DeepEqual(got.Differs, []string{"secret"}) {
		t.Errorf("with the previous secret: differs in %v", got.Differs)
	}
}

// The id of a deleted subscription can be used again, and its dead letters stay its own.
func TestChosenAgain(t *testing.T) {
	h := open(t, retries())
	r := newReceiver(t)
	r.respond(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	spec := outbound.SubscriptionSpec{ID: "sub_crm", URL: r.URL, EventTypes: []string{"a"}}
	first := h.subscribe(spec)
	h.publish("a", "1")
	h.awaitAttempt()
	must.Do(t, h.DeleteSubscription(t.Context(), "sub_crm"))
	spec.URL += "/again"
	if second := h.subscribe(spec); second.Key == first.Key || second.Secrets[0] == first.Secrets[0] {
		t.Errorf("got %+v", second)
	}
	if n, err := h.RedeliverDead(t.Context(), outbound.Query{Subscription: "sub_crm"}); n != 0 || err != nil {
		t.Errorf("redelivered %d of the deleted one's, %v", n, err)
	}
	dead := must.Get(h.Deliveries(t.Context(), outbound.Query{Subscription: "sub_crm"}))(t)
	if len(dead) != 1 || dead[0].URL != r.URL || dead[0].Subscription != first.Key {
		t.Errorf("got %+v", dead)
	}
	if _, err := h.Redeliver(t.Context(), dead[0].ID.With(store.DeliveryPrefix)); !errors.Is(err, outbound.ErrConflict) {
		t.Errorf("redelivered one of the deleted one's: %v", err)
	}
}

// A subscription of the configuration and one of the API can't have the same id,
// whichever comes first.
func TestChosenAndConfigured(t *testing.T) {
	spec := outbound.SubscriptionSpec{Name: "crm", URL: "http://127.0.0.1:9/", EventTypes: []string{"a"}}
	h := open(t, func(s *outbound.Settings) { s.Subscriptions = []outbound.SubscriptionSpec{spec} })
	apply := func(specs ...outbound.SubscriptionSpec) error {
		h.settings.Subscriptions = specs
		return h.Apply(t.Context(), h.settings)
	}
	chosen := spec
	chosen.ID = "sub_crm"
	refused := func(what, want string) {
		t.Helper()
		_, err := h.CreateSubscription(t.Context(), chosen)
		if !errors.Is(err, outbound.ErrConflict) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", what, err, want)
		}
	}
	refused("configured", "change it there and reload")
	must.Do(t, apply())
	refused("no longer configured", "or delete it")

	must.Do(t, h.DeleteSubscription(t.Context(), "sub_crm"))
	h.subscribe(chosen)
	other := outbound.SubscriptionSpec{Name: "other", URL: spec.URL, EventTypes: spec.EventTypes}
	must.Do(t, apply(other))
	if err := apply(spec); err == nil || !strings.Contains(err.Error(), "subscription crm: sub_crm was created through the API") {
		t.Errorf("configured later: got %v, want an error", err)
	}
	if s := must.Get(h.Subscription("sub_other"))(t); !s.Active {
		t.Error("the refused configuration has deactivated another subscription")
	}
	if s := must.Get(h.Subscription("sub_crm"))(t); s.FromConfig {
		t.Error("the refused configuration has taken the subscription over")
	}
}

// Of many that create a subscription under the same id at the same moment, on whatever
// node, one does, and the others are told of it.
func TestChosenAtOnce(t *testing.T) {
	nodes, _ := startNodesLeased(t, 3, 0) // the default lease, which isn't lost on a slow machine
	var all sync.WaitGroup
	var mu sync.Mutex
	keys, created := map[store.ID]bool{}, 0
	for i := range 12 {
		h := nodes[i%len(nodes)]
		all.Go(func() {
			s, err := h.CreateSubscription(t.Context(), outbound.SubscriptionSpec{ID: "sub_crm", URL: "http://127.0.0.1:9/", EventTypes: []string{"a"}})
			mu.Lock()
			defer mu.Unlock()
			if taken, ok := errors.AsType[*outbound.Taken](err); ok && len(taken.Differs) == 0 {
				s = taken.Subscription
				if _, err := h.Subscription("sub_crm"); err != nil {
					t.Errorf("the node that was asked doesn't know it: %v", err)
				}
			} else if err == nil {
				created++
			} else {
				t.Error(err)
				return
			}
			keys[s.Key] = true
		})
	}
	all.Wait()
	if len(keys) != 1 || created != 1 {
		t.Errorf("got %d subscriptions, created %d times, want 1", len(keys), created)
	}
}

// One node deletes a subscription, and another one that hasn't heard of it yet creates
// it again: then that one has the new one.
func TestChosenAgainOnAnotherNode(t *testing.T) {
	nodes, _ := startNodesLeased(t, 2, 0)
	a, b := nodes[0], nodes[1]
	spec := outbound.SubscriptionSpec{ID: "sub_crm", URL: "http://127.0.0.1:9/", EventTypes: []string{"a"}}
	for range 5 { // the news may be faster
		a.subscribe(spec)
		b.awaitSubscription(spec.ID, true)
		must.Do(t, a.DeleteSubscription(t.Context(), spec.ID))
		s := b.subscribe(spec)
		a.awaitSubscription(spec.ID, true)
		must.Eventually(t, "the old one to go", func() bool { return len(b.Subscriptions("", 0, 9)) == 1 })
		if got, err := b.Subscription(spec.ID); err != nil || got.Key != s.Key {
			t.Fatalf("got %+v, %v", got, err)
		}
		must.Do(t, b.DeleteSubscription(t.Context(), spec.ID))
		a.awaitSubscription(spec.ID, false)
	}
}
