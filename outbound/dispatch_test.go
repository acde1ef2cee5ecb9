package outbound

import (
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// TestNextTurn checks which tier gets the next of 16 slots, given how many lanes wait in
// each tier, how many attempts it has under way, and which tier had the last turn.
func TestNextTurn(t *testing.T) {
	const none = tiers
	for name, c := range map[string]struct {
		waiting, runs [tiers]int // prompt, slow, down
		last, want    tier
	}{
		"no lane waits":                      {[...]int{0, 0, 0}, [...]int{0, 0, 0}, prompt, none},
		"no slot is free":                    {[...]int{1, 1, 1}, [...]int{8, 8, 0}, prompt, none},
		"slow gets up to three quarters":     {[...]int{0, 1, 0}, [...]int{0, 11, 0}, slow, slow},
		"slow does not get the last quarter": {[...]int{0, 1, 1}, [...]int{0, 11, 1}, slow, none},
		"prompt gets the last quarter":       {[...]int{1, 1, 1}, [...]int{0, 11, 1}, prompt, prompt},
		"prompt gets the last slot":          {[...]int{1, 1, 1}, [...]int{3, 11, 1}, prompt, prompt},
		"slow has a right to a quarter":      {[...]int{1, 1, 1}, [...]int{11, 3, 1}, prompt, slow},
		"slow has no right to more":          {[...]int{1, 1, 1}, [...]int{10, 4, 1}, prompt, prompt},
		"prompt after slow":                  {[...]int{1, 1, 1}, [...]int{1, 1, 1}, slow, prompt},
		"slow after prompt":                  {[...]int{1, 1, 1}, [...]int{1, 1, 1}, prompt, slow},
		"the first probe goes first":         {[...]int{1, 1, 1}, [...]int{10, 5, 0}, prompt, down},
		"down goes last":                     {[...]int{0, 0, 1}, [...]int{1, 1, 1}, prompt, down},
		"down gets at most a quarter":        {[...]int{0, 0, 1}, [...]int{1, 1, 4}, prompt, none},
	} {
		t.Run(name, func(t *testing.T) {
			d := dispatcher{slots: 16, runs: c.runs, last: c.last}
			for as, n := range c.waiting {
				for range n {
					d.waiting[as].push(new(lane))
				}
			}
			as, ok := d.next()
			if !ok {
				as = none
			}
			if as != c.want {
				t.Errorf("got %d, want %d", as, c.want)
			}
		})
	}
}

// The prompt and the slow tier take turns, also over several attempts.
func TestTurnsAreTaken(t *testing.T) {
	l := newLane(t, store.Subscription{})
	d := &l.e.dispatch
	d.mu.Lock() // so that no attempt ends
	for _, as := range []tier{prompt, slow} {
		for range 4 {
			d.waiting[as].push(l)
		}
	}
	d.slots = 4
	d.start()
	if d.runs[prompt] != 2 || d.runs[slow] != 2 {
		t.Errorf("got %d prompt and %d slow attempts, want 2 and 2", d.runs[prompt], d.runs[slow])
	}
	d.mu.Unlock()
	l.e.attempts.Wait()
}

// A lane waits in its tier's queue once, however often it is found to have deliveries.
func TestLaneWaitsOnce(t *testing.T) {
	l := newLane(t, store.Subscription{})
	l.queue.push(l.storeEvents(t, l.at(0), true)[0])
	d := &l.e.dispatch
	for range 2 {
		d.kick(l)
	}
	if n := d.waiting[prompt].len(); n != 1 {
		t.Errorf("got it %d times in the queue, want once", n)
	}
}
