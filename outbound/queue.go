package outbound

import (
	"fmt"
	"sync"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

const (
	storingEvents = 8192     // events that may be on their way to the disk, and
	storingBytes  = 32 << 20 // their bytes, the last one excepted
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
	lines    map[string]*line // by tenant, those with events on their way
	turns    fifo[*line]      // those with events that wait
	waiting  int              // events in all lines
	all      amount
}

// line is one tenant's.
type line struct {
	waiting fifo[unit]
	all     amount
}

// amount is of events on their way to the disk, from when they line up until
// whoever published them is told.
type amount struct{ events, bytes int }

// room tells whether one part in so many of what may be on its way is not used
// up. The payload that uses it up may go beyond it, so that one as large as the
// part isn't refused for as long as there are small ones.
func (a amount) room(part int) bool {
	return a.events < storingEvents/part && a.bytes < storingBytes/part
}

func (a *amount) add(events, bytes int) {
	a.events += events
	a.bytes += bytes
}

func newQueue() *queue {
	return &queue{wake: newBell(), lines: map[string]*line{}}
}

// publish lines up an event, or refuses it where there is no room.
func (q *queue) publish(u unit) error {
	tenant, size := u.publication.Event.Tenant, u.publication.Event.Size()
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.lines[tenant]
	switch {
	case q.closed:
		return fmt.Errorf("%w: it is being closed", ErrUnavailable)
	case !q.all.room(1), l != nil && !l.all.room(tenantShare):
		return fmt.Errorf("%w: more is published than the disk takes", ErrUnavailable)
	case l == nil:
		l = new(line)
		q.lines[tenant] = l
	}
	q.all.add(1, size)
	l.all.add(1, size)
	q.waiting++
	l.waiting.push(u)
	if l.waiting.len() == 1 {
		q.turns.push(l)
	}
	q.wake.ring()
	return nil
}

// settle lines up an outcome.
func (q *queue) settle(u unit) {
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
func (q *queue) take(g *gathering) {
	q.mu.Lock()
	defer q.mu.Unlock()
	outcomes := min(q.outcomes.len(), max(commitUnits/2, commitUnits-q.waiting))
	for range outcomes {
		g.add(q.outcomes.pop())
	}
	for room := commitUnits - outcomes; room > 0 && g.bytes < commitBytes && q.waiting > 0; room-- {
		l := q.turns.pop()
		g.add(l.waiting.pop())
		q.waiting--
		if l.waiting.len() > 0 {
			q.turns.push(l)
		}
	}
}

// done gives back the room of an event that publish has taken.
func (q *queue) done(e *store.Event) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l, size := q.lines[e.Tenant], e.Size()
	q.all.add(-1, -size)
	if l.all.add(-1, -size); l.all.events == 0 {
		delete(q.lines, e.Tenant)
	}
}
