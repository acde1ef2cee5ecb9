package outbound

import "time"

// Clock is what the engine knows of time, so that a test can own it.
type Clock interface {
	Now() time.Time
	// At is ready at a time, or at once if that is past.
	At(t time.Time) <-chan time.Time
}

type systemClock struct{}

func (systemClock) Now() time.Time                  { return time.Now() }
func (systemClock) At(t time.Time) <-chan time.Time { return time.After(time.Until(t)) }
