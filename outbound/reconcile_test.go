package outbound_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// watched is a real store that says what is written of a configuration.
type watched struct {
	store.Store
	written []string
}

func (w *watched) CreateSubscription(ctx context.Context, s *store.Subscription) error {
	w.written = append(w.written, "create "+s.ID)
	return w.Store.CreateSubscription(ctx, s)
}

func (w *watched) UpdateSubscription(ctx context.Context, id string, change func(*store.Subscription) error) (*store.Subscription, error) {
	w.written = append(w.written, "update "+id)
	return w.Store.UpdateSubscription(ctx, id, change)
}

func (w *watched) PutEventType(ctx context.Context, t store.EventType) error {
	w.written = append(w.written, "put "+t.Name)
	return w.Store.PutEventType(ctx, t)
}

func (w *watched) DeleteEventType(ctx context.Context, name string) error {
	w.written = append(w.written, "delete "+name)
	return w.Store.DeleteEventType(ctx, name)
}

// TestReconcileWritesWhatChanged loads one configuration after the other: only
// what is new or different is written, so that a known one needs no room.
func TestReconcileWritesWhatChanged(t *testing.T) {
	h := open(t, func(s *outbound.Settings) {
		s.Subscriptions = []outbound.SubscriptionSpec{
			{Name: "main", URL: "http://127.0.0.1:9/", EventTypes: []string{"order.*"}, Headers: map[string]string{"X-A": "b"}, Secrets: []string{"whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="}},
			{Name: "made", URL: "http://127.0.0.1:9/", EventTypes: []string{"*"}, RateLimit: 5, Ordered: true, Headers: map[string]string{}, Retry: outbound.Schedule{}, Timeout: time.Minute, Metadata: map[string]string{}}, // its secret is made
		}
		s.EventTypes = []outbound.EventType{{Name: "order.created", Description: "An order"}, {Name: "order.paid"}}
	})
	h.Engine.Close()
	w := &watched{Store: h.store}
	var err error
	if h.Engine, err = outbound.Open(t.Context(), w, h.settings, outbound.WithClock(h.clock)); err != nil {
		t.Fatal(err)
	}
	if len(w.written) > 0 {
		t.Errorf("a start with what is known wrote %q", w.written)
	}
	main, made := h.settings.Subscriptions[0], h.settings.Subscriptions[1]
	types := h.settings.EventTypes
	newer := func(change func(*outbound.SubscriptionSpec)) []outbound.SubscriptionSpec {
		s := main
		change(&s)
		return []outbound.SubscriptionSpec{s, made}
	}
	for _, step := range []struct {
		name string
		subs []outbound.SubscriptionSpec
		want []string
	}{
		{"the same", []outbound.SubscriptionSpec{main, made}, nil},
		{"a url", newer(func(s *outbound.SubscriptionSpec) { s.URL += "a" }), []string{"update sub_main"}},
		{"a header", newer(func(s *outbound.SubscriptionSpec) { s.Headers = map[string]string{"X-A": "c"} }), []string{"update sub_main"}},
		{"a timeout", newer(func(s *outbound.SubscriptionSpec) { s.Timeout = time.Minute }), []string{"update sub_main"}},
		{"a schedule", newer(func(s *outbound.SubscriptionSpec) { s.Retry = outbound.Schedule{} }), []string{"update sub_main"}},
		{"metadata", newer(func(s *outbound.SubscriptionSpec) { s.Metadata = map[string]string{"customer": "42"} }), []string{"update sub_main"}},
		{"a secret", newer(func(s *outbound.SubscriptionSpec) {
			s.Secrets = []string{"whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDI="}
		}), []string{"update sub_main"}},
		{"the first again", []outbound.SubscriptionSpec{main, made}, []string{"update sub_main"}},
		{"one less", []outbound.SubscriptionSpec{main}, []string{"update sub_made"}},
		{"one less, again", []outbound.SubscriptionSpec{main}, nil},
		{"back again", []outbound.SubscriptionSpec{main, made}, []string{"update sub_made"}},
	} {
		w.written, h.settings.Subscriptions = nil, step.subs
		if err := h.Apply(t.Context(), h.settings); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(w.written, step.want) {
			t.Errorf("%s: wrote %q, want %q", step.name, w.written, step.want)
		}
		for _, spec := range step.subs {
			if s, err := h.Subscription("sub_" + spec.Name); err != nil || s.URL != spec.URL || !s.Active {
				t.Errorf("%s: %s is %+v: %v", step.name, spec.Name, s, err)
			}
		}
	}

	w.written, h.settings.EventTypes = nil, []outbound.EventType{types[0], {Name: "order.sent"}}
	if err := h.Apply(t.Context(), h.settings); err != nil {
		t.Fatal(err)
	}
	if want := []string{"put order.sent", "delete order.paid"}; !slices.Equal(w.written, want) {
		t.Errorf("other event types: wrote %q, want %q", w.written, want)
	}
}

