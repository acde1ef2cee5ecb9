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

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/postgres/pgtest"
)

// ordered makes a subscription that wants order, and publishes a first event by
// that node, which from then on is the one that delivers.
func (h *house) ordered(r *receiver, others ...*house) {
	h.t.Helper()
	s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}, Ordered: true})
	for _, o := range others {
		o.knows(s.ID, true)
	}
	h.publish("a", "0")
	r.next(h.t)
	h.settled()
}

// inOrder receives the events from 1 to n.
func (r *receiver) inOrder(t *testing.T, n int) {
	t.Helper()
	var got []string
	for len(got) < n {
		if body := string(r.next(t).body); !slices.Contains(got, body) {
			got = append(got, body)
		}
	}
	for i, body := range got {
		if body != fmt.Sprint(i+1) {
			t.Fatalf("they came as %.20q from the %d. on", got[i:], i+1)
		}
	}
}

// One publisher that takes turns between nodes whose clocks differ has its order.
func TestOrderWhenClocksDiffer(t *testing.T) {
	dsn := pgtest.Database(t)
	var nodes []*house
	for _, ahead := range []time.Duration{0, 3 * time.Second, -3 * time.Second} {
		h := newHouse(t, database(dsn, lease))
		h.clock = newClock()
		h.clock.set(ahead)
		h.start()
		nodes = append(nodes, h)
	}
	r := newReceiver(t)
	s := nodes[0].subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}, Ordered: true})
	for _, h := range nodes {
		h.knows(s.ID, true)
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
	goOn := r.waits(t, 200)
	turns(20) // the first is on its way
	goOn()
	for _, h := range nodes {
		h.clock.advance(7 * time.Second)
	}
	r.inOrder(t, n)
	nodes[0].settled()
}

// What is published while the engine opens comes behind what waits.
func TestOrderOfWhatIsPublishedAtTheStart(t *testing.T) {
	h := open(t, retries(time.Hour))
	h.shut()
	r := newReceiver(t)
	r.answers(status(http.StatusServiceUnavailable))
	h.settings.Subscriptions = []outbound.SubscriptionSpec{
		{Name: "ops", URL: r.URL, EventTypes: []string{"webhooks.*"}, Ordered: true},
		{Name: "one", URL: r.URL, EventTypes: []string{"b"}},
		{Name: "two", URL: r.URL, EventTypes: []string{"b"}},
	}
	h.start()
	if _, err := h.Deactivate(t.Context(), "sub_one", outbound.ReasonByHand); err != nil {
		t.Fatal(err)
	}
	r.next(t)
	h.attempt()
	h.shut()
	r.answers(nil)
	h.settings.Subscriptions = h.settings.Subscriptions[:2] // sub_two is deactivated, which is an event
	h.start()
	if first, second := r.next(t), r.next(t); !strings.Contains(string(first.body), "sub_one") || !strings.Contains(string(second.body), "sub_two") {
		t.Errorf("%s came before %s", first.body, second.body)
	}
}

