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

// openDuringOutage opens an engine with one subscription to all events, whose
// receiver answers 503.
func openDuringOutage(t *testing.T, spec outbound.SubscriptionSpec, set ...setting) (*harness, *receiver) {
	t.Helper()
	h, r := open(t, set...), newReceiver(t)
	r.respond(status(http.StatusServiceUnavailable))
	spec.URL, spec.EventTypes = r.URL, []string{"*"}
	h.subscribe(spec)
	return h, r
}

// awaitFailure waits for one more attempt, which must fail and leave its delivery
// pending. It returns when the schedule retries that.
func (h *harness) awaitFailure(r *receiver) time.Time {
	h.t.Helper()
	r.next(h.t)
	d := h.awaitAttemptEnd()
	if d.State != store.Pending || d.Attempt.Class == "" {
		h.t.Fatalf("got state %v and attempt %+v, want a pending delivery and a failed attempt", d.State, d.Attempt)
	}
	return d.Due.Truncate(time.Millisecond) // the precision of the store
}

// After a short outage, pending deliveries are sent soon, although the schedule
// retries them only much later.
func TestShortOutageIsOverSoon(t *testing.T) {
	h, r := openDuringOutage(t, outbound.SubscriptionSpec{}, retries(5*time.Second, 5*time.Minute))
	h.publish("a", `1`)
	h.publish("a", `2`)
	var due [2]time.Time
	for _, pause := range []time.Duration{6 * time.Second, 9 * time.Second} {
		for i := range due {
			due[i] = h.awaitFailure(r)
		}
		h.clock.advance(pause)
	}
	early := h.awaitFailure(r) // ahead of schedule
	if early != due[0] && early != due[1] {
		t.Errorf("after an attempt ahead of schedule, the delivery is due at %v, want one of %v", early, due)
	}
	r.respond(nil)
	r.expectNone(t)                   // one delivery at a time is attempted
	h.clock.advance(14 * time.Second) // half of how long the failures have lasted, and the first delay
	r.next(t)
	r.next(t) // follows the first success
}

// If the delivery that is attempted ahead of schedule is a dead letter because its
// transform fails, the next one is attempted ahead of schedule in its place.
func TestNextIsTriedAheadOfTime(t *testing.T) {
	h, r := openDuringOutage(t, outbound.SubscriptionSpec{}, retries(5*time.Second, time.Hour, time.Hour))
	h.publish("a", `1`)
	h.publish("a", `{"order": 2}`)
	for range 2 { // after the second round, both are due in an hour
		h.awaitFailure(r)
		h.awaitFailure(r)
		h.clock.advance(6 * time.Second)
	}
	s := h.sub().Subscription
	h.update(s.ID, func(spec *outbound.SubscriptionSpec) { spec.Transform = "payload.order" }) // makes the engine attempt the first delivery
	for r.respond(nil); h.awaitAttempt().State != store.Dead; {
		h.clock.advance(time.Second)
	}
	h.clock.advance(6 * time.Second)
	if a := r.next(t); string(a.body) != `2` {
		t.Errorf("got body %s, want 2", a.body)
	}
}

// Attempts ahead of schedule neither advance the schedule nor count as failures in a
// row, and become rarer during an outage.
func TestAttemptsAheadOfTimeDontCount(t *testing.T) {
	h, r := openDuringOutage(t, outbound.SubscriptionSpec{}, retries(5*time.Second, 5*time.Minute, time.Hour))
	h.publish("a", `1`)
	h.awaitFailure(r)
	h.clock.advance(6 * time.Second)
	due := h.awaitFailure(r)
	began, early := h.clock.Now().Add(-6*time.Second), 0
	for {
		pause := (5*time.Second + h.clock.Now().Sub(began)/2) * 11 / 10
		if !h.clock.Now().Add(pause).Before(due) {
			break
		}
		h.clock.advance(pause)
		if again := h.awaitFailure(r); again != due {
			t.Fatalf("the delivery is due at %v, want %v as before", again, due)
		}
		early++
	}
	if early < 5 || early > 10 {
		t.Errorf("got %d attempts ahead of schedule in 5 minutes, want 5 to 10", early)
	}
	if f := h.sub().Failures; f != 2 {
		t.Errorf("got %d failures in a row, want 2", f)
	}
	h.clock.advance(due.Sub(h.clock.Now()))
	r.next(t)
	d := h.awaitAttempt()
	if wait := d.Due.Sub(h.clock.Now()); d.Attempt.Number != early+3 || wait < 50*time.Minute || wait > 70*time.Minute {
		t.Errorf("got state %v and a delay of %v after attempt %d, want the third delay, an hour, after %d", d.State, wait, d.Attempt.Number, early+3)
	}
}

