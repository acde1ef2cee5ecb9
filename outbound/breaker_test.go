package outbound

import (
	"testing"
	"time"
)

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
		t.Error("it went down twice")
	}
	if !b.succeeded() || b.down() {
		t.Error("one success brings it back")
	}
	if got := b.limit(16); got != 2 {
		t.Errorf("it comes back with %d attempts at a time, want 2", got)
	}
	for range 16 {
		b.succeeded()
	}
	if got := b.limit(16); got != 16 {
		t.Errorf("%d attempts at a time in the end, want 16", got)
	}
}

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
			t.Errorf("after %d failures, with a first delay of %v: %v, want %v", c.failures, c.first, got, c.want)
		}
	}
}

func TestSlowDown(t *testing.T) {
	var b breaker
	for i, want := range []time.Duration{100, 200, 400, 800, 1000, 1000} {
		if got := b.slowDown(time.Second); got != want*time.Millisecond {
			t.Errorf("pause %d: %v, want %v ms", i+1, got, want)
		}
	}
	for range 20 {
		b.succeeded()
	}
	if got := b.slowDown(time.Second); got < 500*time.Millisecond || got > 900*time.Millisecond {
		t.Errorf("after 20 successes: %v", got)
	}
	for range 100 {
		b.succeeded()
	}
	if got := b.slowDown(time.Second); got != minSlowPause {
		t.Errorf("after many: %v, want %v", got, minSlowPause)
	}
}
