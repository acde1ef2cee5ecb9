package outbound

import (
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

func TestStanding(t *testing.T) {
	l := newLane(t, store.Subscription{})
	for _, step := range []struct {
		name string
		do   func()
		want standing
	}{
		{"nothing is known", func() {}, prompt},
		{"its first attempt is under way", func() { l.running = 2 }, slow},
		{"it has answered", func() { l.done(0, promptly) }, prompt},
		{"its second attempt hangs", func() { l.pace.ended = l.at(-2 * promptly) }, slow},
		{"it has answered late", func() { l.done(0, 2*promptly) }, slow},
		{"it answers promptly again", func() { l.running++; l.done(0, 0) }, slow},
		{"again and again", func() {
			for range 16 {
				l.running++
				l.done(0, 0)
			}
		}, prompt},
		{"it has had nothing for long", func() { l.pace.ended = l.at(-2 * promptly) }, prompt},
		{"it is down", func() { l.breaker.failures = downAfter }, down},
	} {
		step.do()
		if got := l.standing(l.e.now()); got != step.want {
			t.Errorf("%s: got %d, want %d", step.name, got, step.want)
		}
	}
}