// A Retry-After that goes beyond the schedule moves the next attempt, also after one ahead
// of schedule.
func TestRetryAfterBeyondTheSchedule(t *testing.T) {
	h := open(t, retries(time.Minute, time.Minute))
	r := newReceiver(t)
	r.respond(status(500))
	s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	h.publish("a", `1`)
	h.awaitFailure(r)
	r.respond(retryLater(503))
	h.update(s.ID, func(s *outbound.SubscriptionSpec) { s.Timeout = time.Minute }) // has it tried at once
	for range 2 {
		if wait := h.awaitFailure(r).Sub(h.clock.Now()); wait != 10*time.Minute {
			t.Errorf("got a delay of %v, want ten minutes", wait)
		}
		h.clock.advance(10 * time.Minute)
	}
}

// A delivery whose failure is stored only after its subscription was activated by hand is
// attempted then, although the attempts ahead of schedule have come further by now.
func TestFailureIsStoredAfterTheActivation(t *testing.T) {
	for _, others := range []int{0, 2} {
		t.Run(fmt.Sprint(others, " others"), func(t *testing.T) {
			h, f := openFailing(t, retries(5*time.Second, time.Hour, time.Hour))
			r := newReceiver(t)
			r.respond(status(http.StatusServiceUnavailable))
			s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
			for range others {
				h.publish("a", `{}`)
			}
			for range 2 { // after the second round, the others are due in an hour
				for range others {
					h.awaitFailure(r)
				}
				h.clock.advance(6 * time.Second)
			}
			h.publish("a", `"late"`)
			f.fail(store.ErrUnavailable)
			r.next(t)
			must.Receive(t, f.refused, "an outcome that isn't stored")
			r.respond(nil)
			must.Get(h.Activate(t.Context(), s.ID))(t)
			for range others {
				r.next(t)
			}
			must.Eventually(t, "the pause before the store is tried again", func() bool { return h.clock.hasTimer(250 * time.Millisecond) })
			f.fail(nil)
			h.clock.advance(250 * time.Millisecond)
			if a := r.next(t); string(a.body) != `"late"` {
				t.Errorf("got body %s, want the late one", a.body)
			}
		})
	}
}

// A delivery that its receiver always refuses isn't attempted ahead of schedule after
// every success of another, not even if some of these need two attempts. Otherwise one
// bad event would double the load on the receiver.
func TestPoisonIsLeftToItsSchedule(t *testing.T) {
	h := open(t, retries(5*time.Second, time.Hour))
	r := newReceiver(t)
	r.respond(status(http.StatusBadRequest))
	but := func(w http.ResponseWriter, req *http.Request) {
		if req.ContentLength > 1 {
			w.WriteHeader(http.StatusBadRequest)
		}
	}
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	h.publish("a", `"poison"`)
	for _, pause := range []time.Duration{6 * time.Second, 9 * time.Second} {
		h.awaitFailure(r)
		h.clock.advance(pause)
	}
	h.awaitFailure(r) // ahead of schedule
	r.respond(but)
	h.publish("a", `0`) // its success looks like the end of an outage
	r.next(t)
	h.awaitAttempt()
	h.awaitFailure(r)
	for range 20 {
		r.respond(status(http.StatusServiceUnavailable))
		h.publish("a", `1`)
		h.awaitFailure(r)
		r.respond(but)
		h.publish("a", `2`)
		r.next(t)
		h.awaitAttempt()
		h.clock.advance(100 * time.Millisecond)
	}
	h.clock.advance(6 * time.Second)
	for range 20 {
		if body := string(r.next(t).body); body != `1` {
			t.Fatalf("got %s ahead of schedule, want only 1", body)
		}
		h.awaitAttempt()
	}
	must.Eventually(t, "the end of the attempts", func() bool { return h.InFlight() == 0 })
	h.publish("a", `3`)
	r.next(t)
	r.expectNone(t)
}

