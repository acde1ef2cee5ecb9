package outbound

import (
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// breaker watches one receiver. While it is down, one attempt at a time goes
// out, as a probe, with pauses that grow, so that it costs the others nothing
// and its deliveries don't all use up their attempts. Where it is overloaded, it
// slows down.
type breaker struct {
	failures int       // in a row, those of attempts ahead of their time excepted
	since    time.Time // when the first of them was
	throttle int       // attempts at a time when it was throttled, 0 for no bound
	warned   time.Time // since when the receiver fails, where it was told that it does for long
	restored bool      // it has been down since before the start

	aheadAt     time.Time     // when to try something ahead of its time, zero for never
	aheadCursor store.Place   // what was tried so the last, from where it goes on
	aheadMisses int           // failures since something succeeded
	slowPause   time.Duration // the last pause for a receiver that asks to be slowed down, zero for none
}

const (
	// downAfter is how many attempts in a row must fail.
	downAfter = 10
	// downRoom is how many deliveries a lane holds while its receiver is down.
	downRoom = 4
	// maxProbePause is the longest pause between probes.
	maxProbePause = 30 * time.Second
	// maxAheadMisses is how many attempts ahead of their time may fail in a row.
	maxAheadMisses = 3
	// minSlowPause is the first pause of a receiver that asks to be slowed down.
	minSlowPause = 100 * time.Millisecond
	// probesPerStep is how many probes have the same pause.
	probesPerStep = 32
)

func (b *breaker) down() bool { return b.failures >= downAfter }

// pause is how long to wait before the next probe: a hundredth of the schedule's
// first delay, which grows to that delay in an outage that lasts. It begins so short
// for receivers that refuse most events and take some: they are never down for long.
func (b *breaker) pause(first time.Duration) time.Duration {
	if !b.down() {
		return 0
	}
	first = min(first, maxProbePause)
	return min(first/100<<min((b.failures-downAfter)/probesPerStep, 7), first)
}

// slowDown is how long to wait after the receiver has asked to be slowed down, and
// hasn't said for how long: twice as long as the last time, where not many attempts
// have succeeded since, and no longer than the schedule's first delay.
func (b *breaker) slowDown(first time.Duration) time.Duration {
	b.slowPause = min(max(2*b.slowPause, minSlowPause), first, maxProbePause)
	return b.slowPause
}

// restore is how a receiver that was down since then starts, after a restart.
func (b *breaker) restore(since time.Time) {
	if !since.IsZero() {
		b.failures, b.since, b.restored = downAfter, since, true
	}
}

// warnedSince returns since when the receiver has failed, where it was told that it
// does for long, and else the zero time. What was told before the start isn't known:
// the time that it takes stands for it.
func (b *breaker) warnedSince(d DisableAfter, now time.Time) time.Time {
	if b.warned.IsZero() && b.restored && d.lasted(b.failing(), now, 2) {
		return b.since
	}
	return b.warned
}

func (b *breaker) limit(most int) int {
	switch {
	case b.down():
		return 1
	case b.throttle > 0:
		return min(b.throttle, most)
	}
	return most
}

// succeeded reports whether the receiver was down before.
func (b *breaker) succeeded() (wasDown bool) {
	wasDown = b.down()
	b.failures, b.since, b.warned, b.restored = 0, time.Time{}, time.Time{}, false
	b.slowPause -= b.slowPause / 20
	if wasDown {
		b.throttle = 1 // come back gently
	}
	if b.throttle > 0 {
		b.throttle++
	}
	return wasDown
}

// failed reports whether the receiver has just gone down.
func (b *breaker) failed(now time.Time, overloaded bool, running int) (wentDown bool) {
	if b.failures++; b.failures == 1 {
		b.since = now
	}
	if overloaded {
		b.throttle = max(running/2, 1)
	}
	return b.failures == downAfter
}
