package outbound

import (
	"math"
	"slices"
	"testing"
	"time"
)

// The standard schedule, that of Standard Webhooks, is nine delays between ten attempts.
func TestStandardScheduleIsTenAttempts(t *testing.T) {
	s := StandardSchedule()
	if err := s.Validate(); err != nil || len(s) != 9 {
		t.Errorf("got %d delays, %v, want 9", len(s), err)
	}
	if d, ok := s.after(9); d != 24*time.Hour || !ok {
		t.Errorf("after the ninth attempt: got %v, %v, want 24h, true", d, ok)
	}
	if _, ok := s.after(10); ok {
		t.Error("after the tenth attempt: got another delay, want none")
	}
}

func TestExponentialSchedule(t *testing.T) {
	for name, c := range map[string]struct {
		base     time.Duration
		factor   float64
		max      time.Duration
		attempts int
		want     Schedule // nil: refused
	}{
		"doubles up to the max": {time.Second, 2, 5 * time.Second, 5, Schedule{1e9, 2e9, 4e9, 5e9}},
		"constant":              {time.Second, 1, time.Second, 3, Schedule{1e9, 1e9}},
		"one attempt":           {time.Second, 2, time.Minute, 1, Schedule{}},
		"no base":               {0, 2, time.Minute, 3, nil},
		"shrinking":             {time.Second, 0.5, time.Minute, 3, nil},
		"no factor":             {time.Second, math.NaN(), time.Minute, 3, nil},
		"endless":               {time.Second, math.Inf(1), time.Minute, 3, nil},
		"max under base":        {time.Minute, 2, time.Second, 3, nil},
		"no attempt":            {time.Second, 2, time.Minute, 0, nil},
		"too many attempts":     {time.Second, 2, time.Minute, 101, nil},
		"too long":              {time.Hour, 2, 1000 * time.Hour, 20, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ExponentialSchedule(c.base, c.factor, c.max, c.attempts)
			if (err != nil) != (c.want == nil) {
				t.Fatalf("got error %v, want one: %v", err, c.want == nil)
			}
			if c.want != nil && !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// A schedule has fewer than maxAttempts delays, none of them 0 or longer than maxDelay.
func TestScheduleIsChecked(t *testing.T) {
	for name, c := range map[string]struct {
		schedule Schedule
		ok       bool
	}{
		"none":              {Schedule{}, true},
		"longest":           {Schedule{1, maxDelay}, true},
		"too long":          {Schedule{1, maxDelay + 1}, false},
		"at once":           {Schedule{1, 0}, false},
		"as many as may be": {slices.Repeat(Schedule{1}, maxAttempts-1), true},
		"too many":          {slices.Repeat(Schedule{1}, maxAttempts), false},
	} {
		if err := c.schedule.Validate(); (err == nil) != c.ok {
			t.Errorf("%s: got %v, want a valid schedule: %v", name, err, c.ok)
		}
	}
}

// Jitter changes a delay by up to a tenth in both directions, differently each time.
func TestJitterIsATenth(t *testing.T) {
	seen := map[time.Duration]bool{}
	for range 1000 {
		d := jitter(time.Hour)
		if d < 54*time.Minute || d > 66*time.Minute {
			t.Fatalf("got %v, want 54m to 66m", d)
		}
		seen[d] = true
	}
	if len(seen) < 500 {
		t.Errorf("got %d different delays of 1000, want 500 at least", len(seen))
	}
}
