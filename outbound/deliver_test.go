package outbound_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/egress"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// check verifies a delivery as a receiver would.
func check(t *testing.T, h *house, a arrival, secrets ...string) *verify.Message {
	t.Helper()
	row, _ := verify.Lookup("standard-webhooks")
	v, err := verify.New(row, verify.Options{Secrets: secrets, Now: h.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	r, _ := http.NewRequest(http.MethodPost, "http://receiver.example"+a.path, nil)
	r.Header = a.header
	m, err := v.Verify(r, a.body)
	if err != nil {
		t.Fatalf("a delivery does not verify: %v", err)
	}
	return m
}

func TestFanOutToMatchingOnly(t *testing.T) {
	h := open(t)
	r := newReceiver(t)
	orders := h.subscribe(outbound.SubscriptionSpec{URL: r.URL + "/orders", EventTypes: []string{"order.*"}})
	all := h.subscribe(outbound.SubscriptionSpec{URL: r.URL + "/all", EventTypes: []string{"*", "order.created"}})
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL + "/invoices", EventTypes: []string{"invoice.paid"}})
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL + "/tenant", EventTypes: []string{"*"}, Tenant: "acme"})

	payload := "{ \"n\": 12345678901234567890.10,\n\t\"s\": \"\\u00e9 é\" }"
	p := h.publish("order.created", payload)
	if p.Deliveries != 2 {
		t.Fatalf("%d deliveries, want 2", p.Deliveries)
	}
	secrets := map[string]string{"/orders": orders.Secrets[0].Value, "/all": all.Secrets[0].Value}
	for range 2 {
		a := r.next(t)
		if string(a.body) != payload {
			t.Errorf("the payload was changed: %s", a.body)
		}
		if m := check(t, h, a, secrets[a.path]); m.ID != p.EventID {
			t.Errorf("webhook-id %q, want the event's %q", m.ID, p.EventID)
		}
		if got := a.header.Get("Content-Type"); got != "application/json" {
			t.Errorf("content type %q", got)
		}
		delete(secrets, a.path)
		if d := h.attempt(); d.State != store.Delivered {
			t.Errorf("state %v: %s", d.State, d.Attempt.Error)
		}
	}
	r.none(t)
}

func TestEventIDIsUnique(t *testing.T) {
	h := open(t)
	r, healthy := newReceiver(t), newReceiver(t)
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"order.*"}})
	publish := func(payload string) (outbound.Published, error) {
		return h.Publish(t.Context(), &outbound.NewEvent{ID: "order-1", Type: "order.created", Payload: []byte(payload)})
	}
	if p, err := publish(`{}`); err != nil || p.Duplicate || p.Deliveries != 1 || p.EventID != "order-1" {
		t.Fatalf("first: %+v, %v", p, err)
	}
	if p, err := publish(`{}`); err != nil || !p.Duplicate || p.Deliveries != 1 {
		t.Fatalf("again: %+v, %v", p, err)
	}
	var reused *outbound.Reused
	if _, err := publish(`{"other":1}`); !errors.As(err, &reused) {
		t.Fatalf("with another payload: %v", err)
	}
	r.next(t)
	h.attempt()
	h.nudge(healthy)
	r.none(t)
}

func TestRetriesThenDeadLetterThenRedeliver(t *testing.T) {
	h := open(t, retries(time.Minute, time.Hour))
	r := newReceiver(t)
	r.answers(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprint(w, "no database")
	})
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	p := h.publish("order.created", `{}`)

	ids := map[string]bool{}
	for i, wait := range []time.Duration{0, 2 * time.Minute, 2 * time.Hour} {
		h.clock.advance(wait)
		ids[r.next(t).header.Get("webhook-id")] = true
		d := h.attempt()
		if d.Attempt.Number != i+1 || d.Attempt.Status != 500 || d.Attempt.Class != outbound.ClassStatus {
			t.Fatalf("attempt %d: %+v", i+1, d.Attempt)
		}
		if want := []store.State{store.Pending, store.Pending, store.Dead}[i]; d.State != want {
			t.Fatalf("attempt %d: state %v, want %v", i+1, d.State, want)
		}
	}
	if len(ids) != 1 || !ids[p.EventID] {
		t.Errorf("the id is not the same on every attempt: %v", ids)
	}

	dead, err := h.Deliveries(t.Context(), outbound.Query{States: []store.State{store.Dead}, Limit: 10})
	if err != nil || len(dead) != 1 {
		t.Fatalf("dead letters: %v, %v", dead, err)
	}
	d := dead[0]
	if d.Attempts != 3 || d.EventType != "order.created" || d.URL != r.URL || d.Reason == "" || d.Last == nil ||
		!strings.Contains(d.Last.Error, "500") || string(d.Last.ResponseBody) != "no database" {
		t.Errorf("dead letter: %+v, last %+v", d, d.Last)
	}
	attempts, err := h.Attempts(t.Context(), d.Delivery.ID.With(store.DeliveryPrefix))
	if err != nil || len(attempts) != 3 || attempts[2].ID != d.Last.ID {
		t.Fatalf("attempts: %v, %v", attempts, err)
	}

	h.restart()
	r.answers(nil)
	id, err := h.DeliveryOf(t.Context(), d.Last.ID.With(store.AttemptPrefix))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Redeliver(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	r.next(t)
	if done := h.attempt(); done.State != store.Delivered || done.Attempt.Number != 4 {
		t.Errorf("redelivered: %+v", done)
	}
	if dead, _ := h.Deliveries(t.Context(), outbound.Query{States: []store.State{store.Dead}, Limit: 10}); len(dead) != 0 {
		t.Errorf("the dead letter is still there")
	}
}

