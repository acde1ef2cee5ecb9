package payload

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"golang.org/x/sync/semaphore"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// Large payloads are only parsed while there is room for their values, which bounds the
// memory that concurrent publishers can use. Small ones never wait.
func TestLargePayloadsWaitForRoom(t *testing.T) {
	f := must.Get(NewFilter("size(payload) > 1"))(t)
	s := must.Get(NewSchema([]byte(`{"type":"string"}`)))(t)
	small, large, huge := text(smallPayload), text(smallPayload+1), text(readingRoom+1)
	filter := func(payload []byte) func(context.Context) bool {
		return func(ctx context.Context) bool { return f.Selects(ctx, &store.Event{Payload: payload}) }
	}
	schema := func(payload []byte) func(context.Context) bool {
		return func(ctx context.Context) bool { return s.Check(ctx, "", payload) == nil }
	}
	for range 3 { // checks that each gives its room back
		checkWaits(t, reading, readingRoom, filter(large))
		checkWaits(t, reading, readingRoom, schema(large))
		checkWaits(t, reading, 1, filter(huge))
		checkWaits(t, reading, 1, schema(huge))
	}
	must.Do(t, reading.Acquire(t.Context(), readingRoom))
	defer reading.Release(readingRoom)
	if !filter(small)(t.Context()) || !schema(small)(t.Context()) {
		t.Error("small payloads without room: got them rejected, want them read")
	}
	ended, end := context.WithCancel(t.Context())
	end()
	ev := &store.Event{Payload: large}
	if _, err := NewView(ended, ev); !errors.Is(err, context.Canceled) {
		t.Errorf("NewView with a cancelled context: got %v, want %v", err, context.Canceled)
	}
	if f.Selects(ended, ev) {
		t.Error("Selects with a cancelled context: got true, want false")
	}
	if err := s.Check(ended, "", large); !errors.Is(err, context.Canceled) {
		t.Errorf("Check with a cancelled context: got %v, want %v", err, context.Canceled)
	}
}

// A tenant whose payloads take all the room that it may have leaves some to others, and
// none of its payloads waits in front of theirs.
func TestOneTenantLeavesRoomToOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var leaves []func()
		for range 2 {
			leave, err := enter(t.Context(), "busy", tenantRoom/2)
			if err != nil {
				t.Fatal(err)
			}
			leaves = append(leaves, leave)
		}
		ctx, giveUp := context.WithCancel(t.Context())
		var waited [2]error
		for i := range waited {
			go func() { _, waited[i] = enter(ctx, "busy", readingRoom) }()
		}
		synctest.Wait() // both wait for the tenant's share
		for _, tenant := range []string{"", "calm"} {
			var entered atomic.Bool
			go func() {
				if leave, err := enter(t.Context(), tenant, tenantRoom); err == nil {
					entered.Store(true)
					leave()
				}
			}()
			synctest.Wait()
			if !entered.Load() {
				t.Errorf("tenant %q: got it waiting, want it to enter", tenant)
			}
		}
		giveUp()
		synctest.Wait()
		for _, err := range waited {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("a payload of the busy tenant: got %v, want %v: it should have waited", err, context.Canceled)
			}
		}
		for _, leave := range leaves {
			leave()
		}
		if n := len(shares.of); n != 0 {
			t.Errorf("got %d shares once all have left, want none", n)
		}
		if !reading.TryAcquire(readingRoom) {
			t.Fatal("room wasn't given back")
		}
		reading.Release(readingRoom)
	})
}

// No more transforms run at once than there are processors, so that concurrent deliveries
// don't use up each other's time limit.
func TestTransformsTakeTurns(t *testing.T) {
	tr := must.Get(NewTransform("payload"))(t)
	ev := &store.Event{Payload: []byte("1")}
	for range 3 {
		checkWaits(t, transforming, processors, func(ctx context.Context) bool {
			got, err := tr.Apply(ctx, ev, 100)
			return string(got) == "1" && err == nil
		})
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if got, err := tr.Apply(ended, ev, 100); !errors.Is(err, context.Canceled) {
		t.Errorf("Apply with a cancelled context: got %s, %v, want %v", got, err, context.Canceled)
	}
}

// checkWaits checks that done blocks while n of the room are taken, and returns true once
// they are released.
func checkWaits(t *testing.T, room *semaphore.Weighted, n int64, done func(context.Context) bool) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		if !room.TryAcquire(n) {
			t.Fatal("room wasn't given back")
		}
		var ended, ok atomic.Bool
		go func() {
			ok.Store(done(t.Context()))
			ended.Store(true)
		}()
		synctest.Wait()
		if ended.Load() {
			t.Error("got it done without room, want it to wait")
		}
		room.Release(n)
		synctest.Wait()
		if !ended.Load() || !ok.Load() {
			t.Errorf("with room: got ended %v, ok %v, want true, true", ended.Load(), ok.Load())
		}
	})
}

// text returns a JSON string of size bytes, with its quotes.
func text(size int) []byte { return []byte(`"` + strings.Repeat("x", size-2) + `"`) }
