package postgres

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// holds is the set of deliveries that this process knows that it holds. Deliveries
// are added before the transaction that takes them ends, so the database says the
// same of all that it holds. If it says so of others, the answer of a call was lost
// or came late, and tidy releases them.
type holds struct {
	mu     sync.Mutex
	held   map[int64]struct{}
	unsure atomic.Bool // an answer was lost: the database may say that we hold others
	// lost are deliveries that the next claim must release first, since they may come
	// before those that it takes.
	lost map[int64]struct{}
}

const (
	selectOwn = `SELECT id FROM webhooks.delivery WHERE holder = ANY($1)`
	release   = `UPDATE webhooks.delivery SET holder = NULL, again = NULL WHERE id = ANY($1) AND holder = ANY($2)`
)

func (h *holds) init() { h.held, h.lost = map[int64]struct{}{}, map[int64]struct{}{} }

// take adds deliveries.
func (h *holds) take(ids []int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range ids {
		h.held[id] = struct{}{}
		delete(h.lost, id)
	}
}

// drop removes deliveries.
func (h *holds) drop(ids []int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range ids {
		delete(h.held, id)
	}
}

// dropUnsure removes deliveries that the database may still say we hold.
func (h *holds) dropUnsure(ids []int64) {
	h.drop(ids)
	if len(ids) > 0 {
		h.unsure.Store(true)
	}
}

// lose is dropUnsure for deliveries that the next claim must release first.
func (h *holds) lose(ids []int64) {
	h.dropUnsure(ids)
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range ids {
		h.lost[id] = struct{}{}
	}
}

// lostIDs returns the deliveries that the next claim must release.
func (h *holds) lostIDs() []int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Keys(h.lost))
}

// released removes deliveries from those that the next claim must release.
func (h *holds) released(ids []int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range ids {
		delete(h.lost, id)
	}
}

// notHeld returns those of ids that aren't in the set.
func (h *holds) notHeld(ids []int64) []int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.DeleteFunc(ids, func(id int64) bool {
		_, held := h.held[id]
		return held
	})
}

// tidy releases deliveries that the database says we hold, but that aren't in
// holds. They must have been so at the last beat too: one that is settled while
// tidy runs may have been taken again.
func (h *heart) tidy(ctx context.Context) error {
	s := h.s
	if !s.holds.unsure.Swap(false) && len(h.unknown) == 0 && !h.thorough() {
		return nil
	}
	ids, err := collect[int64](s.pool.Query(ctx, selectOwn, s.sessions.own()))
	if err != nil {
		s.holds.unsure.Store(true)
		return err
	}
	before := h.unknown
	h.unknown = s.holds.notHeld(ids)
	slices.Sort(before)
	lost := slices.DeleteFunc(slices.Clone(h.unknown), func(id int64) bool {
		_, found := slices.BinarySearch(before, id)
		return !found
	})
	if len(lost) == 0 {
		return nil
	}
	_, err = s.pool.Exec(ctx, release, lost, s.sessions.own())
	return err
}
