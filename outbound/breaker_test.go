package outbound

import (
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
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
		{downAfter + 2*probesPerStep - 1, 5 * time.Second, 100 * time.Millisecond},
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
		b.aheadAfterFailure(now, 10*time.Second, 0)
		if got := b.aheadAt.Sub(now); got < want*9/10 || got > want*11/10 {
			t.Errorf("after %v of failures: got a pause of %v, want %v within a tenth", failing, got, want)
		}
	}
}

// What was planned for now after an attempt had begun stays when it fails. Anything else is
// planned anew.
func TestPlanAfterAFailureOfAnEarlierRound(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		round   int // of the attempt; the present one is 1
		planned time.Time
		stays   bool
	}{
		"for now":            {0, now, true},
		"for now, before it": {1, now, false},
		"for later":          {0, now.Add(time.Hour), false},
		"none":               {0, time.Time{}, false},
	} {
		b := breaker{since: now, aheadRound: 1, aheadAt: c.planned}
		b.aheadAfterFailure(now, 10*time.Second, c.round)
		if wait := b.aheadAt.Sub(now); (wait == 0) != c.stays || wait < 0 || wait > time.Minute {
			t.Errorf("%s: got the next planned in %v, want it to stay %v", name, wait, c.stays)
		}
	}
}

// A success is followed by an attempt ahead of schedule if it was one, or if it ends an
// outage. That starts with the first delivery again; otherwise the next one's turn comes.
func TestAttemptAheadOfScheduleAfterASuccess(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	later, cursor, first := now.Add(time.Minute), store.Place{ID: 7}, 10*time.Second
	for name, c := range map[string]struct {
		failing  time.Duration // how long the receiver has failed; 0 if it hasn't
		failures int
		early    bool
		planned  time.Time
		at       time.Time
		cursor   store.Place
	}{
		"no failure":                  {0, 0, false, later, later, cursor},
		"no failure, early":           {0, 0, true, later, now, cursor},
		"a few failures":              {first/2 - 1, 3, false, later, time.Time{}, cursor},
		"a few failures and a change": {first/2 - 1, 3, false, now, now, cursor},
		"a few failures, early":       {first/2 - 1, 3, true, later, now, store.Place{}},
		"failures for some time":      {first / 2, 3, false, later, now, store.Place{}},
		"many failures in a row":      {1, downAfter, false, later, now, store.Place{}},
	} {
		b := breaker{failures: c.failures, aheadAt: c.planned, aheadCursor: cursor}
		if c.failing > 0 {
			b.since = now.Add(-c.failing)
		}
		b.aheadAfterSuccess(now, first, c.early)
		if !b.aheadAt.Equal(c.at) || b.aheadCursor != c.cursor {
			t.Errorf("%s: got the next at %v after %v, want %v after %v", name, b.aheadAt, b.aheadCursor, c.at, c.cursor)
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
			b.aheadAfterFailure(now, time.Second, 0)
			if got, want := !b.aheadAt.IsZero(), miss <= maxAheadMisses; got != want {
				t.Errorf("after %d failures: got another attempt %v, want %v", miss, got, want)
			}
		}
		b.aheadAfterSuccess(now, time.Second, true)
	}
}

// A run of failures deactivates its subscription once it has both enough failures and
// lasted long enough, and is warned about at half of both.
func TestDisableAfterIsReached(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	day := 24 * time.Hour
	for name, c := range map[string]struct {
		failures, attempts int
		lasted             time.Duration
		warn, disable      bool
	}{
		"almost half the failures": {50, 24, day, false, false},
		"almost half the time":     {50, 50, day/2 - 1, false, false},
		"half of both":             {50, 25, day / 2, true, false},
		"almost all the failures":  {50, 49, day, true, false},
		"almost all the time":      {50, 50, day - 1, true, false},
		"all of both":              {50, 50, day, true, true},
		"never":                    {-1, 1000, 10 * day, false, false},
	} {
		d := DisableAfter{Failures: c.failures, For: day}
		f := Failing{c.attempts, now.Add(-c.lasted)}
		if warn, disable := d.reached(f, now, 2), d.reached(f, now, 1); warn != c.warn || disable != c.disable {
			t.Errorf("%s: got a warning %v, deactivation %v, want %v, %v", name, warn, disable, c.warn, c.disable)
		}
	}
	if (DisableAfter{Failures: 1, For: day}).reached(Failing{}, now, 2) {
		t.Error("no failure: got a warning")
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
	if got := (&breaker{slowPause: time.Hour}).slowDown(time.Hour); got != maxProbePause {
		t.Errorf("at the most: got %v, want %v", got, maxProbePause)
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
