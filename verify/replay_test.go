package verify_test

import (
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// clock is a clock that the test sets.
type clock struct{ nanos atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.nanos.Store(testNow.UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.nanos.Load()) }
func (c *clock) advance(d time.Duration) { c.nanos.Add(int64(d)) }

func key(n byte) [32]byte { return [32]byte{n} }

func expect(t *testing.T, r *verify.Replays, k [32]byte, life time.Duration, want verify.ReplayState) {
	t.Helper()
	if got := r.Begin(k, life); got != want {
		t.Errorf("key %d: state %s, want %s", k[0], got, want)
	}
}

// A retry after a failure of the app is not a replay. A second copy before that is in
// flight.
func TestRetryAfterFailure(t *testing.T) {
	r := verify.NewReplays(10, nil, newClock().now)
	expect(t, r, key(1), time.Hour, verify.Fresh)
	expect(t, r, key(1), time.Hour, verify.InFlight)
	r.Abort(key(1))
	expect(t, r, key(1), time.Hour, verify.Fresh)
	r.Commit(key(1))
	expect(t, r, key(1), time.Hour, verify.Seen)
	// Commit and Abort only change keys that are reserved.
	r.Abort(key(1))
	r.Commit(key(2))
	expect(t, r, key(1), time.Hour, verify.Seen)
	expect(t, r, key(2), time.Hour, verify.Fresh)
	if r.Len() != 1 {
		t.Errorf("%d keys are committed, want 1", r.Len())
	}
}

// With too many keys, the oldest are evicted, but none that are in flight.
func TestFlood(t *testing.T) {
	c := newClock()
	evicted := 0
	r := verify.NewReplays(3, func() { evicted++ }, c.now)
	commit := func(n byte, life time.Duration) {
		t.Helper()
		expect(t, r, key(n), life, verify.Fresh)
		r.Commit(key(n))
	}
	expect(t, r, key(100), time.Hour, verify.Fresh) // in flight from now on
	for n := range byte(3) {
		commit(n, time.Hour)
	}
	if evicted != 0 {
		t.Fatalf("%d evictions, want none while there is room", evicted)
	}
	// A replay doesn't keep its key from being evicted. Otherwise an attacker could evict
	// other keys.
	expect(t, r, key(0), time.Hour, verify.Seen)
	commit(3, time.Hour)
	if evicted != 1 {
		t.Errorf("%d evictions, want 1", evicted)
	}
	expect(t, r, key(100), time.Hour, verify.InFlight)
	expect(t, r, key(1), time.Hour, verify.Seen)
	expect(t, r, key(0), time.Hour, verify.Fresh) // evicted, and now reserved
	r.Abort(key(0))
	if r.Len() != 3 {
		t.Errorf("%d keys, want 3", r.Len())
	}
	// Dropping an expired key is not an eviction.
	c.advance(2 * time.Hour)
	commit(4, time.Hour)
	if evicted != 1 {
		t.Errorf("%d evictions, want 1: the key had expired", evicted)
	}
	held := r.Len()
	r.Commit(key(99)) // not reserved
	if evicted != 1 || r.Len() != held {
		t.Errorf("after Commit of a key that isn't reserved: %d evictions, %d keys, want 1 and %d", evicted, r.Len(), held)
	}
	// The number of reserved keys is limited too.
	expect(t, r, key(101), time.Hour, verify.Fresh)
	expect(t, r, key(102), time.Hour, verify.Fresh)
	expect(t, r, key(103), time.Hour, verify.Full)
	expect(t, r, key(100), time.Hour, verify.InFlight)
	r.Abort(key(101))
	expect(t, r, key(103), time.Hour, verify.Fresh)
}

// Committed keys can be kept across a restart.
func TestRestart(t *testing.T) {
	c := newClock()
	before := verify.NewReplays(10, nil, c.now)
	for n, life := range map[byte]time.Duration{1: time.Minute, 2: time.Hour} {
		expect(t, before, key(n), life, verify.Fresh)
		before.Commit(key(n))
	}
	expect(t, before, key(3), time.Hour, verify.Fresh) // in flight: its sender will retry
	kept := maps.Collect(before.Entries())
	if len(kept) != 2 {
		t.Fatalf("%d entries, want 2", len(kept))
	}
	c.advance(2 * time.Minute)
	after := verify.NewReplays(10, func() { t.Error("a key was evicted") }, c.now)
	for range 2 { // the second time, from another process
		for k, end := range kept {
			after.Restore(k, end)
		}
	}
	expect(t, after, key(1), time.Minute, verify.Fresh)
	expect(t, after, key(2), time.Hour, verify.Seen)
	expect(t, after, key(3), time.Hour, verify.Fresh)
	if got := len(maps.Collect(after.Entries())); got != 1 {
		t.Errorf("%d entries, want 1", got)
	}
	evicted := 0
	small := verify.NewReplays(1, func() { evicted++ }, c.now)
	for n := range byte(5) {
		small.Restore(key(n), c.now().Add(time.Hour))
	}
	if small.Len() != 1 || evicted != 4 {
		t.Errorf("capacity 1, 5 keys restored: %d keys, %d evictions, want 1 and 4", small.Len(), evicted)
	}
	expect(t, small, key(4), time.Hour, verify.Seen)
}

// A key expires when its life has passed by the given clock.
func TestClock(t *testing.T) {
	c := newClock()
	r := verify.NewReplays(10, nil, c.now)
	expect(t, r, key(1), time.Minute, verify.Fresh)
	c.advance(time.Hour) // a slow app: the life begins at Commit
	r.Commit(key(1))
	c.advance(time.Minute - 1)
	expect(t, r, key(1), time.Minute, verify.Seen)
	c.advance(-time.Hour) // the clock is set back
	expect(t, r, key(1), time.Minute, verify.Seen)
	c.advance(time.Hour + 1)
	expect(t, r, key(1), time.Minute, verify.Fresh)
	if r.Len() != 0 {
		t.Errorf("%d keys, want none after they have expired", r.Len())
	}
}

// A key is kept until it has expired by the wall clock and by the monotonic clock.
func TestReplayAfterClockChange(t *testing.T) {
	start := time.Now()
	for name, change := range map[string]time.Duration{"set forward": time.Hour, "set back": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			now := start
			r := verify.NewReplays(10, nil, func() time.Time { return now })
			expect(t, r, key(1), 30*time.Minute, verify.Fresh)
			r.Commit(key(1))
			if change > 0 {
				now = setClock(start, change) // the monotonic clock is still at the start
			} else {
				now = setClock(start.Add(time.Hour), change) // the wall clock is at the start again
			}
			expect(t, r, key(1), 30*time.Minute, verify.Seen)
			if got := len(maps.Collect(r.Entries())); got != 1 {
				t.Errorf("%d keys to keep across a restart, want 1", got)
			}
			now = start.Add(3 * time.Hour)
			expect(t, r, key(1), 30*time.Minute, verify.Fresh)
		})
	}
}

