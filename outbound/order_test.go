package outbound_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/postgres/pgtest"
)

// subscribeOrdered creates an ordered subscription and delivers a first event, which
// makes this node the subscription's owner. It returns when the other nodes know the
// subscription too.
func (h *harness) subscribeOrdered(r *receiver, others ...*harness) {
	h.t.Helper()
	s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}, Ordered: true})
	for _, o := range others {
		o.awaitSubscription(s.ID, true)
	}
	h.publish("a", "0")
	r.next(h.t)
	h.awaitSettled()
}

// expectInOrder receives the events 1 to n and checks their order, ignoring repeated
// attempts.
func (r *receiver) expectInOrder(t *testing.T, n int) {
	t.Helper()
	var got []string
	for len(got) < n {
		if body := string(r.next(t).body); !slices.Contains(got, body) {
			got = append(got, body)
		}
	}
	for i, body := range got {
		if body != fmt.Sprint(i+1) {
			t.Fatalf("from event %d on, got the order %.20q", i+1, got[i:])
		}
	}
}

// Events of one publisher that alternates between nodes are delivered in the order in
// which they were published, although the nodes' clocks differ.
func TestOrderWhenClocksDiffer(t *testing.T) {
	nodes := startNodesAhead(t, 0, 3*time.Second, -3*time.Second)
	r := newReceiver(t)
	s := nodes[0].subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}, Ordered: true})
	for _, h := range nodes {
		h.awaitSubscription(s.ID, true)
	}
	n := 0
	turns := func(rounds int) {
		for range rounds {
			for _, h := range nodes {
				n++
				h.publish("a", fmt.Sprint(n))
			}
		}
	}
	unblock := r.block(t, 200)
	turns(20) // the first delivery is in flight
	unblock()
	for _, h := range nodes {
		h.clock.advance(7 * time.Second)
	}
	r.expectInOrder(t, n)
	nodes[0].awaitSettled()
}

// An event that the engine publishes while it starts is delivered after those that
// were pending before.
func TestOrderOfWhatIsPublishedAtTheStart(t *testing.T) {
	h := open(t, retries(time.Hour))
	h.stop()
	r := newReceiver(t)
	r.respond(status(http.StatusServiceUnavailable))
	h.settings.Subscriptions = []outbound.SubscriptionSpec{
		{Name: "ops", URL: r.URL, EventTypes: []string{"webhooks.*"}, Ordered: true},
		{Name: "one", URL: r.URL, EventTypes: []string{"b"}},
		{Name: "two", URL: r.URL, EventTypes: []string{"b"}},
	}
	h.start()
	must.Get(h.Deactivate(t.Context(), "sub_one", outbound.ReasonByHand))(t)
	r.next(t)
	h.awaitAttempt()
	h.stop()
	r.respond(nil)
	h.settings.Subscriptions = h.settings.Subscriptions[:2] // so sub_two is deactivated, which publishes an event
	h.start()
	if first, second := r.next(t), r.next(t); !strings.Contains(string(first.body), "sub_one") || !strings.Contains(string(second.body), "sub_two") {
		t.Errorf("got %s, then %s, want the event of sub_one first", first.body, second.body)
	}
}

