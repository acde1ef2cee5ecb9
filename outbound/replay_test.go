package outbound_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// Replay sends a new subscription the earlier events that match it and the query, each
// once.
func TestReplay(t *testing.T) {
	h := open(t)
	r := newReceiver(t)
	old := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"order.*"}})
	publish := func(n outbound.NewEvent) string {
		t.Helper()
		p := must.Get(h.Publish(t.Context(), &n))(t)
		return p.EventID
	}
	publish(outbound.NewEvent{Type: "order.paid", Payload: []byte(`{"total":1}`)}) // before since
	h.clock.advance(time.Hour)
	since := h.clock.Now()
	first := publish(outbound.NewEvent{ID: "mine", Type: "order.paid", Payload: []byte(`{"total":200}`), Headers: map[string]string{"X-Kept": "yes"}})
	publish(outbound.NewEvent{Type: "order.paid", Payload: []byte(`{"total":2}`)})                // rejected by the filter
	publish(outbound.NewEvent{Type: "order.lost", Payload: []byte(`{"total":200}`)})              // another type
	publish(outbound.NewEvent{Type: "order.paid", Tenant: "t", Payload: []byte(`{"total":200}`)}) // another tenant's
	last := publish(outbound.NewEvent{Type: "order.paid", Payload: []byte(`{"total":300,"b":[]}`)})
	must.Get(h.Test(t.Context(), old.ID, &outbound.NewEvent{}))(t)
	for range 6 { // the other tenant's event matches no subscription
		r.next(t)
		h.awaitAttempt()
	}
	h.clock.advance(time.Hour)
	until := h.clock.Now()
	publish(outbound.NewEvent{Type: "order.paid", Payload: []byte(`{"total":400}`)})
	r.next(t)
	h.awaitAttempt()

	s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"order.paid", "webhook.*"}, Filter: "payload.total > 100"})
	replay := func(q outbound.Query, want int) {
		t.Helper()
		n, err := h.Replay(t.Context(), s.ID, q)
		if err != nil || n != want {
			t.Errorf("Replay: got %d, %v, want %d", n, err, want)
		}
	}
	replay(outbound.Query{Since: since, Until: until, EventType: "order.lost"}, 0)
	replay(outbound.Query{Since: since, Until: until}, 2)
	for range 2 {
		switch a := r.next(t); a.header.Get("webhook-id") {
		case first:
			if string(a.body) != `{"total":200}` || a.header.Get("X-Kept") != "yes" {
				t.Errorf("got body %s with header %v, want them as published", a.body, a.header)
			}
		case last:
		default:
			t.Errorf("got %s, want event %s or %s", a.body, first, last)
		}
		if done := h.awaitAttempt(); done.Subscription.ID != s.ID {
			t.Errorf("got an attempt for %s, want %s", done.Subscription.ID, s.ID)
		}
	}
	replay(outbound.Query{Since: since, Until: until}, 0)
	r.expectNone(t)
	replay(outbound.Query{Since: since}, 1)
	r.next(t)
	h.awaitAttempt()

	if n, err := h.Replay(t.Context(), "sub_x", outbound.Query{}); !errors.Is(err, outbound.ErrNotFound) {
		t.Errorf("Replay to an unknown subscription: got %d, %v, want %v", n, err, outbound.ErrNotFound)
	}
	e, err := h.Deliveries(t.Context(), outbound.Query{EventID: "mine"})
	if err != nil || len(e) != 2 {
		t.Errorf("got deliveries %v, %v, want 2", e, err)
	}
}

// replays is a real store that counts the calls of Replay.
type replays struct {
	store.Store
	n int
}

func (s *replays) Replay(ctx context.Context, r store.Replay) (int, error) {
	s.n++
	return s.Store.Replay(ctx, r)
}

// Replay goes through many events in several batches, and keeps their order. The batches
// are as large if a filter needs the payloads, of which fewer fit into memory.
func TestReplayOfMuch(t *testing.T) {
	for _, filter := range []string{"", "payload > 0"} {
		t.Run("filter "+filter, func(t *testing.T) {
			h := open(t)
			h.stop()
			counted := &replays{Store: must.Get(h.openStore(h.settings.Logger))(t)}
			h.store = counted
			h.Engine = must.Get(outbound.Open(t.Context(), counted, h.settings, outbound.WithClock(h.clock)))(t)
			r := newReceiver(t)
			const events = 1203
			var all []*outbound.NewEvent
			for i := range events {
				all = append(all, &outbound.NewEvent{Type: "a", Payload: fmt.Append(nil, i+1)})
			}
			for _, a := range h.PublishAll(t.Context(), all) {
				if a.Err != nil {
					t.Fatal(a.Err)
				}
			}
			s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}, Ordered: true, Filter: filter})
			if n, err := h.Replay(t.Context(), s.ID, outbound.Query{}); err != nil || n != events || counted.n != 3 {
				t.Fatalf("Replay: got %d in %d batches, %v, want %d in 3", n, counted.n, err, events)
			}
			for i := range events {
				if a := r.next(t); string(a.body) != fmt.Sprint(i+1) {
					t.Fatalf("got event %s, want %d", a.body, i+1)
				}
				h.awaitAttempt()
			}
		})
	}
}