// setClock returns a time whose wall clock was changed, while its monotonic clock, the
// second word of a time.Time from time.Now, went on.
func setClock(now time.Time, change time.Duration) time.Time {
	changed := now.Add(change)
	(*[2]int64)(unsafe.Pointer(&changed))[1] -= int64(change)
	return changed
}

// Of several copies at once, only one is fresh.
func TestReplaysConcurrently(t *testing.T) {
	r := verify.NewReplays(64, func() {}, nil)
	var fresh [8]atomic.Int32
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for i := range byte(200) {
				k := key(i % 8)
				switch r.Begin(k, time.Hour) {
				case verify.Fresh:
					if i%3 == 0 {
						r.Abort(k)
						continue
					}
					fresh[k[0]].Add(1)
					r.Commit(k)
				case verify.Full:
					t.Error("full with eight keys, and room for 64")
				}
				r.Len()
				for range r.Entries() {
				}
			}
		})
	}
	wg.Wait()
	for i := range fresh {
		if n := fresh[i].Load(); n != 1 {
			t.Errorf("key %d was fresh %d times, want once", i, n)
		}
	}
}

func TestReplayState(t *testing.T) {
	for state, want := range map[verify.ReplayState]string{verify.Fresh: "fresh", verify.InFlight: "in_flight", verify.Seen: "seen", verify.Full: "full"} {
		if state.String() != want {
			t.Errorf("state %d: got %q, want %q", state, state, want)
		}
	}
}
