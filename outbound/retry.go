package outbound

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// Schedule says how long to wait after each failed attempt. An event is
// attempted once more than the schedule has delays.
type Schedule []time.Duration

// StandardSchedule is the one of the Standard Webhooks specification: ten
// attempts over three days and three hours.
func StandardSchedule() Schedule {
	return Schedule{
		5 * time.Second,  //                 0:00:05 after the first attempt
		5 * time.Minute,  //                 0:05
		30 * time.Minute, //                0:35
		2 * time.Hour,    //                   2:35
		5 * time.Hour,    //                   7:35
		10 * time.Hour,   //                 17:35
		14 * time.Hour,   //               1d 7:35
		20 * time.Hour,   //               2d 3:35
		24 * time.Hour,   //               3d 3:35
	}
}

// maxDelay bounds each delay of a schedule.
const maxDelay = 7 * 24 * time.Hour

// maxAttempts bounds a schedule's length.
const maxAttempts = 100

// ExponentialSchedule computes the delays for a number of attempts: base,
// base×factor, base×factor², … and none over max.
func ExponentialSchedule(base time.Duration, factor float64, max time.Duration, attempts int) (Schedule, error) {
	switch {
	case base <= 0:
		return nil, fmt.Errorf("base must be over 0, not %v", base)
	case factor < 1 || math.IsNaN(factor) || math.IsInf(factor, 0):
		return nil, fmt.Errorf("factor must be 1 or more, not %v", factor)
	case max < base:
		return nil, fmt.Errorf("max must be base (%v) or more, not %v", base, max)
	case attempts < 1 || attempts > maxAttempts:
		return nil, fmt.Errorf("attempts must be between 1 and %d, not %d", maxAttempts, attempts)
	}
	s := make(Schedule, attempts-1)
	delay := float64(base)
	for i := range s {
		s[i] = time.Duration(math.Min(delay, float64(max)))
		delay *= factor
	}
	return s, s.Validate()
}

// Validate tells whether the delays are within bounds.
func (s Schedule) Validate() error {
	if len(s) >= maxAttempts {
		return fmt.Errorf("%d delays are too many: %d attempts at most", len(s), maxAttempts)
	}
	for _, d := range s {
		if d <= 0 || d > maxDelay {
			return fmt.Errorf("a delay must be over 0 and at most %v, not %v", maxDelay, d)
		}
	}
	return nil
}

// after returns the delay before the next attempt, when made attempts of this
// round have failed; false when that was the last one.
func (s Schedule) after(made int) (time.Duration, bool) {
	if made < 1 || made > len(s) {
		return 0, false
	}
	return s[made-1], true
}

// first is the delay by which the pauses of a receiver that fails are measured: the
// schedule's own, and where nothing is tried again that of the standard one.
func (s Schedule) first() time.Duration {
	if len(s) == 0 {
		s = StandardSchedule()
	}
	return s[0]
}

// jitter spreads a delay by a tenth to both sides, so that what failed
// together does not come back together.
func jitter(d time.Duration) time.Duration {
	return d + time.Duration((rand.Float64()-0.5)*0.2*float64(d))
}
