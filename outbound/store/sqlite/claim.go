package sqlite

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/internal/selects"
)

const (
	selectPending = `SELECT id, due FROM delivery INDEXED BY delivery_pending
		WHERE state = 0 AND subscription = ? ORDER BY due, id`
	selectBehind = `SELECT id, due FROM delivery INDEXED BY delivery_pending
		WHERE state = 0 AND subscription = ? AND (due, id) > (?, ?) ORDER BY due, id`
	selectClaimed = `SELECT event, attempts, round FROM delivery WHERE id = ?`
	selectBacklog = `SELECT subscription, due FROM delivery INDEXED BY delivery_pending
		WHERE state = 0 AND subscription > ? ORDER BY subscription, due LIMIT 1`
)

// Claim implements store.Store. It scans the index of pending deliveries, and
// reads only the rows of those that it takes.
func (s *Store) Claim(ctx context.Context, now time.Time, maxBytes int, want []store.Want) ([]store.Claimed, error) {
	s.claims.Lock()
	defer s.claims.Unlock()
	c := &claim{
		holds:  s.holds,
		now:    selects.Millis(now),
		room:   maxBytes,
		events: map[store.ID]*store.Event{},
	}
	claimed := make([]store.Claimed, len(want))
	defer s.holds.beginClaim()()
	err := s.read(ctx, func(db *conn) error {
		if err := s.lock.keep(s.path); err != nil { // the other process delivers them
			return err
		}
		for i, w := range want {
			if err := c.answer(db, w, &claimed[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		s.holds.drop(c.taken)
		return nil, s.fail("claiming deliveries", err)
	}
	return claimed, nil
}

// claim is one call of Claim.
type claim struct {
	holds  *holds
	now    int64
	room   int // how many bytes of payload may still be taken; negative when nothing more may
	taken  []store.ID
	events map[store.ID]*store.Event // shared by the deliveries
}

// answer takes deliveries for a want.
func (c *claim) answer(db *conn, w store.Want, claimed *store.Claimed) error {
	if !w.Ahead {
		return c.take(db, db.prepare(selectPending).id(w.Subscription), c.now, w, claimed)
	}
	behind := db.prepare(selectBehind).id(w.Subscription).time(w.After.Due).id(w.After.ID)
	if err := c.take(db, behind, math.MaxInt64, w, claimed); err != nil {
		return err
	}
	// Only deliveries behind w.After were looked at, but Next may be before it.
	nothing := store.Want{Subscription: w.Subscription}
	return c.take(db, db.prepare(selectPending).id(w.Subscription), c.now, nothing, claimed)
}

// take takes the deliveries that st lists and that are due by until, as far as the
// limits allow, and sets claimed.Next to when the first of the others is due.
func (c *claim) take(db *conn, st *stmt, until int64, w store.Want, claimed *store.Claimed) error {
	defer st.reset()
	claimed.Next = time.Time{}
	for {
		more, err := st.next()
		if !more {
			return err
		}
		id, due := st.readID(), st.readInt()
		if due > until || len(claimed.Deliveries) >= w.Limit || c.room < 0 {
			if c.holds.has(id) {
				continue
			}
			claimed.Next = selects.FromMillis(due)
			return nil
		}
		if !c.holds.take(id) {
			continue
		}
		c.taken = append(c.taken, id)
		h := &store.Held{Delivery: store.Delivery{ID: id, Subscription: w.Subscription, Due: selects.FromMillis(due)}}
		found, err := c.load(db, h)
		if err != nil {
			return err
		}
		if !found {
			return unsound("the delivery " + id.With(store.DeliveryPrefix) + " has lost its row or its event")
		}
		claimed.Deliveries = append(claimed.Deliveries, h)
	}
}

// load reads the rest of a delivery, and its event. It reports false if a row is
// missing.
func (c *claim) load(db *conn, h *store.Held) (found bool, err error) {
	if found, err = db.prepare(selectClaimed).id(h.Delivery.ID).first(func(row *stmt) {
		h.Delivery.Event = row.readID()
		h.Attempts = int(row.readInt())
		h.Round = int(row.readInt())
	}); !found {
		return false, err
	}
	if h.Event = c.events[h.Delivery.Event]; h.Event != nil {
		return true, nil
	}
	e, err := eventByKey(db, h.Delivery.Event)
	if e == nil {
		return false, err
	}
	h.Event, c.events[e.Key] = e, e
	c.room -= e.Size()
	return true, nil
}

// Release implements store.Store.
func (s *Store) Release(_ context.Context, ids []store.ID) error {
	s.holds.drop(slices.Clone(ids))
	return nil
}

// Backlogs implements store.Store. It jumps in the index from one subscription
// to the next.
func (s *Store) Backlogs(ctx context.Context) (backlogs []store.Backlog, err error) {
	err = s.read(ctx, func(db *conn) error {
		st := db.prepare(selectBacklog)
		after := store.ID(-1)
		for {
			found, err := st.id(after).first(func(row *stmt) {
				after = row.readID()
				backlogs = append(backlogs, store.Backlog{Subscription: after, Due: row.readTime()})
			})
			if !found {
				return err
			}
		}
	})
	return backlogs, s.fail("looking for waiting deliveries", err)
}
