package outbound_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/freeport"
	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/postgres/pgtest"
)

// lease is the lease in tests that wait for its end, or for what nodes do several times in
// it. A node that doesn't renew it in time loses the deliveries that it holds, as it
// should, and on a slow machine, that may happen at any time.
const lease = 600 * time.Millisecond

// longLease is the lease in all other tests.
const longLease = 3 * time.Second

// startNodes starts n engines on one Postgres store, and also returns its connection
// string.
func startNodes(t *testing.T, n int, set ...setting) (nodes []*harness, dsn string) {
	t.Helper()
	return startNodesLeased(t, n, longLease, set...)
}

// startNodesLeased is startNodes with another lease.
func startNodesLeased(t *testing.T, n int, lease time.Duration, set ...setting) (nodes []*harness, dsn string) {
	t.Helper()
	dsn = pgtest.Database(t)
	for range n {
		nodes = append(nodes, newHarness(t, postgresStore(dsn, lease), set...))
	}
	var all sync.WaitGroup
	for _, h := range nodes {
		all.Go(h.start)
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return nodes, dsn
}

// startNodesAhead starts nodes on one Postgres store, whose clocks are ahead by so much.
func startNodesAhead(t *testing.T, ahead ...time.Duration) (nodes []*harness) {
	dsn := pgtest.Database(t)
	for _, by := range ahead {
		h := newHarness(t, postgresStore(dsn, longLease))
		h.clock = newClock()
		h.clock.step(by)
		h.start()
		nodes = append(nodes, h)
	}
	return nodes
}

// awaitSubscription waits until this node has heard that a subscription exists, or
// that it no longer does.
func (h *harness) awaitSubscription(id string, exists bool) {
	h.t.Helper()
	must.Eventually(h.t, "the news of "+id, func() bool {
		_, err := h.Subscription(id)
		return errors.Is(err, outbound.ErrNotFound) != exists
	})
}

// awaitSettled waits until no delivery is pending.
func (h *harness) awaitSettled() {
	h.t.Helper()
	must.Eventually(h.t, "all deliveries to be settled", func() bool {
		s := must.Get(h.Status(h.t.Context()))(h.t)
		return s.Store.Pending == 0
	})
}

// Nodes that start at the same moment with the same configuration agree on its
// subscriptions, and on their generated secrets.
func TestNodesStartAtOnce(t *testing.T) {
	nodes, _ := startNodes(t, 4, func(s *outbound.Settings) {
		s.Subscriptions = []outbound.SubscriptionSpec{
			{Name: "one", URL: "http://127.0.0.1:9/", EventTypes: []string{"a"}},
			{Name: "two", URL: "http://127.0.0.1:9/", EventTypes: []string{"b"}},
		}
		s.EventTypes = []outbound.EventType{{Name: "a", Description: "An a"}}
	})
	secrets := map[string]bool{}
	for _, h := range nodes {
		for _, id := range []string{"sub_one", "sub_two"} {
			s := must.Get(h.Subscription(id))(t)
			secrets[s.Secrets[0].Value] = true
		}
	}
	if len(secrets) != 2 {
		t.Errorf("got %d secrets, want 2: one for each subscription, the same on all nodes", len(secrets))
	}
}

// A change to a subscription or an event type on one node soon takes effect on the
// others.
func TestNodesHearOfChanges(t *testing.T) {
	nodes, _ := startNodes(t, 2)
	a, b := nodes[0], nodes[1]
	r := newReceiver(t)
	s := a.subscribe(outbound.SubscriptionSpec{URL: r.URL + "/one", EventTypes: []string{"order.*"}})
	b.awaitSubscription(s.ID, true)
	b.publish("order.created", `1`)
	if got := r.next(t); got.path != "/one" {
		t.Errorf("got a delivery to %s, want /one", got.path)
	}
	b.update(s.ID, func(s *outbound.SubscriptionSpec) { s.URL = r.URL + "/two" })
	must.Eventually(t, "the new URL", func() bool {
		s, err := a.Subscription(s.ID)
		return err == nil && s.URL == r.URL+"/two"
	})
	a.publish("order.created", `2`)
	if got := r.next(t); got.path != "/two" {
		t.Errorf("got a delivery to %s, want /two", got.path)
	}
	must.Get(a.PutEventType(t.Context(), outbound.EventType{Name: "strict", Schema: []byte(`{"type":"object"}`)}))(t)
	must.Eventually(t, "the schema", func() bool {
		_, err := b.Publish(t.Context(), &outbound.NewEvent{Type: "strict", Payload: []byte(`3`)})
		return err != nil
	})
	a.awaitSettled()
	must.Do(t, a.DeleteSubscription(t.Context(), s.ID))
	b.awaitSubscription(s.ID, false)
	if p := b.publish("order.created", `4`); p.Deliveries != 0 {
		t.Errorf("got %d deliveries to the deleted subscription, want 0", p.Deliveries)
	}
}

// Redelivering through one node while another one attempts the delivery leads to one
// more attempt.
func TestRedeliverByAnotherNode(t *testing.T) {
	nodes, _ := startNodes(t, 2)
	a, b := nodes[0], nodes[1]
	r := newReceiver(t)
	unblock := r.block(t, http.StatusOK)
	s := a.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}})
	b.awaitSubscription(s.ID, true)
	a.publish("a", `1`)
	r.next(t)
	ds := must.Get(b.Deliveries(t.Context(), outbound.Query{Limit: 9}))(t)
	must.Get(b.Redeliver(t.Context(), ds[0].ID.With(store.DeliveryPrefix)))(t)
	unblock()
	r.next(t)
	a.awaitSettled()
	if d := onlyDelivery(t, a); d.State != store.Delivered || d.Attempts != 2 {
		t.Errorf("got state %s after %d attempts, want delivered after 2", d.State, d.Attempts)
	}
}