// TestConfiguredSubscriptionsKeepTheirOrder has lists show them as the configuration does.
func TestConfiguredSubscriptionsKeepTheirOrder(t *testing.T) {
	want := []string{"sub_e", "sub_b", "sub_d", "sub_a", "sub_c", "sub_f"}
	h := open(t, func(s *outbound.Settings) {
		for _, id := range want {
			s.Subscriptions = append(s.Subscriptions, outbound.SubscriptionSpec{Name: strings.TrimPrefix(id, "sub_"), URL: "http://127.0.0.1:9/", EventTypes: []string{"*"}})
		}
	})
	var got []string
	for _, s := range h.Subscriptions("", 0, len(want)) {
		got = append(got, s.ID)
	}
	if !slices.Equal(got, want) {
		t.Errorf("they are %q, want %q", got, want)
	}
}

// What the configuration says of a subscription is changed there alone.
func TestConfiguredSubscriptionsAreNotChanged(t *testing.T) {
	spec := outbound.SubscriptionSpec{Name: "crm", URL: "http://127.0.0.1:9/", EventTypes: []string{"*"}}
	h := open(t, func(s *outbound.Settings) { s.Subscriptions = []outbound.SubscriptionSpec{spec} })
	before, err := h.Subscription("sub_crm")
	if err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func() error{
		"its secret": func() error { _, err := h.RotateSecret(t.Context(), "sub_crm", ""); return err },
		"its url": func() error {
			_, err := h.UpdateSubscription(t.Context(), "sub_crm", func(s *outbound.SubscriptionSpec) error { s.URL += "a"; return nil })
			return err
		},
		"all of it": func() error { return h.DeleteSubscription(t.Context(), "sub_crm") },
	} {
		if err := change(); !errors.Is(err, outbound.ErrConflict) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if after, err := h.Subscription("sub_crm"); err != nil || after.URL != before.URL || !reflect.DeepEqual(after.Secrets, before.Secrets) {
		t.Errorf("it is %+v, %v", after, err)
	}
}

// TestTenantStaysWithItsDeliveries has what waits for one tenant's receiver never go
// to that of another, and nothing else changed on the way to finding out.
func TestTenantStaysWithItsDeliveries(t *testing.T) {
	spec := outbound.SubscriptionSpec{Name: "crm", URL: "http://127.0.0.1:9/", EventTypes: []string{"*"}, Tenant: "acme"}
	h := open(t, func(s *outbound.Settings) {
		s.Subscriptions = []outbound.SubscriptionSpec{spec, {Name: "old", URL: spec.URL, EventTypes: spec.EventTypes}}
	})
	other := spec
	other.Tenant = "globex"
	h.settings.Subscriptions = []outbound.SubscriptionSpec{other}
	err := h.Apply(t.Context(), h.settings)
	if err == nil || !strings.Contains(err.Error(), `subscription crm: its deliveries are for the tenant "acme" and can't go to the tenant "globex"`) {
		t.Errorf("another tenant: %v", err)
	}
	for _, id := range []string{"sub_crm", "sub_old"} {
		if s, err := h.Subscription(id); err != nil || !s.Active || s.Tenant == "globex" {
			t.Errorf("%s is %+v: %v", id, s, err)
		}
	}
	other.Name = "crm2"
	h.settings.Subscriptions = []outbound.SubscriptionSpec{other}
	if err := h.Apply(t.Context(), h.settings); err != nil {
		t.Error(err)
	}
}

func TestInactiveWhenItLeavesTheConfiguration(t *testing.T) {
	h := open(t)
	configured := []outbound.SubscriptionSpec{{Name: "crm", URL: "http://127.0.0.1:1/", EventTypes: []string{"*"}}}
	apply := func(s []outbound.SubscriptionSpec) {
		t.Helper()
		h.settings.Subscriptions = s
		if err := h.Apply(t.Context(), h.settings); err != nil {
			t.Fatal(err)
		}
	}
	apply(configured)
	if _, err := h.Deactivate(t.Context(), "sub_crm", outbound.ReasonByHand); err != nil {
		t.Fatal(err)
	}
	if err := h.DeleteSubscription(t.Context(), "sub_crm"); !errors.Is(err, outbound.ErrConflict) {
		t.Errorf("deleting what is configured: %v", err)
	}
	apply(nil)
	_, activated := h.Activate(t.Context(), "sub_crm")
	_, updated := h.UpdateSubscription(t.Context(), "sub_crm", func(*outbound.SubscriptionSpec) error { return nil })
	_, rotated := h.RotateSecret(t.Context(), "sub_crm", "")
	for what, err := range map[string]error{"activating": activated, "updating": updated, "rotating the secret of": rotated} {
		if !errors.Is(err, outbound.ErrConflict) || !strings.Contains(err.Error(), "no longer in the server's configuration") {
			t.Errorf("%s what is no longer configured: %v", what, err)
		}
	}
	apply(configured)
	if s, err := h.Subscription("sub_crm"); err != nil || s.Active || s.Reason != outbound.ReasonByHand {
		t.Fatalf("put back, it is not as it was: %+v, %v", s, err)
	}
	apply(nil)
	if err := h.DeleteSubscription(t.Context(), "sub_crm"); err != nil {
		t.Errorf("deleting what is no longer configured: %v", err)
	}
}
