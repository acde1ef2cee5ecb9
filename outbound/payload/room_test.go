package payload

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"golang.org/x/sync/semaphore"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// However much is published at once, there are never more values of payloads than
// memory was set aside for.
func TestLargePayloadsWaitForRoom(t *testing.T) {
	f, err := NewFilter("size(payload) > 1")
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSchema([]byte(`{"type":"string"}`))
	if err != nil {
		t.Fatal(err)
	}
	small, large, huge := text(smallPayload), text(smallPayload+1), text(readingRoom+1)
	filter := func(payload []byte) func(context.Context) bool {
		return func(ctx context.Context) bool { return f.Selects(ctx, &store.Event{Payload: payload}) }
	}
	schema := func(payload []byte) func(context.Context) bool {
		return func(ctx context.Context) bool { return s.Check(ctx, payload) == nil }
	}
	for range 3 { // each gives its room back
		waits(t, reading, readingRoom, filter(large))
		waits(t, reading, readingRoom, schema(large))
		waits(t, reading, 1, filter(huge))
		waits(t, reading, 1, schema(huge))
	}
	if err := reading.Acquire(t.Context(), readingRoom); err != nil {
		t.Fatal(err)
	}
	defer reading.Release(readingRoom)
	if !filter(small)(t.Context()) || !schema(small)(t.Context()) {
		t.Error("a small payload isn't read")
	}
	ended, end := context.WithCancel(t.Context())
	end()
	ev := &store.Event{Payload: large}
	if _, err := NewView(ended, ev); !errors.Is(err, context.Canceled) {
		t.Errorf("a view for somebody who has gone: %v", err)
	}
	if f.Selects(ended, ev) {
		t.Error("what wasn't read is selected")
	}
	if err := s.Check(ended, large); !errors.Is(err, context.Canceled) {
		t.Errorf("a schema for somebody who has gone: %v", err)
	}
}

// Deliveries that come together don't take the time from each other in which each is
// to be transformed.
func TestTransformsTakeTurns(t *testing.T) {
	tr, err := NewTransform("payload")
	if err != nil {
		t.Fatal(err)
	}
	ev := &store.Event{Payload: []byte("1")}
	for range 3 {
		waits(t, transforming, processors, func(ctx context.Context) bool {
			got, err := tr.Apply(ctx, ev, 100)
			return string(got) == "1" && err == nil
		})
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if got, err := tr.Apply(ended, ev, 100); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %s, %v", got, err)
	}
}

// waits checks that done comes true once there is room, and not as long as n of it
// are taken.
func waits(t *testing.T, room *semaphore.Weighted, n int64, done func(context.Context) bool) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		if !room.TryAcquire(n) {
			t.Fatal("somebody has kept their room")
		}
		var ended, ok atomic.Bool
		go func() {
			ok.Store(done(t.Context()))
			ended.Store(true)
		}()
		synctest.Wait()
		if ended.Load() {
			t.Error("it didn't wait")
		}
		room.Release(n)
		synctest.Wait()
		if !ended.Load() || !ok.Load() {
			t.Errorf("with room: ended %v, ok %v", ended.Load(), ok.Load())
		}
	})
}

// text is JSON text of so many bytes.
func text(size int) []byte { return []byte(`"` + strings.Repeat("x", size-2) + `"`) }
