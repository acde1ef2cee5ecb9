package outbound_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// failTimes makes n attempts, which must fail, and lets a second pass after each.
func (h *harness) failTimes(n int) {
	h.t.Helper()
	for range n {
		h.publish("a", "1")
		h.awaitAttemptEnd()
		h.clock.advance(time.Second)
	}
}

// sub returns the status of the first subscription.
func (h *harness) sub() outbound.SubscriptionStatus {
	h.t.Helper()
	s := must.Get(h.Status(h.t.Context()))(h.t)
	return s.Subscriptions[0]
}

// One failure can both put a receiver down and deactivate its subscription.
func TestDownAndDeactivatedAtOnce(t *testing.T) {
	h := open(t, retries(), func(s *outbound.Settings) { s.DisableAfter = outbound.DisableAfter{Failures: 5, For: time.Hour} })
	r := newReceiver(t)
	r.respond(status(500))
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	h.failTimes(9)
	h.clock.advance(time.Hour)
	h.failTimes(1)
	must.Eventually(t, "the deactivation", func() bool { return !h.sub().Subscription.Active })
}

// A subscription is deactivated once it has failed as often and for as long as
// DisableAfter says, with an event and a log line at half of both. Its deliveries are
// held until it is activated.
func TestFailingForLongDeactivates(t *testing.T) {
	var log journal
	h := open(t, retries(), logTo(&log), func(s *outbound.Settings) { s.DisableAfter = outbound.DisableAfter{Failures: 8, For: time.Hour} })
	r, healthy := newReceiver(t), newReceiver(t)
	r.respond(status(500))
	s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}, Metadata: map[string]string{"customer": "42"}})
	began := h.clock.Now()
	h.failTimes(4)
	h.clock.advance(29 * time.Minute)
	h.failTimes(1)
	if len(h.changes) > 0 || log.line("failing for a long time") != "" {
		t.Fatal("got an event or a log line before half the time")
	}
	h.clock.advance(2 * time.Minute)
	h.failTimes(1)
	f := must.Receive(t, h.changes, "the event that it is failing")
	if since, _ := f.Data["failing_since"].(time.Time); f.Type != outbound.SubscriptionFailing || f.Data["failures_in_a_row"] != 6 || !since.Equal(began) ||
		fmt.Sprint(f.Data["metadata"]) != "map[customer:42]" {
		t.Errorf("got %+v, want %s with 6 failures since %v", f, outbound.SubscriptionFailing, began)
	}
	h.clock.advance(time.Hour)
	h.failTimes(1) // long enough, but not often enough
	if got := h.sub(); !got.Subscription.Active || got.Failures != 7 || !got.FailingSince.Equal(began) {
		t.Fatalf("after 7 failures: got %+v, want active and 7 failures since %v", got, began)
	}
	h.failTimes(1)
	if c := must.Receive(t, h.changes, "the deactivation"); c.Type != outbound.SubscriptionDeactivated || c.Data["reason"] != outbound.ReasonFailing {
		t.Fatalf("got %+v, want %s with reason %q", c, outbound.SubscriptionDeactivated, outbound.ReasonFailing)
	}
	if len(h.changes) > 0 {
		t.Errorf("got %d more events, want none", len(h.changes))
	}
	if line := log.line("failing for a long time"); !strings.Contains(line, "subscription_id="+s.ID) || !strings.Contains(line, "failing_for=31m") {
		t.Errorf("got log line %q, want the subscription's id and failing_for=31m", line)
	}
	for range 8 {
		r.next(t)
	}
	h.publish("a", "held")
	h.nudge(healthy)
	r.expectNone(t)

	r.respond(nil)
	must.Get(h.Activate(t.Context(), s.ID))(t)
	if got := string(r.next(t).body); got != "held" {
		t.Errorf("after the activation: got payload %q, want held", got)
	}
	h.awaitAttempt()
	if got := h.sub(); got.Failures != 0 || !got.FailingSince.IsZero() {
		t.Errorf("after a success: got %+v, want no failures", got)
	}
}

