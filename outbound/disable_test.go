package outbound_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

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

// sub is what the status says of the one subscription.
func (h *harness) sub() outbound.SubscriptionStatus {
	h.t.Helper()
	s, err := h.Status(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	return s.Subscriptions[0]
}

// The failure that shows that a receiver is down may be the one that deactivates
// its subscription.
func TestDownAndDeactivatedAtOnce(t *testing.T) {
	h := open(t, retries(), func(s *outbound.Settings) { s.DisableAfter = outbound.DisableAfter{Failures: 5, For: time.Hour} })
	r := newReceiver(t)
	r.respond(status(500))
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	h.failTimes(9)
	h.clock.advance(time.Hour)
	h.failTimes(1)
	h.eventually("the deactivation", func() bool { return !h.sub().Subscription.Active })
}

// A receiver that fails again and again is given up after that many failures
// and that much time, with a word at half of it, and its deliveries are held.
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
		t.Fatal("there is word of it before half the time")
	}
	h.clock.advance(2 * time.Minute)
	h.failTimes(1)
	f := receive(t, h.changes, "the word that it fails")
	if since, _ := f.Data["failing_since"].(time.Time); f.Type != outbound.SubscriptionFailing || f.Data["failures_in_a_row"] != 6 || !since.Equal(began) ||
		fmt.Sprint(f.Data["metadata"]) != "map[customer:42]" {
		t.Errorf("told %+v, want 6 attempts since %v", f, began)
	}
	h.clock.advance(time.Hour)
	h.failTimes(1) // the time is over, but not the attempts
	if got := h.sub(); !got.Subscription.Active || got.Failures != 7 || !got.FailingSince.Equal(began) {
		t.Fatalf("after 7 failures: %+v", got)
	}
	h.failTimes(1)
	if c := receive(t, h.changes, "the deactivation"); c.Type != outbound.SubscriptionDeactivated || c.Data["reason"] != outbound.ReasonFailing {
		t.Fatalf("%+v", c)
	}
	if len(h.changes) > 0 {
		t.Error("it is told twice that it fails")
	}
	if line := log.line("failing for a long time"); !strings.Contains(line, "subscription_id="+s.ID) || !strings.Contains(line, "failing_for=31m") {
		t.Errorf("the log: %s", line)
	}
	for range 8 {
		r.next(t)
	}
	h.publish("a", "held")
	h.nudge(healthy)
	r.expectNone(t)

	r.respond(nil)
	if _, err := h.Activate(t.Context(), s.ID); err != nil {
		t.Fatal(err)
	}
	if got := string(r.next(t).body); got != "held" {
		t.Errorf("after the activation came %q", got)
	}
	h.awaitAttempt()
	if got := h.sub(); got.Failures != 0 || !got.FailingSince.IsZero() {
		t.Errorf("after a success: %+v", got)
	}
}

// Whoever was told that a receiver fails is told when it works again, after a
// restart too; nobody is told of one that was back before.
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
		if f := receive(t, h.changes, "the word that it fails"); f.Type != outbound.SubscriptionFailing {
			t.Fatalf("told %+v", f)
		}
		return since
	}
	recovers := func(since time.Time) {
		t.Helper()
		r.respond(nil)
		h.failTimes(1)
		f := receive(t, h.changes, "the word that it works again")
		if got, _ := f.Data["failing_since"].(time.Time); f.Type != outbound.SubscriptionRecovered || !got.Equal(since) {
			t.Errorf("told %+v, want since %v", f, since)
		}
	}
	recovers(fails())

	since := fails()
	h.eventually("the store to know", func() bool { return !h.sub().Subscription.FailingSince.IsZero() })
	h.restart()
	recovers(since)

	for _, c := range []struct {
		failures int
		lasts    time.Duration
	}{{14, 31 * time.Minute}, {16, 29 * time.Minute}} {
		r.respond(status(500))
		h.failTimes(c.failures)
		h.clock.advance(c.lasts)
		r.respond(nil)
		h.failTimes(1)
		if len(h.changes) > 0 {
			t.Errorf("after %d failures in %v it is told that one is back of which nothing was told", c.failures, c.lasts)
		}
	}
}

