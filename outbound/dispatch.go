package outbound

import "sync"

// dispatcher gives the lanes their turns. Each lane that could start an attempt
// stands in a queue once; whoever ends an attempt while others wait goes behind
// them. Slots are for everybody, but a quarter of them is kept for receivers that
// answer promptly, and those that are down have a quarter at most, so that however
// many are slow or time out, the others find a slot.
type dispatcher struct {
	e *Engine

	mu      sync.Mutex
	waiting [tiers]fifo[*lane]
	runs    [tiers]int // attempts under way
	slots   int        // attempts that may be
	last    tier       // who has had the last turn
}

func (d *dispatcher) init(e *Engine) {
	d.e = e
	d.slots = e.config.Load().Concurrency
}

// resize takes a new limit from the settings.
func (d *dispatcher) resize() {
	d.mu.Lock()
	d.slots = d.e.config.Load().Concurrency
	d.start()
	d.mu.Unlock()
}

// halt starts no more attempts. Those under way go on.
func (d *dispatcher) halt() {
	d.mu.Lock()
	d.e.draining.Store(true)
	d.mu.Unlock()
}

// kick gives a lane its place in the queue, if it could start an attempt.
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

// start begins attempts while there are slots. The caller holds mu.
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

// next tells whose turn it is. One probe of those that are down goes out at all
// times, or nobody would notice under load that they are back; the prompt and the
// slow take turns, and never fewer than a quarter of the slots are for the slow. The
// caller holds mu.
func (d *dispatcher) next() (as tier, ok bool) {
	free, quarter := d.slots-d.running(), d.slots/4
	waits := func(as tier) bool { return d.waiting[as].len() > 0 }
	switch {
	case free <= 0:
		return 0, false
	case waits(down) && d.runs[down] == 0 && d.slots > 1:
		return down, true
	case waits(slow) && (free > quarter || d.runs[slow] < quarter) && !(waits(prompt) && d.last == slow):
		return slow, true
	case waits(prompt):
		return prompt, true
	case waits(down) && free > quarter && d.runs[down] < max(quarter, 1):
		return down, true
	}
	return 0, false
}

// running counts the attempts under way. The caller holds mu.
func (d *dispatcher) running() (n int) {
	for _, runs := range d.runs {
		n += runs
	}
	return n
}

// inFlight counts the attempts.
func (d *dispatcher) inFlight() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.running()
}

// work makes attempts for a lane until it has none left, or others wait, or it counts
// among others.
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
		d.kick(l) // one more, if the lane has more
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

// shouldYield tells whether somebody else would have the slot of an attempt that has
// ended, or there are fewer slots now.
func (d *dispatcher) shouldYield(as tier) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.running() > d.slots {
		return true
	}
	d.runs[as]--
	_, others := d.next()
	d.runs[as]++
	return others
}