// A delivery is redelivered while its attempt is in flight, and the database fails just
// after that attempt's outcome was stored: there is one more attempt all the same.
func TestRedeliverDuringAnOutage(t *testing.T) {
	nodes, dsn := startNodes(t, 1)
	a := nodes[0]
	r := newReceiver(t)
	unblock := r.block(t, http.StatusOK)
	a.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}})
	a.publish("a", `1`)
	r.next(t)
	must.Get(a.Redeliver(t.Context(), onlyDelivery(t, a).ID.With(store.DeliveryPrefix)))(t)
	pgtest.Execute(t, dsn, `CREATE SEQUENCE outages`)
	pgtest.Execute(t, dsn, `CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF nextval('outages') = 1 THEN RAISE 'it is down' USING ERRCODE = 'admin_shutdown'; END IF;
		RETURN NEW; END $$`)
	pgtest.Execute(t, dsn, `CREATE TRIGGER fail BEFORE UPDATE ON webhooks.delivery FOR EACH ROW WHEN (OLD.state = 1 AND NEW.state = 0) EXECUTE FUNCTION fail()`)
	unblock()
	r.next(t)
	must.Eventually(t, "the second attempt's outcome", func() bool { return onlyDelivery(t, a).Attempts == 2 })
}

// onlyDelivery returns the single delivery in the store.
func onlyDelivery(t *testing.T, h *harness) *outbound.Record {
	t.Helper()
	ds, err := h.Deliveries(t.Context(), outbound.Query{Limit: 9})
	if err != nil || len(ds) != 1 {
		t.Fatalf("got %d deliveries, %v, want 1", len(ds), err)
	}
	return ds[0]
}

// An ordered subscription gets one delivery at a time, and each publisher's events in
// the order of publishing, although they are published through several nodes.
func TestOrderAcrossNodes(t *testing.T) {
	const events = 60
	nodes, _ := startNodes(t, 3)
	r := newReceiver(t)
	var running atomic.Int32
	unblocked := make(chan struct{})
	unblock := sync.OnceFunc(func() { close(unblocked) })
	t.Cleanup(unblock)
	r.respond(func(http.ResponseWriter, *http.Request) {
		if running.Add(1) > 1 {
			t.Error("two deliveries at once")
		}
		<-unblocked
		running.Add(-1)
	})
	other := newReceiver(t)
	s := nodes[0].subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}, Ordered: true})
	alike := nodes[0].subscribe(outbound.SubscriptionSpec{URL: other.URL, EventTypes: []string{"b"}, Ordered: true})
	var all sync.WaitGroup
	for i, h := range nodes {
		h.awaitSubscription(s.ID, true)
		h.awaitSubscription(alike.ID, true)
		all.Go(func() {
			for n := range events {
				h.publish("a", fmt.Sprintf(`%d`, i*events+n))
			}
		})
	}
	all.Wait()
	// These are claimed after the events above, so whatever could be delivered of those
	// has been.
	for _, h := range nodes {
		h.publish("b", `{}`)
		other.next(t)
	}
	unblock()
	last := make([]int, len(nodes))
	for range events * len(nodes) {
		var n int
		must.Get(fmt.Sscan(string(r.next(t).body), &n))(t)
		node := n / events
		if n%events < last[node] {
			t.Errorf("node %d: got event %d after event %d", node, n%events, last[node])
		}
		last[node] = n % events
	}
	nodes[0].awaitSettled()
	r.expectNone(t)
}

