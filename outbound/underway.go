package outbound

import (
	"context"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// unsettledAttempt is an attempt that was begun.
type unsettledAttempt struct {
	repeat bool      // another one is to follow it
	due    time.Time // when it was to be made, where it is made ahead of that
}

// removeUnsettled ends what take began, and tells whether the delivery was queued anew
// meanwhile.
func (l *lane) removeUnsettled(h *store.Held) (again bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	again = l.unsettled[h].repeat
	delete(l.unsettled, h)
	return again
}

// abort ends what take began with an attempt that doesn't count: the delivery
// goes back to the store.
func (l *lane) abort(h *store.Held) {
	l.mu.Lock()
	delete(l.unsettled, h)
	l.mu.Unlock()
	l.e.background(func(context.Context) { // whoever drains doesn't wait for the store
		l.mu.Lock()
		hs := l.startRelease(h)
		l.mu.Unlock()
		l.release(hs)
	})
	l.attemptDone(0, 0) // giveBack accounts for its size
}

// beginRequeue has another attempt follow one at the delivery that is under way, since it
// is about to be queued anew.
func (l *lane) beginRequeue(delivery store.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for h, t := range l.unsettled {
		if h.Delivery.ID == delivery {
			t.repeat = true
		}
	}
}

// endRequeue has the lane go by what is stored of a delivery that was queued anew: its
// schedule starts afresh. It may be anywhere by now: under way, in the lane, or in
// a claim that has read it before.
func (l *lane) endRequeue(delivery store.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for h, t := range l.unsettled {
		if h.Delivery.ID == delivery && h.Round != h.Attempts {
			t.repeat = true
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
