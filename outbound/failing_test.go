package outbound_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// failing is a real store that can be made to fail or hang.
type failing struct {
	store.Store
	with    atomic.Pointer[error] // what Commit, Bury, Requeue, Replay and Backlogs fail with
	refused chan struct{}         // signals that one of them has failed

	full  atomic.Bool // Commit has room for outcomes only
	after atomic.Bool // the next Commit of both events and outcomes fails although it has stored them
	claim atomic.Bool // the next Claim fails
	queue atomic.Bool // the next Requeue fails

	cancel context.CancelFunc // called when an event type is stored

	hangs chan struct{} // Release and Commit with outcomes block until it is closed; nil if they don't
	hung  chan struct{} // signals that one of them blocks
}

// hang blocks while the store hangs.
func (f *failing) hang() {
	if f.hangs == nil {
		return
	}
	select {
	case f.hung <- struct{}{}:
	default:
	}
	<-f.hangs
}

func (f *failing) Release(ctx context.Context, ids []store.ID) error {
	f.hang()
	return f.Store.Release(ctx, ids)
}

func (f *failing) PutEventType(ctx context.Context, t store.EventType) error {
	err := f.Store.PutEventType(ctx, t)
	if f.cancel != nil {
		f.cancel()
	}
	return err
}

// fail makes Commit, Bury, Requeue, Replay and Backlogs fail with err from now on, or
// succeed if it is nil.
func (f *failing) fail(err error) { f.with.Store(&err) }

// refuse returns the error that a call fails with, nil if it doesn't.
func (f *failing) refuse() error {
	err := f.with.Load()
	if err == nil || *err == nil {
		return nil
	}
	select {
	case f.refused <- struct{}{}:
	default:
	}
	return *err
}

func (f *failing) Claim(ctx context.Context, now time.Time, maxBytes int, want []store.Want) ([]store.Claimed, error) {
	if f.claim.CompareAndSwap(true, false) {
		return nil, store.ErrUnavailable
	}
	return f.Store.Claim(ctx, now, maxBytes, want)
}

func (f *failing) Requeue(ctx context.Context, q store.Query, now time.Time) (store.Changed, error) {
	err := f.refuse()
	if err == nil && f.queue.CompareAndSwap(true, false) {
		err = store.ErrUnavailable
	}
	if err != nil {
		return store.Changed{}, err
	}
	return f.Store.Requeue(ctx, q, now)
}

func (f *failing) Replay(ctx context.Context, r store.Replay) (int, error) {
	if err := f.refuse(); err != nil {
		return 0, err
	}
	return f.Store.Replay(ctx, r)
}

func (f *failing) Backlogs(ctx context.Context) ([]store.Backlog, error) {
	if err := f.refuse(); err != nil {
		return nil, err
	}
	return f.Store.Backlogs(ctx)
}

func (f *failing) Bury(ctx context.Context, b store.Burial) ([]*store.Record, error) {
	if err := f.refuse(); err != nil {
		return nil, err
	}
	return f.Store.Bury(ctx, b)
}

func (f *failing) Full() bool { return f.full.Load() }

func (f *failing) Commit(ctx context.Context, b *store.Batch) error {
	if err := f.refuse(); err != nil {
		return err
	}
	if len(b.Settlements) > 0 {
		f.hang()
	}
	if f.full.Load() && len(b.Publications) > 0 {
		return store.ErrFull
	}
	err := f.Store.Commit(ctx, b)
	if err == nil && len(b.Publications) > 0 && len(b.Settlements) > 0 && f.after.CompareAndSwap(true, false) {
		return store.ErrUnavailable
	}
	return err
}

// openFailing is open with a store that can fail.
func openFailing(t *testing.T, set ...setting) (*harness, *failing) {
	t.Helper()
	f := &failing{refused: make(chan struct{}, 1)}
	return f.open(t, set...), f
}

// open is openFailing for a store that fails from the start.
func (f *failing) open(t *testing.T, set ...setting) *harness {
	t.Helper()
	h := open(t, set...)
	h.stop()
	st := must.Get(h.openStore(h.settings.Logger))(t)
	f.Store = st
	h.store = st
	h.Engine = must.Get(outbound.Open(t.Context(), f, h.settings, outbound.WithClock(h.clock)))(t)
	return h
}

// run advances the clock continuously until stop is called.
func (c *clock) run(t *testing.T) (stop func()) {
	t.Helper()
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
				c.advance(100 * time.Millisecond)
			}
		}
	}()
	return func() { close(done); <-ended }
}

// within fails the test if f doesn't return.
func within(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { f(); close(done) }()
	must.Receive(t, done, what)
}