// When other nodes have ended a node's session because its lease ran out, what it held
// is attempted again, and the node itself carries on with a new session. Nothing is
// lost.
func TestNodeLosesItsLease(t *testing.T) {
	nodes, dsn := startNodesLeased(t, 2, lease)
	a, b := nodes[0], nodes[1]
	r := newReceiver(t)
	unblock := r.block(t, http.StatusOK)
	for path, ordered := range map[string]bool{"/free": false, "/ordered": true} {
		s := a.subscribe(outbound.SubscriptionSpec{URL: r.URL + path, EventTypes: []string{"a"}, Ordered: ordered})
		b.awaitSubscription(s.ID, true)
	}
	a.publish("a", `1`)
	first := map[string]bool{r.next(t).path: true, r.next(t).path: true}
	if len(first) != 2 {
		t.Fatalf("got deliveries to %v, want both subscriptions", first)
	}
	pgtest.Execute(t, dsn, `UPDATE webhooks.node SET session = NULL`)
	if again := r.next(t); string(again.body) != "1" {
		t.Errorf("got %s delivered to %s, want event 1 again", again.body, again.path)
	}
	unblock()
	a.awaitSettled()
	b.publish("a", `2`)
	a.publish("a", `3`)
	a.awaitSettled()
	arrived := map[string]bool{}
	for len(r.arrivals) > 0 {
		got := r.next(t)
		arrived[got.path+" "+string(got.body)] = true
	}
	for _, want := range []string{"/free 2", "/ordered 2", "/free 3", "/ordered 3"} {
		if !arrived[want] {
			t.Errorf("%s did not arrive", want)
		}
	}
}

// If another node has taken over a delivery in the meantime, the first node's final
// failure is neither stored nor reported: the delivery is still pending.
func TestLateDeathIsNotTold(t *testing.T) {
	nodes, dsn := startNodes(t, 2, retries())
	a, b := nodes[0], nodes[1]
	r, ops := newReceiver(t), newReceiver(t)
	late := make(chan int)
	r.respond(func(w http.ResponseWriter, req *http.Request) { w.WriteHeader(<-late) })
	s := a.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}})
	news := a.subscribe(outbound.SubscriptionSpec{URL: ops.URL, EventTypes: []string{"webhooks.*"}})
	b.awaitSubscription(s.ID, true)
	b.awaitSubscription(news.ID, true)
	a.publish("a", `1`)
	r.next(t)
	// Give the delivery to the other node, as if the lease had run out.
	pgtest.Execute(t, dsn, `UPDATE webhooks.delivery SET holder = (SELECT session FROM webhooks.node WHERE session <> holder LIMIT 1)`)
	late <- http.StatusInternalServerError
	a.Drain(t.Context()) // waits for the outcome
	d := onlyDelivery(t, a)
	if d.State != store.Pending || d.Attempts != 0 {
		t.Errorf("got state %s after %d attempts, want pending after 0", d.State, d.Attempts)
	}
	if len(a.attempts) > 0 || len(a.dead) > 0 {
		t.Errorf("got %d attempts and %d dead letters reported, want none", len(a.attempts), len(a.dead))
	}
	ops.expectNone(t)
}

