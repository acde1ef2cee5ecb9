package outbound

import (
	"container/heap"
	"context"
	"sync"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

const (
	// claimLanes is how many lanes one claim fills.
	claimLanes = 128
	// claimRows is the most deliveries that one claim takes for all its lanes
	// together. It is bounded because the first of them waits for the last.
	claimRows = 4096
	// claimBytes bounds the payloads and headers that one claim reads.
	claimBytes = 8 << 20
	// claimIdle is the longest time that the claimer sleeps.
	claimIdle = 30 * time.Second
	// memoryPause is how long a lane waits before it claims again when other lanes
	// use all the memory.
	memoryPause = 20 * time.Millisecond
)

// claimer fills lanes from the store when they have deliveries that are due.
type claimer struct {
	e    *Engine
	wake bell

	mu     sync.Mutex
	alarms alarms

	claimMu sync.Mutex // held until claimed deliveries are in their lanes or released
}

// alarm is when to look at a lane next. While it isn't set, the lane isn't in the
// heap.
type alarm struct {
	at    time.Time
	place int // in the heap
	set   bool
}

func (c *claimer) init(e *Engine) {
	c.e = e
	c.wake = newBell()
}

// schedule sets a lane's alarm, unless it is already set for an earlier time.
func (c *claimer) schedule(l *lane, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !l.alarm.set:
		l.alarm = alarm{at: at, set: true}
		heap.Push(&c.alarms, l)
	case at.Before(l.alarm.at):
		l.alarm.at = at
		heap.Fix(&c.alarms, l.alarm.place)
	default:
		return
	}
	if c.alarms[0] == l {
		c.wake.ring()
	}
}

// due removes the lanes whose alarms have gone off from the heap, appends them to
// into, and returns when to look again.
func (c *claimer) due(now time.Time, into []*lane) ([]*lane, time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.alarms) > 0 && len(into) < claimLanes && !c.alarms[0].alarm.at.After(now) {
		l := heap.Pop(&c.alarms).(*lane)
		l.alarm.set = false
		into = append(into, l)
	}
	again := now.Add(claimIdle)
	if len(c.alarms) > 0 && c.alarms[0].alarm.at.Before(again) {
		again = c.alarms[0].alarm.at
	}
	return into, again
}

func (c *claimer) run() {
	var lanes []*lane
	for c.e.life.Err() == nil {
		var again time.Time
		lanes, again = c.due(c.e.now(), lanes[:0])
		if len(lanes) > 0 {
			c.claim(c.e.life, lanes)
			continue
		}
		select {
		case <-c.wake:
		case <-c.e.clock.at(again):
		case <-c.e.life.Done():
		}
	}
}

// claim fills lanes from the store.
func (c *claimer) claim(ctx context.Context, lanes []*lane) {
	c.claimMu.Lock()
	defer c.claimMu.Unlock()
	budget := max(0, min(claimBytes, heldLimit-int(c.e.heldSize.Load()))) // with 0, the store still returns one delivery
	claiming, tickets, wants := c.wants(ctx, lanes, budget == 0)
	if len(wants) == 0 {
		return
	}
	now := c.e.now() // taken after claimSize, so that everything the lanes know to be due is due
	claimed, err := c.e.store.Claim(ctx, now, budget, wants)
	if err != nil {
		if ctx.Err() == nil {
			c.e.logOutage("claiming deliveries that are due", err)
		}
		for _, l := range claiming {
			c.schedule(l, now.Add(storeRetryDelay))
			c.e.dispatch.kick(l)
		}
		return
	}
	// A lane that got nothing although deliveries are due lost them to lanes that
	// use all the memory, or to another node that is claiming them right now.
	again, size := storeRetryDelay, 0
	for _, answer := range claimed {
		size += totalWeight(answer.Deliveries)
	}
	if size >= budget {
		again = memoryPause
	}
	for i, l := range claiming {
		l.fill(claimed[i], tickets[i], now, again)
	}
}

// wants returns those of the lanes that want deliveries, with a ticket for each and
// what to claim for it. It reuses the slice of lanes.
func (c *claimer) wants(ctx context.Context, lanes []*lane, tight bool) ([]*lane, []ticket, []store.Want) {
	wants := make([]store.Want, 0, len(lanes))
	tickets := make([]ticket, 0, len(lanes))
	claiming := lanes[:0]
	for _, l := range lanes {
		if l.isClosed() {
			c.bury(ctx, l)
			continue
		}
		n, t, again := l.claimSize(tight)
		if n == 0 {
			if !again.IsZero() {
				c.schedule(l, again)
			}
			c.e.dispatch.kick(l) // it may have been woken by the end of a pause
			continue
		}
		claiming, tickets = append(claiming, l), append(tickets, t)
		wants = append(wants, store.Want{Subscription: l.key, Limit: n, Ahead: t.ahead, After: t.after})
	}
	for i := range wants {
		wants[i].Limit = min(wants[i].Limit, max(claimRows/len(wants), 1))
	}
	return claiming, tickets, wants
}

// bury makes dead letters of what waits for a deleted subscription. Deliveries that
// are held are left out; the lane is scheduled again when they are released. bury
// never runs beside a claim, which could keep a delivery held that is about to be
// released.
func (c *claimer) bury(ctx context.Context, l *lane) {
	buried, err := c.e.bury(ctx, store.Burial{Subscription: l.key, Reason: ReasonDeleted, Limit: changeBatch})
	switch {
	case err != nil:
		if ctx.Err() == nil {
			c.e.logOutage("making dead letters of a deleted subscription's deliveries", err)
		}
		c.schedule(l, c.e.now().Add(storeRetryDelay))
	case len(buried) == changeBatch:
		c.schedule(l, c.e.now())
	}
}

// alarms is a heap of lanes, ordered by when their alarms go off.
type alarms []*lane

func (a alarms) Len() int           { return len(a) }
func (a alarms) Less(i, j int) bool { return a[i].alarm.at.Before(a[j].alarm.at) }
func (a alarms) Swap(i, j int) {
	a[i], a[j] = a[j], a[i]
	a[i].alarm.place, a[j].alarm.place = i, j
}

func (a *alarms) Push(x any) {
	l := x.(*lane)
	l.alarm.place = len(*a)
	*a = append(*a, l)
}

func (a *alarms) Pop() any {
	old := *a
	l := old[len(old)-1]
	old[len(old)-1] = nil
	*a = old[:len(old)-1]
	return l
}
