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

// jumps are ways in which wall clocks are set.
var jumps = []struct {
	name string
	by   time.Duration
}{
	{"an hour forwards", time.Hour},
	{"an hour back", -time.Hour},
	{"a leap second", -time.Second},
	{"fifty years", 50 * 365 * 24 * time.Hour},
}

// afterJumps runs a test once for each jump.
func afterJumps(t *testing.T, f func(t *testing.T, jump time.Duration)) {
	for _, j := range jumps {
		t.Run(j.name, func(t *testing.T) { f(t, j.by) })
	}
}

// nudge sends a delivery to another subscription through the whole engine. When it has
// arrived, the engine has also done whatever else was due.
func (h *harness) nudge(r *receiver) {
	h.t.Helper()
	if _, err := h.Subscription("sub_nudge"); err != nil {
		h.settings.Subscriptions = append(h.settings.Subscriptions, outbound.SubscriptionSpec{Name: "nudge", URL: r.URL + "/nudge", EventTypes: []string{"nudge"}})
		must.Do(h.t, h.Apply(h.t.Context(), h.settings))
	}
	h.publish("nudge", `{}`)
	if d := h.awaitAttempt(); d.State != store.Delivered {
		h.t.Fatalf("nudge: got state %v, attempt %+v, want a success", d.State, d.Attempt)
	}
}

// Setting the wall clock neither hastens nor delays retries, and their due times follow
// it.
func TestRetriesKeepTheirDelaysWhenTheClockIsSet(t *testing.T) {
	afterJumps(t, func(t *testing.T, jump time.Duration) {
		h := open(t, retries(10*time.Minute, 10*time.Minute))
		r, healthy := newReceiver(t), newReceiver(t)
		r.respond(status(500))
		const n = 4 // few enough that two attempts each don't make the receiver count as down
		s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}})
		for range n {
			h.publish("a", `1`)
			h.awaitAttempt()
			r.next(t)
		}
		h.clock.step(jump)
		h.nudge(healthy)
		r.expectNone(t)
		due := must.Get(h.Deliveries(t.Context(), outbound.Query{Subscription: s.ID, Limit: 100}))(t)
		for _, d := range due {
			if wait := d.Due.Sub(h.clock.Now()); wait < 8*time.Minute || wait > 12*time.Minute {
				t.Fatalf("got a retry due in %v by the wall clock, want 8m to 12m", wait)
			}
		}
		h.clock.advance(8 * time.Minute)
		h.nudge(healthy)
		r.expectNone(t)
		h.clock.advance(4 * time.Minute)
		for range n {
			check(t, h, r.next(t), s.Secrets[0].Value) // also checks that its timestamp is within the tolerance
			h.awaitAttempt()
		}
		r.expectNone(t)
	})
}

// Retries are made on time after a restart during which the wall clock was set back.
func TestRetriesComeAfterARestartWithTheClockSetBack(t *testing.T) {
	h := open(t, retries(10*time.Minute))
	r := newReceiver(t)
	r.respond(status(500))
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	h.publish("a", `1`)
	h.awaitAttempt()
	h.clock.step(-time.Hour)
	h.restart()
	r.next(t)
	r.expectNone(t)
	h.clock.advance(12 * time.Minute)
	if d := h.awaitAttempt(); d.Attempt.Number != 2 {
		t.Fatalf("got %+v, want attempt 2", d)
	}
}

// Setting the wall clock doesn't change how long Retry-After pauses an endpoint.
func TestRetryAfterWhenTheClockIsSet(t *testing.T) {
	afterJumps(t, func(t *testing.T, jump time.Duration) {
		h := open(t, retries(time.Second))
		r, healthy := newReceiver(t), newReceiver(t)
		r.respond(retryLater(http.StatusServiceUnavailable))
		h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}})
		h.publish("a", `1`)
		r.next(t)
		h.awaitPause()
		h.clock.step(jump)
		st := must.Get(h.Status(t.Context()))(t)
		if pause := st.Subscriptions[0].PausedUntil.Sub(h.clock.Now()); pause != 600*time.Second {
			t.Errorf("got a pause of %v by the wall clock, want 10m", pause)
		}
		h.clock.advance(599 * time.Second)
		h.nudge(healthy)
		r.expectNone(t)
		r.respond(nil)
		h.clock.advance(2 * time.Second)
		r.next(t)
		if d := h.awaitAttempt(); d.State != store.Delivered {
			t.Errorf("got state %v, attempt %+v, want delivered", d.State, d.Attempt)
		}
	})
}