// A subscription that is changed to ordered gets nothing more while an attempt is in
// flight on any node.
func TestMadeOrdered(t *testing.T) {
	nodes, _ := startNodes(t, 2)
	a, b := nodes[0], nodes[1]
	r := newReceiver(t)
	unblock := r.block(t, http.StatusOK)
	s := a.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}})
	b.awaitSubscription(s.ID, true)
	a.publish("a", `1`)
	r.next(t)
	b.update(s.ID, func(s *outbound.SubscriptionSpec) { s.Ordered = true })
	must.Eventually(t, "the change", func() bool {
		s, err := a.Subscription(s.ID)
		return err == nil && s.Ordered
	})
	b.publish("a", `2`)
	// Event 3 is claimed after event 2, so event 2 would have been delivered by now.
	other := newReceiver(t)
	b.subscribe(outbound.SubscriptionSpec{URL: other.URL, EventTypes: []string{"b"}, Ordered: true})
	b.publish("b", `3`)
	other.next(t)
	r.expectNone(t)
	unblock()
	if got := r.next(t); string(got.body) != "2" {
		t.Errorf("got event %s, want 2", got.body)
	}
}

// What several nodes have queued when a subscription is changed to ordered is sent in
// order, one at a time.
func TestMadeOrderedWithQueues(t *testing.T) {
	nodes, _ := startNodes(t, 2, func(s *outbound.Settings) { s.EndpointConcurrency = 1 })
	a, b := nodes[0], nodes[1]
	r, other := newReceiver(t), newReceiver(t)
	answer := make(chan struct{})
	t.Cleanup(func() { close(answer) })
	r.respond(func(http.ResponseWriter, *http.Request) { <-answer })
	s := a.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}})
	b.awaitSubscription(s.ID, true)
	b.awaitSubscription(a.subscribe(outbound.SubscriptionSpec{URL: other.URL, EventTypes: []string{"b"}, Ordered: true}).ID, true)
	for i, h := range []*harness{a, b, a, b} {
		h.publish("a", fmt.Sprint(i))
		if i < 2 {
			r.next(t) // the node's only attempt
		}
	}
	a.update(s.ID, func(s *outbound.SubscriptionSpec) { s.Ordered = true })
	must.Eventually(t, "the change", func() bool { return must.Get(b.Subscription(s.ID))(t).Ordered })
	answer <- struct{}{}
	answer <- struct{}{}
	a.awaitAttempt()
	b.awaitAttempt()
	for _, want := range []string{"2", "3"} {
		if got := r.next(t); string(got.body) != want {
			t.Errorf("got event %s, want %s", got.body, want)
		}
		for _, h := range nodes { // these come after whatever else could be sent
			h.publish("b", `{}`)
			other.next(t)
		}
		r.expectNone(t)
		answer <- struct{}{}
	}
}

// Every event that was accepted is delivered, although connections to the database
// break all the time, even while it answers a commit.
func TestConnectionsBreak(t *testing.T) {
	nodes, dsn := startNodesLeased(t, 2, lease, retries(time.Second, time.Second, time.Second, time.Second))
	r := newReceiver(t)
	s := nodes[0].subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}})
	var all sync.WaitGroup
	stop := make(chan struct{})
	accepted := make([][]string, len(nodes))
	for i, h := range nodes {
		h.awaitSubscription(s.ID, true)
		var mu sync.Mutex
		for range 4 {
			all.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					p, err := h.Publish(t.Context(), &outbound.NewEvent{Type: "a", Payload: []byte(`1`)})
					switch {
					case err == nil:
						mu.Lock()
						accepted[i] = append(accepted[i], p.EventID)
						mu.Unlock()
					case !errors.Is(err, outbound.ErrUnavailable):
						t.Errorf("Publish: got %v, want %v", err, outbound.ErrUnavailable)
						return
					}
				}
			})
		}
	}
	for range 30 {
		pgtest.Execute(t, dsn, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
		time.Sleep(20 * time.Millisecond) // so that there is load between two breaks
	}
	close(stop)
	all.Wait()
	nodes[0].awaitSettled()
	n := 0
	for _, ids := range accepted {
		for _, id := range ids {
			n++
			ds, err := nodes[0].Deliveries(t.Context(), outbound.Query{EventID: id, Limit: 9})
			if err != nil || len(ds) != 1 || ds[0].State != store.Delivered {
				t.Fatalf("event %s: got %d deliveries, %v, want 1 that is delivered", id, len(ds), err)
			}
		}
	}
	if n == 0 {
		t.Error("nothing was accepted")
	}
}