func TestRedeliveryStartsTheScheduleAnew(t *testing.T) {
	h := open(t, retries(time.Minute))
	r := newReceiver(t)
	r.answers(status(500))
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	h.publish("a", `1`)
	h.attempt()
	h.clock.advance(2 * time.Minute)
	if d := h.attempt(); d.State != store.Dead {
		t.Fatalf("state %v", d.State)
	}
	if n, err := h.RedeliverDead(t.Context(), outbound.Query{}); n != 1 || err != nil {
		t.Fatalf("redelivered %d, %v", n, err)
	}
	if d := h.attempt(); d.State != store.Pending || d.Attempt.Number != 3 {
		t.Fatalf("%+v", d)
	}
	h.clock.advance(2 * time.Minute)
	if d := h.attempt(); d.State != store.Dead || d.Attempt.Number != 4 {
		t.Fatalf("%+v", d)
	}
}

func TestRedeliverDuringAnAttempt(t *testing.T) {
	for _, ordered := range []bool{false, true} {
		for _, code := range []int{http.StatusOK, http.StatusInternalServerError} {
			t.Run(fmt.Sprintf("ordered %v, answer %d", ordered, code), func(t *testing.T) {
				h := open(t, retries()) // one attempt in a round
				r := newReceiver(t)
				goOn := r.waits(t, code)
				h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}, Ordered: ordered})
				h.publish("a", `1`)
				r.next(t)
				all, err := h.Deliveries(t.Context(), outbound.Query{Limit: 1})
				if err != nil || len(all) != 1 {
					t.Fatal(all, err)
				}
				if _, err := h.Redeliver(t.Context(), all[0].ID.With(store.DeliveryPrefix)); err != nil {
					t.Fatal(err)
				}
				goOn()
				want := store.Delivered
				if code != http.StatusOK {
					want = store.Dead
				}
				for n := 1; n <= 2; n++ {
					if d := h.attempt(); d.Attempt.Number != n || d.State != want {
						t.Errorf("attempt %d: %v, %+v", n, d.State, d.Attempt)
					}
				}
			})
		}
	}
}

func TestRedeliverOfWhatWaitsInItsLane(t *testing.T) {
	h := open(t, retries(time.Minute), func(s *outbound.Settings) { s.EndpointConcurrency = 1 })
	r := newReceiver(t)
	r.answers(status(500))
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	h.publish("a", `1`)
	first := h.attempt()
	goOn := r.waits(t, 500)
	h.publish("a", `2`) // under way, so that the retry waits
	r.next(t)
	r.next(t)
	h.clock.advance(2 * time.Minute)
	h.eventually("the retry in the lane", func() bool {
		st, err := h.Status(t.Context())
		return err == nil && st.Subscriptions[0].Ready == 1
	})
	if _, err := h.Redeliver(t.Context(), first.Delivery.With(store.DeliveryPrefix)); err != nil {
		t.Fatal(err)
	}
	goOn()
	h.attempt()
	if d := h.attempt(); d.Delivery != first.Delivery || d.Attempt.Number != 2 || d.State != store.Pending {
		t.Errorf("its schedule did not start anew: %v, %+v", d.State, d.Attempt)
	}
}

// later answers that the receiver wants a pause of ten minutes.
func later(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "600")
		w.WriteHeader(status)
	}
}

// paused waits until an attempt has made the one subscription pause.
func (h *house) paused() {
	h.t.Helper()
	h.attempt()
	h.eventually("the pause", func() bool { return h.sub().Health == outbound.HealthPaused })
}

func TestRetryAfterPausesTheEndpoint(t *testing.T) {
	h := open(t, retries(time.Second, time.Second))
	r, healthy := newReceiver(t), newReceiver(t)
	r.answers(later(http.StatusTooManyRequests))
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}})
	h.publish("a", `1`)
	r.next(t)
	h.paused()
	h.publish("a", `2`) // not only the delivery that was refused waits
	h.clock.advance(599 * time.Second)
	r.answers(nil)
	h.nudge(healthy)
	r.none(t)
	h.clock.advance(2 * time.Second)
	for range 2 {
		r.next(t)
		if d := h.attempt(); d.State != store.Delivered {
			t.Errorf("state %v", d.State)
		}
	}
}

// A receiver that doesn't say for how long is sent less all the same.
func TestOverloadPausesTheEndpoint(t *testing.T) {
	for _, code := range []int{http.StatusTooManyRequests, http.StatusBadGateway, http.StatusGatewayTimeout} {
		h := open(t, retries(time.Hour, time.Hour))
		r, healthy := newReceiver(t), newReceiver(t)
		r.answers(status(code))
		h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}})
		for _, pause := range []time.Duration{100 * time.Millisecond, 190 * time.Millisecond, 361 * time.Millisecond} { // doubled, less a twentieth for the success
			h.publish("a", `1`)
			r.next(t)
			h.paused()
			h.publish("a", `2`)
			if got := h.sub().PausedUntil.Sub(h.clock.Now()); got != pause {
				t.Errorf("%d: a pause of %v, want %v", code, got, pause)
			}
			h.clock.advance(pause - time.Millisecond)
			h.nudge(healthy)
			r.none(t)
			r.answers(nil)
			h.clock.advance(time.Millisecond)
			r.next(t)
			h.attempt()
			r.answers(status(code))
		}
	}
}

