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

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/postgres/pgtest"
)

// lease of the nodes in tests. It is no assertion about speed: a node that is
// slower than that loses what it holds, as it should.
const lease = 600 * time.Millisecond

// share makes houses that share a store, and returns its connection string too.
func share(t *testing.T, n int, set ...setting) (nodes []*house, dsn string) {
	t.Helper()
	dsn = pgtest.Database(t)
	for range n {
		nodes = append(nodes, newHouse(t, database(dsn, lease), set...))
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

// knows waits until a node knows a subscription, or no longer.
func (h *house) knows(id string, known bool) {
	h.t.Helper()
	h.eventually("news of "+id, func() bool {
		_, err := h.Subscription(id)
		return errors.Is(err, outbound.ErrNotFound) != known
	})
}

// settled waits until nothing is pending.
func (h *house) settled() {
	h.t.Helper()
	h.eventually("the last outcome", func() bool {
		s, err := h.Status(h.t.Context())
		if err != nil {
			h.t.Fatal(err)
		}
		return s.Store.Pending == 0
	})
}

func TestNodesStartAtOnce(t *testing.T) {
	nodes, _ := share(t, 4, func(s *outbound.Settings) {
		s.Subscriptions = []outbound.SubscriptionSpec{
			{Name: "one", URL: "http://127.0.0.1:9/", EventTypes: []string{"a"}},
			{Name: "two", URL: "http://127.0.0.1:9/", EventTypes: []string{"b"}},
		}
		s.EventTypes = []outbound.EventType{{Name: "a", Description: "An a"}}
	})
	secrets := map[string]bool{}
	for _, h := range nodes {
		for _, id := range []string{"sub_one", "sub_two"} {
			s, err := h.Subscription(id)
			if err != nil {
				t.Fatal(err)
			}
			secrets[s.Secrets[0].Value] = true
		}
	}
	if len(secrets) != 2 {
		t.Errorf("two subscriptions have %d secrets", len(secrets))
	}
}

func TestNodesHearOfChanges(t *testing.T) {
	nodes, _ := share(t, 2)
	a, b := nodes[0], nodes[1]
	r := newReceiver(t)
	s := a.subscribe(outbound.SubscriptionSpec{URL: r.URL + "/one", EventTypes: []string{"order.*"}})
	b.knows(s.ID, true)
	b.publish("order.created", `1`)
	if got := r.next(t); got.path != "/one" {
		t.Errorf("delivered to %s", got.path)
	}
	_, err := b.UpdateSubscription(t.Context(), s.ID, func(s *outbound.SubscriptionSpec) error {
		s.URL = r.URL + "/two"
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	a.eventually("the new URL", func() bool {
		s, err := a.Subscription(s.ID)
		return err == nil && s.URL == r.URL+"/two"
	})
	a.publish("order.created", `2`)
	if got := r.next(t); got.path != "/two" {
		t.Errorf("delivered to %s", got.path)
	}
	if _, err := a.PutEventType(t.Context(), outbound.EventType{Name: "strict", Schema: []byte(`{"type":"object"}`)}); err != nil {
		t.Fatal(err)
	}
	b.eventually("the schema", func() bool {
		_, err := b.Publish(t.Context(), &outbound.NewEvent{Type: "strict", Payload: []byte(`3`)})
		return err != nil
	})
	a.settled()
	if err := a.DeleteSubscription(t.Context(), s.ID); err != nil {
		t.Fatal(err)
	}
	b.knows(s.ID, false)
	if p := b.publish("order.created", `4`); p.Deliveries != 0 {
		t.Errorf("%d deliveries to a subscription that is gone", p.Deliveries)
	}
}

// A delivery that one node attempts is queued again by way of another: it is
// made once more.
func TestRedeliverByAnotherNode(t *testing.T) {
	nodes, _ := share(t, 2)
	a, b := nodes[0], nodes[1]
	r := newReceiver(t)
	goOn := r.waits(t, http.StatusOK)
	s := a.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}})
	b.knows(s.ID, true)
	a.publish("a", `1`)
	r.next(t)
	ds, err := b.Deliveries(t.Context(), outbound.Query{Limit: 9})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Redeliver(t.Context(), ds[0].ID.With(store.DeliveryPrefix)); err != nil {
		t.Fatal(err)
	}
	goOn()
	r.next(t)
	a.settled()
	if d := only(t, a); d.State != store.Delivered || d.Attempts != 2 {
		t.Errorf("%s after %d attempts", d.State, d.Attempts)
	}
}

// A delivery is queued again while its attempt is under way, and the server fails
// just when that one's outcome was stored: it is made once more all the same.
func TestRedeliverDuringAnOutage(t *testing.T) {
	nodes, dsn := share(t, 1)
	a := nodes[0]
	r := newReceiver(t)
	goOn := r.waits(t, http.StatusOK)
	a.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}})
	a.publish("a", `1`)
	r.next(t)
	if _, err := a.Redeliver(t.Context(), only(t, a).ID.With(store.DeliveryPrefix)); err != nil {
		t.Fatal(err)
	}
	pgtest.Execute(t, dsn, `CREATE SEQUENCE outages`)
	pgtest.Execute(t, dsn, `CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF nextval('outages') = 1 THEN RAISE 'it is down' USING ERRCODE = 'admin_shutdown'; END IF;
		RETURN NEW; END $$`)
	pgtest.Execute(t, dsn, `CREATE TRIGGER fail BEFORE UPDATE ON webhooks.delivery FOR EACH ROW WHEN (OLD.state = 1 AND NEW.state = 0) EXECUTE FUNCTION fail()`)
	goOn()
	r.next(t)
	a.eventually("the second attempt's outcome", func() bool { return only(t, a).Attempts == 2 })
}