// When an operator asks one node for an attempt at an ordered subscription that
// another node owns, the owner makes it at once, although the first delivery waits for
// its retry.
func TestOwnerIsAsked(t *testing.T) {
	for what, ask := range map[string]func(b *harness, subscription string) error{
		"redeliver": func(b *harness, _ string) error {
			_, err := b.Redeliver(t.Context(), onlyDelivery(t, b).ID.With(store.DeliveryPrefix))
			return err
		},
		"activate": func(b *harness, subscription string) error {
			_, err := b.Activate(t.Context(), subscription)
			return err
		},
		"cancel": func(b *harness, _ string) error {
			first := onlyDelivery(t, b).ID.With(store.DeliveryPrefix)
			b.publish("a", `2`)
			_, err := b.Cancel(t.Context(), first)
			return err
		},
		"test": func(b *harness, subscription string) error {
			_, err := b.Test(t.Context(), subscription, &outbound.NewEvent{})
			return err
		},
	} {
		t.Run(what, func(t *testing.T) {
			nodes, _ := startNodes(t, 2, retries(time.Hour))
			a, b := nodes[0], nodes[1]
			r := newReceiver(t)
			r.respond(status(503))
			s := a.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}, Ordered: true})
			b.awaitSubscription(s.ID, true)
			a.publish("a", `1`)
			r.next(t)
			var other *harness
			must.Eventually(t, "the pause", func() bool { // on the node that has claimed it, which may be either
				for i, h := range nodes {
					s, err := h.Status(t.Context())
					if err == nil && time.Until(s.Subscriptions[0].PausedUntil) > time.Minute {
						other = nodes[1-i]
					}
				}
				return other != nil
			})
			r.respond(nil)
			must.Do(t, ask(other, s.ID))
			r.next(t)
			a.awaitSettled()
		})
	}
}

// A node that drains waits for its attempts in flight, and leaves everything else to
// the other nodes.
func TestDrainLeavesToOthers(t *testing.T) {
	nodes, _ := startNodes(t, 2)
	a, b := nodes[0], nodes[1]
	slow, r := newReceiver(t), newReceiver(t)
	unblock := slow.block(t, http.StatusOK)
	for _, spec := range []outbound.SubscriptionSpec{
		{URL: slow.URL, EventTypes: []string{"slow"}}, {URL: r.URL, EventTypes: []string{"a"}, Ordered: true},
	} {
		b.awaitSubscription(a.subscribe(spec).ID, true)
	}
	a.publish("a", `1`)
	r.next(t) // a owns the subscription now
	a.publish("slow", `2`)
	slow.next(t)
	drained := make(chan struct{})
	go func() { a.Drain(t.Context()); close(drained) }()
	must.Eventually(t, "the drain to begin", func() bool {
		s, err := a.Status(t.Context())
		return err == nil && s.Draining
	})
	for i, h := range []*harness{b, a, b, a} {
		h.publish("a", fmt.Sprint(i))
		if got := r.next(t); string(got.body) != fmt.Sprint(i) {
			t.Errorf("got event %s, want %d", got.body, i)
		}
	}
	select {
	case <-drained:
		t.Error("Drain returned before the slow attempt had ended")
	default:
	}
	unblock()
	<-drained
}

// A subscription is deleted and another one created with the same id: a node that
// hears of both at once has only the new one.
func TestRecreatedUnderItsID(t *testing.T) {
	nodes, dsn := startNodes(t, 2)
	a, b := nodes[0], nodes[1]
	s := a.subscribe(outbound.SubscriptionSpec{URL: "http://127.0.0.1:9/", EventTypes: []string{"a"}})
	b.awaitSubscription(s.ID, true)
	key := s.Key + 1
	pgtest.Execute(t, dsn, fmt.Sprintf(`BEGIN;
		CREATE TEMPORARY TABLE again ON COMMIT DROP AS SELECT * FROM webhooks.subscription WHERE key = %d;
		UPDATE webhooks.subscription SET deleted = key WHERE key = %[1]d;
		UPDATE again SET key = %d;
		INSERT INTO webhooks.subscription SELECT * FROM again;
		UPDATE webhooks.revision SET n = n + 1;
		COMMIT`, s.Key, key))
	for _, h := range nodes {
		must.Eventually(t, "the new subscription", func() bool {
			s, err := h.Subscription(s.ID)
			return err == nil && s.Key == key
		})
		if got := len(h.Subscriptions("", 0, 9)); got != 1 {
			t.Errorf("got %d subscriptions, want 1", got)
		}
	}
}

