package outbound_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

// An endpoint that doesn't answer takes no more than its own concurrency, and doesn't delay
// others.
func TestBlockedEndpointDelaysNobody(t *testing.T) {
	h := open(t, func(s *outbound.Settings) { s.Concurrency, s.EndpointConcurrency = 8, 4 })
	blocked, healthy := newReceiver(t), newReceiver(t)
	release := blocked.block(t, http.StatusOK)
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
		t.Errorf("got %d attempts at a time to one endpoint, want 4 at most", got)
	}
	release()
	for range n {
		blocked.next(t)
	}
}

// However many receivers are slow, a prompt one gets a slot, both before and after the
// engine knows that they are slow.
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
				answer := slow.block(t, http.StatusOK)
				h.publish("slow", `{}`)
				for range endpoints {
					slow.next(t)
				}
				h.clock.advance(5 * time.Second)
				answer()
				must.Eventually(t, "the answers", func() bool { return len(h.attempts) == endpoints && h.InFlight() == 0 })
			}
			h.settings.Concurrency = c.slots
			must.Do(t, h.Apply(t.Context(), h.settings))
			answer := slow.block(t, http.StatusOK)
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

// blockSome makes the receiver hold back its answers to the next n requests until answer is
// called for each, and those to later ones until the test ends.
func (r *receiver) blockSome(t *testing.T, n int32) (answer func()) {
	var requests atomic.Int32
	first, later := make(chan struct{}, n), make(chan struct{})
	r.respond(func(http.ResponseWriter, *http.Request) {
		if requests.Add(1) <= n {
			select {
			case <-first:
				return
			case <-later:
			}
		}
		<-later
	})
	t.Cleanup(func() { close(later) })
	return func() { first <- struct{}{} }
}

// takeAllSlots has a prompt receiver of the events a take all four slots, with more events
// waiting. Its answers are held back, as by blockSome.
func (h *harness) takeAllSlots(r *receiver, events int) (answer func()) {
	h.t.Helper()
	h.publish("a", `{}`)
	r.next(h.t)
	h.awaitAttemptEnd() // it counts as prompt, and may have all slots
	answer = r.blockSome(h.t, 4)
	for range events {
		h.publish("a", `{}`)
	}
	for range 4 {
		r.next(h.t)
	}
	return answer
}

// A receiver that was prompt and had all slots leaves one to others once it is slow.
func TestReceiverThatTurnsSlowLeavesASlot(t *testing.T) {
	h := open(t, func(s *outbound.Settings) { s.Concurrency, s.EndpointConcurrency = 4, 4 })
	r, healthy := newReceiver(t), newReceiver(t)
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}})
	h.subscribe(outbound.SubscriptionSpec{URL: healthy.URL, EventTypes: []string{"healthy"}})
	answer := h.takeAllSlots(r, 8)
	h.clock.advance(5 * time.Second)
	for range 4 { // one at a time, or they would get in each other's way
		answer()
		h.awaitAttempt()
	}
	for range 3 {
		r.next(t)
	}
	h.publish("healthy", `{}`)
	healthy.next(t)
}

// A backlog is sent as concurrently as new events are.
func TestBacklogIsSentConcurrently(t *testing.T) {
	h := open(t, func(s *outbound.Settings) { s.EndpointConcurrency = 4 })
	r := newReceiver(t)
	r.block(t, http.StatusOK)
	s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}})
	if _, err := h.Deactivate(t.Context(), s.ID, ""); err != nil {
		t.Fatal(err)
	}
	for range 8 {
		h.publish("a", `{}`)
	}
	if _, err := h.Activate(t.Context(), s.ID); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		r.next(t)
	}
}

