package outbound

import (
	"context"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// When the engine ends while the store hangs and as many outcomes as allowed are queued,
// one more attempt can still end: its outcome is queued beyond the limit, and stored if
// the store recovers.
func TestOutcomesBeyondTheLimitAtTheEnd(t *testing.T) {
	l := newLane(t, store.Subscription{})
	l.register(t)
	h := l.storeEvents(t, l.at(0), true)[0]
	work, end := context.WithCancel(t.Context())
	l.e.work = work
	c := newCommitter(l.e)
	for range unsettledLimit {
		c.slots <- struct{}{}
	}
	queued := make(chan struct{})
	stored := make(chan error, 1)
	go func() {
		defer close(queued)
		attempt := &store.Attempt{ID: h.Delivery.ID, Number: 1, At: l.at(0)}
		c.settle(&store.Settlement{Delivery: h.Delivery.ID, State: store.Delivered, Attempt: attempt}, nil, func(err error) { stored <- err })
	}()
	end()
	select {
	case <-queued:
	case <-time.After(time.Minute):
		t.Fatal("settle still blocks after the engine has ended")
	}
	for range unsettledLimit {
		<-c.slots // as if the others were stored
	}
	c.queue.close()
	c.run()
	if err := <-stored; err != nil {
		t.Errorf("storing the outcome: %v", err)
	}
	if r, err := l.e.store.Delivery(t.Context(), h.Delivery.ID); err != nil || r.State != store.Delivered {
		t.Errorf("Delivery: got %+v, %v, want a delivered one", r, err)
	}
}
