package sqlite

import (
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// TestLogBesideSearches checks that the log starts over although there are always lists
// running, each of which begins before the one before it ends.
func TestLogBesideSearches(t *testing.T) {
	s := must.Get(Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "webhooks.db")}))(t)
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	var lists sync.WaitGroup
	defer lists.Wait()
	defer cancel()
	var begun [2]atomic.Int64
	for i := range begun {
		lists.Go(func() {
			list := func(db *conn) error {
				if _, err := listDeliveries(db, store.Query{Limit: 1}); err != nil {
					return err
				}
				n := begun[i].Add(1)
				for ctx.Err() == nil && begun[1-i].Load() < n+int64(i) && len(s.searching) < cap(s.searching) {
					runtime.Gosched()
				}
				return nil
			}
			for ctx.Err() == nil {
				if err := s.search(ctx, store.Query{}, list); err != nil && ctx.Err() == nil {
					t.Error(err)
					return
				}
			}
		})
	}

	ids := store.NewIDs(0, 0, time.Now)
	for longest := int64(0); ; {
		event := &store.Event{Key: ids.Next(), Type: "order.created", Payload: make([]byte, 64<<10)}
		must.Do(t, s.Commit(t.Context(), &store.Batch{Publications: []*store.Publication{{Event: event}}}))
		s.writing <- struct{}{}
		frames, _, err := s.w.conn.checkpoint("NOOP")
		<-s.writing
		switch {
		case err != nil:
			t.Fatal(err)
		case frames*pageSize > 4*walKept:
			t.Fatalf("the log has %d frames, and doesn't start over", frames)
		case frames < longest && longest*pageSize > walKept:
			return
		}
		longest = max(longest, frames)
	}
}

// TestSearchThatWaitsIsCancelled checks that a list that waits for the log to be copied
// ends with its context, even if another list that the copying waits for takes long.
func TestSearchThatWaitsIsCancelled(t *testing.T) {
	s := must.Get(Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "webhooks.db")}))(t)
	defer s.Close()
	began, end := make(chan struct{}), make(chan struct{})
	var both sync.WaitGroup
	defer both.Wait()
	defer close(end)
	both.Go(func() {
		if err := s.search(t.Context(), store.Query{}, func(*conn) error { close(began); <-end; return nil }); err != nil {
			t.Error(err)
		}
	})
	<-began
	both.Go(s.shorten)
	for len(s.searching) < cap(s.searching) {
		runtime.Gosched()
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.search(ctx, store.Query{}, func(*conn) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("the waiting list: got error %v, want context.Canceled", err)
	}
}
