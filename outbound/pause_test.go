package outbound_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// retryLater answers with that status and a Retry-After of ten minutes.
func retryLater(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "600")
		w.WriteHeader(status)
	}
}

// awaitPause waits until one more attempt has paused the first subscription.
func (h *harness) awaitPause() {
	h.t.Helper()
	h.awaitAttempt()
	must.Eventually(h.t, "the pause", func() bool { return h.sub().Health == outbound.HealthPaused })
}

// Retry-After pauses all deliveries to the endpoint for as long as it says.
func TestRetryAfterPausesTheEndpoint(t *testing.T) {
	h := open(t, retries(time.Second, time.Second))
	r, healthy := newReceiver(t), newReceiver(t)
	r.respond(retryLater(http.StatusTooManyRequests))
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}})
	h.publish("a", `1`)
	r.next(t)
	h.awaitPause()
	h.publish("a", `2`) // the pause isn't only for the delivery that failed
	h.clock.advance(599 * time.Second)
	r.respond(nil)
	h.nudge(healthy)
	r.expectNone(t)
	h.clock.advance(2 * time.Second)
	for range 2 {
		r.next(t)
		if d := h.awaitAttempt(); d.State != store.Delivered {
			t.Errorf("got state %v, want %v", d.State, store.Delivered)
		}
	}
}

// 429, 502 and 504 without Retry-After also pause the endpoint, longer each time.
func TestOverloadPausesTheEndpoint(t *testing.T) {
	for _, code := range []int{http.StatusTooManyRequests, http.StatusBadGateway, http.StatusGatewayTimeout} {
		h := open(t, retries(time.Hour, time.Hour))
		r, healthy := newReceiver(t), newReceiver(t)
		r.respond(status(code))
		h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}})
		for _, pause := range []time.Duration{100 * time.Millisecond, 190 * time.Millisecond, 361 * time.Millisecond} { // doubled, less a twentieth for the success
			h.publish("a", `1`)
			r.next(t)
			h.awaitPause()
			h.publish("a", `2`)
			if got := h.sub().PausedUntil.Sub(h.clock.Now()); got != pause {
				t.Errorf("%d: got a pause of %v, want %v", code, got, pause)
			}
			h.clock.advance(pause - time.Millisecond)
			h.nudge(healthy)
			r.expectNone(t)
			r.respond(nil)
			h.clock.advance(time.Millisecond)
			r.next(t)
			h.awaitAttempt()
			r.respond(status(code))
		}
	}
}

// A receiver that is down or overloaded is paused even if nothing is retried: otherwise
// everything published in the meantime would become a dead letter at once.
func TestPausesWithoutRetries(t *testing.T) {
	for code, events := range map[int]int{http.StatusTooManyRequests: 1, http.StatusInternalServerError: 20} {
		h := open(t, retries())
		r := newReceiver(t)
		r.respond(status(code))
		h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}})
		for range events {
			h.publish("a", `1`)
		}
		must.Eventually(t, fmt.Sprintf("the pause after %d", code), func() bool { return !h.sub().PausedUntil.IsZero() })
	}
}

// A rate limit spaces the attempts evenly, even if more deliveries wait than the lane
// holds.
func TestRateLimitSpacesAttempts(t *testing.T) {
	h := open(t)
	r, healthy := newReceiver(t), newReceiver(t)
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}, RateLimit: 1})
	for range 8 {
		h.publish("a", `1`)
	}
	for range 7 {
		h.expectPauseAfter(r, healthy, time.Second)
	}
	r.next(t)
}

// expectPauseAfter checks that the next attempt at r is followed by a pause, and waits until
// it is over. healthy is another receiver, of the events that nudge publishes.
func (h *harness) expectPauseAfter(r, healthy *receiver, pause time.Duration) {
	h.t.Helper()
	r.next(h.t)
	h.awaitAttempt()
	must.Eventually(h.t, "the pause", func() bool { return h.sub().PausedUntil.Equal(h.clock.Now().Add(pause)) })
	h.clock.advance(pause - time.Millisecond)
	h.nudge(healthy)
	r.expectNone(h.t)
	h.clock.advance(time.Millisecond)
}