func only(t *testing.T, h *house) *outbound.Record {
	t.Helper()
	ds, err := h.Deliveries(t.Context(), outbound.Query{Limit: 9})
	if err != nil || len(ds) != 1 {
		t.Fatalf("%d deliveries, %v", len(ds), err)
	}
	return ds[0]
}

// An ordered subscription gets one delivery at a time, and those of each
// publisher in the order of publishing, whichever node they come by.
func TestOrderAcrossNodes(t *testing.T) {
	const events = 60
	nodes, _ := share(t, 3)
	r := newReceiver(t)
	var running atomic.Int32
	there := make(chan struct{})
	goOn := sync.OnceFunc(func() { close(there) })
	t.Cleanup(goOn)
	r.answers(func(http.ResponseWriter, *http.Request) {
		if running.Add(1) > 1 {
			t.Error("two deliveries at once")
		}
		<-there
		running.Add(-1)
	})
	other := newReceiver(t)
	s := nodes[0].subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}, Ordered: true})
	alike := nodes[0].subscribe(outbound.SubscriptionSpec{URL: other.URL, EventTypes: []string{"b"}, Ordered: true})
	var all sync.WaitGroup
	for i, h := range nodes {
		h.knows(s.ID, true)
		h.knows(alike.ID, true)
		all.Go(func() {
			for n := range events {
				h.publish("a", fmt.Sprintf(`%d`, i*events+n))
			}
		})
	}
	all.Wait()
	// Whatever comes after it at a node has gone through a claim like it.
	for _, h := range nodes {
		h.publish("b", `{}`)
		other.next(t)
	}
	goOn()
	last := make([]int, len(nodes))
	for range events * len(nodes) {
		var n int
		if _, err := fmt.Sscan(string(r.next(t).body), &n); err != nil {
			t.Fatal(err)
		}
		node := n / events
		if n%events < last[node] {
			t.Errorf("node %d's event %d came after %d", node, n%events, last[node])
		}
		last[node] = n % events
	}
	nodes[0].settled()
	r.none(t)
}

