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

// Claim implements store.Store. It goes through the index of pending
// deliveries and reads the rows of those that it takes only.
func (s *Store) Claim(ctx context.Context, now time.Time, maxBytes int, want []store.Want) ([]store.Claimed, error) {
	s.claims.Lock()
	defer s.claims.Unlock()
	c := &claim{
		store:  s,
		now:    selects.Millis(now),
		room:   maxBytes,
		events: map[store.ID]*store.Event{},
	}
	claimed := make([]store.Claimed, len(want))
	defer s.holds.claim()()
	err := s.read(ctx, func(db *conn) error {
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
	store  *Store
	now    int64
	room   int // bytes of payload that may still be taken; negative: none
	taken  []store.ID
	events map[store.ID]*store.Event
}

func (c *claim) answer(db *conn, w store.Want, claimed *store.Claimed) error {
	if !w.Ahead {
		st, err := db.prepare(selectPending)
		if err != nil {
			return err
		}
		return c.take(db, st.id(w.Subscription), c.now, w, claimed)
	}
	st, err := db.prepare(selectBehind)
	if err != nil {
		return err
	}
	if err := c.take(db, st.id(w.Subscription).time(w.After.Due).id(w.After.ID), math.MaxInt64, w, claimed); err != nil {
		return err
	}
	// What is left may be before what was looked at.
	left := store.Want{Subscription: w.Subscription}
	if st, err = db.prepare(selectPending); err != nil {
		return err
	}
	return c.take(db, st.id(w.Subscription), c.now, left, claimed)
}

// take takes what is due until then, and notes what comes next.
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
			if c.store.holds.has(id) {
				continue
			}
			claimed.Next = selects.FromMillis(due)
			return nil
		}
		if !c.store.holds.take(id) {
			continue
		}
		c.taken = append(c.taken, id)
		h := &store.Held{Delivery: store.Delivery{ID: id, Subscription: w.Subscription, Due: selects.FromMillis(due)}}
		found, err := c.load(db, h)
		switch {
		case err != nil:
			return err
		case !found:
			return unsound("the delivery " + id.With(store.DeliveryPrefix) + " has lost its row or its event")
		default:
			claimed.Deliveries = append(claimed.Deliveries, h)
		}
	}
}

// load reads a delivery and its event, which those of one call share.
func (c *claim) load(db *conn, h *store.Held) (found bool, err error) {
	st, err := db.prepare(selectClaimed)
	if err != nil {
		return false, err
	}
	if found, err = st.id(h.Delivery.ID).first(func(row *stmt) {
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

// Backlogs implements store.Store. It jumps from one subscription to the next.
func (s *Store) Backlogs(ctx context.Context) (backlogs []store.Backlog, err error) {
	err = s.read(ctx, func(db *conn) error {
		st, err := db.prepare(selectBacklog)
		if err != nil {
			return err
		}
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
	if err != nil {
		return nil, s.fail("looking for waiting deliveries", err)
	}
	return backlogs, nil
}
