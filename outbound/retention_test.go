package outbound_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// newFailingAtBad returns a receiver that answers 500 to paths that end in /bad.
func newFailingAtBad(t *testing.T) *receiver {
	r := newReceiver(t)
	r.respond(func(w http.ResponseWriter, req *http.Request) {
		if strings.HasSuffix(req.URL.Path, "/bad") {
			w.WriteHeader(500)
		}
	})
	return r
}

// kept returns the types of the stored events, the oldest first.
func (h *harness) kept() (types []string) {
	h.t.Helper()
	events := must.Get(h.store.Events(h.t.Context(), store.Query{}))(h.t)
	for _, e := range slices.Backward(events) {
		types = append(types, e.Type)
	}
	return types
}

// keeps waits until exactly these events are stored; what names that in the failure
// message.
func (h *harness) keeps(what string, want ...string) {
	h.t.Helper()
	must.Eventually(h.t, what, func() bool { return slices.Equal(h.kept(), want) })
}

// Events older than RetainFor are removed once all their deliveries are settled.
func TestOldEventsAreRemoved(t *testing.T) {
	var log journal
	h := open(t, retries(), logTo(&log), func(s *outbound.Settings) { s.RetainFor = time.Hour })
	r := newFailingAtBad(t)
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"fine"}})
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL + "/bad", EventTypes: []string{"dead"}})
	waits := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"waits"}})
	must.Get(h.Deactivate(t.Context(), waits.ID, ""))(t)
	for _, event := range []string{"fine", "dead", "waits", "unheard"} {
		h.publish(event, "1")
	}
	h.awaitAttempt()
	h.awaitAttempt()
	h.pass(59 * time.Minute)
	h.publish("unheard", "later")
	h.pass(2 * time.Minute)
	h.keeps("old, settled events to be removed", "waits", "unheard")
	h.awaitRemovalCheck()
	if line := log.line("old events were removed"); !strings.Contains(line, "events=3") {
		t.Errorf("got log line %q, want events=3", line)
	}

	h.settings.RetainFor = 3 * time.Hour
	must.Do(t, h.Apply(t.Context(), h.settings))
	must.Get(h.Activate(t.Context(), waits.ID))(t)
	h.awaitAttempt()
	h.pass(2 * time.Hour)
	h.keeps("the held event to be delivered and removed by the new setting", "unheard")
}

// Setting the wall clock forward doesn't make events old, nor does a restart after it was
// set right, which the schedule is then ahead of: removing can't be undone.
func TestASetClockRemovesNothing(t *testing.T) {
	h := open(t, func(s *outbound.Settings) { s.RetainFor = time.Hour })
	h.publish("first", "1")
	h.clock.step(48 * time.Hour)
	h.publish("second", "1")
	h.pass(59 * time.Minute)
	keepsBoth := func(when string) {
		t.Helper()
		h.awaitRemovalCheck()
		if kept := h.kept(); len(kept) != 2 {
			t.Errorf("%s: got events %v, want 2", when, kept)
		}
	}
	keepsBoth("set forward")
	h.stop()
	h.clock.step(-48 * time.Hour)
	h.clock.advance(time.Second) // so that the old engine's timers aren't taken for the new one's
	h.start()
	keepsBoth("restarted when set right")
	h.pass(2 * time.Minute)
	h.keeps("the hour to pass", "second")
}

// A store larger than RetainSize loses its oldest events until it is small enough, and
// dead letters last.
func TestALargeStoreLosesTheOldest(t *testing.T) {
	h := open(t, retries(), func(s *outbound.Settings) { s.RetainFor = -1 })
	r := newFailingAtBad(t)
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL + "/bad", EventTypes: []string{"dead"}})
	h.publish("dead", "1")
	h.awaitAttempt()
	payload := fmt.Sprintf("%q", strings.Repeat("x", 3<<10)) // so small that payloads aren't removed on their own
	for i := range 500 {                                     // so many that removing them takes several transactions
		h.publish(fmt.Sprintf("e%03d", i), payload)
	}
	used := h.used()
	h.pass(10 * 365 * 24 * time.Hour)
	h.limit(used - 200<<10)
	must.Eventually(t, "the store to be small enough", func() bool { return h.used() <= used-200<<10 })
	if kept := h.kept(); len(kept) < 2 || len(kept) > 450 || kept[0] != "dead" || kept[len(kept)-1] != "e499" {
		t.Errorf("got %d events, want 2 to 450 from dead to e499: %v", len(kept), kept)
	}
	h.limit(1)
	h.keeps("dead letters to go last")
}

// Events that were created while the wall clock was ahead are removed from a large store
// as well.
func TestALargeStoreWhoseClockIsSet(t *testing.T) {
	h := open(t, retries(), func(s *outbound.Settings) { s.RetainFor = -1 })
	h.clock.step(48 * time.Hour)
	payload := fmt.Sprintf("%q", strings.Repeat("x", 3<<10))
	for i := range 200 {
		h.publish(fmt.Sprintf("e%03d", i), payload)
	}
	h.clock.step(-48 * time.Hour)
	used := h.used()
	h.limit(used - 200<<10)
	must.Eventually(t, "the store to be small enough", func() bool { return h.used() <= used-200<<10 })
	if kept := h.kept(); len(kept) < 2 || kept[len(kept)-1] != "e199" {
		t.Errorf("got events %v, want 2 at least, up to e199", kept)
	}
}

