package outbound

import (
	"context"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// taken is an attempt that was begun.
type taken struct {
	again bool      // another one is to follow it
	due   time.Time // when it was to be made, where it is made ahead of that
}

// settled ends what take began, and tells whether the delivery was queued anew
// meanwhile.
func (l *lane) settled(h *store.Held) (again bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	again = l.unsettled[h].again
	delete(l.unsettled, h)
	return again
}

// brokenOff ends what take began with an attempt that doesn't count: the delivery
// goes back to the store.
func (l *lane) brokenOff(h *store.Held) {
	l.mu.Lock()
	delete(l.unsettled, h)
	l.mu.Unlock()
	l.e.background(func(context.Context) { // whoever drains doesn't wait for the store
		l.mu.Lock()
		hs := l.leave(h)
		l.mu.Unlock()
		l.giveBack(hs)
	})
	l.done(0, 0) // giveBack accounts for its size
}

// renew has another attempt follow one at the delivery that is under way, since it
// is about to be queued anew.
func (l *lane) renew(delivery store.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for h, t := range l.unsettled {
		if h.Delivery.ID == delivery {
			t.again = true
		}
	}
}

// renewed has the lane go by what is stored of a delivery that was queued anew: its
// schedule starts afresh. It may be anywhere by now: under way, in the lane, or in
// a claim that has read it before.
func (l *lane) renewed(delivery store.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for h, t := range l.unsettled {
		if h.Delivery.ID == delivery && h.Round != h.Attempts {
			t.again = true
		}
	}
	for _, h := range l.queue.all() {
		if h.Delivery.ID == delivery {
			h.Round = h.Attempts
		}
	}
	if l.anew == nil {
		l.anew = map[store.ID]bool{}
	}
	l.anew[delivery] = true
}
