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
	allowed  int       // attempts at a time when it was throttled, 0 for no bound
	told     time.Time // since when the receiver fails, where it was told that it does for long
	recalled bool      // it has been down since before the start

	ahead  time.Time     // when to try something ahead of its time, zero for never
	passed store.Place   // what was tried so the last, from where it goes on
	misses int           // failures since something succeeded
	slow   time.Duration // the last pause for a receiver that asks to be slowed down, zero for none
}

const (
	// downAfter is how many attempts in a row must fail.
	downAfter = 10
	// downRoom is how many deliveries a lane holds while its receiver is down.
	downRoom = 4
	// maxProbePause is the longest pause between probes.
	maxProbePause = 30 * time.Second
	// maxMisses is how many attempts ahead of their time may fail in a row.
	maxMisses = 3
	// slowest is the first pause of a receiver that asks to be slowed down.
	slowest = 100 * time.Millisecond
	// probesAlike is how many probes have the same pause.
	probesAlike = 32
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
	return min(first/100<<min((b.failures-downAfter)/probesAlike, 7), first)
}

// slowDown is how long to wait after the receiver has asked to be slowed down, and
// hasn't said for how long: twice as long as the last time, where not many attempts
// have succeeded since, and no longer than the schedule's first delay.
func (b *breaker) slowDown(first time.Duration) time.Duration {
	b.slow = min(max(2*b.slow, slowest), first, maxProbePause)
	return b.slow
}

// resume is how a receiver that was down since then starts, after a restart.
func (b *breaker) resume(since time.Time) {
	if !since.IsZero() {
		b.failures, b.since, b.recalled = downAfter, since, true
	}
}

// failedLong returns since when the receiver has failed, where it was told that it
// does for long, and else the zero time. What was told before the start isn't known:
// the time that it takes stands for it.
func (b *breaker) failedLong(d DisableAfter, now time.Time) time.Time {
	if b.told.IsZero() && b.recalled && d.lasted(b.failing(), now, 2) {
		return b.since
	}
	return b.told
}

func (b *breaker) limit(most int) int {
	switch {
	case b.down():
		return 1
	case b.allowed > 0:
		return min(b.allowed, most)
	}
	return most
}

// succeeded reports whether the receiver was down before.
func (b *breaker) succeeded() (wasDown bool) {
	wasDown = b.down()
	b.failures, b.since, b.told, b.recalled = 0, time.Time{}, time.Time{}, false
	b.slow -= b.slow / 20
	if wasDown {
		b.allowed = 1 // come back gently
	}
	if b.allowed > 0 {
		b.allowed++
	}
	return wasDown
}

// failed reports whether the receiver has just gone down.
func (b *breaker) failed(now time.Time, overloaded bool, running int) (wentDown bool) {
	if b.failures++; b.failures == 1 {
		b.since = now
	}
	if overloaded {
		b.allowed = max(running/2, 1)
	}
	return b.failures == downAfter
}
