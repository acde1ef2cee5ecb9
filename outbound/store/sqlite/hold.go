package sqlite

import (
	"sync"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// holds is the set of deliveries that this process has taken. It is not on disk:
// the file belongs to one process, so when that is gone nothing is held any more,
// and there is nothing to recover.
//
// A claim reads from a snapshot, in which a delivery that is settled meanwhile
// still looks pending. So while a claim is under way, nothing leaves the set.
type holds struct {
	mu       sync.Mutex
	held     map[store.ID]struct{}
	claiming bool
	late     []store.ID // to be dropped when the claim ends
}

func newHolds() *holds { return &holds{held: map[store.ID]struct{}{}} }

// take adds a delivery. It reports false if it is held already.
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

// drop removes deliveries, at the latest when the current claim ends.
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

// beginClaim must be called before a claim takes its snapshot, and end when the
// claim is over. There is one claim at a time.
func (h *holds) beginClaim() (end func()) {
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
