package outbound

import (
	"context"
	"errors"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
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
	must.Receive(t, queued, "settle, which must not block after the engine has ended")
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

// fullStore is a real store that has room for outcomes only.
type fullStore struct{ store.Store }

func (f fullStore) Commit(ctx context.Context, b *store.Batch) error {
	if len(b.Publications) > 0 {
		return ErrFull
	}
	return f.Store.Commit(ctx, b)
}

// On a full disk, an outcome is stored at once although the events beside it are refused:
// there may be new ones in every commit.
func TestOutcomeBesideAnEventOnAFullDisk(t *testing.T) {
	l := newLane(t, store.Subscription{})
	l.register(t)
	h := l.storeEvents(t, l.at(0), true)[0]
	l.e.store = fullStore{l.e.store}
	work, end := context.WithCancel(t.Context())
	l.e.work = work
	end() // so that an outcome that isn't stored is given up
	c := newCommitter(l.e)
	refused := make(chan error, 1)
	must.Do(t, c.queue.addPublication(unit{publication: &store.Publication{Event: h.Event}, result: refused}))
	var stored error
	attempt := &store.Attempt{ID: h.Delivery.ID, Number: 1, At: l.at(0)}
	c.settle(&store.Settlement{Delivery: h.Delivery.ID, State: store.Delivered, Attempt: attempt}, nil, func(err error) { stored = err })
	c.queue.close()
	c.run()
	if err := <-refused; !errors.Is(err, ErrFull) || stored != nil {
		t.Errorf("got %v for the event and %v for the outcome, want %v and none", err, stored, ErrFull)
	}
}