// A receiver that is deactivated is still said to have failed since it began to.
func TestDeactivationKeepsSinceWhen(t *testing.T) {
	h := open(t, retries(), func(s *outbound.Settings) { s.DisableAfter = outbound.DisableAfter{Failures: 12, For: time.Hour} })
	r := newReceiver(t)
	r.respond(status(500))
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	began := h.clock.Now()
	h.failTimes(10)
	h.eventually("the store to know", func() bool { return !h.sub().Subscription.FailingSince.IsZero() })
	h.clock.advance(time.Hour)
	h.failTimes(2)
	h.eventually("the deactivation", func() bool { return !h.sub().Subscription.Active })
	if got := h.sub(); got.Failures != 12 || !got.FailingSince.Equal(began) {
		t.Errorf("%d failures since %v, want 12 since %v", got.Failures, got.FailingSince, began)
	}
}

// One success begins the row anew.
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
		t.Errorf("%+v", got)
	}
}

// A restart doesn't forget since when a receiver is down, nor a restart after
// that that it is back.
func TestRestartKnowsSinceWhenAReceiverFails(t *testing.T) {
	h := open(t, retries(), func(s *outbound.Settings) { s.DisableAfter = outbound.DisableAfter{Failures: 15, For: time.Hour} })
	r := newReceiver(t)
	r.respond(status(500))
	s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	began := h.clock.Now()
	h.failTimes(10)
	stored := func() time.Time {
		subs, err := h.store.Subscriptions(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return subs[0].FailingSince
	}
	h.eventually("the store to know", func() bool { return stored().Equal(began) })
	h.clock.advance(time.Hour)
	h.restart()
	if got := h.sub(); got.Health != outbound.HealthDown || !got.FailingSince.Equal(began) {
		t.Fatalf("after a restart: %+v", got)
	}
	h.failTimes(4)
	r.respond(nil)
	h.clock.advance(time.Minute)
	h.failTimes(1)
	h.eventually("the store to know that it is back", func() bool { return stored().IsZero() })
	h.restart()
	if got := h.sub(); got.Health != outbound.HealthOK || !got.Subscription.Active {
		t.Errorf("after another restart: %+v", got)
	}

	r.respond(status(500))
	h.failTimes(10)
	h.eventually("the store to know once more", func() bool { return !stored().IsZero() })
	other := newReceiver(t)
	if _, err := h.UpdateSubscription(t.Context(), s.ID, func(s *outbound.SubscriptionSpec) error {
		s.URL = other.URL
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if !stored().IsZero() {
		t.Error("another receiver is taken for one that fails")
	}
}

func TestDisableAfterIsChecked(t *testing.T) {
	for _, d := range []outbound.DisableAfter{{Failures: 5}, {For: time.Hour}, {Failures: 5, For: -1}} {
		if err := (outbound.Settings{DisableAfter: d}).Validate(); err == nil || !strings.Contains(err.Error(), "disable_after: ") {
			t.Errorf("%+v: %v", d, err)
		}
	}
	if err := (outbound.Settings{DisableAfter: outbound.DisableAfter{Failures: -1}}).Validate(); err != nil {
		t.Error(err)
	}
}

func TestGoneDeactivatesAndHolds(t *testing.T) {
	h := open(t, retries(time.Minute))
	r, healthy := newReceiver(t), newReceiver(t)
	r.respond(status(http.StatusGone))
	s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}})
	h.publish("a", `1`)
	if d := h.awaitAttempt(); d.Attempt.Class != outbound.ClassGone || d.State != store.Pending {
		t.Fatalf("%+v", d)
	}
	if c := receive(t, h.changes, "the deactivation"); c.Type != outbound.SubscriptionDeactivated || c.Data["reason"] != outbound.ReasonGone {
		t.Fatalf("%+v", c)
	}
	r.next(t)
	if p := h.publish("a", `2`); p.Deliveries != 1 {
		t.Errorf("a deactivated subscription gets %d deliveries, want 1 that is held", p.Deliveries)
	}
	h.clock.advance(time.Hour)
	h.restart()
	h.nudge(healthy)
	r.expectNone(t)
	r.respond(nil)
	if _, err := h.Activate(t.Context(), s.ID); err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{string(r.next(t).body): true, string(r.next(t).body): true}
	if !got["1"] || !got["2"] {
		t.Errorf("held deliveries: %v", got)
	}
}

// A 410 of the URL that was is no word of the one that is.
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
	if _, err := h.UpdateSubscription(t.Context(), s.ID, func(s *outbound.SubscriptionSpec) error {
		s.URL = now.URL
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	close(answer)
	if d := h.awaitAttempt(); d.Attempt.Class != outbound.ClassGone {
		t.Fatalf("%+v", d.Attempt)
	}
	h.clock.advance(time.Minute)
	now.next(t)
	h.awaitAttempt()
	if s, err := h.Subscription(s.ID); err != nil || !s.Active {
		t.Errorf("the subscription is not active: %+v, %v", s, err)
	}
}
