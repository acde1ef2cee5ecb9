package outbound_test

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/postgres/pgtest"
)

// letters is a log of dead letters that may fail.
type letters struct {
	mu     sync.Mutex
	ids    []store.ID
	room   int // how many it takes before it fails; negative: all
	failed chan struct{}
}

func newLetters(room int) *letters { return &letters{room: room, failed: make(chan struct{}, 1000)} }

func (l *letters) log(s *outbound.Settings) { s.DeadLetterLog = l.append }

func (l *letters) append(rs []*outbound.Record) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, r := range rs {
		if l.room == 0 {
			l.failed <- struct{}{}
			return i, errors.New("no room")
		}
		l.room--
		l.ids = append(l.ids, r.ID)
	}
	return len(rs), nil
}

// makeRoom ends the failures.
func (l *letters) makeRoom() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.room = -1
}

func (l *letters) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.ids)
}

// has waits for that many letters, each of which must be there once.
func (l *letters) has(h *harness, n int) {
	h.t.Helper()
	h.eventually("the dead letters in the log", func() bool { return l.count() >= n })
	seen := map[store.ID]bool{}
	for _, id := range l.ids {
		if seen[id] {
			h.t.Errorf("%v is there twice", id)
		}
		seen[id] = true
	}
	if len(seen) != n {
		h.t.Errorf("%d letters are in the log, want %d", len(seen), n)
	}
}

// once has what fails tried no second time.
func once(s *outbound.Settings) { s.Retry = outbound.Schedule{} }

// dying is a harness with a subscription whose deliveries die by their first attempt.
func dying(t *testing.T, l *letters) *harness {
	h := open(t, once, l.log)
	r := newReceiver(t)
	r.respond(status(http.StatusTeapot))
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	return h
}

func TestDeadLettersAreLogged(t *testing.T) {
	l := newLetters(-1)
	h := dying(t, l)
	h.publish("a", "{}")
	l.has(h, 1)

	// and so are those that nobody tried to deliver
	silent := h.subscribe(outbound.SubscriptionSpec{URL: "http://127.0.0.1:1/", EventTypes: []string{"b"}})
	if _, err := h.Deactivate(t.Context(), silent.ID, ""); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		h.publish("b", "{}")
	}
	waiting, err := h.Deliveries(t.Context(), outbound.Query{Subscription: silent.ID})
	if err != nil || len(waiting) != 2 {
		t.Fatalf("%d wait (%v)", len(waiting), err)
	}
	if _, err := h.Cancel(t.Context(), waiting[0].ID.With(store.DeliveryPrefix)); err != nil {
		t.Fatal(err)
	}
	l.has(h, 4) // with those of the other subscription
	if err := h.DeleteSubscription(t.Context(), silent.ID); err != nil {
		t.Fatal(err)
	}
	l.has(h, 5)
}

// A log that fails in the middle has the rest when it is tried again, and none twice.
func TestDeadLetterLogFails(t *testing.T) {
	l := newLetters(1)
	h := dying(t, l)
	for range 3 {
		h.publish("a", "{}")
	}
	receive(t, l.failed, "the failure")
	for range 3 {
		h.awaitAttempt()
	}
	l.makeRoom()
	h.eventually("the wait for the next try", func() bool { return h.clock.hasTimer(10 * time.Second) })
	h.clock.advance(10 * time.Second)
	l.has(h, 3)
}

// A log that ends while it is to be written, since a reload has brought another one, is
// no failure.
func TestDeadLetterLogThatEnds(t *testing.T) {
	var said strings.Builder
	var h *harness
	l, ended := newLetters(-1), make(chan struct{})
	h = open(t, once, func(s *outbound.Settings) {
		s.Logger = slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelError}))
		s.DeadLetterLog = func([]*outbound.Record) (int, error) {
			defer close(ended)
			other := h.settings
			other.DeadLetterLog = l.append
			if err := h.Apply(t.Context(), other); err != nil {
				t.Error(err)
			}
			return 0, errors.New("it has ended")
		}
	})
	r := newReceiver(t)
	r.respond(status(http.StatusTeapot))
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}})
	h.publish("a", "{}")
	receive(t, ended, "the end")
	l.has(h, 1)
	h.stop()
	if said.Len() > 0 {
		t.Error(said.String())
	}
}

// What a log lacks when the process ends, it gets after the next start.
func TestDeadLetterLogAfterARestart(t *testing.T) {
	l := newLetters(0)
	h := dying(t, l)
	for range 3 {
		h.publish("a", "{}")
		h.awaitAttempt()
	}
	h.stop()
	l.makeRoom()
	h.start()
	l.has(h, 3)
}

// The last ones are written before the end.
func TestDeadLetterLogAtTheEnd(t *testing.T) {
	l := newLetters(0)
	h := dying(t, l)
	h.publish("a", "{}")
	receive(t, l.failed, "the failure")
	l.makeRoom()
	h.stop()
	l.has(h, 1)
}

// What a node that is gone hasn't logged, another one does.
func TestDeadLetterLogOfAnotherNode(t *testing.T) {
	dsn := pgtest.Database(t)
	gone, l := newLetters(0), newLetters(-1)
	first := newHarness(t, postgresStore(dsn, time.Second), once, gone.log)
	first.start()
	r := newReceiver(t)
	r.respond(status(http.StatusTeapot))
	first.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	first.publish("a", "{}")
	receive(t, gone.failed, "the failure")
	second := newHarness(t, postgresStore(dsn, time.Second), once, l.log)
	second.clock = newClock()
	second.start()
	second.eventually("the first look", func() bool { return second.clock.hasTimer(30 * time.Second) })
	l.has(second, 0) // the other one may still do it
	first.stop()
	second.eventually("the end of the other one", func() bool {
		second.clock.advance(30 * time.Second)
		return l.count() > 0
	})
	l.has(second, 1)
}
