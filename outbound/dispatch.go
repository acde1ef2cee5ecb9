package outbound

import "sync"

// dispatcher shares the slots for attempts among lanes. A lane that could start an
// attempt is in its tier's queue once. A lane whose attempt ends while others wait
// goes to the end of the queue. All tiers share the slots, but a quarter is kept
// for receivers that respond promptly, and those that are down get a quarter at
// most: however many are slow or time out, the others find a slot.
type dispatcher struct {
	e *Engine

	mu      sync.Mutex
	waiting [tiers]fifo[*lane] // a queue for each tier
	runs    [tiers]int         // attempts under way
	slots   int                // the most attempts that may be under way
	last    tier               // which tier had the last turn
}

func (d *dispatcher) init(e *Engine) {
	d.e = e
	d.slots = e.config.Load().Concurrency
}

// resize applies a new limit from the settings.
func (d *dispatcher) resize() {
	d.mu.Lock()
	d.slots = d.e.config.Load().Concurrency
	d.start()
	d.mu.Unlock()
}

// halt starts no more attempts. Those under way continue.
func (d *dispatcher) halt() {
	d.mu.Lock()
	d.e.draining.Store(true)
	d.mu.Unlock()
}

// kick puts a lane into its queue if it could start an attempt.
func (d *dispatcher) kick(l *lane) {
	wants, as := l.runnable()
	if !wants {
		return
	}
	d.mu.Lock()
	if !l.queued[as] {
		l.queued[as] = true
		d.waiting[as].push(l)
	}
	d.start()
	d.mu.Unlock()
}

// start begins attempts while slots are free. The caller holds mu.
func (d *dispatcher) start() {
	for !d.e.draining.Load() {
		as, ok := d.next()
		if !ok {
			return
		}
		l := d.waiting[as].pop()
		l.queued[as] = false
		d.runs[as]++
		d.last = as
		d.e.attempts.Add(1)
		go d.work(l, as)
	}
}

// next returns the tier whose turn it is. One probe to a receiver that is down may
// always go out, since otherwise a recovery would go unnoticed under load. The
// prompt and the slow tier take turns, and the slow tier always gets a quarter of
// the slots. The caller holds mu.
func (d *dispatcher) next() (as tier, ok bool) {
	free, quarter := d.slots-d.running(), d.slots/4
	waits := func(as tier) bool { return d.waiting[as].len() > 0 }
	slowAllowed := free > quarter || d.runs[slow] < quarter
	promptsTurn := waits(prompt) && d.last == slow
	switch {
	case free <= 0:
		return 0, false
	case waits(down) && d.runs[down] == 0 && d.slots > 1:
		return down, true
	case waits(slow) && slowAllowed && !promptsTurn:
		return slow, true
	case waits(prompt):
		return prompt, true
	case waits(down) && free > quarter && d.runs[down] < max(quarter, 1):
		return down, true
	}
	return 0, false
}

// running returns the number of attempts in flight. The caller holds mu.
func (d *dispatcher) running() (n int) {
	for _, runs := range d.runs {
		n += runs
	}
	return n
}

// inFlight returns the number of attempts in flight.
func (d *dispatcher) inFlight() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.running()
}

// work makes attempts for a lane until it has none to make, its tier changes, or it
// should yield its slot.
func (d *dispatcher) work(l *lane, as tier) {
	defer d.e.attempts.Done()
	for {
		if _, now := l.runnable(); now != as {
			break
		}
		h := l.take()
		if h == nil {
			break
		}
		d.kick(l) // start another worker if the lane has more
		d.e.attempt(l, h)
		if d.shouldYield(as) {
			break
		}
	}
	d.mu.Lock()
	d.runs[as]--
	d.start()
	d.mu.Unlock()
	d.kick(l)
}

// shouldYield reports whether another lane should get the slot of an attempt that
// has just ended, or there are more attempts than slots since these were reduced.
func (d *dispatcher) shouldYield(as tier) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.running() > d.slots {
		return true
	}
	d.runs[as]--
	_, waiting := d.next()
	d.runs[as]++
	return waiting
}
