package outbound_test

import (
	"bytes"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// The undamaged events of a store whose file was damaged while it was closed are
// delivered, and the status tells what was kept and lost.
func TestDamagedStoreIsDelivered(t *testing.T) {
	const events, page = 60, 4096
	h := open(t)
	r := newReceiver(t)
	s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"order.*"}})
	must.Get(h.Deactivate(t.Context(), s.ID, outbound.ReasonByHand))(t)
	for i := range events {
		h.publish("order.created", fmt.Sprintf(`{"number":%d,"note":%q}`, i, bytes.Repeat([]byte("x"), 900)))
	}
	h.stop()
	f := must.Get(os.OpenFile(h.file(), os.O_RDWR, 0))(t)
	defer f.Close()
	info := must.Get(f.Stat())(t)
	must.Get(f.WriteAt(bytes.Repeat([]byte{0x5a}, page), info.Size()/page/2*page))(t)
	h.start()
	status := must.Get(h.Status(t.Context()))(t)
	if len(status.Salvages) != 1 {
		t.Fatalf("got salvages %+v, want 1", status.Salvages)
	}
	found := status.Salvages[0]
	t.Logf("%+v", found)
	if found.Kept.Events+found.Lost.Events < events || found.Kept.Events < events-6 {
		t.Errorf("got %d events kept and %d lost, want %d in all and 6 lost at most", found.Kept.Events, found.Lost.Events, events)
	}
	must.Get(h.Activate(t.Context(), s.ID))(t)
	for range found.Kept.Events {
		r.next(t)
	}
}

// salvaging is a real store that can report that it was salvaged while it was open.
type salvaging struct {
	store.Store
	salvaged chan struct{}
}

func (s *salvaging) Salvages() []store.Salvage { return nil }
func (s *salvaging) Salvaged() <-chan struct{} { return s.salvaged }

// When a store was salvaged while it was open, the engine looks for deliveries that this
// has made pending again, even in lanes that are idle, and until it has found them.
func TestRepeatedDeliveriesAreFound(t *testing.T) {
	h := open(t)
	r := newReceiver(t)
	s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"order.*"}})
	h.Engine.Close()
	f := &failing{Store: h.store, refused: make(chan struct{}, 1)}
	st := &salvaging{f, make(chan struct{}, 1)}
	h.Engine = must.Get(outbound.Open(t.Context(), st, h.settings, outbound.WithClock(h.clock)))(t)
	ids := store.NewIDs(0, s.Key, h.clock.Now)
	e := &store.Event{Key: ids.Next(), Type: "order.created", ContentType: "application/json", Payload: []byte(`{}`)}
	e.ID = e.Key.With(store.EventPrefix)
	must.Do(t, h.store.Commit(t.Context(), &store.Batch{Publications: []*store.Publication{{
		Event:      e,
		Deliveries: []store.NewDelivery{{ID: ids.Next(), Subscription: s.Key, Due: h.clock.Now()}},
	}}}))
	f.fail(store.ErrUnavailable)
	st.salvaged <- struct{}{}
	must.Eventually(t, "the pause before it looks again", func() bool { return h.clock.hasTimer(time.Second) })
	f.fail(nil)
	h.clock.advance(time.Second)
	r.next(t)
}
