package outbound

import (
	"context"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// However many outcomes wait for a store that hangs, an attempt ends when the engine
// does, and its outcome is stored if the store comes back.
func TestOutcomesBeyondTheLimitAtTheEnd(t *testing.T) {
	l := newLane(t, store.Subscription{})
	l.known(t)
	h := l.keep(t, l.at(0), true)[0]
	work, end := context.WithCancel(t.Context())
	l.e.work = work
	c := newCommitter(l.e)
	for range unsettledLimit {
		c.slots <- struct{}{}
	}
	lined := make(chan struct{})
	stored := make(chan error, 1)
	go func() {
		defer close(lined)
		attempt := &store.Attempt{ID: h.Delivery.ID, Number: 1, At: l.at(0)}
		c.settle(&store.Settlement{Delivery: h.Delivery.ID, State: store.Delivered, Attempt: attempt}, nil, func(err error) { stored <- err })
	}()
	end()
	select {
	case <-lined:
	case <-time.After(20 * time.Second):
		t.Fatal("the attempt doesn't end")
	}
	for range unsettledLimit {
		<-c.slots // as those before it are settled
	}
	c.queue.close()
	c.run()
	if err := <-stored; err != nil {
		t.Error(err)
	}
	if r, err := l.e.store.Delivery(t.Context(), h.Delivery.ID); err != nil || r.State != store.Delivered {
		t.Errorf("%+v, %v", r, err)
	}
}