// When concurrency is reduced, attempts end until as many are left as may be. When it is
// raised again, more begin at once.
func TestConcurrencyIsChanged(t *testing.T) {
	h := open(t, func(s *outbound.Settings) { s.Concurrency, s.EndpointConcurrency = 4, 4 })
	r := newReceiver(t)
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}})
	answer := h.takeAllSlots(r, 20)
	h.settings.Concurrency = 2
	if err := h.Apply(t.Context(), h.settings); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		answer()
		h.awaitAttempt()
	}
	must.Eventually(t, "two attempts in flight", func() bool { return h.InFlight() == 2 })
	h.settings.Concurrency = 4
	if err := h.Apply(t.Context(), h.settings); err != nil {
		t.Fatal(err)
	}
	must.Eventually(t, "four attempts in flight", func() bool { return h.InFlight() == 4 })
}

// Under load, every event arrives exactly once at each subscription.
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
			t.Errorf("event %s: got it %d times, want 4", body, n)
		}
	}
	if len(got) != publishers*each {
		t.Errorf("got %d events, want %d", len(got), publishers*each)
	}
}

// A receiver that is down is probed however busy the others are, and a lower concurrency
// also applies to lanes that are at work.
func TestTurnsUnderLoad(t *testing.T) {
	h := open(t, retries(time.Hour), func(s *outbound.Settings) { s.Concurrency = 2 })
	down, busy := newReceiver(t), newReceiver(t)
	down.respond(status(http.StatusInternalServerError))
	answer := make(chan struct{})
	busy.respond(func(http.ResponseWriter, *http.Request) {
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
		h.awaitAttempt()
	}
	for range 10 {
		h.publish("busy", `{}`)
	}
	busy.next(t)
	busy.next(t)
	h.publish("down", `{}`)
	must.Eventually(t, "the next probe", func() bool {
		h.clock.advance(time.Second)
		st, err := h.Status(t.Context())
		return err == nil && st.Subscriptions[0].Ready == 1
	})
	answer <- struct{}{}
	down.next(t)
	busy.next(t)

	h.settings.Concurrency = 1
	must.Do(t, h.Apply(t.Context(), h.settings))
	answer <- struct{}{}
	must.Eventually(t, "one slot", func() bool { return h.InFlight() == 1 })
	busy.expectNone(t)
	close(answer)
	for range 7 {
		busy.next(t)
	}
}

// A receiver that is slow or has asked for a long pause doesn't keep the memory that others
// need for their retries.
func TestMemoryIsShared(t *testing.T) {
	const size, events = 1 << 20, 60
	h := open(t, retries(time.Minute, time.Minute), func(s *outbound.Settings) { s.MaxPayload, s.EndpointConcurrency = size, 1 })
	slow, other := newReceiver(t), newReceiver(t)
	answer := make(chan struct{})
	slow.respond(func(w http.ResponseWriter, _ *http.Request) {
		select {
		case <-answer:
		case <-t.Context().Done():
		}
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	other.respond(status(http.StatusInternalServerError))
	s := h.subscribe(outbound.SubscriptionSpec{URL: slow.URL, EventTypes: []string{"slow"}})
	h.subscribe(outbound.SubscriptionSpec{URL: other.URL, EventTypes: []string{"other"}})
	h.publish("other", `{}`)
	other.next(t)
	h.awaitAttempt()
	must.Get(h.Deactivate(t.Context(), s.ID, outbound.ReasonByHand))(t)
	for range events {
		h.publish("slow", strings.Repeat("1", size))
	}
	must.Get(h.Activate(t.Context(), s.ID))(t)
	slow.next(t)
	held := func() int {
		st := must.Get(h.Status(t.Context()))(t)
		return st.Subscriptions[0].Ready + st.Subscriptions[0].InFlight
	}
	must.Eventually(t, "the memory to be used up", func() bool { return held() >= 48 })
	h.clock.advance(2 * time.Minute)
	other.next(t)
	h.awaitAttempt()

	close(answer)
	h.awaitAttempt()
	must.Eventually(t, "the memory to be given back", func() bool { return held() == 0 })
}
