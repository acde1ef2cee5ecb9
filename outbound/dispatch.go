package outbound

import "sync"

// dispatcher gives the lanes their turns. Each lane that could start an
// attempt stands in the queue once; whoever ends an attempt while others wait
// goes behind them. Receivers that are down share a quarter of the slots at
// most, so that their timeouts never fill the node.
type dispatcher struct {
	e *Engine

	mu          sync.Mutex
	healthy     fifo[*lane]
	suspect     fifo[*lane]
	slots       int // attempts that may be under way
	running     int
	suspectRuns int
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
	wants, suspect := l.wantsWorker()
	if !wants {
		return
	}
	d.mu.Lock()
	d.enqueue(l, suspect)
	d.start()
	d.mu.Unlock()
}

func (d *dispatcher) enqueue(l *lane, suspect bool) {
	if l.ready {
		return
	}
	l.ready = true
	if suspect {
		d.suspect.push(l)
	} else {
		d.healthy.push(l)
	}
}

// start begins attempts while there are slots. The caller holds mu.
func (d *dispatcher) start() {
	for d.running < d.slots && !d.e.draining.Load() {
		switch {
		case d.probes():
			d.launch(d.suspect.pop(), true)
		case d.healthy.len() > 0:
			d.launch(d.healthy.pop(), false)
		case d.suspect.len() > 0 && d.suspectRuns < max(d.slots/4, 1):
			d.launch(d.suspect.pop(), true)
		default:
			return
		}
	}
}

func (d *dispatcher) launch(l *lane, suspect bool) {
	l.ready = false
	d.running++
	if suspect {
		d.suspectRuns++
	}
	d.e.attempts.Add(1)
	go d.work(l, suspect)
}

// work makes attempts for a lane until it has none left, or others wait.
func (d *dispatcher) work(l *lane, suspect bool) {
	defer d.e.attempts.Done()
	for {
		h := l.take()
		if h == nil {
			break
		}
		d.kick(l) // one more, if the lane has more
		d.e.attempt(l, h)
		if d.crowded() {
			break
		}
		if _, now := l.wantsWorker(); now != suspect {
			break // it counts among the others from now on
		}
	}
	d.mu.Lock()
	d.running--
	if suspect {
		d.suspectRuns--
	}
	d.start()
	d.mu.Unlock()
	d.kick(l)
}

// probes tells whether a receiver that is down is to have the next slot: one is
// theirs at all times, or nobody would notice under load that they are back.
// The caller holds mu.
func (d *dispatcher) probes() bool {
	return d.suspect.len() > 0 && d.suspectRuns == 0 && d.slots > 1
}

// crowded tells whether others wait for a slot, or there are fewer slots now.
func (d *dispatcher) crowded() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.running > d.slots || d.running == d.slots && (d.healthy.len() > 0 || d.probes())
}