// What a node held whose session others have ended is made again, and it goes on
// itself. Nothing is lost.
func TestNodeLosesItsLease(t *testing.T) {
	nodes, dsn := share(t, 2)
	a, b := nodes[0], nodes[1]
	r := newReceiver(t)
	goOn := r.waits(t, http.StatusOK)
	for path, ordered := range map[string]bool{"/free": false, "/ordered": true} {
		s := a.subscribe(outbound.SubscriptionSpec{URL: r.URL + path, EventTypes: []string{"a"}, Ordered: ordered})
		b.knows(s.ID, true)
	}
	a.publish("a", `1`)
	first := map[string]bool{r.next(t).path: true, r.next(t).path: true}
	if len(first) != 2 {
		t.Fatalf("delivered to %v", first)
	}
	pgtest.Execute(t, dsn, `UPDATE webhooks.node SET session = NULL`)
	if again := r.next(t); string(again.body) != "1" {
		t.Errorf("delivered again: %s to %s", again.body, again.path)
	}
	goOn()
	a.settled()
	b.publish("a", `2`)
	a.publish("a", `3`)
	a.settled()
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

// What a node makes of a delivery that another has taken meanwhile is told to
// nobody: that one goes on.
func TestLateDeathIsNotTold(t *testing.T) {
	nodes, dsn := share(t, 2, retries())
	a, b := nodes[0], nodes[1]
	r, ops := newReceiver(t), newReceiver(t)
	late := make(chan int)
	r.answers(func(w http.ResponseWriter, req *http.Request) { w.WriteHeader(<-late) })
	s := a.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}})
	news := a.subscribe(outbound.SubscriptionSpec{URL: ops.URL, EventTypes: []string{"webhooks.*"}})
	b.knows(s.ID, true)
	b.knows(news.ID, true)
	a.publish("a", `1`)
	r.next(t)
	// The lease of the one that attempts it is over.
	pgtest.Execute(t, dsn, `UPDATE webhooks.delivery SET holder = (SELECT session FROM webhooks.node WHERE session <> holder LIMIT 1)`)
	late <- http.StatusInternalServerError
	a.eventually("the end of the attempt", func() bool { return a.InFlight() == 0 })
	d := only(t, a)
	if d.State != store.Pending || d.Attempts != 0 {
		t.Errorf("it is %s after %d attempts", d.State, d.Attempts)
	}
	if len(a.attempts) > 0 || len(a.dead) > 0 {
		t.Error("it was told as dead")
	}
	ops.none(t)
}

// A subscription that is made ordered gets nothing more while something is under
// way to it, wherever that is.
func TestMadeOrdered(t *testing.T) {
	nodes, _ := share(t, 2)
	a, b := nodes[0], nodes[1]
	r := newReceiver(t)
	goOn := r.waits(t, http.StatusOK)
	s := a.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}})
	b.knows(s.ID, true)
	a.publish("a", `1`)
	r.next(t)
	if _, err := b.UpdateSubscription(t.Context(), s.ID, func(s *outbound.SubscriptionSpec) error { s.Ordered = true; return nil }); err != nil {
		t.Fatal(err)
	}
	a.eventually("the news", func() bool {
		s, err := a.Subscription(s.ID)
		return err == nil && s.Ordered
	})
	b.publish("a", `2`)
	// Whatever comes after it at b has gone through a claim like it.
	other := newReceiver(t)
	b.subscribe(outbound.SubscriptionSpec{URL: other.URL, EventTypes: []string{"b"}, Ordered: true})
	b.publish("b", `3`)
	other.next(t)
	r.none(t)
	goOn()
	if got := r.next(t); string(got.body) != "2" {
		t.Errorf("then came %s", got.body)
	}
}

// Connections break at any moment, and the server says neither yes nor no: what
// was accepted is delivered.
func TestConnectionsBreak(t *testing.T) {
	nodes, dsn := share(t, 2, retries(time.Second, time.Second, time.Second, time.Second))
	r := newReceiver(t)
	s := nodes[0].subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}})
	var all sync.WaitGroup
	stop := make(chan struct{})
	accepted := make([][]string, len(nodes))
	for i, h := range nodes {
		h.knows(s.ID, true)
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
						t.Errorf("publishing: %v", err)
						return
					}
				}
			})
		}
	}
	for range 30 {
		pgtest.Execute(t, dsn, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
		time.Sleep(20 * time.Millisecond) // of load, between two breaks
	}
	close(stop)
	all.Wait()
	nodes[0].settled()
	n := 0
	for _, ids := range accepted {
		for _, id := range ids {
			n++
			ds, err := nodes[0].Deliveries(t.Context(), outbound.Query{EventID: id, Limit: 9})
			if err != nil || len(ds) != 1 || ds[0].State != store.Delivered {
				t.Fatalf("the event %s has %d deliveries, %v", id, len(ds), err)
			}
		}
	}
	if n == 0 {
		t.Error("nothing was accepted")
	}
}

