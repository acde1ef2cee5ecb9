package outbound_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// Redelivering starts the retry schedule again; attempt numbers go on.
func TestRedeliveryStartsTheScheduleAnew(t *testing.T) {
	h := open(t, retries(time.Minute))
	r := newReceiver(t)
	r.respond(status(500))
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	h.publish("a", `1`)
	h.awaitAttempt()
	h.clock.advance(2 * time.Minute)
	if d := h.awaitAttempt(); d.State != store.Dead {
		t.Fatalf("got state %v, want %v", d.State, store.Dead)
	}
	if n, err := h.RedeliverDead(t.Context(), outbound.Query{}); n != 1 || err != nil {
		t.Fatalf("RedeliverDead: got %d, %v, want 1", n, err)
	}
	if d := h.awaitAttempt(); d.State != store.Pending || d.Attempt.Number != 3 {
		t.Fatalf("got %+v, want pending after attempt 3", d)
	}
	h.clock.advance(2 * time.Minute)
	if d := h.awaitAttempt(); d.State != store.Dead || d.Attempt.Number != 4 {
		t.Fatalf("got %+v, want dead after attempt 4", d)
	}
}

// Redelivering while an attempt is in flight leads to one more attempt at once, whatever
// the outcome of the first.
func TestRedeliverDuringAnAttempt(t *testing.T) {
	for _, ordered := range []bool{false, true} {
		for _, c := range []struct {
			code     int
			schedule setting
			want     store.State
		}{
			{http.StatusOK, retries(), store.Delivered},
			{http.StatusInternalServerError, retries(), store.Dead},
			{http.StatusInternalServerError, retries(time.Hour), store.Pending},
		} {
			t.Run(fmt.Sprintf("ordered %v, then %v", ordered, c.want), func(t *testing.T) {
				h := open(t, c.schedule)
				r := newReceiver(t)
				unblock := r.block(t, c.code)
				h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}, Ordered: ordered})
				h.publish("a", `1`)
				r.next(t)
				all, err := h.Deliveries(t.Context(), outbound.Query{Limit: 1})
				if err != nil || len(all) != 1 {
					t.Fatal(all, err)
				}
				must.Get(h.Redeliver(t.Context(), all[0].ID.With(store.DeliveryPrefix)))(t)
				unblock()
				for n := 1; n <= 2; n++ {
					if d := h.awaitAttempt(); d.Attempt.Number != n || d.State != c.want {
						t.Errorf("got state %v, attempt %+v, want %v after attempt %d", d.State, d.Attempt, c.want, n)
					}
				}
			})
		}
	}
}

// Redelivering a retry that is already queued in its lane starts its schedule again too.
func TestRedeliverOfWhatWaitsInItsLane(t *testing.T) {
	h := open(t, retries(time.Minute), func(s *outbound.Settings) { s.EndpointConcurrency = 1 })
	r := newReceiver(t)
	r.respond(status(500))
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	h.publish("a", `1`)
	first := h.awaitAttempt()
	unblock := r.block(t, 500)
	h.publish("a", `2`) // in flight, so that the retry waits
	r.next(t)
	r.next(t)
	h.clock.advance(2 * time.Minute)
	must.Eventually(t, "the retry to be queued in the lane", func() bool {
		st, err := h.Status(t.Context())
		return err == nil && st.Subscriptions[0].Ready == 1
	})
	must.Get(h.Redeliver(t.Context(), first.Delivery.With(store.DeliveryPrefix)))(t)
	unblock()
	h.awaitAttempt()
	if d := h.awaitAttempt(); d.Delivery != first.Delivery || d.Attempt.Number != 2 || d.State != store.Pending {
		t.Errorf("got state %v, attempt %+v, want attempt 2 to leave it pending, as its schedule starts again", d.State, d.Attempt)
	}
}