// After the event that a subscription is failing there is one when it has recovered,
// also across a restart. There is none if it recovers before that first event.
func TestRecovered(t *testing.T) {
	h := open(t, retries(), func(s *outbound.Settings) { s.DisableAfter = outbound.DisableAfter{Failures: 30, For: time.Hour} })
	r := newReceiver(t)
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	fails := func() (since time.Time) {
		r.respond(status(500))
		since = h.clock.Now()
		h.failTimes(14)
		h.clock.advance(31 * time.Minute)
		h.failTimes(1)
		if f := must.Receive(t, h.changes, "the event that it is failing"); f.Type != outbound.SubscriptionFailing {
			t.Fatalf("got %+v, want %s", f, outbound.SubscriptionFailing)
		}
		return since
	}
	recovers := func(since time.Time) {
		t.Helper()
		r.respond(nil)
		h.failTimes(1)
		f := must.Receive(t, h.changes, "the event that it has recovered")
		if got, _ := f.Data["failing_since"].(time.Time); f.Type != outbound.SubscriptionRecovered || !got.Equal(since) {
			t.Errorf("got %+v, want %s with failing_since %v", f, outbound.SubscriptionRecovered, since)
		}
	}
	recovers(fails())

	since := fails()
	must.Eventually(t, "FailingSince to be stored", func() bool { return h.sub().Subscription.FailingSince.Equal(since) })
	h.restart()
	recovers(since)

	for _, c := range []struct {
		failures int
		lasts    time.Duration
		restart  bool
	}{{14, 31 * time.Minute, false}, {16, 29 * time.Minute, false}, {16, 29 * time.Minute, true}} {
		r.respond(status(500))
		since := h.clock.Now()
		h.failTimes(c.failures)
		h.clock.advance(c.lasts)
		if c.restart {
			must.Eventually(t, "FailingSince to be stored", func() bool { return h.sub().Subscription.FailingSince.Equal(since) })
			h.restart()
		}
		r.respond(nil)
		h.failTimes(1)
		if len(h.changes) > 0 {
			t.Errorf("after %d failures in %v: got %d events, want none", c.failures, c.lasts, len(h.changes))
		}
	}
}

// The status of a subscription that was deactivated for failing still has the number of
// failures and the time of the first.
func TestDeactivationKeepsSinceWhen(t *testing.T) {
	h := open(t, retries(), func(s *outbound.Settings) { s.DisableAfter = outbound.DisableAfter{Failures: 12, For: time.Hour} })
	r := newReceiver(t)
	r.respond(status(500))
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	began := h.clock.Now()
	h.failTimes(10)
	must.Eventually(t, "FailingSince to be stored", func() bool { return !h.sub().Subscription.FailingSince.IsZero() })
	h.clock.advance(time.Hour)
	h.failTimes(2)
	must.Eventually(t, "the deactivation", func() bool { return !h.sub().Subscription.Active })
	if got := h.sub(); got.Failures != 12 || !got.FailingSince.Equal(began) {
		t.Errorf("got %d failures since %v, want 12 since %v", got.Failures, got.FailingSince, began)
	}
}

// A success starts the count and the time of failures again, so that a receiver that
// sometimes works isn't deactivated.
func TestASuccessKeepsASubscriptionActive(t *testing.T) {
	h := open(t, retries(), func(s *outbound.Settings) { s.DisableAfter = outbound.DisableAfter{Failures: 4, For: time.Minute} })
	r := newReceiver(t)
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	for range 5 {
		r.respond(status(500))
		h.failTimes(3)
		h.clock.advance(time.Hour)
		r.respond(nil)
		h.failTimes(1)
	}
	if got := h.sub(); !got.Subscription.Active || len(h.changes) > 0 {
		t.Errorf("got %+v and %d events, want active and none", got, len(h.changes))
	}
}