// A delivery that its receiver always refuses doesn't hold up the ones behind it when
// an outage is over.
func TestPoisonHoldsNothingUp(t *testing.T) {
	for range 5 { // which of the two is due first is random
		h, r := openDuringOutage(t, outbound.SubscriptionSpec{}, retries(5*time.Second, time.Hour), func(s *outbound.Settings) { s.EndpointConcurrency = 1 })
		h.publish("a", `"poison"`)
		h.publish("a", `1`)
		for range 2 {
			h.awaitFailure(r)
			h.awaitFailure(r)
			h.clock.advance(6 * time.Second)
		}
		r.respond(func(w http.ResponseWriter, req *http.Request) {
			if req.ContentLength > 1 {
				w.WriteHeader(http.StatusBadRequest)
			}
		})
		h.publish("a", `2`)
		got := map[string]bool{}
		for range 3 {
			got[string(r.next(t).body)] = true
		}
		if !got[`1`] {
			t.Errorf("got %v, want 1 among them", got)
		}
		h.stop()
	}
}

// Also after a restart, pending deliveries are attempted ahead of schedule.
func TestRestartTriesWhatWaits(t *testing.T) {
	h, r := openDuringOutage(t, outbound.SubscriptionSpec{}, retries(5*time.Second, time.Hour))
	h.publish("a", `1`)
	h.awaitFailure(r)
	h.clock.advance(6 * time.Second)
	h.awaitFailure(r)
	r.respond(nil)
	h.restart()
	h.clock.advance(6 * time.Second)
	r.next(t)
}

// What an operator asks for, and any change that may be what the receiver needs, makes
// an ordered subscription whose first delivery waits for a retry attempt that one at
// once. The order stays.
func TestPausedOrderIsPushed(t *testing.T) {
	for name, push := range map[string]func(h *harness, s *outbound.Subscription, second string) error{
		"activate": func(h *harness, s *outbound.Subscription, _ string) error {
			_, err := h.Activate(h.t.Context(), s.ID)
			return err
		},
		"test": func(h *harness, s *outbound.Subscription, _ string) error {
			_, err := h.Test(h.t.Context(), s.ID, &outbound.NewEvent{})
			return err
		},
		"redeliver": func(h *harness, _ *outbound.Subscription, second string) error {
			_, err := h.Redeliver(h.t.Context(), second)
			return err
		},
		"header": func(h *harness, s *outbound.Subscription, _ string) error {
			_, err := h.UpdateSubscription(h.t.Context(), s.ID, func(spec *outbound.SubscriptionSpec) error {
				spec.Headers = map[string]string{"X-Key": spec.Headers["X-Key"] + "x"}
				return nil
			})
			return err
		},
		"scheme": func(h *harness, s *outbound.Subscription, _ string) error {
			_, err := h.UpdateSubscription(h.t.Context(), s.ID, func(spec *outbound.SubscriptionSpec) error {
				spec.Scheme = map[string]string{"": "svix", "svix": "svix standard-webhooks"}[spec.Scheme]
				return nil
			})
			return err
		},
		"transform": func(h *harness, s *outbound.Subscription, _ string) error {
			_, err := h.UpdateSubscription(h.t.Context(), s.ID, func(spec *outbound.SubscriptionSpec) error {
				spec.Transform = map[string]string{"": "0", "0": "payload"}[spec.Transform]
				return nil
			})
			return err
		},
		"timeout": func(h *harness, s *outbound.Subscription, _ string) error {
			_, err := h.UpdateSubscription(h.t.Context(), s.ID, func(spec *outbound.SubscriptionSpec) error {
				spec.Timeout += time.Minute
				return nil
			})
			return err
		},
		"settings": func(h *harness, _ *outbound.Subscription, _ string) error {
			h.settings.Timeout += time.Second
			return h.Apply(h.t.Context(), h.settings)
		},
		"default scheme": func(h *harness, _ *outbound.Subscription, _ string) error {
			h.settings.Sign = map[string]string{"": "svix", "svix": "svix standard-webhooks"}[h.settings.Sign]
			return h.Apply(h.t.Context(), h.settings)
		},
		"secret": func(h *harness, s *outbound.Subscription, _ string) error {
			_, err := h.RotateSecret(h.t.Context(), s.ID, "")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, retries(time.Hour, time.Hour))
			r := newReceiver(t)
			r.respond(status(http.StatusServiceUnavailable))
			s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}, Ordered: true})
			for _, n := range []string{"1", "2", "3"} {
				h.publish("a", n)
			}
			due := h.awaitFailure(r)
			all := must.Get(h.Deliveries(t.Context(), outbound.Query{Limit: 3}))(t)
			second := all[1].ID.With(store.DeliveryPrefix)
			must.Do(t, push(h, s, second))
			if again := h.awaitFailure(r); again != due {
				t.Errorf("the delivery is due at %v, want %v as before", again, due)
			}
			r.respond(nil)
			must.Do(t, push(h, s, second))
			r.expectInOrder(t, 3)
		})
	}
}

