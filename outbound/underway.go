package outbound

import (
	"context"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// unsettledAttempt is an attempt whose outcome isn't stored yet.
type unsettledAttempt struct {
	repeat bool      // another attempt follows, because the delivery was requeued
	due    time.Time // when it was due, if it is made ahead of schedule
	begun  int       // the breaker's aheadRound when the attempt began
	ended  int       // and when its outcome was known
}

// addUnsettled records an attempt, and when it was due if it is made ahead of schedule.
// The caller holds mu.
func (l *lane) addUnsettled(h *store.Held, now time.Time) {
	due := h.Due
	if l.ordered() {
		due = time.Time{}
		if h.Delivery.ID == l.head { // it isn't if the head was cancelled
			due = l.headDue
		}
		l.headDue, l.breaker.aheadAt = time.Time{}, time.Time{}
	}
	if !due.After(now) {
		due = time.Time{}
	}
	if l.unsettled == nil {
		l.unsettled = map[*store.Held]*unsettledAttempt{}
	}
	l.unsettled[h] = &unsettledAttempt{due: due, begun: l.breaker.aheadRound}
}

// attemptEnded is called when the outcome of an attempt is known. It returns when
// the attempt was due, if it was made ahead of schedule, and zero otherwise, and the
// round in which it began.
func (l *lane) attemptEnded(h *store.Held) (due time.Time, round int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	u := l.unsettled[h]
	u.ended = l.breaker.aheadRound
	return u.due, u.begun
}

// removeUnsettled ends an attempt begun by take, and returns what is known of it.
func (l *lane) removeUnsettled(h *store.Held) *unsettledAttempt {
	l.mu.Lock()
	defer l.mu.Unlock()
	u := l.unsettled[h]
	delete(l.unsettled, h)
	return u
}

// abort ends an attempt that doesn't count, and releases the delivery to the store. After a
// shortage, the lane pauses before it is attempted again.
func (l *lane) abort(h *store.Held, o *outcome) {
	u := l.removeUnsettled(h)
	until := l.e.now().Add(o.retryAfter)
	l.mu.Lock()
	if o.detail != "" {
		l.noteFailure(o)
	}
	l.notBefore = later(l.notBefore, until)
	if !u.due.IsZero() {
		l.breaker.rewindAhead(until)
	}
	hs := []*store.Held{h}
	if l.ordered() {
		hs = append(hs, l.takeAll()...) // nothing may overtake it
	}
	hs = l.startRelease(hs...)
	l.mu.Unlock()
	l.e.claims.schedule(l, until)
	l.e.background(func(context.Context) { l.release(hs) }) // so that Drain doesn't wait for the store
	l.attemptDone(0, 0)                                     // release accounts for the size
}

// beginRequeue makes an attempt that is under way be followed by another one, since
// the delivery is about to be requeued.
func (l *lane) beginRequeue(delivery store.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for h, u := range l.unsettled {
		if h.Delivery.ID == delivery {
			u.repeat = true
		}
	}
}

// endRequeue updates the lane after a delivery was requeued in the store, which
// restarts its schedule. By now the delivery may be under way, queued in the lane,
// or part of a claim that read it before.
func (l *lane) endRequeue(delivery store.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for h, u := range l.unsettled {
		if h.Delivery.ID == delivery && h.Round != h.Attempts {
			u.repeat = true
		}
	}
	for _, h := range l.queue.all() {
		if h.Delivery.ID == delivery {
			h.Round = h.Attempts
		}
	}
	if l.requeued == nil {
		l.requeued = map[store.ID]bool{}
	}
	l.requeued[delivery] = true
}