// Closing and draining end although the store fails, and an outcome that isn't stored
// isn't reported.
func TestEndsWhileTheStoreFails(t *testing.T) {
	for _, c := range []struct {
		name    string
		ordered bool
		end     func(*harness)
	}{
		{"close", false, (*harness).stop},
		{"close with an ordered subscription", true, (*harness).stop},
		{"drain with an ordered subscription", true, func(h *harness) {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			h.Drain(ctx)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, f := openFailing(t)
			r := newReceiver(t)
			answer := r.block(t, http.StatusOK)
			h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}, Ordered: c.ordered})
			h.publish("order.created", `{}`)
			r.next(t)
			f.fail(store.ErrFull)
			answer()
			must.Receive(t, f.refused, "a refused outcome")
			within(t, "the end", func() { c.end(h) })
			if n := len(h.attempts); n != 0 {
				t.Errorf("got %d outcomes reported, want 0, since none is stored", n)
			}
		})
	}
}

// Redeliver returns an error if the store can't queue the delivery.
func TestRedeliverWhileTheStoreFails(t *testing.T) {
	h, f := openFailing(t)
	r := newReceiver(t)
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	h.publish("a", `1`)
	id := h.awaitAttempt().Delivery.With(store.DeliveryPrefix)
	f.fail(store.ErrUnavailable)
	if again, err := h.Redeliver(t.Context(), id); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Redeliver: got %+v, %v, want %v", again, err, store.ErrUnavailable)
	}
}

// An engine doesn't start if it can't read what waits in the store: nobody would look
// for it later.
func TestNoStartWithoutTheBacklog(t *testing.T) {
	h, f := openFailing(t)
	h.Close()
	f.fail(store.ErrUnavailable)
	e, err := outbound.Open(t.Context(), f, h.settings)
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Open: got %v, want %v", err, store.ErrUnavailable)
	}
	if err == nil {
		e.Close()
	}
}

// After a claim that failed the engine claims again, so that what is due isn't forgotten.
func TestAClaimThatFailsIsMadeAgain(t *testing.T) {
	h, f := openFailing(t)
	r := newReceiver(t)
	s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	must.Get(h.Deactivate(t.Context(), s.ID, ""))(t)
	h.publish("order.created", `{}`)
	f.claim.Store(true)
	must.Get(h.Activate(t.Context(), s.ID))(t)
	must.Eventually(t, "the timer for the next claim", func() bool { return h.clock.hasTimer(time.Second) })
	h.clock.advance(time.Second)
	r.next(t)
}

// A drain ends with its context although the store hangs.
func TestDrainWhileTheStoreHangs(t *testing.T) {
	for _, c := range []struct{ brokenOff, ordered bool }{{false, false}, {false, true}, {true, false}, {true, true}} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			h, f := openFailing(t)
			f.hangs, f.hung = make(chan struct{}), make(chan struct{}, 1)
			t.Cleanup(func() { close(f.hangs) })
			r := newReceiver(t)
			if c.brokenOff {
				r.respond(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
			}
			h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}, Ordered: c.ordered})
			h.publish("a", `1`)
			r.next(t)
			hangs := func() { must.Receive(t, f.hung, "a call that hangs") }
			if !c.brokenOff {
				hangs()
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			within(t, "the end of the drain", func() { h.Drain(ctx) })
			if c.brokenOff {
				hangs()
			}
		})
	}
}

// While many outcomes are queued for a store that fails, Publish fails at once instead of
// blocking. The outcomes are stored once the store works again.
func TestEventsAreRefusedWhileOutcomesWait(t *testing.T) {
	const events = 1200 // more than one commit takes
	h, f := openFailing(t)
	r := newReceiver(t)
	s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"order.*"}})
	must.Get(h.Deactivate(t.Context(), s.ID, outbound.ReasonByHand))(t)
	batch := make([]*outbound.NewEvent, events)
	for i := range batch {
		batch[i] = &outbound.NewEvent{Type: "order.created", Payload: []byte(`{}`)}
	}
	for _, a := range h.PublishAll(t.Context(), batch) {
		if a.Err != nil {
			t.Fatal(a.Err)
		}
	}
	f.fail(store.ErrFull)
	stop := h.clock.run(t)
	defer stop()
	must.Get(h.Activate(t.Context(), s.ID))(t)
	for range events {
		r.next(t)
	}
	within(t, "the refusal", func() {
		for range 3 {
			if _, err := h.Publish(t.Context(), &outbound.NewEvent{Type: "order.created", Payload: []byte(`{}`)}); !errors.Is(err, store.ErrFull) {
				t.Errorf("Publish: got %v, want %v", err, store.ErrFull)
			}
		}
	})
	f.fail(nil)
	for i := range events {
		if d := must.Receive(t, h.attempts, "outcome"); d.State != store.Delivered {
			t.Fatalf("outcome %d: got state %v, want %v", i, d.State, store.Delivered)
		}
	}
}