// A replay that can't read the events, or make their deliveries, says so.
func TestReplayThatFails(t *testing.T) {
	h, f := openFailing(t)
	h.publish("a", `1`)
	s := h.subscribe(outbound.SubscriptionSpec{URL: newReceiver(t).URL, EventTypes: []string{"a"}})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if n, err := h.Replay(ctx, s.ID, outbound.Query{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Replay: got %d, %v, want %v", n, err, context.Canceled)
	}
	f.fail(store.ErrUnavailable)
	if n, err := h.Replay(t.Context(), s.ID, outbound.Query{}); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Replay: got %d, %v, want %v", n, err, store.ErrUnavailable)
	}
}

// What a node replays includes what another one has published whose clock is ahead.
func TestReplayWhenClocksDiffer(t *testing.T) {
	nodes := startNodesAhead(t, 0, 30*time.Second)
	r := newReceiver(t)
	nodes[1].publish("a", `1`)
	s := nodes[0].subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}})
	if n, err := nodes[0].Replay(t.Context(), s.ID, outbound.Query{}); err != nil || n != 1 {
		t.Errorf("Replay: got %d, %v, want 1", n, err)
	}
}

// What is replayed to an inactive subscription is held until it is activated, also across
// a restart.
func TestReplayIsHeld(t *testing.T) {
	h := open(t)
	r := newReceiver(t)
	h.publish("a", `"`+strings.Repeat("x", 100)+`"`)
	s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}})
	must.Get(h.Deactivate(t.Context(), s.ID, "for now"))(t)
	if n, err := h.Replay(t.Context(), s.ID, outbound.Query{}); err != nil || n != 1 {
		t.Fatalf("Replay: got %d, %v, want 1", n, err)
	}
	h.restart()
	r.expectNone(t)
	must.Get(h.Activate(t.Context(), s.ID))(t)
	r.next(t)
	h.awaitAttempt()
}

// holding is a real store that blocks in its first commit of events until release is
// closed.
type holding struct {
	store.Store
	held, release, read chan struct{} // held: the commit blocks; read: events were listed
	once, reads         sync.Once
}

func (s *holding) Commit(ctx context.Context, b *store.Batch) error {
	if len(b.Publications) > 0 {
		s.once.Do(func() { close(s.held); <-s.release })
	}
	return s.Store.Commit(ctx, b)
}

func (s *holding) Events(ctx context.Context, q store.Query) ([]*store.Event, error) {
	defer s.reads.Do(func() { close(s.read) })
	return s.Store.Events(ctx, q)
}

// duringAPublishing calls do while an event of the tenant acme is being stored, which do
// must wait for before it reads events.
func duringAPublishing(t *testing.T, do func(*harness)) {
	t.Helper()
	h := open(t)
	h.stop()
	st := must.Get(h.openStore(h.settings.Logger))(t)
	h.store = st
	s := &holding{Store: st, held: make(chan struct{}), release: make(chan struct{}), read: make(chan struct{})}
	h.Engine = must.Get(outbound.Open(t.Context(), s, h.settings, outbound.WithClock(h.clock)))(t)
	var all sync.WaitGroup
	all.Go(func() { h.publishOf("acme", "order.paid") })
	<-s.held
	all.Go(func() { do(h) })
	select {
	case <-s.read: // it didn't wait for the commit
	case <-time.After(50 * time.Millisecond):
	}
	close(s.release)
	all.Wait()
}

// Replay includes an event that was being stored when its subscription was created. The
// event wasn't matched with the subscription, so it would be missed otherwise.
func TestReplayOfWhatIsBeingPublished(t *testing.T) {
	r := newReceiver(t)
	duringAPublishing(t, func(h *harness) {
		late := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"order.*"}, Tenant: "acme"})
		if n, err := h.Replay(t.Context(), late.ID, outbound.Query{}); n != 1 || err != nil {
			t.Errorf("Replay: got %d, %v, want 1", n, err)
		}
	})
	if !t.Failed() {
		r.next(t)
	}
}

// Deleting a tenant includes an event that was being stored.
func TestDeleteTenantWhilePublishing(t *testing.T) {
	duringAPublishing(t, func(h *harness) {
		if d, err := h.DeleteTenant(t.Context(), "acme"); d.Events != 1 || err != nil {
			t.Errorf("DeleteTenant: got %+v, %v, want 1 event", d, err)
		}
	})
}
