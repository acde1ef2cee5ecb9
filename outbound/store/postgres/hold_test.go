package postgres

import (
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/postgres/pgtest"
)

// TestClaimThatIsTriedAgain checks that deliveries of which a release was lost are claimed
// before others, even if the claim is retried.
func TestClaimThatIsTriedAgain(t *testing.T) {
	dsn := pgtest.Database(t)
	s := must.Get(Open(t.Context(), Config{DSN: dsn}))(t)
	defer s.Close()
	ids := store.NewIDs(0, 0, time.Now)
	sub := &store.Subscription{Key: ids.Next(), ID: "sub_1", EventTypes: []string{"*"}, Active: true, Ordered: true}
	must.Do(t, s.CreateSubscription(t.Context(), sub))
	var first store.ID
	for i := range 2 {
		e := &store.Event{Key: ids.Next(), Type: "order.created", ContentType: "application/json", Payload: []byte(`{}`)}
		e.ID = e.Key.With(store.EventPrefix)
		d := store.NewDelivery{ID: ids.Next(), Subscription: sub.Key, Due: time.Now(), Hold: i == 0}
		if i == 0 {
			first = d.ID
		}
		must.Do(t, s.Commit(t.Context(), &store.Batch{Publications: []*store.Publication{{Event: e, Deliveries: []store.NewDelivery{d}}}}))
	}
	s.holds.lose([]int64{int64(first)}) // like a Release without an answer
	pgtest.Execute(t, dsn, `CREATE SEQUENCE tries;
		CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF nextval('tries') = 1 THEN RAISE EXCEPTION 'broken off' USING ERRCODE = '40001'; END IF; RETURN NULL; END $$;
		CREATE CONSTRAINT TRIGGER broken AFTER UPDATE ON webhooks.delivery DEFERRABLE INITIALLY DEFERRED
			FOR EACH ROW WHEN (NEW.holder IS NOT NULL) EXECUTE FUNCTION broken()`)
	claimed := must.Get(s.Claim(t.Context(), time.Now().Add(time.Minute), 1<<20, []store.Want{{Subscription: sub.Key, Limit: 1}}))(t)
	if got := claimed[0].Deliveries; len(got) != 1 || got[0].Delivery.ID != first {
		t.Errorf("claimed %v, want the first one, %v", got, first)
	}
}

// TestClaimLeavesNothingUnsure checks that after a claim with an answer, the next beat
// doesn't look for deliveries that only the database says we hold.
func TestClaimLeavesNothingUnsure(t *testing.T) {
	s := must.Get(Open(t.Context(), Config{DSN: pgtest.Database(t), Lease: time.Hour}))(t) // no beat during the test
	defer s.Close()
	must.Get(s.Claim(t.Context(), time.Now(), 1<<20, []store.Want{{Subscription: 1, Limit: 1}}))(t)
	if s.holds.unsure.Load() {
		t.Error("the store is unsure about what it holds")
	}
}

// TestDuplicateHoldsNothing checks that the deliveries of an event that isn't stored are
// not remembered as held.
func TestDuplicateHoldsNothing(t *testing.T) {
	s := must.Get(Open(t.Context(), Config{DSN: pgtest.Database(t)}))(t)
	defer s.Close()
	ids := store.NewIDs(0, 0, time.Now)
	for _, want := range []store.Outcome{store.Stored, store.Duplicate} {
		e := &store.Event{Key: ids.Next(), ID: "chosen", Type: "order.created", Payload: []byte(`{}`)}
		p := &store.Publication{Event: e, Chosen: true, Deliveries: []store.NewDelivery{{ID: ids.Next(), Subscription: 1, Due: time.Now(), Hold: true}}}
		must.Do(t, s.Commit(t.Context(), &store.Batch{Publications: []*store.Publication{p}}))
		if n := len(s.holds.held); n != 1 || p.Result.Outcome != want {
			t.Errorf("got outcome %v and %d deliveries held, want %v and that of the first event", p.Result.Outcome, n, want)
		}
	}
}
