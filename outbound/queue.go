package outbound

import (
	"fmt"
	"sync"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

const (
	maxStoringEvents = 8192     // events that may be queued or being stored, and
	maxStoringBytes  = 32 << 20 // their size, not counting the last one
	// tenantShare is the share of both that one tenant may use: 1/tenantShare. The
	// rest is left to other tenants.
	tenantShare = 2
)

// queue holds the outcomes and events that wait to be stored. Each tenant has a
// queue of its own for events, and they take turns, so that a tenant that publishes
// a lot only delays itself.
type queue struct {
	wake bell

	mu       sync.Mutex
	closed   bool
	outcomes fifo[unit]
	tenants  map[string]*tenantQueue // those with events queued or being stored
	ready    fifo[*tenantQueue]      // those with events queued, in turn
	waiting  int                     // events queued, of all tenants
	total    load
}

// tenantQueue is the events of one tenant.
type tenantQueue struct {
	waiting fifo[unit]
	total   load
}

// load is what is queued or being stored. An event counts until its publisher has
// the result.
type load struct{ events, bytes int }

// hasRoom reports whether less than 1/part of the limits is in use. The event that
// reaches the limit may exceed it: otherwise one that is as large as the share
// would be refused as long as there are small ones.
func (l load) hasRoom(part int) bool {
	return l.events < maxStoringEvents/part && l.bytes < maxStoringBytes/part
}

func (l *load) add(events, bytes int) {
	l.events += events
	l.bytes += bytes
}

func newQueue() *queue {
	return &queue{wake: newBell(), tenants: map[string]*tenantQueue{}}
}

// addPublication queues an event, or returns an error if there is no room.
func (q *queue) addPublication(u unit) error {
	tenant, size := u.publication.Event.Tenant, u.publication.Event.Size()
	q.mu.Lock()
	defer q.mu.Unlock()
	t := q.tenants[tenant]
	switch {
	case q.closed:
		return fmt.Errorf("%w: it is being closed", ErrUnavailable)
	case !q.total.hasRoom(1), t != nil && !t.total.hasRoom(tenantShare):
		return fmt.Errorf("%w: more is published than the disk can take", ErrUnavailable)
	case t == nil:
		t = new(tenantQueue)
		q.tenants[tenant] = t
	}
	q.total.add(1, size)
	t.total.add(1, size)
	q.waiting++
	t.waiting.push(u)
	if t.waiting.len() == 1 {
		q.ready.push(t)
	}
	q.wake.ring()
	return nil
}

// addSettlement queues an outcome.
func (q *queue) addSettlement(u unit) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.outcomes.push(u)
	q.wake.ring()
}

// close makes wait return false once the queue is empty.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.wake.ring()
}

// wait waits until something is queued. It returns false if the queue is closed and
// empty.
func (q *queue) wait() bool {
	for {
		q.mu.Lock()
		waiting, closed := q.waiting+q.outcomes.len() > 0, q.closed
		q.mu.Unlock()
		if waiting || closed {
			return waiting
		}
		<-q.wake
	}
}

// take moves units into a batch. If more are queued than fit, at least half of the
// batch is for events.
func (q *queue) take(b *commitBatch) {
	q.mu.Lock()
	defer q.mu.Unlock()
	outcomes := min(q.outcomes.len(), max(commitUnits/2, commitUnits-q.waiting))
	for range outcomes {
		b.add(q.outcomes.pop())
	}
	for room := commitUnits - outcomes; room > 0 && b.bytes < commitBytes && q.waiting > 0; room-- {
		t := q.ready.pop()
		b.add(t.waiting.pop())
		q.waiting--
		if t.waiting.len() > 0 {
			q.ready.push(t)
		}
	}
}

// release frees the room of an event added by addPublication.
func (q *queue) release(e *store.Event) {
	q.mu.Lock()
	defer q.mu.Unlock()
	t, size := q.tenants[e.Tenant], e.Size()
	q.total.add(-1, -size)
	if t.total.add(-1, -size); t.total.events == 0 {
		delete(q.tenants, e.Tenant)
	}
}