// A store that is too large loses the payloads of its older half before records. An
// event without its payload can't be redelivered, and the error says so.
func TestALargeStoreLosesPayloadsFirst(t *testing.T) {
	var log journal
	h := open(t, retries(), logTo(&log), func(s *outbound.Settings) { s.RetainFor = -1 })
	r := newFailingAtBad(t)
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"fine"}})
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL + "/bad", EventTypes: []string{"dead"}})
	large := fmt.Sprintf("%q", strings.Repeat("x", 32<<10))
	const events = 40
	var first outbound.Published
	for i := range events {
		p := h.publish([]string{"dead", "fine"}[min(i, 1)], large)
		if i == 1 {
			first = p
		}
		h.awaitAttempt()
		h.pass(time.Minute)
	}
	bare := h.shrink(h.used() - 150<<10)
	if len(bare) != events || bare[0] || !bare[1] || !bare[3] || bare[15] {
		t.Errorf("got events without payload %v, want the older delivered ones", bare)
	}
	h.awaitRemovalCheck()
	if line := log.line("old events were removed"); !strings.Contains(line, "events=0") {
		t.Errorf("got log line %q, want events=0", line)
	}
	deliveries, err := h.Deliveries(t.Context(), outbound.Query{EventID: first.EventID})
	if err != nil || len(deliveries) != 1 || deliveries[0].State != store.Delivered {
		t.Fatalf("Deliveries: got %v, %v, want one that is delivered", deliveries, err)
	}
	if _, err := h.Redeliver(t.Context(), deliveries[0].ID.With(store.DeliveryPrefix)); !errors.Is(err, outbound.ErrConflict) || !strings.Contains(err.Error(), "publish it again") {
		t.Errorf("Redeliver: got %v, want a conflict that says to publish it again", err)
	}

	bare = h.shrink(h.used() / 2)
	if n := len(bare); n < 2 || n == events || bare[0] || bare[n-1] {
		t.Errorf("with half the size: got events without payload %v, want fewer events, the first and last with payload", bare)
	}
}

// A payload that was kept for a dead letter is removed before newer ones, within the hour,
// once the dead letter is deleted.
func TestAPayloadIsRemovedOnceItsDeadLetterIs(t *testing.T) {
	h := open(t, retries(), func(s *outbound.Settings) { s.RetainFor = -1 })
	h.subscribe(outbound.SubscriptionSpec{URL: newFailingAtBad(t).URL + "/bad", EventTypes: []string{"dead"}})
	const events = 20
	for i := range events {
		h.publish([]string{"dead", "unheard"}[min(i, 1)], fmt.Sprintf("%q", strings.Repeat("x", 32<<10)))
		h.pass(time.Minute)
	}
	h.awaitAttempt()
	if bare := h.shrink(h.used() - 80<<10); len(bare) != events || bare[0] || !bare[1] {
		t.Fatalf("got events without payload %v, want the older ones without dead letters", bare)
	}
	if n := must.Get(h.DeleteDead(t.Context(), outbound.Query{}))(t); n != 1 {
		t.Fatalf("got %d dead letters deleted, want 1", n)
	}
	for range 60 {
		h.pass(time.Minute)
	}
	if bare := h.shrink(h.used() - 16<<10); len(bare) != events || !bare[0] {
		t.Errorf("an hour later: got events without payload %v, want the first one among them", bare)
	}
}

// shrink sets RetainSize, waits until the store is that small, and returns for each event
// that is left, oldest first, whether its payload was removed.
func (h *harness) shrink(size int64) (bare []bool) {
	h.t.Helper()
	h.limit(size)
	must.Eventually(h.t, "the store to be small enough", func() bool { return h.used() <= size })
	for _, e := range slices.Backward(must.Get(h.store.Events(h.t.Context(), store.Query{}))(h.t)) {
		bare = append(bare, e.PayloadRemoved)
	}
	return bare
}

// limit sets RetainSize and lets the engine check the size of the store.
func (h *harness) limit(size int64) {
	h.t.Helper()
	h.settings.RetainSize = size
	must.Do(h.t, h.Apply(h.t.Context(), h.settings))
	h.pass(time.Minute)
}

// pass advances the clock once the engine has finished its present check for events to
// remove.
func (h *harness) pass(d time.Duration) {
	h.t.Helper()
	h.awaitRemovalCheck()
	h.clock.advance(d)
}

// awaitRemovalCheck waits until the engine has finished a check and waits for the next one.
func (h *harness) awaitRemovalCheck() {
	h.t.Helper()
	must.Eventually(h.t, "the timer of the next check", func() bool { return h.clock.hasTimer(time.Minute) })
}

// used returns how many bytes of the store are in use.
func (h *harness) used() int64 {
	h.t.Helper()
	done := must.Get(h.store.Forget(h.t.Context(), store.Forget{}))(h.t)
	return done.Used
}