// Where nothing is tried again, a receiver that is down or overloaded is spared all
// the same, or all that is published meanwhile would be dead at once.
func TestReceiversAreSparedWithoutRetries(t *testing.T) {
	for code, events := range map[int]int{http.StatusTooManyRequests: 1, http.StatusInternalServerError: 20} {
		h := open(t, retries())
		r := newReceiver(t)
		r.answers(status(code))
		h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}})
		for range events {
			h.publish("a", `1`)
		}
		h.eventually(fmt.Sprintf("the pause after %d", code), func() bool { return !h.sub().PausedUntil.IsZero() })
	}
}

// A pause ends when what has made it is gone, but for what the receiver asked for.
func TestPauseEndsWithItsReason(t *testing.T) {
	change := func(h *house, id string, change func(*outbound.SubscriptionSpec)) {
		t.Helper()
		if _, err := h.UpdateSubscription(t.Context(), id, func(s *outbound.SubscriptionSpec) error { change(s); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("a rate", func(t *testing.T) {
		h := open(t)
		r, healthy := newReceiver(t), newReceiver(t)
		s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}, RateLimit: .001})
		for range 3 {
			h.publish("a", `1`)
		}
		r.next(t)
		h.attempt()
		h.nudge(healthy)
		r.none(t)
		change(h, s.ID, func(s *outbound.SubscriptionSpec) { s.RateLimit = 0 })
		r.next(t)
		r.next(t)
	})
	t.Run("the order", func(t *testing.T) {
		h := open(t, retries(time.Hour, time.Hour))
		r, healthy := newReceiver(t), newReceiver(t)
		r.answers(status(503))
		s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}, Ordered: true})
		h.publish("a", `1`)
		h.publish("a", `2`)
		r.next(t)
		h.attempt()
		r.answers(nil)
		h.nudge(healthy)
		r.none(t)
		change(h, s.ID, func(s *outbound.SubscriptionSpec) { s.Ordered = false })
		r.next(t)
		r.next(t)
	})
	t.Run("the receiver's wish", func(t *testing.T) {
		h := open(t, retries(time.Second))
		r, healthy := newReceiver(t), newReceiver(t)
		r.answers(later(http.StatusTooManyRequests))
		s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}, RateLimit: 100})
		h.publish("a", `1`)
		r.next(t)
		h.paused()
		r.answers(nil)
		h.publish("a", `2`) // which is due at once
		change(h, s.ID, func(s *outbound.SubscriptionSpec) { s.RateLimit = 0 })
		h.clock.advance(599 * time.Second)
		h.nudge(healthy)
		r.none(t)
		h.clock.advance(2 * time.Second)
		r.next(t)
		r.next(t)
	})
}

// A failure of an attempt that began before a change keeps nothing still after it.
func TestPauseOfWhatIsNoMore(t *testing.T) {
	for name, change := range map[string]func(s *outbound.SubscriptionSpec, other string){
		"the order":    func(s *outbound.SubscriptionSpec, _ string) { s.Ordered = false },
		"the receiver": func(s *outbound.SubscriptionSpec, other string) { s.URL = other },
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, retries(time.Hour))
			old, other := newReceiver(t), newReceiver(t)
			goOn := old.waits(t, http.StatusInternalServerError)
			s := h.subscribe(outbound.SubscriptionSpec{URL: old.URL, EventTypes: []string{"*"}, Ordered: true})
			h.publish("a", `1`)
			old.next(t)
			if _, err := h.UpdateSubscription(t.Context(), s.ID, func(s *outbound.SubscriptionSpec) error { change(s, other.URL); return nil }); err != nil {
				t.Fatal(err)
			}
			goOn()
			failed := h.ended()
			h.publish("a", `2`)
			if name == "the order" {
				old.next(t)
				d, err := h.Delivery(t.Context(), failed.Delivery.With(store.DeliveryPrefix))
				if err != nil || d.Due.Sub(h.clock.Now()) < 30*time.Minute {
					t.Errorf("the retry is due at %v, %v", d.Due, err)
				}
			} else {
				other.next(t)
				other.next(t)
			}
		})
	}
}

// eventually is for what has no signal of its own.
func (h *house) eventually(what string, f func() bool) {
	h.t.Helper()
	for end := time.Now().Add(patience); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			h.t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestGoneDeactivatesAndHolds(t *testing.T) {
	h := open(t, retries(time.Minute))
	r, healthy := newReceiver(t), newReceiver(t)
	r.answers(status(http.StatusGone))
	s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}})
	h.publish("a", `1`)
	if d := h.attempt(); d.Attempt.Class != outbound.ClassGone || d.State != store.Pending {
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
	r.none(t)
	r.answers(nil)
	if _, err := h.Activate(t.Context(), s.ID); err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{string(r.next(t).body): true, string(r.next(t).body): true}
	if !got["1"] || !got["2"] {
		t.Errorf("held deliveries: %v", got)
	}
}

