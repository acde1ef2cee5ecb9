package outbound

import (
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// breaker tracks the failures of one receiver. While the receiver is down, one
// attempt at a time is made as a probe, with growing pauses: this takes no slots
// from others, and doesn't use up the attempts of all its deliveries. A receiver
// that is overloaded gets fewer attempts at once.
type breaker struct {
	failures int       // in a row, not counting attempts ahead of schedule
	since    time.Time // when the first of them happened; zero if there are none
	throttle int       // attempts allowed at once since the receiver was overloaded; 0 for no limit
	warned   time.Time // start of the failures that have been warned about; zero if none
	restored bool      // it has been down since before the process started

	aheadAt     time.Time     // when to attempt something ahead of schedule; zero for never
	aheadCursor store.Place   // the last delivery attempted ahead of schedule; the next one comes after it
	aheadRound  int           // grows when all that wait get another such attempt
	aheadStarts int           // grows when the first delivery is next again, also within a round
	aheadMisses int           // failures since the last success
	slowPause   time.Duration // the last pause after the receiver asked to be slowed down; zero for none
}

const (
	// downAfter is how many attempts in a row must fail before a receiver counts as
	// down.
	downAfter = 10
	// downRoom is how many deliveries a lane holds while its receiver is down.
	downRoom = 4
	// maxProbePause is the longest pause between probes.
	maxProbePause = 30 * time.Second
	// maxAheadMisses is how many attempts ahead of schedule may fail in a row.
	maxAheadMisses = 3
	// minSlowPause is the first pause after a receiver asked to be slowed down.
	minSlowPause = 100 * time.Millisecond
	// probesPerStep is how many probes are made before the pause between them
	// doubles.
	probesPerStep = 32
)

func (b *breaker) down() bool { return b.failures >= downAfter }

// pause returns how long to wait before the next probe: a hundredth of the
// schedule's first delay at the start of an outage, growing to that delay. It
// starts that small for receivers that reject most events and accept some: they are
// never down for long.
func (b *breaker) pause(first time.Duration) time.Duration {
	if !b.down() {
		return 0
	}
	first = min(first, maxProbePause)
	doublings := min((b.failures-downAfter)/probesPerStep, 7) // 2^7 is over 100
	return min(first/100<<doublings, first)
}

// slowDown returns how long to wait after the receiver asked to be slowed down
// without saying for how long: twice the last pause, which successes reduce, and no
// longer than the schedule's first delay.
func (b *breaker) slowDown(first time.Duration) time.Duration {
	b.slowPause = min(max(2*b.slowPause, minSlowPause), first, maxProbePause)
	return b.slowPause
}

// restore sets the state of a receiver that was down when the process started.
func (b *breaker) restore(since time.Time) {
	if !since.IsZero() {
		b.failures, b.since, b.restored = downAfter, since, true
	}
}

// warnedSince returns since when the receiver has failed if that has been warned
// about, and zero otherwise. Whether it was before a restart isn't known, so it is
// inferred from the time that has passed.
func (b *breaker) warnedSince(d DisableAfter, now time.Time) time.Time {
	if b.warned.IsZero() && b.restored && d.lasted(b.failing(), now, 2) {
		return b.since
	}
	return b.warned
}

// limit returns how many attempts may be made at once, concurrency at the most.
func (b *breaker) limit(concurrency int) int {
	switch {
	case b.down():
		return 1
	case b.throttle > 0:
		return min(b.throttle, concurrency)
	}
	return concurrency
}

// succeeded records a success and reports whether the receiver was down.
func (b *breaker) succeeded() (wasDown bool) {
	wasDown = b.down()
	b.failures, b.since, b.warned, b.restored = 0, time.Time{}, time.Time{}, false
	b.slowPause -= b.slowPause / 20
	if wasDown {
		b.throttle = 1 // recover gradually
	}
	if b.throttle > 0 {
		b.throttle++
	}
	return wasDown
}

// failed records a failure and reports whether the receiver is down since just now.
// running is the number of attempts under way.
func (b *breaker) failed(now time.Time, overloaded bool, running int) (wentDown bool) {
	if b.failures++; b.failures == 1 {
		b.since = now
	}
	if overloaded {
		b.throttle = max(running/2, 1)
	}
	return b.failures == downAfter
}
