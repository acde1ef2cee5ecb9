package outbound

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// Schedule is the delays between the attempts at a delivery. There is one attempt
// more than there are delays.
type Schedule []time.Duration

// StandardSchedule returns the schedule of the Standard Webhooks specification: ten
// attempts over three days and three and a half hours.
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

// ExponentialSchedule returns the delays for a number of attempts: base,
// base×factor, base×factor² and so on, none over max.
func ExponentialSchedule(base time.Duration, factor float64, max time.Duration, attempts int) (Schedule, error) {
	switch {
	case base <= 0:
		return nil, fmt.Errorf("base must be over 0, not %s", FormatDuration(base))
	case !(factor >= 1) || math.IsInf(factor, 1): // or not a number
		return nil, fmt.Errorf("factor must be 1 or more, not %v", factor)
	case max < base:
		return nil, fmt.Errorf("max must be base (%s) or more, not %s", FormatDuration(base), FormatDuration(max))
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

// Validate checks that the number of delays and each of them are within bounds.
func (s Schedule) Validate() error {
	if len(s) >= maxAttempts {
		return fmt.Errorf("%d delays are too many: %d attempts at most", len(s), maxAttempts)
	}
	for _, d := range s {
		if d <= 0 || d > maxDelay {
			return fmt.Errorf("a delay must be over 0 and at most %s, not %s", FormatDuration(maxDelay), FormatDuration(d))
		}
	}
	return nil
}

// after returns the delay after the given number of failed attempts of the current
// round. It returns false if that was the last attempt.
func (s Schedule) after(made int) (time.Duration, bool) {
	if made < 1 || made > len(s) {
		return 0, false
	}
	return s[made-1], true
}

// first returns the delay that sets the scale for pauses while a receiver fails:
// the schedule's first, or the standard one's if there are no retries.
func (s Schedule) first() time.Duration {
	if len(s) == 0 {
		s = StandardSchedule()
	}
	return s[0]
}

// jitter changes a delay by up to a tenth either way, so that deliveries that
// failed together aren't retried together.
func jitter(d time.Duration) time.Duration {
	return d + time.Duration((rand.Float64()-0.5)*0.2*float64(d))
}