func TestRotationSignsWithBoth(t *testing.T) {
	h := open(t, func(s *outbound.Settings) { s.SecretGrace = time.Hour })
	r := newReceiver(t)
	s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	old := s.Secrets[0].Value
	rot, err := h.RotateSecret(t.Context(), s.ID, "")
	if err != nil {
		t.Fatal(err)
	}
	if !rot.PreviousExpires.Equal(h.clock.Now().Add(time.Hour)) {
		t.Errorf("the previous secret expires at %v", rot.PreviousExpires)
	}
	h.publish("a", `1`)
	a := r.next(t)
	check(t, h, a, old)
	check(t, h, a, rot.Secret)
	if n := len(strings.Fields(a.header.Get("webhook-signature"))); n != 2 {
		t.Errorf("%d signatures, want 2", n)
	}
	h.clock.advance(time.Hour)
	h.publish("a", `2`)
	a = r.next(t)
	check(t, h, a, rot.Secret)
	if n := len(strings.Fields(a.header.Get("webhook-signature"))); n != 1 {
		t.Errorf("after the grace: %d signatures, want 1", n)
	}
}

// A secret that has leaked signs no longer than the grace of the last rotation says,
// whatever was said before.
func TestRotationShortensTheGrace(t *testing.T) {
	h := open(t, func(s *outbound.Settings) { s.SecretGrace = 24 * time.Hour })
	r := newReceiver(t)
	s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	rotate := func() {
		t.Helper()
		if _, err := h.RotateSecret(t.Context(), s.ID, ""); err != nil {
			t.Fatal(err)
		}
	}
	rotate()
	h.settings.SecretGrace = time.Hour
	if err := h.Apply(t.Context(), h.settings); err != nil {
		t.Fatal(err)
	}
	rotate()
	for _, want := range []int{3, 1} {
		h.publish("a", `1`)
		if n := len(strings.Fields(r.next(t).header.Get("webhook-signature"))); n != want {
			t.Errorf("%d signatures, want %d", n, want)
		}
		h.clock.advance(time.Hour)
	}
}

// Where a scheme has room for one signature, no grace is told of that it can't keep.
func TestRotationWithOneSignature(t *testing.T) {
	h := open(t)
	r := newReceiver(t)
	s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}, Scheme: "github"})
	var rot outbound.Signing
	for _, secret := range append(make([]string, 12), "the new one") { // none is in the way of the next
		var err error
		if rot, err = h.RotateSecret(t.Context(), s.ID, secret); err != nil {
			t.Fatal(err)
		}
	}
	now, err := h.Subscription(s.ID)
	if err != nil {
		t.Fatal(err)
	}
	if shown := h.Signing(now); shown != rot || rot.Secret != "the new one" || !rot.PreviousExpires.IsZero() {
		t.Errorf("answered %+v, and shown %+v", rot, shown)
	}
	h.publish("push", `{"a":1}`)
	row, _ := verify.Lookup("github")
	v, err := verify.New(row, verify.Options{Secrets: []string{rot.Secret}})
	if err != nil {
		t.Fatal(err)
	}
	a := r.next(t)
	req, _ := http.NewRequest(http.MethodPost, r.URL, nil)
	req.Header = a.header
	if _, err := v.Verify(req, a.body); err != nil {
		t.Errorf("with the new secret: %v", err)
	}
}

func TestOtherSchemesSign(t *testing.T) {
	h := open(t)
	r := newReceiver(t)
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}, Scheme: "github", Secrets: []string{"s3cret"}})
	h.publish("push", `{"a":1}`)
	a := r.next(t)
	row, _ := verify.Lookup("github")
	v, err := verify.New(row, verify.Options{Secrets: []string{"s3cret"}})
	if err != nil {
		t.Fatal(err)
	}
	req, _ := http.NewRequest(http.MethodPost, r.URL, nil)
	req.Header = a.header
	if m, err := v.Verify(req, a.body); err != nil || m.EventType != "push" {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	h := open(t, retries())
	r := newReceiver(t)
	r.answers(func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, "https://user:pw@elsewhere.example/path?token=x", http.StatusTemporaryRedirect)
	})
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	h.publish("a", `1`)
	d := h.attempt()
	if d.State != store.Dead || d.Attempt.Class != outbound.ClassRedirect || !strings.Contains(d.Attempt.Error, "https://elsewhere.example)") ||
		strings.Contains(d.Attempt.Error, "token") {
		t.Errorf("%+v", d.Attempt)
	}
}

func TestDeniedAddressIsDeadAtOnce(t *testing.T) {
	var log journal
	h := open(t, writes(&log))
	r := newReceiver(t)
	spec := outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}}
	h.subscribe(spec)
	h.settings.Policy = nil
	if err := h.Apply(t.Context(), h.settings); err != nil {
		t.Fatal(err)
	}
	if _, err := h.CreateSubscription(t.Context(), spec); err == nil {
		t.Error("a literal address that is denied was accepted")
	}
	h.publish("a", `1`)
	d := h.attempt()
	if d.State != store.Dead || d.Attempt.Class != outbound.ClassEgressDenied {
		t.Errorf("state %v, class %s: %s", d.State, d.Attempt.Class, d.Attempt.Error)
	}
	if strings.Contains(d.Attempt.Error, "127.") {
		t.Errorf("the error tells the address: %s", d.Attempt.Error)
	}
	r.none(t)
	h.eventually("the operator's word", func() bool {
		return strings.Contains(log.line("got no connection"), "127.0.0.1: loopback")
	})
}

