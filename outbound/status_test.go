package outbound_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// oldestDue returns in how long the status's OldestDue is, and whether it has one.
func (h *harness) oldestDue() (in time.Duration, any bool) {
	h.t.Helper()
	st := must.Get(h.Status(h.t.Context()))(h.t)
	return st.OldestDue.Sub(h.clock.Now()), !st.OldestDue.IsZero()
}

// onlyPending returns a subscription's single pending delivery.
func (h *harness) onlyPending(subscription string) *outbound.Record {
	h.t.Helper()
	ds, err := h.Deliveries(h.t.Context(), outbound.Query{Subscription: subscription, States: []store.State{store.Pending}, Limit: 2})
	if err != nil || len(ds) != 1 {
		h.t.Fatalf("got %d pending deliveries, %v, want 1", len(ds), err)
	}
	return ds[0]
}

// A delivery that is held for an inactive subscription is marked as held, and never
// counts as due.
func TestWhatIsHeldIsNotDue(t *testing.T) {
	h := open(t, retries(time.Hour))
	r := newReceiver(t)
	held := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"held"}})
	must.Get(h.Deactivate(t.Context(), held.ID, outbound.ReasonByHand))(t)
	h.publish("held", `1`)
	if in, any := h.oldestDue(); any {
		t.Errorf("got the oldest due in %v, want none", in)
	}
	r.respond(status(http.StatusInternalServerError))
	retried := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}})
	h.publish("a", `1`)
	h.awaitAttempt()
	if in, _ := h.oldestDue(); in < 50*time.Minute {
		t.Errorf("got the oldest due in %v, want the retry in about an hour", in)
	}
	if !h.onlyPending(held.ID).Held || h.onlyPending(retried.ID).Held {
		t.Error("got another held delivery than that of the inactive subscription")
	}
	must.Get(h.Activate(t.Context(), held.ID))(t)
	h.awaitAttempt()
	if h.onlyPending(held.ID).Held {
		t.Error("got a held delivery of an active subscription")
	}
}

// The deliveries of a paused subscription show until when it is paused.
func TestAPauseIsForeseen(t *testing.T) {
	h := open(t, retries(time.Hour))
	r := newReceiver(t)
	r.respond(retryLater(http.StatusTooManyRequests))
	s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	first := h.publish("a", `1`)
	h.awaitPause()
	h.publish("a", `2`)
	ds, err := h.Deliveries(t.Context(), outbound.Query{Subscription: s.ID, Limit: 2})
	if err != nil || len(ds) != 2 || ds[1].EventID != first.EventID {
		t.Fatalf("got %+v, %v, want 2 deliveries, of event %s last", ds, err, first.EventID)
	}
	if waits := ds[0].PausedUntil.Sub(h.clock.Now()); waits != 10*time.Minute || ds[0].Due.After(h.clock.Now()) {
		t.Errorf("second delivery: got a pause of %v and due at %v, want 10m and now", waits, ds[0].Due)
	}
}

// The last error of a receiver that is down survives a restart, after which there may be
// nothing to attempt that would show it again.
func TestLastErrorOutlastsARestart(t *testing.T) {
	h := open(t, retries(time.Hour))
	r := newReceiver(t)
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	for i, code := range []int{http.StatusTeapot, http.StatusServiceUnavailable} {
		r.respond(status(code))
		h.failTimes(6 - i)
	}
	must.Eventually(t, "FailingSince to be stored", func() bool { return !h.sub().Subscription.FailingSince.IsZero() })
	for range 30 { // all but one wait for the next probe
		h.publish("a", `1`)
	}
	h.awaitAttemptEnd()
	before := h.sub()
	if before.Health != outbound.HealthDown || !strings.Contains(before.LastError, "503") {
		t.Fatalf("got health %s with error %q, want %s with 503", before.Health, before.LastError, outbound.HealthDown)
	}
	h.restart()
	after := h.sub()
	if after.Health != outbound.HealthDown || after.LastError != before.LastError || !after.LastFailure.Equal(before.LastFailure.Truncate(time.Millisecond)) {
		t.Errorf("after the restart: got %s with %q at %v, want %s with %q at %v", after.Health, after.LastError, after.LastFailure, before.Health, before.LastError, before.LastFailure)
	}
}