// A pause for a rate limit or a failed delivery of an ordered subscription ends when a
// change of the subscription removes its reason. One that the receiver asked for doesn't.
func TestPauseEndsWithItsReason(t *testing.T) {
	change := func(h *harness, id string, change func(*outbound.SubscriptionSpec)) {
		t.Helper()
		h.update(id, change)
	}
	for _, ordered := range []bool{false, true} {
		t.Run(fmt.Sprintf("rate limit, ordered %v", ordered), func(t *testing.T) {
			h := open(t)
			r, healthy := newReceiver(t), newReceiver(t)
			s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}, RateLimit: .001, Ordered: ordered})
			for range 3 {
				h.publish("a", `1`)
			}
			r.next(t)
			h.awaitAttempt()
			h.nudge(healthy)
			r.expectNone(t)
			change(h, s.ID, func(s *outbound.SubscriptionSpec) { s.RateLimit = 0 })
			r.next(t)
			r.next(t)
		})
	}
	t.Run("another rate limit, but not of a retry in order", func(t *testing.T) {
		h := open(t, retries(time.Hour))
		r, healthy := newReceiver(t), newReceiver(t)
		r.respond(status(503))
		s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}, RateLimit: 100, Ordered: true})
		h.publish("a", `1`)
		r.next(t)
		h.awaitAttemptEnd()
		change(h, s.ID, func(s *outbound.SubscriptionSpec) { s.RateLimit = 50 })
		h.nudge(healthy)
		r.expectNone(t)
	})
	t.Run("ordered", func(t *testing.T) {
		h := open(t, retries(time.Hour, time.Hour))
		r, healthy := newReceiver(t), newReceiver(t)
		r.respond(status(503))
		s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}, Ordered: true})
		h.publish("a", `1`)
		h.publish("a", `2`)
		r.next(t)
		h.awaitAttempt()
		r.respond(nil)
		h.nudge(healthy)
		r.expectNone(t)
		change(h, s.ID, func(s *outbound.SubscriptionSpec) { s.Ordered = false })
		r.next(t)
		r.next(t)
	})
	t.Run("Retry-After", func(t *testing.T) {
		h := open(t, retries(time.Second))
		r, healthy := newReceiver(t), newReceiver(t)
		r.respond(retryLater(http.StatusTooManyRequests))
		s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}, RateLimit: 100})
		h.publish("a", `1`)
		r.next(t)
		h.awaitPause()
		r.respond(nil)
		h.publish("a", `2`) // due at once, but for the pause
		change(h, s.ID, func(s *outbound.SubscriptionSpec) { s.RateLimit = 0 })
		h.clock.advance(599 * time.Second)
		h.nudge(healthy)
		r.expectNone(t)
		h.clock.advance(2 * time.Second)
		r.next(t)
		r.next(t)
	})
}

// What waits for a retry is attempted at once when the subscription sends other requests,
// which the receiver may accept, but not after any other change.
func TestChangeOfTheRequestIsTriedAtOnce(t *testing.T) {
	edit := func(change func(*outbound.SubscriptionSpec)) func(*harness, string) {
		return func(h *harness, id string) { h.update(id, change) }
	}
	for name, c := range map[string]struct {
		change func(h *harness, id string)
		tried  bool
	}{
		"url":         {edit(func(s *outbound.SubscriptionSpec) { s.URL += "/other" }), true},
		"scheme":      {edit(func(s *outbound.SubscriptionSpec) { s.Scheme = "github" }), true},
		"transform":   {edit(func(s *outbound.SubscriptionSpec) { s.Transform = `{"text": event_type}` }), true},
		"timeout":     {edit(func(s *outbound.SubscriptionSpec) { s.Timeout = time.Minute }), true},
		"headers":     {edit(func(s *outbound.SubscriptionSpec) { s.Headers = map[string]string{"X-Env": "test"} }), true},
		"secret":      {func(h *harness, id string) { must.Get(h.RotateSecret(h.t.Context(), id, ""))(h.t) }, true},
		"description": {edit(func(s *outbound.SubscriptionSpec) { s.Description = "x" }), false},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, retries(time.Hour, time.Hour))
			r, healthy := newReceiver(t), newReceiver(t)
			r.respond(status(400))
			s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}})
			h.publish("a", `1`)
			r.next(t)
			h.awaitAttemptEnd()
			c.change(h, s.ID)
			if c.tried {
				r.next(t)
				return
			}
			h.nudge(healthy)
			r.expectNone(t)
		})
	}
}

// So is what an attempt fails at that began before the change.
func TestChangeOfTheRequestDuringAnAttempt(t *testing.T) {
	for _, ordered := range []bool{false, true} {
		t.Run(fmt.Sprintf("ordered %v", ordered), func(t *testing.T) {
			h := open(t, retries(time.Hour, time.Hour))
			r := newReceiver(t)
			unblock := r.block(t, http.StatusBadRequest)
			s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}, Ordered: ordered})
			h.publish("a", `1`)
			r.next(t)
			h.update(s.ID, func(s *outbound.SubscriptionSpec) { s.Headers = map[string]string{"X-Env": "test"} })
			unblock()
			if again := r.next(t); again.header.Get("X-Env") != "test" {
				t.Errorf("got headers %v, want those of the change", again.header)
			}
		})
	}
}

// An attempt that fails after a change of the subscription doesn't pause it for a reason
// that the change has removed.
func TestFailureAfterAChangeOfTheSubscription(t *testing.T) {
	for name, change := range map[string]func(s *outbound.SubscriptionSpec, other string){
		"the order":    func(s *outbound.SubscriptionSpec, _ string) { s.Ordered = false },
		"the receiver": func(s *outbound.SubscriptionSpec, other string) { s.URL = other },
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, retries(time.Hour))
			old, other := newReceiver(t), newReceiver(t)
			unblock := old.block(t, http.StatusInternalServerError)
			s := h.subscribe(outbound.SubscriptionSpec{URL: old.URL, EventTypes: []string{"*"}, Ordered: true})
			h.publish("a", `1`)
			old.next(t)
			h.update(s.ID, func(s *outbound.SubscriptionSpec) { change(s, other.URL) })
			unblock()
			failed := h.awaitAttemptEnd()
			h.publish("a", `2`)
			if name == "the order" {
				old.next(t)
				d, err := h.Delivery(t.Context(), failed.Delivery.With(store.DeliveryPrefix))
				if err != nil || d.Due.Sub(h.clock.Now()) < 30*time.Minute {
					t.Errorf("got the retry due at %v, %v, want it on schedule, in an hour", d.Due, err)
				}
			} else {
				other.next(t)
				other.next(t)
			}
		})
	}
}
