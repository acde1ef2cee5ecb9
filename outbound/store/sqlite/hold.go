package sqlite

import (
	"sync"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// holds are the deliveries that somebody in this process has taken. They are
// nowhere on disk: the file belongs to one process, so when that is gone
// nothing is held any more, and there is nothing to recover.
//
// A claim reads from a snapshot. What is settled while it reads still looks
// pending to it, so leaving the set is put off until the claim is over.
type holds struct {
	mu       sync.Mutex
	held     map[store.ID]struct{}
	claiming bool
	late     []store.ID // to be dropped when the claim is over
}

func newHolds() *holds { return &holds{held: map[store.ID]struct{}{}} }

// take holds a delivery, or reports false when it is held already.
func (h *holds) take(id store.ID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, held := h.held[id]; held {
		return false
	}
	h.held[id] = struct{}{}
	return true
}

func (h *holds) has(id store.ID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, held := h.held[id]
	return held
}

// drop gives deliveries up.
func (h *holds) drop(ids []store.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.claiming {
		h.late = append(h.late, ids...)
		return
	}
	for _, id := range ids {
		delete(h.held, id)
	}
}

// claim says that a claim is about to take its snapshot, and returns what ends
// it. There is one at a time.
func (h *holds) claim() (end func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.claiming = true
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.claiming = false
		for _, id := range h.late {
			delete(h.held, id)
		}
		h.late = nil
	}
}
