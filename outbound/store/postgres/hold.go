package postgres

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// holds are the deliveries that this process has taken, as far as it knows: all
// that the database says it holds is among them, since they are noted before.
// What it says beyond that comes of a call whose answer was lost, or that came
// late, and is given up.
type holds struct {
	mu     sync.Mutex
	held   map[int64]struct{}
	unsure atomic.Bool // an answer was lost
	// What the next claim is to give up, since it may come before what that takes.
	lost map[int64]struct{}
}

const (
	selectOwn = `SELECT id FROM webhooks.delivery WHERE holder = ANY($1)`
	release   = `UPDATE webhooks.delivery SET holder = NULL, again = NULL WHERE id = ANY($1) AND holder = ANY($2)`
)

func (h *holds) init() { h.held, h.lost = map[int64]struct{}{}, map[int64]struct{}{} }

func (h *holds) take(ids []int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range ids {
		h.held[id] = struct{}{}
		delete(h.lost, id)
	}
}

func (h *holds) drop(ids []int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range ids {
		delete(h.held, id)
	}
}

// lose drops what a call may have stored or not.
func (h *holds) lose(ids []int64) {
	h.drop(ids)
	h.unsure.Store(true)
}

// loseSight is lose where the next claim is to give it up.
func (h *holds) loseSight(ids []int64) {
	h.lose(ids)
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range ids {
		h.lost[id] = struct{}{}
	}
}

// outOfSight is what the database may say that we hold, though we don't.
func (h *holds) outOfSight() []int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Keys(h.lost))
}

// gaveUp ends that.
func (h *holds) gaveUp(ids []int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range ids {
		delete(h.lost, id)
	}
}

// strangers are those of the ids that aren't held.
func (h *holds) strangers(ids []int64) []int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.DeleteFunc(ids, func(id int64) bool {
		_, held := h.held[id]
		return held
	})
}

// tidy gives up what the database says we hold and we don't. It must have said so
// at the beat before too: what is settled just now may have been taken again.
func (h *heart) tidy(ctx context.Context) error {
	s := h.s
	if !s.holds.unsure.Swap(false) && len(h.strangers) == 0 && !h.thorough() {
		return nil
	}
	ids, err := collect[int64](s.pool.Query(ctx, selectOwn, s.sessions.own()))
	if err != nil {
		s.holds.unsure.Store(true)
		return err
	}
	known := h.strangers
	h.strangers = s.holds.strangers(ids)
	slices.Sort(known)
	lost := slices.DeleteFunc(slices.Clone(h.strangers), func(id int64) bool {
		_, before := slices.BinarySearch(known, id)
		return !before
	})
	if len(lost) == 0 {
		return nil
	}
	_, err = s.pool.Exec(ctx, release, lost, s.sessions.own())
	return err
}