// A URL that the policy no longer allows is no reason to refuse another change.
func TestChangeOfWhatElseIsSaid(t *testing.T) {
	h := open(t)
	s := h.subscribe(outbound.SubscriptionSpec{URL: newReceiver(t).URL, EventTypes: []string{"*"}})
	h.settings.Policy = nil
	if err := h.Apply(t.Context(), h.settings); err != nil {
		t.Fatal(err)
	}
	change := func(edit func(*outbound.SubscriptionSpec)) error {
		_, err := h.UpdateSubscription(t.Context(), s.ID, func(spec *outbound.SubscriptionSpec) error { edit(spec); return nil })
		return err
	}
	if err := change(func(spec *outbound.SubscriptionSpec) { spec.Description = "x" }); err != nil {
		t.Error(err)
	}
	if err := change(func(spec *outbound.SubscriptionSpec) { spec.URL += "/other" }); err == nil || !strings.Contains(err.Error(), "url is refused") {
		t.Errorf("another URL that is denied: %v", err)
	}
}

func TestStatusDecidesWhateverTheBody(t *testing.T) {
	h := open(t)
	r := newReceiver(t)
	stop := make(chan struct{})
	defer close(stop)
	r.answers(func(w http.ResponseWriter, req *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	h.publish("a", `1`)
	if d := h.attempt(); d.State != store.Delivered || len(d.Attempt.ResponseBody) != 4<<10 {
		t.Errorf("state %v, %d bytes kept: %s", d.State, len(d.Attempt.ResponseBody), d.Attempt.Error)
	}
}

func TestBlockedEndpointDelaysNobody(t *testing.T) {
	h := open(t, func(s *outbound.Settings) { s.Concurrency, s.EndpointConcurrency = 8, 4 })
	blocked, healthy := newReceiver(t), newReceiver(t)
	release := blocked.waits(t, http.StatusOK)
	h.subscribe(outbound.SubscriptionSpec{URL: blocked.URL, EventTypes: []string{"*"}})
	h.subscribe(outbound.SubscriptionSpec{URL: healthy.URL, EventTypes: []string{"*"}})
	const n = 200
	for i := range n {
		h.publish("a", fmt.Sprint(i))
	}
	for range n {
		healthy.next(t)
	}
	if got := len(blocked.arrivals); got > 4 {
		t.Errorf("%d attempts at a time to one endpoint, want 4 at most", got)
	}
	release()
	for range n {
		blocked.next(t)
	}
}

// However many receivers take their time, one that doesn't finds a slot: while nothing
// is known of them, and when it is.
func TestSlowEndpointsDelayNobody(t *testing.T) {
	const endpoints, events = 10, 8
	for _, c := range []struct {
		name            string
		known           bool
		slots, attempts int
	}{
		{"unknown", false, 16, endpoints}, // one each, at least
		{"known", true, 8, 6},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := open(t, func(s *outbound.Settings) { s.Concurrency, s.EndpointConcurrency = 16, 4 })
			slow, healthy := newReceiver(t), newReceiver(t)
			for range endpoints {
				h.subscribe(outbound.SubscriptionSpec{URL: slow.URL, EventTypes: []string{"slow"}})
			}
			h.subscribe(outbound.SubscriptionSpec{URL: healthy.URL, EventTypes: []string{"healthy"}})
			if c.known {
				answer := slow.waits(t, http.StatusOK)
				h.publish("slow", `{}`)
				for range endpoints {
					slow.next(t)
				}
				h.clock.advance(5 * time.Second)
				answer()
				h.eventually("the answers", func() bool { return len(h.attempts) == endpoints && h.InFlight() == 0 })
			}
			h.settings.Concurrency = c.slots
			if err := h.Apply(t.Context(), h.settings); err != nil {
				t.Fatal(err)
			}
			answer := slow.waits(t, http.StatusOK)
			for range events {
				h.publish("slow", `{}`)
			}
			for range c.attempts {
				slow.next(t)
			}
			for range 200 {
				h.publish("healthy", `{}`)
				healthy.next(t)
			}
			answer()
			for range events*endpoints - c.attempts {
				slow.next(t)
			}
		})
	}
}

func TestOrderedHoldsBackBehindAFailure(t *testing.T) {
	h := open(t, retries(time.Minute, time.Minute))
	r := newReceiver(t)
	r.answers(status(500))
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}, Ordered: true})
	for i := range 20 {
		h.publish("a", fmt.Sprint(i))
	}
	if got := string(r.next(t).body); got != "0" {
		t.Fatalf("first: %s", got)
	}
	h.attempt()
	h.eventually("the pause", func() bool {
		s := h.sub()
		return s.Health == outbound.HealthFailing && !s.PausedUntil.IsZero() && s.InFlight == 0
	})
	r.answers(nil)
	h.clock.advance(2 * time.Minute)
	for i := range 20 {
		if got := string(r.next(t).body); got != fmt.Sprint(i) {
			t.Fatalf("delivery %d has payload %s", i, got)
		}
	}
}