// A delivery that was redelivered during an attempt is attempted again although the store
// fails to queue it once the attempt has ended.
func TestRedeliveredDuringAnAttemptWhileTheStoreFails(t *testing.T) {
	h, f := openFailing(t)
	r := newReceiver(t)
	answer := r.block(t, http.StatusOK)
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	h.publish("a", "1")
	r.next(t)
	d := must.Get(h.Deliveries(t.Context(), outbound.Query{Limit: 1}))(t)[0]
	must.Get(h.Redeliver(t.Context(), d.ID.With(store.DeliveryPrefix)))(t)
	f.queue.Store(true)
	answer()
	if d := h.awaitAttempt(); d.State != store.Delivered {
		t.Fatalf("got state %v, want %v", d.State, store.Delivered)
	}
	r.respond(nil)
	defer h.clock.run(t)()
	r.next(t)
}

// If an outcome that demands a retry is stored after its subscription was deleted, the
// delivery becomes a dead letter instead of staying pending for ever.
func TestDeletedWhileAnOutcomeWaits(t *testing.T) {
	h, f := openFailing(t)
	r := newReceiver(t)
	answer := r.block(t, http.StatusInternalServerError)
	s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	p := h.publish("order.created", `{}`)
	f.fail(store.ErrFull)
	answer()
	must.Receive(t, f.refused, "a refused outcome")
	must.Eventually(t, "the pause before the next try", func() bool { return h.clock.hasTimer(250 * time.Millisecond) })
	must.Do(t, h.DeleteSubscription(t.Context(), s.ID))
	defer h.clock.run(t)()
	f.fail(nil)
	if d := h.awaitAttempt(); d.State != store.Pending {
		t.Fatalf("got state %v, want %v, for a retry", d.State, store.Pending)
	}
	must.Eventually(t, "the dead letter", func() bool {
		ds, err := h.Deliveries(t.Context(), outbound.Query{EventID: p.EventID, Limit: 1})
		return err == nil && len(ds) == 1 && ds[0].State == store.Dead && ds[0].Reason == outbound.ReasonDeleted
	})
}

// Storing outcomes is retried often during an outage of the store, but only some of the
// failures are logged, and the end.
func TestAnOutageIsNotTheWholeLog(t *testing.T) {
	var log journal
	h, f := openFailing(t, retries(), logTo(&log))
	defer h.clock.run(t)()
	r := newReceiver(t)
	r.respond(func(w http.ResponseWriter, _ *http.Request) { f.fail(store.ErrUnavailable) })
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	h.publish("a", "1")
	const failures = 20
	for range failures {
		<-f.refused
	}
	f.fail(nil)
	if d := h.awaitAttempt(); d.State != store.Delivered {
		t.Errorf("got state %v, want %v", d.State, store.Delivered)
	}
	if n := log.count("storing the outcomes of attempts; trying again"); n == 0 || n >= failures {
		t.Errorf("got %d log lines, want at least 1 and fewer than %d", n, failures)
	}
	const end = "the outcomes of attempts are stored again"
	must.Eventually(t, "the log line about the end", func() bool { return log.count(end) == 1 })
	r.respond(status(http.StatusOK))
	for range 2 {
		h.publish("b", "2")
		h.awaitAttempt()
	}
	if n := log.count(end); n != 1 {
		t.Errorf("after more events: got %d log lines about the end, want 1", n)
	}
}

// An operation that fails is logged although another one failed, and was logged, just
// before.
func TestOneOutageHidesNoOther(t *testing.T) {
	var log journal
	h, f := openFailing(t, retries(), logTo(&log))
	defer h.clock.run(t)()
	r := newReceiver(t)
	s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	if _, err := h.Deactivate(t.Context(), s.ID, ""); err != nil {
		t.Fatal(err)
	}
	h.publish("a", "1")
	r.respond(func(http.ResponseWriter, *http.Request) { f.fail(store.ErrUnavailable) })
	f.claim.Store(true)
	if _, err := h.Activate(t.Context(), s.ID); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		must.Receive(t, f.refused, "a refused outcome")
	}
	f.fail(nil)
	h.awaitAttempt()
	for _, what := range []string{"claiming deliveries that are due", "storing the outcomes of attempts"} {
		if n := log.count(what + "; trying again"); n == 0 {
			t.Errorf("got no log line about %s, want one", what)
		}
	}
}

// The same holds for failures to make dead letters of a deleted subscription's
// deliveries.
func TestABurialThatFailsIsNotTheWholeLog(t *testing.T) {
	var log journal
	h, f := openFailing(t, retries(time.Hour), logTo(&log))
	defer h.clock.run(t)()
	r := newReceiver(t)
	r.respond(status(http.StatusInternalServerError))
	s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	h.publish("a", "1")
	h.awaitAttempt()
	f.fail(store.ErrUnavailable)
	must.Do(t, h.DeleteSubscription(t.Context(), s.ID))
	const failures = 20
	for range failures {
		<-f.refused
	}
	f.fail(nil)
	must.Receive(t, h.buried, "the dead letter")
	if n := log.count("making dead letters of a deleted subscription's deliveries; trying again"); n == 0 || n >= failures {
		t.Errorf("got %d log lines, want at least 1 and fewer than %d", n, failures)
	}
}
