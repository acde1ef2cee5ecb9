package outbound

import (
	"fmt"
	"sync"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

const (
	maxStoringEvents = 8192     // events that may be on their way to the disk, and
	maxStoringBytes  = 32 << 20 // their bytes, the last one excepted
	// tenantShare is the part of both that one tenant has at most, one in so
	// many, so that the others find room.
	tenantShare = 2
)

// queue is what waits to be stored: the outcomes of attempts, and events. Each
// tenant's events have a line of their own and the lines take turns, so that
// whoever publishes much waits for itself.
type queue struct {
	wake bell

	mu       sync.Mutex
	closed   bool
	outcomes fifo[unit]
	tenants  map[string]*tenantQueue // by tenant, those with events on their way
	ready    fifo[*tenantQueue]      // those with events that wait
	waiting  int                     // events in all lines
	total    load
}

// tenantQueue is one tenant's.
type tenantQueue struct {
	waiting fifo[unit]
	total   load
}

// load is of events on their way to the disk, from when they line up until
// whoever published them is told.
type load struct{ events, bytes int }

// hasRoom tells whether one part in so many of what may be on its way is not used
// up. The payload that uses it up may go beyond it, so that one as large as the
// part isn't refused for as long as there are small ones.
func (a load) hasRoom(part int) bool {
	return a.events < maxStoringEvents/part && a.bytes < maxStoringBytes/part
}

func (a *load) add(events, bytes int) {
	a.events += events
	a.bytes += bytes
}

func newQueue() *queue {
	return &queue{wake: newBell(), tenants: map[string]*tenantQueue{}}
}

// addPublication lines up an event, or refuses it where there is no room.
func (q *queue) addPublication(u unit) error {
	tenant, size := u.publication.Event.Tenant, u.publication.Event.Size()
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.tenants[tenant]
	switch {
	case q.closed:
		return fmt.Errorf("%w: it is being closed", ErrUnavailable)
	case !q.total.hasRoom(1), l != nil && !l.total.hasRoom(tenantShare):
		return fmt.Errorf("%w: more is published than the disk takes", ErrUnavailable)
	case l == nil:
		l = new(tenantQueue)
		q.tenants[tenant] = l
	}
	q.total.add(1, size)
	l.total.add(1, size)
	q.waiting++
	l.waiting.push(u)
	if l.waiting.len() == 1 {
		q.ready.push(l)
	}
	q.wake.ring()
	return nil
}

// addSettlement lines up an outcome.
func (q *queue) addSettlement(u unit) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.outcomes.push(u)
	q.wake.ring()
}

// close lets wait report the end once nothing waits.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.wake.ring()
}

// wait returns when something waits, and reports false when nothing does, and
// never will.
func (q *queue) wait() bool {
	for {
		q.mu.Lock()
		some, closed := q.waiting+q.outcomes.len() > 0, q.closed
		q.mu.Unlock()
		if some || closed {
			return some
		}
		<-q.wake
	}
}

// take fills a batch. Where more waits than it holds, half of it is for events.
func (q *queue) take(g *commitBatch) {
	q.mu.Lock()
	defer q.mu.Unlock()
	outcomes := min(q.outcomes.len(), max(commitUnits/2, commitUnits-q.waiting))
	for range outcomes {
		g.add(q.outcomes.pop())
	}
	for room := commitUnits - outcomes; room > 0 && g.bytes < commitBytes && q.waiting > 0; room-- {
		l := q.ready.pop()
		g.add(l.waiting.pop())
		q.waiting--
		if l.waiting.len() > 0 {
			q.ready.push(l)
		}
	}
}

// release gives back the room of an event that publish has taken.
func (q *queue) release(e *store.Event) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l, size := q.tenants[e.Tenant], e.Size()
	q.total.add(-1, -size)
	if l.total.add(-1, -size); l.total.events == 0 {
		delete(q.tenants, e.Tenant)
	}
}
