package outbound

import (
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// Clock is what the engine knows of time, so that a test can own it.
type Clock interface {
	// Now is the time by the wall clock, which may be set at any moment.
	Now() time.Time
	// Elapsed is how much time has passed since some moment, however the wall
	// clock is set.
	Elapsed() time.Duration
	// At is ready when so much has passed since that moment. It takes no
	// duration, which would count from whenever it is called.
	At(elapsed time.Duration) <-chan time.Time
}

type systemClock struct{ began time.Time }

func (systemClock) Now() time.Time           { return time.Now() }
func (c systemClock) Elapsed() time.Duration { return time.Since(c.began) }
func (c systemClock) At(elapsed time.Duration) <-chan time.Time {
	return time.After(elapsed - c.Elapsed())
}

// timeline is the time by which deliveries are scheduled. It begins at the wall
// clock's time and then only ever passes: where that is set, nothing comes
// early, late or in another order.
type timeline struct {
	Clock
	zero time.Time // when nothing had elapsed
}

// newTimeline begins where the time that the store has known ended, if the wall
// clock is behind that.
func newTimeline(c Clock, last store.ID) timeline {
	now := c.Now().Round(0) // without its own reading of what has elapsed
	if known := last.Time(); known.After(now) {
		now = known
	}
	return timeline{Clock: c, zero: now.Add(-c.Elapsed())}
}

func (t *timeline) now() time.Time { return t.zero.Add(t.Elapsed()) }

// at is ready when it is then.
func (t *timeline) at(then time.Time) <-chan time.Time { return t.At(then.Sub(t.zero)) }

// after is ready when that much more time has passed.
func (t *timeline) after(d time.Duration) <-chan time.Time { return t.At(t.Elapsed() + d) }

// latest is for ids: they are never behind what is scheduled, and say when
// something was made.
func (t *timeline) latest() time.Time {
	now, wall := t.now(), t.Now().Round(0)
	if wall.After(now) {
		return wall
	}
	return now
}

// wall says for people when something is due, as the wall clock is set now.
func (t *timeline) wall(due time.Time) time.Time {
	if due.IsZero() {
		return due
	}
	return due.Add(t.Now().Round(0).Sub(t.now()).Round(time.Second))
}

// earlier is the first of two times, of which zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
