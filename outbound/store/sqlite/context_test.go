package sqlite_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// TestCancelledCommit checks that a call that waits for the writer ends with its context
// and stores nothing, and that a call that has the writer completes its transaction.
func TestCancelledCommit(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "webhooks.db"))
	ids := store.NewIDs(0, 0, time.Now)
	must.Do(t, s.CreateSubscription(t.Context(), &store.Subscription{Key: ids.Next(), ID: "crm"}))
	inside, goOn, changed := make(chan bool), make(chan bool), make(chan error)
	working, cancelWorking := context.WithCancel(t.Context())
	go func() {
		_, err := s.UpdateSubscription(working, "crm", func(sub *store.Subscription) error {
			inside <- true
			<-goOn
			sub.URL = "https://new.example"
			return nil
		})
		changed <- err
	}()
	<-inside
	waiting, cancelWaiting := context.WithCancel(t.Context())
	committed := make(chan error)
	p := publication(ids)
	go func() { committed <- s.Commit(waiting, &store.Batch{Publications: []*store.Publication{p}}) }()
	cancelWaiting()
	if err := <-committed; !errors.Is(err, context.Canceled) {
		t.Errorf("the waiting call: got error %v, want context.Canceled", err)
	}
	cancelWorking()
	close(goOn)
	if err := <-changed; err != nil {
		t.Errorf("the call with the writer: got error %v, want none", err)
	}
	subs, err := s.Subscriptions(t.Context())
	if err != nil || subs[0].URL != "https://new.example" {
		t.Errorf("after the call with the writer: subscriptions %+v, error %v", subs, err)
	}
	if _, err := s.Event(t.Context(), "", p.Event.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the event of the waiting call: got error %v, want store.ErrNotFound", err)
	}
}

// TestCancelledRead checks that a list ends with its context, and that the connection can
// be used for the next call.
func TestCancelledRead(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "webhooks.db"))
	ids := store.NewIDs(0, 0, time.Now)
	publish(t, s, publication(ids, 1))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 {
		if _, err := s.Deliveries(ctx, store.Query{}); !errors.Is(err, context.Canceled) {
			t.Fatalf("got error %v", err)
		}
		if records, err := s.Deliveries(t.Context(), store.Query{}); err != nil || len(records) != 1 {
			t.Fatalf("the next call: %d records, error %v", len(records), err)
		}
	}
}