// Something is asked for by way of a node that may not deliver: the one that may
// tries the receiver at once, though its order waits.
func TestOwnerIsAsked(t *testing.T) {
	for what, ask := range map[string]func(b *house, subscription string) error{
		"a delivery again": func(b *house, _ string) error {
			_, err := b.Redeliver(t.Context(), only(t, b).ID.With(store.DeliveryPrefix))
			return err
		},
		"its activation": func(b *house, subscription string) error {
			_, err := b.Activate(t.Context(), subscription)
			return err
		},
		"a test": func(b *house, subscription string) error {
			_, err := b.Test(t.Context(), subscription, &outbound.NewEvent{})
			return err
		},
	} {
		t.Run(what, func(t *testing.T) {
			nodes, _ := share(t, 2, retries(time.Hour))
			a, b := nodes[0], nodes[1]
			r := newReceiver(t)
			r.answers(status(503))
			s := a.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}, Ordered: true})
			b.knows(s.ID, true)
			a.publish("a", `1`)
			r.next(t)
			var other *house
			a.eventually("the pause", func() bool { // of whichever of them was quicker to claim it
				for i, h := range nodes {
					s, err := h.Status(t.Context())
					if err == nil && time.Until(s.Subscriptions[0].PausedUntil) > time.Minute {
						other = nodes[1-i]
					}
				}
				return other != nil
			})
			r.answers(nil)
			if err := ask(other, s.ID); err != nil {
				t.Fatal(err)
			}
			r.next(t)
			a.settled()
		})
	}
}

// A node that waits for its last attempts leaves everything else to the others.
func TestDrainLeavesToOthers(t *testing.T) {
	nodes, _ := share(t, 2)
	a, b := nodes[0], nodes[1]
	slow, r := newReceiver(t), newReceiver(t)
	goOn := slow.waits(t, http.StatusOK)
	for _, spec := range []outbound.SubscriptionSpec{
		{URL: slow.URL, EventTypes: []string{"slow"}}, {URL: r.URL, EventTypes: []string{"a"}, Ordered: true},
	} {
		b.knows(a.subscribe(spec).ID, true)
	}
	a.publish("a", `1`)
	r.next(t) // a owns it now
	a.publish("slow", `2`)
	slow.next(t)
	drained := make(chan struct{})
	go func() { a.Drain(t.Context()); close(drained) }()
	a.eventually("the beginning of the end", func() bool {
		s, err := a.Status(t.Context())
		return err == nil && s.Draining
	})
	for i, h := range []*house{b, a, b, a} {
		h.publish("a", fmt.Sprint(i))
		if got := r.next(t); string(got.body) != fmt.Sprint(i) {
			t.Errorf("then came %s", got.body)
		}
	}
	select {
	case <-drained:
		t.Error("the slow attempt was not waited for")
	default:
	}
	goOn()
	<-drained
}

// A subscription is deleted and another one made with its id, and a node hears of
// both at once.
func TestRecreatedUnderItsID(t *testing.T) {
	nodes, dsn := share(t, 2)
	a, b := nodes[0], nodes[1]
	s := a.subscribe(outbound.SubscriptionSpec{URL: "http://127.0.0.1:9/", EventTypes: []string{"a"}})
	b.knows(s.ID, true)
	key := s.Key + 1
	pgtest.Execute(t, dsn, fmt.Sprintf(`BEGIN;
		CREATE TEMPORARY TABLE again ON COMMIT DROP AS SELECT * FROM webhooks.subscription WHERE key = %d;
		UPDATE webhooks.subscription SET deleted = key WHERE key = %[1]d;
		UPDATE again SET key = %d;
		INSERT INTO webhooks.subscription SELECT * FROM again;
		UPDATE webhooks.revision SET n = n + 1;
		COMMIT`, s.Key, key))
	for _, h := range nodes {
		h.eventually("the other one", func() bool {
			s, err := h.Subscription(s.ID)
			return err == nil && s.Key == key
		})
		if got := len(h.Subscriptions("", 0, 9)); got != 1 {
			t.Errorf("there are %d subscriptions", got)
		}
	}
}

