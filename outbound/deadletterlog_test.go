package outbound_test

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/postgres/pgtest"
)

// letters is a dead letter log that can fail.
type letters struct {
	mu     sync.Mutex
	ids    []store.ID
	room   int           // how many more it takes before it fails; negative for no limit
	failed chan struct{} // signals each failure
}

func newLetters(room int) *letters { return &letters{room: room, failed: make(chan struct{}, 1000)} }

// log is a setting that makes the engine write to l.
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

// makeRoom makes the log take everything from now on.
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

// has waits until n dead letters are in the log, and checks that each is there once.
func (l *letters) has(h *harness, n int) {
	h.t.Helper()
	must.Eventually(h.t, "the dead letters in the log", func() bool { return l.count() >= n })
	seen := map[store.ID]bool{}
	for _, id := range l.ids {
		if seen[id] {
			h.t.Errorf("got %v twice in the log, want it once", id)
		}
		seen[id] = true
	}
	if len(seen) != n {
		h.t.Errorf("got %d dead letters in the log, want %d", len(seen), n)
	}
}

// once is a setting without retries.
func once(s *outbound.Settings) { s.Retry = outbound.Schedule{} }

// openFailingReceiver opens an engine that logs to l, with a subscription whose deliveries
// are dead letters after their first attempt.
func openFailingReceiver(t *testing.T, l *letters) *harness {
	h := open(t, once, l.log)
	r := newReceiver(t)
	r.respond(status(http.StatusTeapot))
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	return h
}

// Dead letters are logged, whether attempts failed, an operator cancelled them, or their
// subscription was deleted.
func TestDeadLettersAreLogged(t *testing.T) {
	l := newLetters(-1)
	h := openFailingReceiver(t, l)
	h.publish("a", "{}")
	l.has(h, 1)

	// Without an attempt, they are logged too.
	silent := h.subscribe(outbound.SubscriptionSpec{URL: "http://127.0.0.1:1/", EventTypes: []string{"b"}})
	must.Get(h.Deactivate(t.Context(), silent.ID, ""))(t)
	for range 2 {
		h.publish("b", "{}")
	}
	waiting, err := h.Deliveries(t.Context(), outbound.Query{Subscription: silent.ID})
	if err != nil || len(waiting) != 2 {
		t.Fatalf("got %d deliveries, %v, want 2", len(waiting), err)
	}
	must.Get(h.Cancel(t.Context(), waiting[0].ID.With(store.DeliveryPrefix)))(t)
	l.has(h, 4) // with the two of the first subscription, to all events
	must.Do(t, h.DeleteSubscription(t.Context(), silent.ID))
	l.has(h, 5)
}

// After a log has failed within a batch, the rest is written when the engine tries again,
// and nothing twice.
func TestDeadLetterLogFails(t *testing.T) {
	l := newLetters(1)
	h := openFailingReceiver(t, l)
	for range 3 {
		h.publish("a", "{}")
	}
	must.Receive(t, l.failed, "the failure")
	for range 3 {
		h.awaitAttempt()
	}
	l.makeRoom()
	must.Eventually(t, "the timer for the next try", func() bool { return h.clock.hasTimer(10 * time.Second) })
	h.clock.advance(10 * time.Second)
	l.has(h, 3)
}

// A log that fails because a reload has just replaced it isn't an error: the dead letter is
// written to the new one.
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
	must.Receive(t, ended, "the old log to be written to")
	l.has(h, 1)
	h.stop()
	if said.Len() > 0 {
		t.Errorf("got errors in the log, want none: %s", said.String())
	}
}

// Dead letters that a failing log lacks when the engine ends are written after the next
// start.
func TestDeadLetterLogAfterARestart(t *testing.T) {
	l := newLetters(0)
	h := openFailingReceiver(t, l)
	for range 3 {
		h.publish("a", "{}")
		h.awaitAttempt()
	}
	h.stop()
	l.makeRoom()
	h.start()
	l.has(h, 3)
}

// When the engine ends, it writes the dead letters that the log still lacks.
func TestDeadLetterLogAtTheEnd(t *testing.T) {
	l := newLetters(0)
	h := openFailingReceiver(t, l)
	h.publish("a", "{}")
	must.Receive(t, l.failed, "the failure")
	l.makeRoom()
	h.stop()
	l.has(h, 1)
}

// Dead letters that a node hasn't logged when it ends are logged by another node, but not
// before.
func TestDeadLetterLogOfAnotherNode(t *testing.T) {
	dsn := pgtest.Database(t)
	gone, l := newLetters(0), newLetters(-1)
	first := newHarness(t, postgresStore(dsn, time.Second), once, gone.log)
	first.start()
	r := newReceiver(t)
	r.respond(status(http.StatusTeapot))
	first.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	first.publish("a", "{}")
	must.Receive(t, gone.failed, "the failure")
	second := newHarness(t, postgresStore(dsn, time.Second), once, l.log)
	second.clock = newClock()
	second.start()
	must.Eventually(t, "the timer of the first look", func() bool { return second.clock.hasTimer(30 * time.Second) })
	l.has(second, 0) // the other node may still log it
	first.stop()
	must.Eventually(t, "the dead letter to be logged after the other node's end", func() bool {
		second.clock.advance(30 * time.Second)
		return l.count() > 0
	})
	l.has(second, 1)
}
