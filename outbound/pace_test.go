package outbound

import (
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// A lane's tier follows from how promptly its receiver answers, and from whether it is down.
func TestStanding(t *testing.T) {
	l := newLane(t, store.Subscription{})
	for _, step := range []struct {
		name string
		do   func()
		want tier
	}{
		{"nothing is known", func() {}, prompt},
		{"its first attempt is under way", func() { l.running = 2 }, slow},
		{"it has answered", func() { l.attemptDone(0, promptLimit) }, prompt},
		{"its second attempt hangs", func() { l.pace.lastEnd = l.at(-2 * promptLimit) }, slow},
		{"it has answered late", func() { l.attemptDone(0, 2*promptLimit) }, slow},
		{"it answers promptly again", func() { l.running++; l.attemptDone(0, 0) }, slow},
		{"again and again", func() {
			for range 16 {
				l.running++
				l.attemptDone(0, 0)
			}
		}, prompt},
		{"it has had nothing for long", func() { l.pace.lastEnd = l.at(-2 * promptLimit) }, prompt},
		{"it is down", func() { l.breaker.failures = downAfter }, down},
	} {
		step.do()
		if got := l.tier(l.e.now()); got != step.want {
			t.Errorf("%s: got %d, want %d", step.name, got, step.want)
		}
	}
}