// Setting the wall clock doesn't change how long a rotated secret still signs.
func TestRotationGraceWhenTheClockIsSet(t *testing.T) {
	afterJumps(t, func(t *testing.T, jump time.Duration) {
		h := open(t, func(s *outbound.Settings) { s.SecretGrace = 30 * time.Minute })
		r := newReceiver(t)
		s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
		rotated := must.Get(h.RotateSecret(t.Context(), s.ID, ""))(t)
		h.clock.step(jump)
		for _, step := range []struct {
			pass       time.Duration
			signatures int
		}{{29 * time.Minute, 2}, {2 * time.Minute, 1}} {
			h.clock.advance(step.pass)
			h.publish("a", `1`)
			a := r.next(t)
			h.awaitAttempt()
			check(t, h, a, rotated.Secret)
			if n := len(strings.Fields(a.header.Get("webhook-signature"))); n != step.signatures {
				t.Errorf("got %d signatures, want %d", n, step.signatures)
			}
		}
	})
}

// An ordered subscription gets events in the order of publishing, although the wall
// clock is set and the engine restarted in between.
func TestOrderIsKeptWhenTheClockIsSet(t *testing.T) {
	afterJumps(t, func(t *testing.T, jump time.Duration) {
		h := open(t)
		r := newReceiver(t)
		s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}, Ordered: true})
		must.Get(h.Deactivate(t.Context(), s.ID, outbound.ReasonByHand))(t)
		h.publish("a", `1`)
		h.clock.advance(10 * time.Minute)
		h.publish("a", `2`)
		h.clock.step(jump)
		h.publish("a", `3`)
		h.restart()
		h.publish("a", `4`)
		h.clock.step(-jump)
		h.publish("a", `5`)
		h.restart()
		must.Get(h.Activate(t.Context(), s.ID))(t)
		h.publish("a", `6`)
		for _, want := range []string{"1", "2", "3", "4", "5", "6"} {
			if got := string(r.next(t).body); got != want {
				t.Fatalf("got event %s, want %s", got, want)
			}
			h.awaitAttempt()
		}
	})
}

// Events are dated by the wall clock as it was last set.
func TestEventsAreDatedByTheWallClockOnceItIsRight(t *testing.T) {
	h := open(t)
	h.clock.step(24 * time.Hour)
	p := h.publish("a", `1`)
	ev := must.Get(h.Event(t.Context(), "", p.EventID))(t)
	if !ev.Created().Equal(h.clock.Now()) {
		t.Errorf("got an event created at %v, want %v", ev.Created(), h.clock.Now())
	}
}

// A rotation reports the end of the old secret's grace by the wall clock as it was last
// set.
func TestRotationSaysWhenTheGraceEnds(t *testing.T) {
	afterJumps(t, func(t *testing.T, jump time.Duration) {
		h := open(t, func(s *outbound.Settings) { s.SecretGrace = time.Hour })
		s := h.subscribe(outbound.SubscriptionSpec{URL: "https://receiver.example", EventTypes: []string{"*"}})
		h.clock.step(jump)
		rot := must.Get(h.RotateSecret(t.Context(), s.ID, ""))(t)
		if in := rot.PreviousExpires.Sub(h.clock.Now()); in != time.Hour {
			t.Errorf("got an end in %v by the wall clock, want 1h", in)
		}
	})
}

// When the next attempt is due, as it is reported, is a time of the clock as it is set.
func TestReportedRetryWhenTheClockIsSet(t *testing.T) {
	h := open(t, retries(time.Minute))
	r := newReceiver(t)
	r.respond(status(http.StatusInternalServerError))
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	h.clock.step(time.Hour)
	h.publish("a", `1`)
	if in := h.awaitAttempt().Due.Sub(h.clock.Now()); in < 50*time.Second || in > 70*time.Second {
		t.Errorf("got the next attempt in %v, want it in about a minute", in)
	}
}

// So is since when a receiver has failed, as events tell it.
func TestReportedFailuresWhenTheClockIsSet(t *testing.T) {
	h := open(t, retries(), func(s *outbound.Settings) { s.DisableAfter = outbound.DisableAfter{Failures: 4, For: time.Hour} })
	r := newReceiver(t)
	r.respond(status(http.StatusInternalServerError))
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	since := h.clock.Now().Add(24 * time.Hour)
	h.failTimes(1)
	h.clock.advance(time.Hour)
	h.clock.step(24 * time.Hour)
	for _, told := range []string{outbound.SubscriptionFailing, outbound.SubscriptionRecovered} {
		h.failTimes(1)
		f := must.Receive(t, h.changes, "the event")
		if got, _ := f.Data["failing_since"].(time.Time); f.Type != told || !got.Equal(since) {
			t.Errorf("got %+v, want %s with failing_since %v", f, told, since)
		}
		r.respond(nil)
	}
}