// If the database is unreachable for longer than a node's lease, the node loses the
// deliveries that it holds. They are delivered before any that it claims later.
func TestOrderWhenTheServerWasAway(t *testing.T) {
	nodes, dsn := startNodesLeased(t, 1, lease)
	h, r := nodes[0], newReceiver(t)
	h.subscribeOrdered(r)
	unblock := r.block(t, http.StatusOK)
	for n := range 4 {
		h.publish("a", fmt.Sprint(n+1))
	}
	must.Eventually(t, "the other deliveries to be ready", func() bool { return h.sub().Ready == 3 })
	u := must.Get(url.Parse(dsn))(t)
	name, admin := strings.TrimPrefix(u.Path, "/"), os.Getenv(pgtest.Variable)
	pgtest.Execute(t, admin, `ALTER DATABASE `+name+` ALLOW_CONNECTIONS false`)
	pgtest.Execute(t, admin, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '`+name+`'`)
	time.Sleep(3 * lease) // the length of the outage
	pgtest.Execute(t, admin, `ALTER DATABASE `+name+` ALLOW_CONNECTIONS true`)
	unblock()
	must.Eventually(t, "the database to accept events", func() bool {
		_, err := h.Publish(t.Context(), &outbound.NewEvent{Type: "a", Payload: []byte("5")})
		return err == nil
	})
	r.expectInOrder(t, 5)
}

// While a claim of a node that shuts down is still running, the next owner of the
// subscription doesn't claim later deliveries.
func TestOrderWhenANodeEndsDuringAClaim(t *testing.T) {
	nodes, dsn := startNodes(t, 2)
	a, b, r := nodes[0], nodes[1], newReceiver(t)
	a.subscribeOrdered(r, b)
	pgtest.Execute(t, dsn, `DO $do$ DECLARE o bigint; BEGIN
			SELECT owner INTO o FROM webhooks.subscription;
			EXECUTE format('CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
				$$ BEGIN IF NEW.holder = %s THEN PERFORM pg_sleep(1); END IF; RETURN NEW; END $$', o);
		END $do$;
		CREATE TRIGGER slow BEFORE UPDATE ON webhooks.delivery FOR EACH ROW EXECUTE FUNCTION slow()`)
	a.publish("a", "1")
	must.Eventually(t, "a running claim", func() bool { return pgtest.Sleeping(t, dsn) })
	b.publish("a", "2")
	drained := make(chan struct{})
	go func() { a.Drain(t.Context()); close(drained) }()
	r.expectInOrder(t, 2)
	<-drained
}

// While a node that has lost its session is still storing an outcome, the next owner
// of the subscription doesn't claim later deliveries.
func TestOrderWhenAnOutcomeIsLate(t *testing.T) {
	nodes, dsn := startNodesLeased(t, 2, lease, retries(20*time.Millisecond, 20*time.Millisecond))
	a, b, r := nodes[0], nodes[1], newReceiver(t)
	a.subscribeOrdered(r, b)
	unblock := r.block(t, http.StatusServiceUnavailable)
	a.publish("a", "1")
	r.next(t) // the attempt is in flight
	pgtest.Execute(t, dsn, `CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(1); RETURN NEW; END $$;
		CREATE TRIGGER slow BEFORE UPDATE ON webhooks.delivery FOR EACH ROW
			WHEN (OLD.attempts = 0 AND NEW.attempts = 1 AND OLD.holder IS NULL) EXECUTE FUNCTION slow()`)
	pgtest.Execute(t, dsn, `UPDATE webhooks.node SET session = NULL WHERE session = (SELECT owner FROM webhooks.subscription);
		UPDATE webhooks.delivery SET holder = NULL;
		UPDATE webhooks.subscription SET owner = (SELECT session FROM webhooks.node WHERE session IS NOT NULL)`)
	unblock()
	must.Eventually(t, "the outcome being stored, or the next owner's attempt", func() bool {
		return pgtest.Sleeping(t, dsn) || len(r.arrivals) > 0
	})
	r.respond(nil)
	b.publish("a", "2")
	r.expectInOrder(t, 2)
}

// A node whose delivery another one has taken over attempts none of those that come after
// it, which are the other's, too.
func TestOrderWhenADeliveryIsTakenOver(t *testing.T) {
	nodes, dsn := startNodesLeased(t, 2, time.Minute) // long enough for the other one not to notice that it never claimed them
	a, b, r := nodes[0], nodes[1], newReceiver(t)
	a.subscribeOrdered(r, b)
	unblock := r.block(t, http.StatusOK)
	for n := range 3 {
		a.publish("a", fmt.Sprint(n+1))
	}
	r.next(t)
	must.Eventually(t, "the other deliveries to be ready", func() bool { return a.sub().Ready == 2 })
	pgtest.Execute(t, dsn, `UPDATE webhooks.delivery SET holder = (SELECT session FROM webhooks.node WHERE session <> holder);
		UPDATE webhooks.subscription SET owner = (SELECT session FROM webhooks.node WHERE session <> owner)`)
	unblock()
	must.Eventually(t, "the lane to be empty", func() bool { return a.sub().InFlight+a.sub().Ready == 0 })
	r.expectNone(t)
}

// Cancelling the first delivery of an ordered subscription, which waits for a retry,
// makes a dead letter of it and lets the ones behind it go.
func TestCancelTheFirstInOrder(t *testing.T) {
	h := open(t, retries(time.Hour, time.Hour))
	r := newReceiver(t)
	r.respond(status(http.StatusUnprocessableEntity))
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}, Ordered: true})
	ops := newReceiver(t)
	h.subscribe(outbound.SubscriptionSpec{URL: ops.URL, EventTypes: []string{outbound.DeliveryDead}})
	for _, n := range []string{"1", "2", "3"} {
		h.publish("a", n)
	}
	id := h.awaitAttemptEnd().Delivery.With(store.DeliveryPrefix)
	r.respond(nil)
	got, err := h.Cancel(t.Context(), id)
	if err != nil || got.State != store.Dead || got.Reason != outbound.ReasonCancelled || got.Attempts != 1 {
		t.Fatalf("Cancel: got %+v, %v, want a cancelled dead letter with 1 attempt", got, err)
	}
	r.expectInOrder(t, 3)
	if body := string(ops.next(t).body); !strings.Contains(body, id) || !strings.Contains(body, outbound.ReasonCancelled) {
		t.Errorf("got the event %s, want the id %s and the reason %s in it", body, id, outbound.ReasonCancelled)
	}
	if _, err := h.Cancel(t.Context(), id); !errors.Is(err, outbound.ErrConflict) {
		t.Errorf("second Cancel: got %v, want %v", err, outbound.ErrConflict)
	}
	if _, err := h.Redeliver(t.Context(), id); err != nil {
		t.Errorf("Redeliver of the cancelled delivery: %v", err)
	}
	r.next(t)
}

// What comes after a cancelled delivery is attempted by its own schedule.
func TestScheduleOfWhatComesAfterACancelledDelivery(t *testing.T) {
	h, r := open(t, retries(time.Hour, 5*time.Hour)), newReceiver(t)
	r.respond(status(http.StatusUnprocessableEntity))
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}, Ordered: true})
	h.publish("a", "1")
	h.publish("a", "2")
	first := h.awaitAttemptEnd()
	h.clock.advance(30 * time.Minute)
	must.Get(h.Cancel(t.Context(), first.Delivery.With(store.DeliveryPrefix)))(t)
	if d := h.awaitAttempt(); d.Delivery == first.Delivery || d.Due.Sub(h.clock.Now()) < 50*time.Minute {
		t.Errorf("got an attempt at %v with a retry in %v, want one at the second delivery with a retry in an hour", d.Delivery, d.Due.Sub(h.clock.Now()))
	}
}

// On a subscription that isn't ordered, cancelling doesn't end the pause of a receiver
// that is down, because the delivery held nothing up.
func TestCancelWithoutAnOrder(t *testing.T) {
	h, r, healthy := open(t, retries(time.Hour, time.Hour)), newReceiver(t), newReceiver(t)
	r.respond(status(http.StatusServiceUnavailable))
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}})
	var d *outbound.AttemptDone
	for range 10 {
		h.publish("a", `1`)
		r.next(t)
		d = h.awaitAttemptEnd()
	}
	must.Eventually(t, "the pause", func() bool { return h.sub().Health == outbound.HealthDown && !h.sub().PausedUntil.IsZero() })
	r.respond(nil)
	h.publish("a", `2`) // due at once, but for the pause
	must.Get(h.Cancel(t.Context(), d.Delivery.With(store.DeliveryPrefix)))(t)
	h.nudge(healthy)
	r.expectNone(t)
}

// A delivery whose attempt is in flight can't be cancelled; its outcome counts. One that its
// lane has, ready to be attempted, can.
func TestCancelDuringAnAttempt(t *testing.T) {
	h, r := open(t, retries(time.Hour), func(s *outbound.Settings) { s.EndpointConcurrency = 1 }), newReceiver(t)
	unblock := r.block(t, http.StatusOK)
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}})
	h.publish("a", `1`)
	r.next(t)
	first := onlyDelivery(t, h)
	if _, err := h.Cancel(t.Context(), first.ID.With(store.DeliveryPrefix)); !errors.Is(err, outbound.ErrConflict) {
		t.Errorf("Cancel: got %v, want %v", err, outbound.ErrConflict)
	}
	h.publish("a", `2`)
	second := must.Get(h.Deliveries(t.Context(), outbound.Query{After: first.ID, Limit: 1}))(t)[0]
	if got, err := h.Cancel(t.Context(), second.ID.With(store.DeliveryPrefix)); err != nil || got.State != store.Dead {
		t.Errorf("Cancel of what is ready: got %+v, %v, want a dead letter", got, err)
	}
	unblock()
	if d := h.awaitAttemptEnd(); d.State != store.Delivered {
		t.Errorf("got state %v, want %v", d.State, store.Delivered)
	}
}

// An attempt that fails after its subscription was deleted leaves a dead letter: in order,
// nothing else would make one of it.
func TestDeleteDuringAnAttemptInOrder(t *testing.T) {
	h := open(t, retries(time.Hour))
	r := newReceiver(t)
	unblock := r.block(t, http.StatusInternalServerError)
	s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}, Ordered: true})
	h.publish("a", `1`)
	r.next(t)
	must.Do(t, h.DeleteSubscription(t.Context(), s.ID))
	unblock()
	if d := h.awaitAttempt(); d.State != store.Dead || d.Reason != outbound.ReasonDeleted {
		t.Errorf("got %s with reason %q, want dead with %q", d.State, d.Reason, outbound.ReasonDeleted)
	}
}

// Redelivering in bulk keeps the order in which the events were published, also across
// the batches in which deliveries are queued.
func TestOrderOfRedeliveryInBulk(t *testing.T) {
	h, r := open(t, retries(time.Hour)), newReceiver(t)
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}, Ordered: true})
	const n = 450
	for i := range n {
		h.publish("a", fmt.Sprint(i+1))
	}
	r.expectInOrder(t, n)
	h.awaitSettled()
	if got, err := h.RedeliverDelivered(t.Context(), outbound.Query{EventType: "a"}); got != n || err != nil {
		t.Fatalf("RedeliverDelivered: got %d, %v, want %d", got, err, n)
	}
	r.expectInOrder(t, n)
	if got, err := h.RedeliverDead(t.Context(), outbound.Query{}); got != 0 || err != nil {
		t.Errorf("RedeliverDead: got %d, %v, want 0", got, err)
	}
}

// A failed delivery of an ordered subscription holds back the ones behind it until it
// succeeds.
func TestOrderedHoldsBackBehindAFailure(t *testing.T) {
	h := open(t, retries(time.Minute, time.Minute))
	r := newReceiver(t)
	r.respond(status(500))
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}, Ordered: true})
	for i := range 20 {
		h.publish("a", fmt.Sprint(i))
	}
	if got := string(r.next(t).body); got != "0" {
		t.Fatalf("first delivery: got payload %s, want 0", got)
	}
	h.awaitAttempt()
	must.Eventually(t, "the pause", func() bool {
		s := h.sub()
		return s.Health == outbound.HealthFailing && !s.PausedUntil.IsZero() && s.InFlight == 0
	})
	r.respond(nil)
	h.clock.advance(2 * time.Minute)
	for i := range 20 {
		if got := string(r.next(t).body); got != fmt.Sprint(i) {
			t.Fatalf("delivery %d: got payload %s, want %d", i, got, i)
		}
	}
}

// A delivery that holds back no others is retried, too.
func TestOrderedRetriesTheOnlyDelivery(t *testing.T) {
	h := open(t, retries(time.Minute))
	r := newReceiver(t)
	r.respond(status(500))
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}, Ordered: true})
	h.publish("a", `1`)
	r.next(t)
	h.awaitAttemptEnd()
	h.clock.advance(2 * time.Minute)
	r.next(t)
}
