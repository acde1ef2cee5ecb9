package outbound_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// oldestDue is what the status says, from now on.
func (h *harness) oldestDue() (in time.Duration, any bool) {
	h.t.Helper()
	st, err := h.Status(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	return st.OldestDue.Sub(h.clock.Now()), !st.OldestDue.IsZero()
}

// only is the one delivery that a subscription has waiting.
func (h *harness) only(subscription string) *outbound.Record {
	h.t.Helper()
	ds, err := h.Deliveries(h.t.Context(), outbound.Query{Subscription: subscription, States: []store.State{store.Pending}, Limit: 2})
	if err != nil || len(ds) != 1 {
		h.t.Fatalf("%d wait, %v", len(ds), err)
	}
	return ds[0]
}

// What is held isn't due, however long it waits.
func TestWhatIsHeldIsNotDue(t *testing.T) {
	h := open(t, retries(time.Hour))
	r := newReceiver(t)
	held := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"held"}})
	if _, err := h.Deactivate(t.Context(), held.ID, outbound.ReasonByHand); err != nil {
		t.Fatal(err)
	}
	h.publish("held", `1`)
	if in, any := h.oldestDue(); any {
		t.Errorf("what is held is due in %v", in)
	}
	r.respond(status(http.StatusInternalServerError))
	retried := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}})
	h.publish("a", `1`)
	h.awaitAttempt()
	if in, _ := h.oldestDue(); in < 50*time.Minute {
		t.Errorf("the first is due in %v, which is no retry", in)
	}
	if !h.only(held.ID).Held || h.only(retried.ID).Held {
		t.Error("not the one of the inactive subscription is held")
	}
	if _, err := h.Activate(t.Context(), held.ID); err != nil {
		t.Fatal(err)
	}
	h.awaitAttempt()
	if h.only(held.ID).Held {
		t.Error("it is held though its subscription is active")
	}
}

// Of what waits for a subscription that is paused it is told until when.
func TestAPauseIsForeseen(t *testing.T) {
	h := open(t, retries(time.Hour))
	r := newReceiver(t)
	r.respond(later(http.StatusTooManyRequests))
	s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	first := h.publish("a", `1`)
	h.paused()
	h.publish("a", `2`)
	ds, err := h.Deliveries(t.Context(), outbound.Query{Subscription: s.ID, Limit: 2})
	if err != nil || len(ds) != 2 || ds[1].EventID != first.EventID {
		t.Fatalf("%+v, %v", ds, err)
	}
	if waits := ds[0].PausedUntil.Sub(h.clock.Now()); waits != 10*time.Minute || ds[0].Due.After(h.clock.Now()) {
		t.Errorf("the second waits for %v, and is due at %v", waits, ds[0].Due)
	}
}

// Why a receiver is down is known after a restart too, when nothing may be left to
// attempt.
func TestLastErrorOutlastsARestart(t *testing.T) {
	h := open(t, retries(time.Hour))
	r := newReceiver(t)
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	for i, code := range []int{http.StatusTeapot, http.StatusServiceUnavailable} {
		r.respond(status(code))
		h.failTimes(6 - i)
	}
	h.eventually("the store to know", func() bool { return !h.sub().Subscription.FailingSince.IsZero() })
	for range 30 { // all but one of which wait behind what has failed
		h.publish("a", `1`)
	}
	h.awaitAttemptEnd()
	before := h.sub()
	if before.Health != outbound.HealthDown || !strings.Contains(before.LastError, "503") {
		t.Fatalf("it is %s for %q", before.Health, before.LastError)
	}
	h.restart()
	after := h.sub()
	if after.Health != outbound.HealthDown || after.LastError != before.LastError || !after.LastFailure.Equal(before.LastFailure.Truncate(time.Millisecond)) {
		t.Errorf("before %q at %v, after %q at %v", before.LastError, before.LastFailure, after.LastError, after.LastFailure)
	}
}
