package outbound_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// moody fails what is sent to /bad.
func moody(t *testing.T) *receiver {
	r := newReceiver(t)
	r.respond(func(w http.ResponseWriter, req *http.Request) {
		if strings.HasSuffix(req.URL.Path, "/bad") {
			w.WriteHeader(500)
		}
	})
	return r
}

// kept are the types of the events that are there, the oldest first.
func (h *harness) kept() (types []string) {
	h.t.Helper()
	events, err := h.store.Events(h.t.Context(), store.Query{})
	if err != nil {
		h.t.Fatal(err)
	}
	for _, e := range slices.Backward(events) {
		types = append(types, e.Type)
	}
	return types
}

func (h *harness) keeps(what string, want ...string) {
	h.t.Helper()
	h.eventually(what, func() bool { return slices.Equal(h.kept(), want) })
}

func TestOldEventsAreRemoved(t *testing.T) {
	var log journal
	h := open(t, retries(), logTo(&log), func(s *outbound.Settings) { s.RetainFor = time.Hour })
	r := moody(t)
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"fine"}})
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL + "/bad", EventTypes: []string{"dead"}})
	waits := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"waits"}})
	if _, err := h.Deactivate(t.Context(), waits.ID, ""); err != nil {
		t.Fatal(err)
	}
	for _, event := range []string{"fine", "dead", "waits", "unheard"} {
		h.publish(event, "1")
	}
	h.awaitAttempt()
	h.awaitAttempt()
	h.pass(59 * time.Minute)
	h.publish("unheard", "later")
	h.pass(2 * time.Minute)
	h.keeps("what is old and settled to go", "waits", "unheard")
	h.looked()
	if line := log.line("old events were removed"); !strings.Contains(line, "events=3") {
		t.Errorf("the log: %s", line)
	}

	h.settings.RetainFor = 3 * time.Hour
	if err := h.Apply(t.Context(), h.settings); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Activate(t.Context(), waits.ID); err != nil {
		t.Fatal(err)
	}
	h.awaitAttempt()
	h.pass(2 * time.Hour)
	h.keeps("what waited to be delivered and go, by the new setting", "unheard")
}

// What is removed is gone, so a wall clock that is wrong must not do it.
func TestASetClockRemovesNothing(t *testing.T) {
	h := open(t, func(s *outbound.Settings) { s.RetainFor = time.Hour })
	h.publish("first", "1")
	h.clock.step(48 * time.Hour)
	h.publish("second", "1")
	h.pass(59 * time.Minute)
	h.looked()
	if kept := h.kept(); len(kept) != 2 {
		t.Errorf("kept %v", kept)
	}
	h.clock.step(-48 * time.Hour)
	h.pass(2 * time.Minute)
	h.keeps("the hour to pass", "second")
}

func TestALargeStoreLosesTheOldest(t *testing.T) {
	h := open(t, retries(), func(s *outbound.Settings) { s.RetainFor = -1 })
	r := moody(t)
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL + "/bad", EventTypes: []string{"dead"}})
	h.publish("dead", "1")
	h.awaitAttempt()
	payload := fmt.Sprintf("%q", strings.Repeat("x", 3<<10)) // too little to be removed alone
	for i := range 200 {
		h.publish(fmt.Sprintf("e%03d", i), payload)
	}
	used := h.used()
	h.pass(10 * 365 * 24 * time.Hour)
	h.limit(used - 200<<10)
	h.eventually("the store to be small enough", func() bool { return h.used() <= used-200<<10 })
	if kept := h.kept(); len(kept) < 2 || len(kept) > 150 || kept[0] != "dead" || kept[len(kept)-1] != "e199" {
		t.Errorf("kept %v", kept)
	}
	h.limit(1)
	h.keeps("dead letters to go last")
}

// What is made while the wall clock is ahead counts as well.
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
	h.eventually("the store to be small enough", func() bool { return h.used() <= used-200<<10 })
	if kept := h.kept(); len(kept) < 2 || kept[len(kept)-1] != "e199" {
		t.Errorf("kept %v", kept)
	}
}

// Where the store is too large, payloads of its older half go before records, and
// what can't be sent again says so.
func TestALargeStoreLosesPayloadsFirst(t *testing.T) {
	var log journal
	h := open(t, retries(), logTo(&log), func(s *outbound.Settings) { s.RetainFor = -1 })
	r := moody(t)
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
	limit := func(size int64) (bare []bool) {
		t.Helper()
		h.limit(size)
		h.eventually("the store to be small enough", func() bool { return h.used() <= size })
		kept, err := h.store.Events(t.Context(), store.Query{})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range slices.Backward(kept) {
			bare = append(bare, e.PayloadRemoved)
		}
		return bare
	}

	bare := limit(h.used() - 150<<10)
	if len(bare) != events || bare[0] || !bare[1] || !bare[3] || bare[15] {
		t.Errorf("without payload: %v", bare)
	}
	h.looked()
	if line := log.line("old events were removed"); !strings.Contains(line, "events=0") {
		t.Errorf("the log: %s", line)
	}
	deliveries, err := h.Deliveries(t.Context(), outbound.Query{EventID: first.EventID})
	if err != nil || len(deliveries) != 1 || deliveries[0].State != store.Delivered {
		t.Fatalf("%v, %v", deliveries, err)
	}
	if _, err := h.Redeliver(t.Context(), deliveries[0].ID.With(store.DeliveryPrefix)); !errors.Is(err, outbound.ErrConflict) || !strings.Contains(err.Error(), "publish it again") {
		t.Errorf("redelivered: %v", err)
	}

	bare = limit(h.used() / 2)
	if n := len(bare); n < 2 || n == events || bare[0] || bare[n-1] {
		t.Errorf("without payload later: %v", bare)
	}
}

// limit has the engine look whether the store is larger than that.
func (h *harness) limit(size int64) {
	h.t.Helper()
	h.settings.RetainSize = size
	if err := h.Apply(h.t.Context(), h.settings); err != nil {
		h.t.Fatal(err)
	}
	h.pass(time.Minute)
}

// pass lets time pass once the engine has looked at old events.
func (h *harness) pass(d time.Duration) {
	h.t.Helper()
	h.looked()
	h.clock.advance(d)
}

func (h *harness) looked() {
	h.t.Helper()
	h.eventually("the pause before the next look", func() bool { return h.clock.hasTimer(time.Minute) })
}

// used is how many bytes of the store are in use.
func (h *harness) used() int64 {
	h.t.Helper()
	done, err := h.store.Forget(h.t.Context(), store.Forget{})
	if err != nil {
		h.t.Fatal(err)
	}
	return done.Used
}
