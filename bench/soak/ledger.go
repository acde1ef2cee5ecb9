package main

import (
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// delivery is one event for one subscription, an index in subscribers.
type delivery struct {
	event        uint64
	subscription int
}

// ledger records which events were accepted and which deliveries were made.
type ledger struct {
	refused atomic.Int64 // publishes that were not answered with 202 or 200

	mu       sync.Mutex
	accepted map[uint64]int         // event → kind of its type
	taken    map[delivery]int       // how often it was answered with 2xx
	waiting  map[delivery]time.Time // since when it has been accepted without a 2xx
	repeats  int                    // deliveries after a 2xx
}

func newLedger() *ledger {
	return &ledger{accepted: map[uint64]int{}, taken: map[delivery]int{}, waiting: map[delivery]time.Time{}}
}

// number returns an event id as a number. The id is one of ours, as in soak-17, or
// one of the engine's, evt_ and 16 hexadecimal digits.
func number(id string) uint64 {
	if digits, ours := strings.CutPrefix(id, "soak-"); ours {
		n, _ := strconv.ParseUint(digits, 10, 64)
		return n
	}
	n, _ := strconv.ParseUint(strings.TrimPrefix(id, "evt_"), 16, 64)
	return n
}

// poisoned reports whether an event is one that no receiver ever accepts. One in a
// thousand is.
func poisoned(event uint64) bool {
	const golden = 0x9E3779B97F4A7C15
	return event*golden>>32%1000 == 0
}

// accept records an event that was accepted.
func (l *ledger) accept(event uint64, kind int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.accepted[event] = kind
	for _, sub := range wanted(kind) {
		if d := (delivery{event, sub}); l.taken[d] == 0 && !poisoned(event) {
			l.waiting[d] = time.Now()
		}
	}
}

// take records a delivery that was answered with 2xx.
func (l *ledger) take(d delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.taken[d]++; l.taken[d] > 1 {
		l.repeats++
	}
	delete(l.waiting, d)
}

// tally sums up the ledger during a run.
type tally struct {
	accepted, delivered, repeats int
	lag                          time.Duration // how long the oldest deliverable one has waited
}

func (l *ledger) tally() tally {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := tally{accepted: len(l.accepted), delivered: len(l.taken), repeats: l.repeats}
	for _, since := range l.waiting {
		t.lag = max(t.lag, time.Since(since))
	}
	return t
}

// bury removes dead letters from what is waiting.
func (l *ledger) bury(dead map[delivery]bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for d := range dead {
		delete(l.waiting, d)
	}
}

// balance says, at the end of a run, what became of all deliveries that are owed for
// the accepted events.
type balance struct{ accepted, owed, delivered, dead, lost, repeats int }

func (l *ledger) balance(dead map[delivery]bool) balance {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := balance{accepted: len(l.accepted), repeats: l.repeats}
	for event, kind := range l.accepted {
		for _, sub := range wanted(kind) {
			b.owed++
			switch d := (delivery{event, sub}); {
			case l.taken[d] > 0:
				b.delivered++
			case dead[d]:
				b.dead++
			default:
				b.lost++
			}
		}
	}
	return b
}
