package outbound_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// recordingStore is a real store that records which parts of a configuration are written.
type recordingStore struct {
	store.Store
	written []string
}

func (w *recordingStore) CreateSubscription(ctx context.Context, s *store.Subscription) error {
	w.written = append(w.written, "create "+s.ID)
	return w.Store.CreateSubscription(ctx, s)
}

func (w *recordingStore) UpdateSubscription(ctx context.Context, id string, change func(*store.Subscription) error) (*store.Subscription, error) {
	w.written = append(w.written, "update "+id)
	return w.Store.UpdateSubscription(ctx, id, change)
}

func (w *recordingStore) PutEventType(ctx context.Context, t store.EventType) error {
	w.written = append(w.written, "put "+t.Name)
	return w.Store.PutEventType(ctx, t)
}

func (w *recordingStore) DeleteEventType(ctx context.Context, name string) error {
	w.written = append(w.written, "delete "+name)
	return w.Store.DeleteEventType(ctx, name)
}

// Applying a configuration writes only what is new or different in it. So a start with an
// unchanged one works on a full disk.
func TestReconcileWritesWhatChanged(t *testing.T) {
	h := open(t, func(s *outbound.Settings) {
		s.Subscriptions = []outbound.SubscriptionSpec{
			{Name: "main", URL: "http://127.0.0.1:9/", EventTypes: []string{"order.*"}, Headers: map[string]string{"X-A": "b"}, Secrets: []string{"whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="}},
			{Name: "made", URL: "http://127.0.0.1:9/", EventTypes: []string{"*"}, RateLimit: 5, Ordered: true, Headers: map[string]string{}, Retry: outbound.Schedule{}, Timeout: time.Minute, Metadata: map[string]string{}}, // its secret is generated
		}
		s.EventTypes = []outbound.EventType{{Name: "order.created", Description: "An order"}, {Name: "order.paid"}}
	})
	h.Engine.Close()
	w := &recordingStore{Store: h.store}
	h.Engine = must.Get(outbound.Open(t.Context(), w, h.settings, outbound.WithClock(h.clock)))(t)
	if len(w.written) > 0 {
		t.Errorf("a start with an unchanged configuration: wrote %q, want nothing", w.written)
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
		must.Do(t, h.Apply(t.Context(), h.settings))
		if !slices.Equal(w.written, step.want) {
			t.Errorf("%s: wrote %q, want %q", step.name, w.written, step.want)
		}
		for _, spec := range step.subs {
			if s, err := h.Subscription("sub_" + spec.Name); err != nil || s.URL != spec.URL || !s.Active {
				t.Errorf("%s: %s: got %+v, %v, want it active with URL %s", step.name, spec.Name, s, err, spec.URL)
			}
		}
	}

	w.written, h.settings.EventTypes = nil, []outbound.EventType{types[0], {Name: "order.sent"}}
	must.Do(t, h.Apply(t.Context(), h.settings))
	if want := []string{"put order.sent", "delete order.paid"}; !slices.Equal(w.written, want) {
		t.Errorf("other event types: wrote %q, want %q", w.written, want)
	}
}

// Lists show configured subscriptions in the order of the configuration.
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
		t.Errorf("got %q, want %q", got, want)
	}
}

// A subscription in the configuration can't be changed or deleted through the API.
func TestConfiguredSubscriptionsAreNotChanged(t *testing.T) {
	spec := outbound.SubscriptionSpec{Name: "crm", URL: "http://127.0.0.1:9/", EventTypes: []string{"*"}}
	h := open(t, func(s *outbound.Settings) { s.Subscriptions = []outbound.SubscriptionSpec{spec} })
	before := must.Get(h.Subscription("sub_crm"))(t)
	for what, change := range map[string]func() error{
		"its secret": func() error { _, err := h.RotateSecret(t.Context(), "sub_crm", ""); return err },
		"its url": func() error {
			_, err := h.UpdateSubscription(t.Context(), "sub_crm", func(s *outbound.SubscriptionSpec) error { s.URL += "a"; return nil })
			return err
		},
		"all of it": func() error { return h.DeleteSubscription(t.Context(), "sub_crm") },
	} {
		if err := change(); !errors.Is(err, outbound.ErrConflict) {
			t.Errorf("changing %s: got %v, want %v", what, err, outbound.ErrConflict)
		}
	}
	if after, err := h.Subscription("sub_crm"); err != nil || after.URL != before.URL || !reflect.DeepEqual(after.Secrets, before.Secrets) {
		t.Errorf("got %+v, %v, want it unchanged", after, err)
	}
}

// A configuration that moves a subscription to another tenant is refused as a whole, since
// pending deliveries of one tenant would go to another. A new name is accepted.
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
		t.Errorf("another tenant: got %v, want an error", err)
	}
	for _, id := range []string{"sub_crm", "sub_old"} {
		if s, err := h.Subscription(id); err != nil || !s.Active || s.Tenant == "globex" {
			t.Errorf("%s: got %+v, %v, want it unchanged", id, s, err)
		}
	}
	other.Name = "crm2"
	h.settings.Subscriptions = []outbound.SubscriptionSpec{other}
	if err := h.Apply(t.Context(), h.settings); err != nil {
		t.Errorf("another name: %v", err)
	}
}

// A subscription that is removed from the configuration is inactive and can only be
// deleted. Put back, it is in its former state.
func TestInactiveWhenItLeavesTheConfiguration(t *testing.T) {
	h := open(t)
	configured := []outbound.SubscriptionSpec{{Name: "crm", URL: "http://127.0.0.1:1/", EventTypes: []string{"*"}}}
	apply := func(s []outbound.SubscriptionSpec) {
		t.Helper()
		h.settings.Subscriptions = s
		must.Do(t, h.Apply(t.Context(), h.settings))
	}
	apply(configured)
	must.Get(h.Deactivate(t.Context(), "sub_crm", outbound.ReasonByHand))(t)
	if err := h.DeleteSubscription(t.Context(), "sub_crm"); !errors.Is(err, outbound.ErrConflict) {
		t.Errorf("deleting a configured subscription: got %v, want %v", err, outbound.ErrConflict)
	}
	apply(nil)
	_, activated := h.Activate(t.Context(), "sub_crm")
	_, updated := h.UpdateSubscription(t.Context(), "sub_crm", func(*outbound.SubscriptionSpec) error { return nil })
	_, rotated := h.RotateSecret(t.Context(), "sub_crm", "")
	for what, err := range map[string]error{"activating": activated, "updating": updated, "rotating the secret of": rotated} {
		if !errors.Is(err, outbound.ErrConflict) || !strings.Contains(err.Error(), "no longer in the server's configuration") {
			t.Errorf("%s a subscription that is no longer configured: got %v, want %v", what, err, outbound.ErrConflict)
		}
	}
	apply(configured)
	if s, err := h.Subscription("sub_crm"); err != nil || s.Active || s.Reason != outbound.ReasonByHand {
		t.Fatalf("put back: got %+v, %v, want it inactive with reason %q", s, err, outbound.ReasonByHand)
	}
	apply(nil)
	if err := h.DeleteSubscription(t.Context(), "sub_crm"); err != nil {
		t.Errorf("deleting a subscription that is no longer configured: %v", err)
	}
}
