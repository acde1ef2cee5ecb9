package outbound_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// outage is an engine with one subscription to everything, whose receiver is away.
func outage(t *testing.T, spec outbound.SubscriptionSpec, set ...setting) (*house, *receiver) {
	t.Helper()
	h, r := open(t, set...), newReceiver(t)
	r.answers(status(http.StatusServiceUnavailable))
	spec.URL, spec.EventTypes = r.URL, []string{"*"}
	h.subscribe(spec)
	return h, r
}

// refused is one attempt more, which fails. It returns when its delivery is due by the
// schedule.
func (h *house) refused(r *receiver) time.Time {
	h.t.Helper()
	r.next(h.t)
	d := h.ended()
	if d.State != store.Pending || d.Attempt.Class == "" {
		h.t.Fatalf("%v after %+v", d.State, d.Attempt)
	}
	return d.Due.Truncate(time.Millisecond) // as it is stored
}

// What waits comes soon after the receiver is back, though no attempt is due for long.
func TestShortOutageIsOverSoon(t *testing.T) {
	h, r := outage(t, outbound.SubscriptionSpec{}, retries(5*time.Second, 5*time.Minute))
	h.publish("a", `1`)
	h.publish("a", `2`)
	var due [2]time.Time
	for _, pause := range []time.Duration{6 * time.Second, 9 * time.Second} {
		for i := range due {
			due[i] = h.refused(r)
		}
		h.clock.advance(pause)
	}
	early := h.refused(r) // ahead of its time
	if early != due[0] && early != due[1] {
		t.Errorf("an attempt ahead of its time puts the next one off to %v from %v", early, due)
	}
	r.answers(nil)
	r.none(t)                         // one at a time is tried
	h.clock.advance(14 * time.Second) // half of the time that it has failed for, and the first delay
	r.next(t)
	r.next(t) // with the first success
}

// What can't be sent ahead of its time, for what it is, doesn't keep the others waiting.
func TestNextIsTriedAheadOfTime(t *testing.T) {
	h, r := outage(t, outbound.SubscriptionSpec{}, retries(5*time.Second, time.Hour, time.Hour))
	h.publish("a", `1`)
	h.publish("a", `{"order": 2}`)
	for range 2 { // of the second, both are due in an hour
		h.refused(r)
		h.refused(r)
		h.clock.advance(6 * time.Second)
	}
	s := h.sub().Subscription
	if _, err := h.UpdateSubscription(t.Context(), s.ID, func(spec *outbound.SubscriptionSpec) error {
		spec.Transform = "payload.order"
		return nil
	}); err != nil { // which has the first one tried
		t.Fatal(err)
	}
	for r.answers(nil); h.attempt().State != store.Dead; {
		h.clock.advance(time.Second)
	}
	h.clock.advance(6 * time.Second)
	if a := r.next(t); string(a.body) != `2` {
		t.Errorf("%s came", a.body)
	}
}

// Attempts ahead of their time are no part of the schedule, and become rarer.
func TestAttemptsAheadOfTimeDontCount(t *testing.T) {
	h, r := outage(t, outbound.SubscriptionSpec{}, retries(5*time.Second, 5*time.Minute))
	h.publish("a", `1`)
	h.refused(r)
	h.clock.advance(6 * time.Second)
	due := h.refused(r)
	began, early := h.clock.Now().Add(-6*time.Second), 0
	for {
		pause := (5*time.Second + h.clock.Now().Sub(began)/2) * 11 / 10
		if !h.clock.Now().Add(pause).Before(due) {
			break
		}
		h.clock.advance(pause)
		if again := h.refused(r); again != due {
			t.Fatalf("due at %v, and before that at %v", again, due)
		}
		early++
	}
	if early < 5 || early > 10 {
		t.Errorf("%d attempts ahead of their time in 5 minutes", early)
	}
	if f := h.sub().Failures; f != 2 {
		t.Errorf("%d failures in a row, want 2", f)
	}
	h.clock.advance(due.Sub(h.clock.Now()))
	r.next(t)
	if d := h.attempt(); d.State != store.Dead || d.Attempt.Number != early+3 {
		t.Errorf("attempt %d by the schedule: %v", d.Attempt.Number-early, d.State)
	}
}

// An event that always fails isn't tried again with each success of another, though
// some of these need two attempts.
func TestPoisonIsLeftToItsSchedule(t *testing.T) {
	h := open(t, retries(5*time.Second, time.Hour))
	r := newReceiver(t)
	r.answers(status(http.StatusBadRequest))
	but := func(w http.ResponseWriter, req *http.Request) {
		if req.ContentLength > 1 {
			w.WriteHeader(http.StatusBadRequest)
		}
	}
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	h.publish("a", `"poison"`)
	for _, pause := range []time.Duration{6 * time.Second, 9 * time.Second} {
		h.refused(r)
		h.clock.advance(pause)
	}
	h.refused(r) // ahead of its time
	r.answers(but)
	h.publish("a", `0`) // the end of an outage, for all that anybody can know
	r.next(t)
	h.attempt()
	h.refused(r)
	for range 20 {
		r.answers(status(http.StatusServiceUnavailable))
		h.publish("a", `1`)
		h.refused(r)
		r.answers(but)
		h.publish("a", `2`)
		r.next(t)
		h.attempt()
		h.clock.advance(100 * time.Millisecond)
	}
	h.clock.advance(6 * time.Second)
	for range 20 {
		if body := string(r.next(t).body); body != `1` {
			t.Fatalf("%s before its time", body)
		}
		h.attempt()
	}
	h.eventually("the end of the attempts", func() bool { return h.InFlight() == 0 })
	h.publish("a", `3`)
	r.next(t)
	r.none(t)
}