// Since when a receiver has been down survives a restart, and so does its recovery.
// Changing the URL clears it.
func TestRestartKnowsSinceWhenAReceiverFails(t *testing.T) {
	h := open(t, retries(), func(s *outbound.Settings) { s.DisableAfter = outbound.DisableAfter{Failures: 15, For: time.Hour} })
	r := newReceiver(t)
	r.respond(status(500))
	s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	began := h.clock.Now()
	h.failTimes(10)
	stored := func() time.Time {
		subs := must.Get(h.store.Subscriptions(t.Context()))(t)
		return subs[0].FailingSince
	}
	must.Eventually(t, "FailingSince to be stored", func() bool { return stored().Equal(began) })
	h.clock.advance(time.Hour)
	h.restart()
	if got := h.sub(); got.Health != outbound.HealthDown || !got.FailingSince.Equal(began) {
		t.Fatalf("after a restart: got %+v, want %s since %v", got, outbound.HealthDown, began)
	}
	h.failTimes(4)
	r.respond(nil)
	h.clock.advance(time.Minute)
	h.failTimes(1)
	must.Eventually(t, "FailingSince to be cleared", func() bool { return stored().IsZero() })
	h.restart()
	if got := h.sub(); got.Health != outbound.HealthOK || !got.Subscription.Active {
		t.Errorf("after the recovery and a restart: got %+v, want active and %s", got, outbound.HealthOK)
	}

	r.respond(status(500))
	h.failTimes(10)
	must.Eventually(t, "FailingSince to be stored again", func() bool { return !stored().IsZero() })
	other := newReceiver(t)
	h.update(s.ID, func(s *outbound.SubscriptionSpec) { s.URL = other.URL })
	if !stored().IsZero() {
		t.Errorf("with another URL: got FailingSince %v, want none", stored())
	}
}

// DisableAfter needs both values, neither of which may be negative, but -1 failures turn
// it off.
func TestDisableAfterIsChecked(t *testing.T) {
	for _, d := range []outbound.DisableAfter{{Failures: 5}, {For: time.Hour}, {Failures: 5, For: -1}} {
		if err := (outbound.Settings{DisableAfter: d}).Validate(); err == nil || !strings.Contains(err.Error(), "disable_after: ") {
			t.Errorf("%+v: got %v, want an error", d, err)
		}
	}
	if err := (outbound.Settings{DisableAfter: outbound.DisableAfter{Failures: -1}}).Validate(); err != nil {
		t.Errorf("-1 failures: %v", err)
	}
}

// A 410 deactivates the subscription. Its deliveries are held, and sent once it is
// activated.
func TestGoneDeactivatesAndHolds(t *testing.T) {
	h := open(t, retries(time.Minute))
	r, healthy := newReceiver(t), newReceiver(t)
	r.respond(status(http.StatusGone))
	s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}})
	h.publish("a", `1`)
	if d := h.awaitAttempt(); d.Attempt.Class != outbound.ClassGone || d.State != store.Pending {
		t.Fatalf("got %+v, want pending with class %s", d, outbound.ClassGone)
	}
	if c := must.Receive(t, h.changes, "the deactivation"); c.Type != outbound.SubscriptionDeactivated || c.Data["reason"] != outbound.ReasonGone {
		t.Fatalf("got %+v, want %s with reason %q", c, outbound.SubscriptionDeactivated, outbound.ReasonGone)
	}
	r.next(t)
	if p := h.publish("a", `2`); p.Deliveries != 1 {
		t.Errorf("got %d deliveries to the inactive subscription, want 1 that is held", p.Deliveries)
	}
	h.clock.advance(time.Hour)
	h.restart()
	h.nudge(healthy)
	r.expectNone(t)
	r.respond(nil)
	must.Get(h.Activate(t.Context(), s.ID))(t)
	got := map[string]bool{string(r.next(t).body): true, string(r.next(t).body): true}
	if !got["1"] || !got["2"] {
		t.Errorf("after the activation: got events %v, want 1 and 2", got)
	}
}

// A 410 from a subscription's former URL doesn't deactivate it.
func TestGoneAfterTheURLHasChanged(t *testing.T) {
	h := open(t)
	old, now := newReceiver(t), newReceiver(t)
	answer := make(chan struct{})
	old.respond(func(w http.ResponseWriter, _ *http.Request) {
		select {
		case <-answer:
		case <-t.Context().Done():
		}
		w.WriteHeader(http.StatusGone)
	})
	s := h.subscribe(outbound.SubscriptionSpec{URL: old.URL, EventTypes: []string{"*"}})
	h.publish("order.created", `{}`)
	old.next(t)
	h.update(s.ID, func(s *outbound.SubscriptionSpec) { s.URL = now.URL })
	close(answer)
	if d := h.awaitAttempt(); d.Attempt.Class != outbound.ClassGone {
		t.Fatalf("got %+v, want class %s", d.Attempt, outbound.ClassGone)
	}
	h.clock.advance(time.Minute)
	now.next(t)
	h.awaitAttempt()
	if s, err := h.Subscription(s.ID); err != nil || !s.Active {
		t.Errorf("got %+v, %v, want an active subscription", s, err)
	}
}