func TestDeletedSubscriptionLeavesDeadLetters(t *testing.T) {
	h := open(t, retries(time.Hour))
	r := newReceiver(t)
	r.answers(status(500))
	s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	for i := range 5 {
		h.publish("a", fmt.Sprint(i))
		h.attempt()
	}
	if err := h.DeleteSubscription(t.Context(), s.ID); err != nil {
		t.Fatal(err)
	}
	var dead []*outbound.Record
	h.eventually("five dead letters", func() bool {
		dead, _ = h.Deliveries(t.Context(), outbound.Query{States: []store.State{store.Dead}, Limit: 10})
		return len(dead) == 5
	})
	if got, want := receive(t, h.buried, "their number"), s.ID+" 5"; got != want {
		t.Errorf("buried: %s, want %s", got, want)
	}
	if dead[0].Reason != outbound.ReasonDeleted || dead[0].URL != r.URL || dead[0].SubscriptionID != s.ID {
		t.Errorf("%+v", dead[0])
	}
	if _, err := h.Redeliver(t.Context(), dead[0].Delivery.ID.With(store.DeliveryPrefix)); !errors.Is(err, outbound.ErrConflict) {
		t.Errorf("redelivery to a deleted subscription: %v", err)
	}
}

func TestRestartDeliversWhatWaits(t *testing.T) {
	h := open(t)
	r := newReceiver(t)
	s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	if _, err := h.Deactivate(t.Context(), s.ID, outbound.ReasonByHand); err != nil {
		t.Fatal(err)
	}
	const n = 3000 // more than a lane holds
	var wg sync.WaitGroup
	for w := range 30 {
		wg.Go(func() {
			for i := range n / 30 {
				if _, err := h.Publish(t.Context(), &outbound.NewEvent{Type: "a", Payload: fmt.Append(nil, w*1000+i)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	h.restart()
	if _, err := h.Activate(t.Context(), s.ID); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for range n {
		seen[string(r.next(t).body)] = true
	}
	if len(seen) != n {
		t.Errorf("%d different events arrived, want %d", len(seen), n)
	}
}

func TestDrainWaitsAndBrokenOffAttemptsAreRepeated(t *testing.T) {
	h := open(t)
	r := newReceiver(t)
	release := make(chan struct{})
	r.answers(func(_ http.ResponseWriter, req *http.Request) {
		select {
		case <-release:
		case <-req.Context().Done():
		}
	})
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	h.publish("a", `1`)
	r.next(t)
	h.shut() // breaks the attempt off
	close(release)
	h.start()
	if got := string(r.next(t).body); got != "1" {
		t.Fatalf("got %s", got)
	}
	if d := h.attempt(); d.Attempt.Number != 1 || d.State != store.Delivered {
		t.Errorf("a broken-off attempt counts: %+v", d)
	}
}

// probe waits for the next attempt at a receiver that may be down, while time
// passes.
func (h *house) probe(r *receiver) {
	h.t.Helper()
	h.eventually("the next probe", func() bool {
		h.clock.advance(100 * time.Millisecond)
		select {
		case <-r.arrivals:
			return true
		default:
			return false
		}
	})
}

// While a receiver is down, its probes come with pauses that grow, so that what
// waits doesn't use up its attempts on it.
func TestProbesOfAReceiverThatIsDown(t *testing.T) {
	h := open(t, retries(time.Second, time.Second, time.Second, time.Second))
	r := newReceiver(t)
	r.answers(status(503))
	s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	const n = 100
	for range n {
		h.publish("a", "1")
	}
	began := h.clock.Elapsed()
	attempts := 0
	h.eventually("a minute", func() bool {
		h.clock.advance(time.Second)
		for {
			select {
			case <-r.arrivals:
				attempts++
				continue
			default:
			}
			return h.clock.Elapsed()-began > time.Minute
		}
	})
	// 10 until it is down, as many as were under way then, and the probes. The
	// schedule alone would have made 500 in four seconds.
	if most := 10 + 64 + 150; attempts > most {
		t.Errorf("%d attempts in a minute, want %d at most", attempts, most)
	}

	// Who asks for an attempt, or gives another URL, doesn't wait for the pause.
	ds, err := h.Deliveries(t.Context(), outbound.Query{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Redeliver(t.Context(), ds[0].ID.With(store.DeliveryPrefix)); err != nil {
		t.Fatal(err)
	}
	r.next(t)
	other := newReceiver(t)
	if _, err := h.UpdateSubscription(t.Context(), s.ID, func(s *outbound.SubscriptionSpec) error {
		s.URL = other.URL
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	other.next(t)
}

func TestRetriesArePulledForwardWhenAReceiverIsBack(t *testing.T) {
	h := open(t, retries(time.Hour), func(s *outbound.Settings) { s.EndpointConcurrency = 1 })
	r := newReceiver(t)
	r.answers(status(503))
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	const n = 12 // enough to be taken for down
	for i := range n {
		h.publish("a", fmt.Sprint(i))
		h.probe(r)
		h.attempt()
	}
	st, err := h.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s := st.Subscriptions[0]; s.Health != outbound.HealthDown || s.Pending != n || s.Ready != 0 {
		t.Errorf("%s, %d wait, %d are ready", s.Health, s.Pending, s.Ready)
	}
	r.answers(nil)
	h.publish("a", "probe")
	h.probe(r)
	h.attempt()
	got := 0
	h.eventually("the retries, long before the hour", func() bool {
		h.clock.advance(time.Second)
		for {
			select {
			case <-r.arrivals:
				got++
				continue
			default:
			}
			return got == n
		}
	})
	if now := h.clock.Now(); now.Sub(newClock().now) > 30*time.Minute {
		t.Errorf("they came at %v", now)
	}
}

func TestApplyReachesRunningLanes(t *testing.T) {
	h := open(t, retries(time.Hour))
	r := newReceiver(t)
	h.settings.Subscriptions = []outbound.SubscriptionSpec{{Name: "crm", URL: r.URL + "/one", EventTypes: []string{"*"}, Secrets: []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}}}
	if err := h.Apply(t.Context(), h.settings); err != nil {
		t.Fatal(err)
	}
	h.publish("a", `1`)
	if got := r.next(t).path; got != "/one" {
		t.Fatalf("path %s", got)
	}
	h.settings.Subscriptions[0].URL = r.URL + "/two"
	if err := h.Apply(t.Context(), h.settings); err != nil {
		t.Fatal(err)
	}
	h.publish("a", `2`)
	if got := r.next(t).path; got != "/two" {
		t.Fatalf("path %s", got)
	}
	h.settings.Subscriptions = nil
	if err := h.Apply(t.Context(), h.settings); err != nil {
		t.Fatal(err)
	}
	s, err := h.Subscription("sub_crm")
	if err != nil || s.Active || s.Reason != outbound.ReasonRemoved {
		t.Fatalf("%+v, %v", s, err)
	}
	if _, err := h.Activate(t.Context(), "sub_crm"); !errors.Is(err, outbound.ErrConflict) {
		t.Errorf("activating what is no longer configured: %v", err)
	}
	if err := h.DeleteSubscription(t.Context(), "sub_crm"); err != nil {
		t.Error(err)
	}
}

// Connections to receivers stay while nothing is changed by which they are made, and
// a changed egress rule counts from the next attempt on.
func TestApplyKeepsConnections(t *testing.T) {
	h := open(t)
	r := newReceiver(t)
	callers := make(chan string, 1)
	r.answers(func(_ http.ResponseWriter, req *http.Request) { callers <- req.RemoteAddr })
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	deliver := func() string {
		t.Helper()
		h.publish("a", `1`)
		if d := h.attempt(); d.State != store.Delivered {
			t.Fatalf("%+v", d)
		}
		return <-callers
	}
	apply := func(allow ...string) {
		t.Helper()
		var err error
		if h.settings.Policy, err = egress.NewPolicy(allow, nil); err != nil {
			t.Fatal(err)
		}
		if err := h.Apply(t.Context(), h.settings); err != nil {
			t.Fatal(err)
		}
	}
	first := deliver()
	h.settings.SecretGrace = time.Hour
	apply("127.0.0.0/8")
	if second := deliver(); second != first {
		t.Errorf("after a change of something else the connection is another: %s, %s", first, second)
	}
	apply("127.0.0.1")
	if third := deliver(); third == first {
		t.Error("after a change of the policy the connection is the same")
	}
	apply()
	h.publish("a", `1`)
	if d := h.attempt(); d.Attempt.Class != outbound.ClassEgressDenied {
		t.Errorf("what is not allowed any more: %+v", d.Attempt)
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
	if _, err := h.Activate(t.Context(), "sub_crm"); !errors.Is(err, outbound.ErrConflict) {
		t.Errorf("activating what is no longer configured: %v", err)
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

func TestEveryEventArrivesUnderLoad(t *testing.T) {
	h := open(t)
	r := newReceiver(t)
	for range 4 {
		h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"load.*"}})
	}
	const publishers, each = 32, 50
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			for i := range each {
				_, err := h.Publish(t.Context(), &outbound.NewEvent{Type: "load.test", Payload: fmt.Append(nil, p, " ", i)})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	got := map[string]int{}
	for range 4 * publishers * each {
		got[string(r.next(t).body)]++
	}
	for body, n := range got {
		if n != 4 {
			t.Errorf("event %s arrived %d times, want 4", body, n)
		}
	}
	if len(got) != publishers*each {
		t.Errorf("%d events arrived, want %d", len(got), publishers*each)
	}
}

// A receiver that is down is probed however busy the others are, and fewer
// slots hold for lanes that are at work.
func TestTurnsUnderLoad(t *testing.T) {
	h := open(t, retries(time.Hour), func(s *outbound.Settings) { s.Concurrency = 2 })
	down, busy := newReceiver(t), newReceiver(t)
	down.answers(status(http.StatusInternalServerError))
	answer := make(chan struct{})
	busy.answers(func(http.ResponseWriter, *http.Request) {
		select {
		case <-answer:
		case <-t.Context().Done():
		}
	})
	h.subscribe(outbound.SubscriptionSpec{URL: down.URL, EventTypes: []string{"down"}})
	h.subscribe(outbound.SubscriptionSpec{URL: busy.URL, EventTypes: []string{"busy"}})
	for range 10 {
		h.publish("down", `{}`)
		down.next(t)
		h.attempt()
	}
	for range 10 {
		h.publish("busy", `{}`)
	}
	busy.next(t)
	busy.next(t)
	h.publish("down", `{}`)
	h.eventually("the next probe", func() bool {
		h.clock.advance(time.Second)
		st, err := h.Status(t.Context())
		return err == nil && st.Subscriptions[0].Ready == 1
	})
	answer <- struct{}{}
	down.next(t)
	busy.next(t)

	h.settings.Concurrency = 1
	if err := h.Apply(t.Context(), h.settings); err != nil {
		t.Fatal(err)
	}
	answer <- struct{}{}
	h.eventually("one slot", func() bool { return h.InFlight() == 1 })
	busy.none(t)
	close(answer)
	for range 7 {
		busy.next(t)
	}
}

// A receiver that takes its time, or asks for a long pause, does not keep the
// memory that others need for their retries.
func TestMemoryIsShared(t *testing.T) {
	const size, events = 1 << 20, 60
	h := open(t, retries(time.Minute, time.Minute), func(s *outbound.Settings) { s.MaxPayload, s.EndpointConcurrency = size, 1 })
	slow, other := newReceiver(t), newReceiver(t)
	answer := make(chan struct{})
	slow.answers(func(w http.ResponseWriter, _ *http.Request) {
		select {
		case <-answer:
		case <-t.Context().Done():
		}
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	other.answers(status(http.StatusInternalServerError))
	s := h.subscribe(outbound.SubscriptionSpec{URL: slow.URL, EventTypes: []string{"slow"}})
	h.subscribe(outbound.SubscriptionSpec{URL: other.URL, EventTypes: []string{"other"}})
	h.publish("other", `{}`)
	other.next(t)
	h.attempt()
	if _, err := h.Deactivate(t.Context(), s.ID, outbound.ReasonByHand); err != nil {
		t.Fatal(err)
	}
	for range events {
		h.publish("slow", strings.Repeat("1", size))
	}
	if _, err := h.Activate(t.Context(), s.ID); err != nil {
		t.Fatal(err)
	}
	slow.next(t)
	held := func() int {
		st, err := h.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return st.Subscriptions[0].Ready + st.Subscriptions[0].InFlight
	}
	h.eventually("the memory to be used up", func() bool { return held() >= 48 })
	h.clock.advance(2 * time.Minute)
	other.next(t)
	h.attempt()

	close(answer)
	h.attempt()
	h.eventually("the memory to be given back", func() bool { return held() == 0 })
}

// A 410 of the URL that was is no word of the one that is.
func TestGoneAfterTheURLHasChanged(t *testing.T) {
	h := open(t)
	old, now := newReceiver(t), newReceiver(t)
	answer := make(chan struct{})
	old.answers(func(w http.ResponseWriter, _ *http.Request) {
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
	if d := h.attempt(); d.Attempt.Class != outbound.ClassGone {
		t.Fatalf("%+v", d.Attempt)
	}
	h.clock.advance(time.Minute)
	now.next(t)
	h.attempt()
	if s, err := h.Subscription(s.ID); err != nil || !s.Active {
		t.Errorf("the subscription is not active: %+v, %v", s, err)
	}
}

// TestFilters: of the events of its types, a subscription gets those that its
// filter wants.
func TestFilters(t *testing.T) {
	h := open(t)
	r := newReceiver(t)
	all := h.subscribe(outbound.SubscriptionSpec{URL: r.URL + "/all", EventTypes: []string{"order.*"}})
	large := h.subscribe(outbound.SubscriptionSpec{URL: r.URL + "/large", EventTypes: []string{"order.*"}, Filter: "payload.total > 100"})
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL + "/other", EventTypes: []string{"*"}, Filter: `event_type == "user.left"`})
	expect := func(payload string, paths ...string) {
		t.Helper()
		if p := h.publish("order.created", payload); p.Deliveries != len(paths) {
			t.Errorf("%s: %d deliveries, want %d", payload, p.Deliveries, len(paths))
		}
		var got []string
		for range paths {
			got = append(got, r.next(t).path)
			h.attempt()
		}
		slices.Sort(got)
		if !slices.Equal(got, paths) {
			t.Errorf("%s: %v, want %v", payload, got, paths)
		}
	}
	expect(`{"total": 150}`, "/all", "/large")
	expect(`{"total": 50}`, "/all")
	expect(`"no order"`, "/all")

	if _, err := h.UpdateSubscription(t.Context(), large.ID, func(s *outbound.SubscriptionSpec) error { s.Filter = "payload.total > 10"; return nil }); err != nil {
		t.Fatal(err)
	}
	expect(`{"total": 50}`, "/all", "/large")
	if _, err := h.UpdateSubscription(t.Context(), all.ID, func(s *outbound.SubscriptionSpec) error { s.Filter = "payload.total >"; return nil }); err == nil || !strings.Contains(err.Error(), "filter") {
		t.Errorf("a filter that is none: %v", err)
	}
	h.restart()
	if s, err := h.Subscription(large.ID); err != nil || s.Filter != "payload.total > 10" {
		t.Errorf("after a restart: %v, %v", s, err)
	}
	expect(`{"total": 20}`, "/all", "/large")
	expect(`{"total": 5}`, "/all")
	r.none(t)
}

// TestEventsThatTakeTooLongToJudgeAreDelivered: at least once, whatever a filter
// has no time to say.
func TestEventsThatTakeTooLongToJudgeAreDelivered(t *testing.T) {
	h := open(t)
	r := newReceiver(t)
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}, Filter: "payload.all(a, payload.all(b, payload.all(c, true)))"})
	if p := h.publish("order.created", "["+strings.Repeat("1,", 30_000)+"1]"); p.Deliveries != 1 {
		t.Errorf("%d deliveries", p.Deliveries)
	}
	r.next(t)
	if n := h.unjudged.Load(); n != 1 {
		t.Errorf("%d of them are told", n)
	}
}