// Nor does it hold up what waits behind it when an outage is over.
func TestPoisonHoldsNothingUp(t *testing.T) {
	for range 5 { // which of the two is the first is left to chance
		h, r := outage(t, outbound.SubscriptionSpec{}, retries(5*time.Second, time.Hour), func(s *outbound.Settings) { s.EndpointConcurrency = 1 })
		h.publish("a", `"poison"`)
		h.publish("a", `1`)
		for range 2 {
			h.refused(r)
			h.refused(r)
			h.clock.advance(6 * time.Second)
		}
		r.answers(func(w http.ResponseWriter, req *http.Request) {
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
			t.Errorf("got %v", got)
		}
		h.shut()
	}
}

func TestRestartTriesWhatWaits(t *testing.T) {
	h, r := outage(t, outbound.SubscriptionSpec{}, retries(5*time.Second, time.Hour))
	h.publish("a", `1`)
	h.refused(r)
	h.clock.advance(6 * time.Second)
	h.refused(r)
	r.answers(nil)
	h.restart()
	h.clock.advance(6 * time.Second)
	r.next(t)
}

// What an operator asks for is tried at once, in its order, and so is what may mend a
// receiver that refuses what it gets.
func TestPausedOrderIsPushed(t *testing.T) {
	for name, push := range map[string]func(h *house, s *outbound.Subscription, second string) error{
		"activate": func(h *house, s *outbound.Subscription, _ string) error {
			_, err := h.Activate(h.t.Context(), s.ID)
			return err
		},
		"test": func(h *house, s *outbound.Subscription, _ string) error {
			_, err := h.Test(h.t.Context(), s.ID, &outbound.NewEvent{})
			return err
		},
		"redeliver": func(h *house, _ *outbound.Subscription, second string) error {
			_, err := h.Redeliver(h.t.Context(), second)
			return err
		},
		"header": func(h *house, s *outbound.Subscription, _ string) error {
			_, err := h.UpdateSubscription(h.t.Context(), s.ID, func(spec *outbound.SubscriptionSpec) error {
				spec.Headers = map[string]string{"X-Key": spec.Headers["X-Key"] + "x"}
				return nil
			})
			return err
		},
		"scheme": func(h *house, s *outbound.Subscription, _ string) error {
			_, err := h.UpdateSubscription(h.t.Context(), s.ID, func(spec *outbound.SubscriptionSpec) error {
				spec.Scheme = map[string]string{"": "svix", "svix": "standard-webhooks"}[spec.Scheme]
				return nil
			})
			return err
		},
		"timeout": func(h *house, s *outbound.Subscription, _ string) error {
			_, err := h.UpdateSubscription(h.t.Context(), s.ID, func(spec *outbound.SubscriptionSpec) error {
				spec.Timeout += time.Minute
				return nil
			})
			return err
		},
		"settings": func(h *house, _ *outbound.Subscription, _ string) error {
			h.settings.Timeout += time.Second
			return h.Apply(h.t.Context(), h.settings)
		},
		"default scheme": func(h *house, _ *outbound.Subscription, _ string) error {
			h.settings.Sign = map[string]string{"": "svix", "svix": "standard-webhooks"}[h.settings.Sign]
			return h.Apply(h.t.Context(), h.settings)
		},
		"secret": func(h *house, s *outbound.Subscription, _ string) error {
			_, err := h.RotateSecret(h.t.Context(), s.ID, "")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, retries(time.Hour, time.Hour))
			r := newReceiver(t)
			r.answers(status(http.StatusServiceUnavailable))
			s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}, Ordered: true})
			for _, n := range []string{"1", "2", "3"} {
				h.publish("a", n)
			}
			due := h.refused(r)
			all, err := h.Deliveries(t.Context(), outbound.Query{Limit: 3})
			if err != nil {
				t.Fatal(err)
			}
			second := all[1].ID.With(store.DeliveryPrefix)
			if err := push(h, s, second); err != nil {
				t.Fatal(err)
			}
			if again := h.refused(r); again != due {
				t.Errorf("due at %v, and before that at %v", again, due)
			}
			r.answers(nil)
			if err := push(h, s, second); err != nil {
				t.Fatal(err)
			}
			r.inOrder(t, 3)
		})
	}
}

// The order outlasts an outage, and ends soon after it.
func TestOrderAfterAShortOutage(t *testing.T) {
	h, r := outage(t, outbound.SubscriptionSpec{Ordered: true}, retries(5*time.Second, time.Hour))
	h.publish("a", `1`)
	h.refused(r)
	h.publish("a", `2`)
	for _, pause := range []time.Duration{6 * time.Second, 9 * time.Second} {
		h.clock.advance(pause)
		h.refused(r)
	}
	r.answers(nil)
	h.clock.advance(14 * time.Second)
	r.inOrder(t, 2)
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
