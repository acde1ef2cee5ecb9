package outbound_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// later answers that the receiver wants a pause of ten minutes.
func later(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "600")
		w.WriteHeader(status)
	}
}

// paused waits until an attempt has made the one subscription pause.
func (h *harness) paused() {
	h.t.Helper()
	h.awaitAttempt()
	h.eventually("the pause", func() bool { return h.sub().Health == outbound.HealthPaused })
}

func TestRetryAfterPausesTheEndpoint(t *testing.T) {
	h := open(t, retries(time.Second, time.Second))
	r, healthy := newReceiver(t), newReceiver(t)
	r.respond(later(http.StatusTooManyRequests))
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}})
	h.publish("a", `1`)
	r.next(t)
	h.paused()
	h.publish("a", `2`) // not only the delivery that was refused waits
	h.clock.advance(599 * time.Second)
	r.respond(nil)
	h.nudge(healthy)
	r.expectNone(t)
	h.clock.advance(2 * time.Second)
	for range 2 {
		r.next(t)
		if d := h.awaitAttempt(); d.State != store.Delivered {
			t.Errorf("state %v", d.State)
		}
	}
}

// A receiver that doesn't say for how long is sent less all the same.
func TestOverloadPausesTheEndpoint(t *testing.T) {
	for _, code := range []int{http.StatusTooManyRequests, http.StatusBadGateway, http.StatusGatewayTimeout} {
		h := open(t, retries(time.Hour, time.Hour))
		r, healthy := newReceiver(t), newReceiver(t)
		r.respond(status(code))
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
			r.expectNone(t)
			r.respond(nil)
			h.clock.advance(time.Millisecond)
			r.next(t)
			h.awaitAttempt()
			r.respond(status(code))
		}
	}
}

// Where nothing is tried again, a receiver that is down or overloaded is spared all
// the same, or all that is published meanwhile would be dead at once.
func TestReceiversAreSparedWithoutRetries(t *testing.T) {
	for code, events := range map[int]int{http.StatusTooManyRequests: 1, http.StatusInternalServerError: 20} {
		h := open(t, retries())
		r := newReceiver(t)
		r.respond(status(code))
		h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}})
		for range events {
			h.publish("a", `1`)
		}
		h.eventually(fmt.Sprintf("the pause after %d", code), func() bool { return !h.sub().PausedUntil.IsZero() })
	}
}

// A pause ends when what has made it is gone, but for what the receiver asked for.
func TestPauseEndsWithItsReason(t *testing.T) {
	change := func(h *harness, id string, change func(*outbound.SubscriptionSpec)) {
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
		h.awaitAttempt()
		h.nudge(healthy)
		r.expectNone(t)
		change(h, s.ID, func(s *outbound.SubscriptionSpec) { s.RateLimit = 0 })
		r.next(t)
		r.next(t)
	})
	t.Run("the order", func(t *testing.T) {
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
	t.Run("the receiver's wish", func(t *testing.T) {
		h := open(t, retries(time.Second))
		r, healthy := newReceiver(t), newReceiver(t)
		r.respond(later(http.StatusTooManyRequests))
		s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}, RateLimit: 100})
		h.publish("a", `1`)
		r.next(t)
		h.paused()
		r.respond(nil)
		h.publish("a", `2`) // which is due at once
		change(h, s.ID, func(s *outbound.SubscriptionSpec) { s.RateLimit = 0 })
		h.clock.advance(599 * time.Second)
		h.nudge(healthy)
		r.expectNone(t)
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
			unblock := old.block(t, http.StatusInternalServerError)
			s := h.subscribe(outbound.SubscriptionSpec{URL: old.URL, EventTypes: []string{"*"}, Ordered: true})
			h.publish("a", `1`)
			old.next(t)
			if _, err := h.UpdateSubscription(t.Context(), s.ID, func(s *outbound.SubscriptionSpec) error { change(s, other.URL); return nil }); err != nil {
				t.Fatal(err)
			}
			unblock()
			failed := h.awaitAttemptEnd()
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