// An ordered subscription keeps its order through a short outage, and is also
// attempted ahead of schedule.
func TestOrderAfterAShortOutage(t *testing.T) {
	h, r := openDuringOutage(t, outbound.SubscriptionSpec{Ordered: true}, retries(5*time.Second, time.Hour))
	h.publish("a", `1`)
	h.awaitFailure(r)
	h.publish("a", `2`)
	for _, pause := range []time.Duration{6 * time.Second, 9 * time.Second} {
		h.clock.advance(pause)
		h.awaitFailure(r)
	}
	r.respond(nil)
	h.clock.advance(14 * time.Second)
	r.expectInOrder(t, 2)
}

// probe advances the clock until the next attempt reaches the receiver, which may be
// down.
func (h *harness) probe(r *receiver) {
	h.t.Helper()
	must.Eventually(h.t, "the next probe", func() bool {
		h.clock.advance(100 * time.Millisecond)
		select {
		case <-r.arrivals:
			return true
		default:
			return false
		}
	})
}

// While a receiver is down, it gets single probes with growing pauses in between, so
// that pending deliveries don't use up their attempts.
func TestProbesOfAReceiverThatIsDown(t *testing.T) {
	h := open(t, retries(time.Second, time.Second, time.Second, time.Second))
	r := newReceiver(t)
	r.respond(status(503))
	s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	const n = 100
	for range n {
		h.publish("a", "1")
	}
	began := h.clock.Elapsed()
	attempts := 0
	must.Eventually(t, "a minute", func() bool {
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
	// 10 until it is down, those in flight at that moment, and the probes. The schedule
	// alone would have made 500 in four seconds.
	if most := 10 + 64 + 150; attempts > most {
		t.Errorf("got %d attempts in a minute, want %d at most", attempts, most)
	}

	// Redelivering by hand and changing the URL end the pause, unless an attempt that is
	// under way fails after that.
	must.Eventually(t, "the end of the attempts", func() bool { return h.InFlight() == 0 })
	ds := must.Get(h.Deliveries(t.Context(), outbound.Query{Limit: 1}))(t)
	must.Get(h.Redeliver(t.Context(), ds[0].ID.With(store.DeliveryPrefix)))(t)
	r.next(t)
	other := newReceiver(t)
	h.update(s.ID, func(s *outbound.SubscriptionSpec) { s.URL = other.URL })
	other.next(t)
}

// When a receiver that was down has recovered, all its retries are pulled forward.
func TestRetriesArePulledForwardWhenAReceiverIsBack(t *testing.T) {
	h := open(t, retries(time.Hour), func(s *outbound.Settings) { s.EndpointConcurrency = 1 })
	r := newReceiver(t)
	r.respond(status(503))
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	const n = 12 // enough for the receiver to count as down
	for i := range n {
		h.publish("a", fmt.Sprint(i))
		h.probe(r)
		h.awaitAttempt()
	}
	st := must.Get(h.Status(t.Context()))(t)
	if s := st.Subscriptions[0]; s.Health != outbound.HealthDown || s.Pending != n || s.Ready != 0 {
		t.Errorf("got health %s with %d pending and %d ready, want %s with %d and 0", s.Health, s.Pending, s.Ready, outbound.HealthDown, n)
	}
	r.respond(nil)
	h.publish("a", "probe")
	h.probe(r)
	h.awaitAttempt()
	got := 0
	must.Eventually(t, "the retries, long before the hour", func() bool {
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
		t.Errorf("the retries were pulled forward to %v, want within half an hour of the start", now)
	}
}
