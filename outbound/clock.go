package outbound

import (
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// Clock is how the engine reads the time and waits. Tests can supply their own.
type Clock interface {
	// Now returns the time of the wall clock, which may be set at any moment.
	Now() time.Time
	// Elapsed returns how much time has passed since some fixed moment. It isn't
	// affected when the wall clock is set.
	Elapsed() time.Duration
	// At returns a channel that is ready once Elapsed reaches the given value. It
	// takes no duration, since that would count from whenever At is called.
	At(elapsed time.Duration) <-chan time.Time
}

type systemClock struct{ began time.Time }

func (systemClock) Now() time.Time           { return time.Now() }
func (c systemClock) Elapsed() time.Duration { return time.Since(c.began) }
func (c systemClock) At(elapsed time.Duration) <-chan time.Time {
	return time.After(elapsed - c.Elapsed())
}

// timeline is the time by which deliveries are scheduled. It starts at the wall
// clock's time and from then on advances steadily: when the wall clock is set, no
// delivery becomes early, late or changes places with another.
type timeline struct {
	Clock
	zero time.Time // when Elapsed was 0
}

// newTimeline starts a timeline at the wall clock's time, or at that of the last id
// in the store if that is later.
func newTimeline(c Clock, last store.ID) timeline {
	now := later(c.Now().Round(0), last.Time()) // without the monotonic reading
	return timeline{Clock: c, zero: now.Add(-c.Elapsed())}
}

func (t *timeline) now() time.Time { return t.zero.Add(t.Elapsed()) }

// at returns a channel that is ready at the given time.
func (t *timeline) at(then time.Time) <-chan time.Time { return t.At(then.Sub(t.zero)) }

// after returns a channel that is ready once d has passed.
func (t *timeline) after(d time.Duration) <-chan time.Time { return t.At(t.Elapsed() + d) }

// latest returns the time for new ids: the later of the timeline's and the wall
// clock's. Ids never lag behind the schedule, and tell when something was made.
func (t *timeline) latest() time.Time { return later(t.now(), t.Now().Round(0)) }

// wall converts a time of the schedule, for people, into one of the wall clock as
// it is set now.
func (t *timeline) wall(due time.Time) time.Time {
	if due.IsZero() {
		return due
	}
	return due.Add(t.Now().Round(0).Sub(t.now()).Round(time.Second))
}

// later returns the later of two times.
func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// earlier returns the earlier of two times. Zero means none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