// Nodes that apply the same configuration at the same moment don't fail because
// another one has already deleted or created an event type.
func TestNodesLoseAnEventType(t *testing.T) {
	with := []outbound.EventType{{Name: "a"}, {Name: "b"}}
	nodes, _ := startNodes(t, 3, func(s *outbound.Settings) { s.EventTypes = with })
	for range 20 {
		for _, types := range [][]outbound.EventType{nil, with} {
			var all sync.WaitGroup
			for _, h := range nodes {
				all.Go(func() {
					h.settings.EventTypes = types
					if err := h.Apply(t.Context(), h.settings); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
		}
	}
}

// A receiver that one node can't reach but another one can isn't down: the time since
// when it fails, which the first node has stored, is cleared, and the subscription
// isn't deactivated.
func TestReceiverWorksForAnotherNode(t *testing.T) {
	nodes, _ := startNodesLeased(t, 2, lease, func(s *outbound.Settings) {
		s.Retry = make(outbound.Schedule, 99)
		for i := range s.Retry {
			s.Retry[i] = time.Millisecond
		}
		s.DisableAfter = outbound.DisableAfter{Failures: 20, For: 5 * time.Second} // long enough to hear of b's success on a slow machine
	})
	a, b := nodes[0], nodes[1]
	a.settings.Proxy = &url.URL{Scheme: "http", Host: freeport.Address()} // where nothing listens
	must.Do(t, a.Apply(t.Context(), a.settings))
	r := newReceiver(t)
	r.respond(status(503))
	s := a.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}})
	b.awaitSubscription(s.ID, true)
	row := func(h *harness) *outbound.Subscription {
		return must.Get(h.Subscription(s.ID))(t)
	}
	a.publish("a", `1`)
	must.Eventually(t, "the receiver to be stored as down", func() bool { return !row(b).FailingSince.IsZero() })
	r.respond(nil)
	failures := func() int {
		s := must.Get(a.Status(t.Context()))(t)
		return s.Subscriptions[0].Failures
	}
	// Fail on a more often and for longer than DisableAfter allows, while b delivers.
	until := time.Now().Add(a.settings.DisableAfter.For + 2*time.Second)
	must.Eventually(t, "enough failures", func() bool {
		a.publish("a", `2`)
		b.publish("a", `3`)
		return !row(a).Active || failures() >= 2*a.settings.DisableAfter.Failures && time.Now().After(until)
	})
	if s := row(a); !s.Active {
		t.Errorf("after %d failures, got an inactive subscription: %+v", failures(), s)
	}
}

// A node that has published that a subscription is failing also publishes its recovery,
// with the same failing_since, even if the receiver worked for another node first.
func TestRecoveredAfterAnotherNode(t *testing.T) {
	dsn := pgtest.Database(t)
	a, b := newHarness(t, postgresStore(dsn, longLease), retries(time.Hour)), newHarness(t, postgresStore(dsn, longLease))
	a.settings.DisableAfter = outbound.DisableAfter{Failures: 30, For: time.Hour}
	a.clock = newClock()
	b.clock = a.clock
	a.start()
	r := newReceiver(t)
	r.respond(status(500))
	s := a.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}})
	a.failTimes(14)
	a.clock.advance(31 * time.Minute)
	a.failTimes(1)
	failing := must.Receive(t, a.changes, "the event that it is failing")
	down := func() bool { return !a.sub().Subscription.FailingSince.IsZero() }
	must.Eventually(t, "FailingSince to be stored", down)

	a.settings.Proxy = &url.URL{Scheme: "http", Host: freeport.Address()} // where nothing listens
	apply := func() {
		must.Do(t, a.Apply(t.Context(), a.settings))
	}
	apply()
	r.respond(nil)
	b.start()
	b.awaitSubscription(s.ID, true)
	b.publish("a", `1`)
	must.Eventually(t, "the other node's success to clear FailingSince", func() bool { return !down() })

	a.settings.Proxy = nil
	apply()
	var f *outbound.OperationalEvent
	must.Eventually(t, "the event that it has recovered", func() bool {
		a.publish("a", `2`) // b may be the one that delivers it
		select {
		case f = <-a.changes:
			return true
		default:
			return false
		}
	})
	if f.Type != outbound.SubscriptionRecovered || f.Data["failing_since"] != failing.Data["failing_since"] {
		t.Errorf("got %+v, want %s with the failing_since of %+v", f, outbound.SubscriptionRecovered, failing)
	}
}
