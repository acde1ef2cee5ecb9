package outbound_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// watch watches all attempts until the end of the test.
func watch(t *testing.T, h *harness) *outbound.Watch {
	t.Helper()
	return watchOf(t, h, "")
}

// watchOf watches a tenant's attempts until the end of the test.
func watchOf(t *testing.T, h *harness, tenant string) *outbound.Watch {
	t.Helper()
	w := must.Get(h.Watch(tenant))(t)
	t.Cleanup(w.Stop)
	return w
}

// A watch shows each attempt with its delivery as the store has it, without payload and
// response body.
func TestWatchShowsDeliveriesAsTheyAre(t *testing.T) {
	h := open(t, retries(time.Minute))
	r := newReceiver(t)
	r.respond(status(http.StatusTeapot))
	sub := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}, Tenant: "acme"})
	w := watch(t, h)
	p := must.Get(h.Publish(t.Context(), &outbound.NewEvent{Type: "order.created", Tenant: "acme", Payload: []byte(`{"secret":"of the tenant"}`)}))(t)
	for _, state := range []store.State{store.Pending, store.Dead} {
		shown := must.Receive(t, w.Attempts, "an attempt")
		stored := must.Get(h.Delivery(t.Context(), shown.ID.With(store.DeliveryPrefix)))(t)
		if shown.State != state || shown.State != stored.State || shown.Attempts != stored.Attempts || shown.Reason != stored.Reason ||
			shown.URL != stored.URL || shown.Tenant != "acme" || shown.SubscriptionID != sub.ID || shown.EventID != p.EventID ||
			shown.EventType != stored.EventType || shown.Event != stored.Event || shown.Subscription != stored.Subscription ||
			shown.Last.ID != stored.Last.ID || shown.Last.Status != http.StatusTeapot || !shown.Last.At.Equal(stored.Last.At) {
			t.Errorf("got %+v\nwant as stored %+v", shown, stored)
		}
		if state == store.Pending && shown.Due.Sub(stored.Due).Abs() > time.Second {
			t.Errorf("got due %v, want %v, as stored", shown.Due, stored.Due)
		}
		if shown.Payload != nil || shown.Last.ResponseBody != nil {
			t.Error("got a payload or response body, want neither")
		}
		h.clock.advance(2 * time.Minute)
	}
}

// A watch that nobody reads doesn't delay attempts. Those that don't fit in its buffer are
// counted as missed.
func TestWatchNeverHoldsDeliveriesUp(t *testing.T) {
	h := open(t)
	r := newReceiver(t)
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	slow := watch(t, h)
	other := watchOf(t, h, "acme") // must not learn how busy other tenants are
	stopped := watch(t, h)
	stopped.Stop()
	const events = 1500
	go func() {
		for range events {
			if _, err := h.Publish(t.Context(), &outbound.NewEvent{Type: "a", Payload: []byte("1")}); err != nil {
				t.Error(err)
			}
		}
	}()
	for range events {
		h.awaitAttempt()
	}
	h.stop()
	must.Receive(t, slow.Done, "the end of the engine")
	if kept, missed := len(slow.Attempts), slow.Missed(); missed == 0 || int64(kept)+missed != events {
		t.Errorf("got %d kept and %d missed, want some missed and %d in all", kept, missed, events)
	}
	if again := slow.Missed(); again != 0 {
		t.Errorf("second Missed: got %d, want 0", again)
	}
	if n := len(other.Attempts) + int(other.Missed()); n > 0 {
		t.Errorf("tenant without events: got %d attempts, want 0", n)
	}
	if n := len(stopped.Attempts) + int(stopped.Missed()); n > 0 {
		t.Errorf("stopped watch: got %d attempts, want 0", n)
	}
}

// The number of watches is bounded, in all and for each tenant.
func TestWatchesAreBounded(t *testing.T) {
	h := open(t)
	first := watch(t, h)
	for range 63 {
		watch(t, h)
	}
	if _, err := h.Watch(""); !errors.Is(err, outbound.ErrUnavailable) {
		t.Errorf("watch 65: got %v, want %v", err, outbound.ErrUnavailable)
	}
	first.Stop()
	watch(t, h)

	for range 8 {
		watchOf(t, h, "acme")
	}
	if _, err := h.Watch("acme"); !errors.Is(err, outbound.ErrUnavailable) {
		t.Errorf("watch 9 of a tenant: got %v, want %v", err, outbound.ErrUnavailable)
	}
	watchOf(t, h, "rival")
}