// All nodes get a configuration without an event type at once: one of them
// deletes it.
func TestNodesLoseAnEventType(t *testing.T) {
	with := []outbound.EventType{{Name: "a"}, {Name: "b"}}
	nodes, _ := share(t, 3, func(s *outbound.Settings) { s.EventTypes = with })
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

// A receiver that one node can't reach and another one can isn't down: what the
// first has put down goes, and the subscription isn't deactivated.
func TestReceiverWorksForAnotherNode(t *testing.T) {
	nodes, _ := share(t, 2, func(s *outbound.Settings) {
		s.Retry = make(outbound.Schedule, 99)
		for i := range s.Retry {
			s.Retry[i] = time.Millisecond
		}
		s.DisableAfter = outbound.DisableAfter{Failures: 20, For: 2 * time.Second}
	})
	a, b := nodes[0], nodes[1]
	closed := newReceiver(t)
	closed.Close()
	proxy, err := url.Parse(closed.URL)
	if err != nil {
		t.Fatal(err)
	}
	a.settings.Proxy = proxy
	if err := a.Apply(t.Context(), a.settings); err != nil {
		t.Fatal(err)
	}
	r := newReceiver(t)
	r.answers(status(503))
	s := a.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}})
	b.knows(s.ID, true)
	row := func(h *house) *outbound.Subscription {
		s, err := h.Subscription(s.ID)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	a.publish("a", `1`)
	b.eventually("that it is down", func() bool { return !row(b).FailingSince.IsZero() })
	r.answers(nil)
	failures := func() int {
		s, err := a.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return s.Subscriptions[0].Failures
	}
	// For longer than it may fail and more often, while b delivers.
	until := time.Now().Add(2*a.settings.DisableAfter.For + time.Second)
	a.eventually("enough failures", func() bool {
		a.publish("a", `2`)
		b.publish("a", `3`)
		return !row(a).Active || failures() >= 2*a.settings.DisableAfter.Failures && time.Now().After(until)
	})
	if s := row(a); !s.Active {
		t.Errorf("after %d failures it is %+v", failures(), s)
	}
}

// Whoever was told that a receiver fails for one node is told since when, also where
// another node was the first for which it worked again.
func TestRecoveredAfterAnotherNode(t *testing.T) {
	dsn := pgtest.Database(t)
	a, b := newHouse(t, database(dsn, lease), retries(time.Hour)), newHouse(t, database(dsn, lease))
	a.settings.DisableAfter = outbound.DisableAfter{Failures: 30, For: time.Hour}
	a.clock = newClock()
	b.clock = a.clock
	a.start()
	r := newReceiver(t)
	r.answers(status(500))
	s := a.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}})
	a.fails(14)
	a.clock.advance(31 * time.Minute)
	a.fails(1)
	failing := receive(t, a.changes, "the word that it fails")
	down := func() bool { return !a.sub().Subscription.FailingSince.IsZero() }
	a.eventually("the store to know", down)

	closed := newReceiver(t)
	closed.Close()
	proxy, err := url.Parse(closed.URL)
	if err != nil {
		t.Fatal(err)
	}
	a.settings.Proxy = proxy
	apply := func() {
		if err := a.Apply(t.Context(), a.settings); err != nil {
			t.Fatal(err)
		}
	}
	apply()
	r.answers(nil)
	b.start()
	b.knows(s.ID, true)
	b.publish("a", `1`)
	a.eventually("that it works for the other", func() bool { return !down() })

	a.settings.Proxy = nil
	apply()
	var f *outbound.OperationalEvent
	a.eventually("the word that it works again", func() bool {
		a.publish("a", `2`) // which b may deliver, where a's lane is just being filled
		select {
		case f = <-a.changes:
			return true
		default:
			return false
		}
	})
	if f.Type != outbound.SubscriptionRecovered || f.Data["failing_since"] != failing.Data["failing_since"] {
		t.Errorf("told %+v after %+v", f, failing)
	}
}
