package outbound

import (
	"testing"
	"time"
)

// A receiver is down after downAfter failures in a row, and then gets one probe at a
// time. One success ends that, and the limit grows with each further one.
func TestBreaker(t *testing.T) {
	var b breaker
	for i := 1; i < downAfter; i++ {
		if b.failed(time.Time{}, false, 16) || b.down() {
			t.Fatalf("down after %d failures", i)
		}
	}
	if !b.failed(time.Time{}, false, 16) || !b.down() || b.limit(16) != 1 {
		t.Fatalf("not down after %d failures: %+v", downAfter, b)
	}
	if b.failed(time.Time{}, false, 1) {
		t.Error("got a report that it went down while it was down")
	}
	if !b.succeeded() || b.down() {
		t.Error("still down after a success")
	}
	if got := b.limit(16); got != 2 {
		t.Errorf("after one success: got limit %d, want 2", got)
	}
	for range 16 {
		b.succeeded()
	}
	if got := b.limit(16); got != 16 {
		t.Errorf("after 17 successes: got limit %d, want 16", got)
	}
}

// An answer that says the receiver is overloaded halves the limit, down to 1.
func TestOverloadHalvesTheAttempts(t *testing.T) {
	var b breaker
	b.failed(time.Time{}, true, 16)
	if got := b.limit(16); got != 8 {
		t.Errorf("got %d, want 8", got)
	}
	b.failed(time.Time{}, true, 1)
	if got := b.limit(16); got != 1 {
		t.Errorf("got %d, want 1", got)
	}
}

// The pause between probes grows with the failures, up to the first delay of the
// schedule and to maxProbePause.
func TestProbePause(t *testing.T) {
	for _, c := range []struct {
		failures    int
		first, want time.Duration
	}{
		{downAfter - 1, 5 * time.Second, 0},
		{downAfter, 5 * time.Second, 50 * time.Millisecond},
		{downAfter + probesPerStep, 5 * time.Second, 100 * time.Millisecond},
		{1_000_000, 5 * time.Second, 5 * time.Second},
		{1_000_000, time.Hour, maxProbePause},
		{1_000_000, 0, 0},
	} {
		b := breaker{failures: c.failures}
		if got := b.pause(c.first); got != c.want {
			t.Errorf("after %d failures, with a first delay of %v: got %v, want %v", c.failures, c.first, got, c.want)
		}
	}
}

// The longer a receiver has failed, the later it is tried ahead of schedule.
func TestPauseBeforeAnAttemptAheadOfSchedule(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for failing, want := range map[time.Duration]time.Duration{
		0:              15 * time.Second, // at the earliest: half as long again as the first delay
		10 * time.Hour: 5*time.Hour + 10*time.Second,
	} {
		b := breaker{since: now.Add(-failing)}
		b.aheadAfterFailure(now, 10*time.Second)
		if got := b.aheadAt.Sub(now); got < want*9/10 || got > want*11/10 {
			t.Errorf("after %v of failures: got a pause of %v, want %v within a tenth", failing, got, want)
		}
	}
}

// As long as only attempts ahead of schedule fail, the cause may be the events: some more
// are tried at once, but not all of them.
func TestFewAttemptsAheadOfScheduleFail(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var b breaker
	for range 2 {
		for miss := 1; miss <= maxAheadMisses+1; miss++ {
			b.aheadAfterFailure(now, time.Second)
			if got, want := !b.aheadAt.IsZero(), miss <= maxAheadMisses; got != want {
				t.Errorf("after %d failures: got another attempt %v, want %v", miss, got, want)
			}
		}
		b.aheadAfterSuccess(now, time.Second, true)
	}
}

// Each overloaded answer doubles the pause that it causes, up to the given limit, and
// successes shorten it again.
func TestSlowDown(t *testing.T) {
	var b breaker
	for i, want := range []time.Duration{100, 200, 400, 800, 1000, 1000} {
		if got := b.slowDown(time.Second); got != want*time.Millisecond {
			t.Errorf("pause %d: got %v, want %v", i+1, got, want*time.Millisecond)
		}
	}
	for range 20 {
		b.succeeded()
	}
	if got := b.slowDown(time.Second); got < 500*time.Millisecond || got > 900*time.Millisecond {
		t.Errorf("after 20 successes: got %v, want 500ms to 900ms", got)
	}
	for range 100 {
		b.succeeded()
	}
	if got := b.slowDown(time.Second); got != minSlowPause {
		t.Errorf("after 120 successes: got %v, want %v", got, minSlowPause)
	}
}