// What a node has lost sight of, since the database was away for longer than its
// lease, comes before what it claims next.
func TestOrderWhenTheServerWasAway(t *testing.T) {
	nodes, dsn := share(t, 1)
	h, r := nodes[0], newReceiver(t)
	h.ordered(r)
	goOn := r.waits(t, http.StatusOK)
	for n := range 4 {
		h.publish("a", fmt.Sprint(n+1))
	}
	h.eventually("the rest in the lane", func() bool { return h.sub().Ready == 3 })
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	name, admin := strings.TrimPrefix(u.Path, "/"), os.Getenv(pgtest.Variable)
	pgtest.Execute(t, admin, `ALTER DATABASE `+name+` ALLOW_CONNECTIONS false`)
	pgtest.Execute(t, admin, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '`+name+`'`)
	time.Sleep(3 * lease) // it is away for
	pgtest.Execute(t, admin, `ALTER DATABASE `+name+` ALLOW_CONNECTIONS true`)
	goOn()
	h.eventually("a server that takes events", func() bool {
		_, err := h.Publish(t.Context(), &outbound.NewEvent{Type: "a", Payload: []byte("5")})
		return err == nil
	})
	r.inOrder(t, 5)
}

// A claim that is under way as its node ends isn't passed by the next owner's.
func TestOrderWhenANodeEndsDuringAClaim(t *testing.T) {
	nodes, dsn := share(t, 2)
	a, b, r := nodes[0], nodes[1], newReceiver(t)
	a.ordered(r, b)
	pgtest.Execute(t, dsn, `DO $do$ DECLARE o bigint; BEGIN
			SELECT owner INTO o FROM webhooks.subscription;
			EXECUTE format('CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
				$$ BEGIN IF NEW.holder = %s THEN PERFORM pg_sleep(1); END IF; RETURN NEW; END $$', o);
		END $do$;
		CREATE TRIGGER slow BEFORE UPDATE ON webhooks.delivery FOR EACH ROW EXECUTE FUNCTION slow()`)
	a.publish("a", "1")
	a.eventually("the claim", func() bool { return pgtest.Sleeping(t, dsn) })
	b.publish("a", "2")
	drained := make(chan struct{})
	go func() { a.Drain(t.Context()); close(drained) }()
	r.inOrder(t, 2)
	<-drained
}

// An outcome that comes late, of a node whose session others have ended, isn't
// passed by the next owner's claim either.
func TestOrderWhenAnOutcomeIsLate(t *testing.T) {
	nodes, dsn := share(t, 2, retries(20*time.Millisecond, 20*time.Millisecond))
	a, b, r := nodes[0], nodes[1], newReceiver(t)
	a.ordered(r, b)
	goOn := r.waits(t, http.StatusServiceUnavailable)
	a.publish("a", "1")
	r.next(t) // it is under way
	pgtest.Execute(t, dsn, `CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(1); RETURN NEW; END $$;
		CREATE TRIGGER slow BEFORE UPDATE ON webhooks.delivery FOR EACH ROW
			WHEN (OLD.attempts = 0 AND NEW.attempts = 1 AND OLD.holder IS NULL) EXECUTE FUNCTION slow()`)
	pgtest.Execute(t, dsn, `UPDATE webhooks.node SET session = NULL WHERE session = (SELECT owner FROM webhooks.subscription);
		UPDATE webhooks.delivery SET holder = NULL;
		UPDATE webhooks.subscription SET owner = (SELECT session FROM webhooks.node WHERE session IS NOT NULL)`)
	goOn()
	a.eventually("the outcome, unless the next owner was quicker", func() bool {
		return pgtest.Sleeping(t, dsn) || len(r.arrivals) > 0
	})
	r.answers(nil)
	b.publish("a", "2")
	r.inOrder(t, 2)
}

// What holds up the rest of an order can be taken out of it.
func TestCancelTheFirstInOrder(t *testing.T) {
	h := open(t, retries(time.Hour, time.Hour))
	r := newReceiver(t)
	r.answers(status(http.StatusUnprocessableEntity))
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}, Ordered: true})
	told := newReceiver(t)
	h.subscribe(outbound.SubscriptionSpec{URL: told.URL, EventTypes: []string{outbound.DeliveryDead}})
	for _, n := range []string{"1", "2", "3"} {
		h.publish("a", n)
	}
	id := h.ended().Delivery.With(store.DeliveryPrefix)
	r.answers(nil)
	got, err := h.Cancel(t.Context(), id)
	if err != nil || got.State != store.Dead || got.Reason != outbound.ReasonCancelled || got.Attempts != 1 {
		t.Fatalf("cancelled: %+v, %v", got, err)
	}
	r.inOrder(t, 3)
	if body := string(told.next(t).body); !strings.Contains(body, id) || !strings.Contains(body, outbound.ReasonCancelled) {
		t.Errorf("told of %s", body)
	}
	if _, err := h.Cancel(t.Context(), id); !errors.Is(err, outbound.ErrConflict) {
		t.Errorf("a second time: %v", err)
	}
	if _, err := h.Redeliver(t.Context(), id); err != nil {
		t.Errorf("sending it after all: %v", err)
	}
	r.next(t)
}

// Without an order, what is cancelled holds up nothing: a receiver that is down is
// tried no sooner.
func TestCancelWithoutAnOrder(t *testing.T) {
	h, r, healthy := open(t, retries(time.Hour, time.Hour)), newReceiver(t), newReceiver(t)
	r.answers(status(http.StatusServiceUnavailable))
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}})
	var d *outbound.AttemptDone
	for range 10 {
		h.publish("a", `1`)
		r.next(t)
		d = h.ended()
	}
	h.eventually("the pause", func() bool { return h.sub().Health == outbound.HealthDown && !h.sub().PausedUntil.IsZero() })
	r.answers(nil)
	h.publish("a", `2`) // which is due at once
	if _, err := h.Cancel(t.Context(), d.Delivery.With(store.DeliveryPrefix)); err != nil {
		t.Fatal(err)
	}
	h.nudge(healthy)
	r.none(t)
}

// An attempt that is under way has its outcome.
func TestCancelDuringAnAttempt(t *testing.T) {
	h, r := open(t, retries(time.Hour)), newReceiver(t)
	goOn := r.waits(t, http.StatusOK)
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}})
	h.publish("a", `1`)
	r.next(t)
	if _, err := h.Cancel(t.Context(), only(t, h).ID.With(store.DeliveryPrefix)); !errors.Is(err, outbound.ErrConflict) {
		t.Errorf("got %v", err)
	}
	goOn()
	if d := h.ended(); d.State != store.Delivered {
		t.Errorf("it is %v", d.State)
	}
}

// What is queued again in bulk is sent in the order in which it was published,
// however many batches it takes.
func TestOrderOfRedeliveryInBulk(t *testing.T) {
	h, r := open(t, retries(time.Hour)), newReceiver(t)
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}, Ordered: true})
	const n = 450
	for i := range n {
		h.publish("a", fmt.Sprint(i+1))
	}
	r.inOrder(t, n)
	h.settled()
	if got, err := h.RedeliverDelivered(t.Context(), outbound.Query{EventType: "a"}); got != n || err != nil {
		t.Fatalf("%d queued, %v", got, err)
	}
	r.inOrder(t, n)
	if got, err := h.RedeliverDead(t.Context(), outbound.Query{}); got != 0 || err != nil {
		t.Errorf("%d dead letters queued, %v", got, err)
	}
}

func TestOrderedHoldsBackBehindAFailure(t *testing.T) {
	h := open(t, retries(time.Minute, time.Minute))
	r := newReceiver(t)
	r.answers(status(500))
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}, Ordered: true})
	for i := range 20 {
		h.publish("a", fmt.Sprint(i))
	}
	if got := string(r.next(t).body); got != "0" {
		t.Fatalf("first: %s", got)
	}
	h.attempt()
	h.eventually("the pause", func() bool {
		s := h.sub()
		return s.Health == outbound.HealthFailing && !s.PausedUntil.IsZero() && s.InFlight == 0
	})
	r.answers(nil)
	h.clock.advance(2 * time.Minute)
	for i := range 20 {
		if got := string(r.next(t).body); got != fmt.Sprint(i) {
			t.Fatalf("delivery %d has payload %s", i, got)
		}
	}
}
