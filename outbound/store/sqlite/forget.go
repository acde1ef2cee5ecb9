package sqlite

import (
	"context"
	"errors"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// ofEvent selects the deliveries of the event ?1. Those that were created with it
// have ids in (?1, ?2], but neighbouring events may have ids there too. Replayed
// ones are elsewhere.
const ofEvent = ` FROM delivery WHERE (id > ?1 AND id <= ?2 AND event = ?1 OR replayed = 1 AND event = ?1)`

const (
	columnsOld     = `SELECT id, last, deliveries, octet_length(payload), tenant, chosen FROM event WHERE `
	selectOldest   = columnsOld + `id >= ? AND id < ? ORDER BY id`
	selectOld      = columnsOld + `id = ?`
	selectStates   = `SELECT coalesce(max(state = 0), 0), coalesce(max(state = 2), 0)` + ofEvent
	selectPendings = `SELECT id` + ofEvent + ` AND state = 0`

	deleteAttempts   = `DELETE FROM attempt WHERE delivery IN (SELECT id` + ofEvent + ` AND attempts > 1)`
	deleteDeliveries = `DELETE` + ofEvent
	deleteEvent      = `DELETE FROM event WHERE id = ?`
	deleteChosen     = `DELETE FROM chosen WHERE id = ? AND tenant = ?`
	deletePayload    = `UPDATE event SET payload = x'', digest = NULL, payload_removed = 1 WHERE id = ?`

	// The row of a deleted subscription goes when every delivery is younger by a wide
	// margin than the last one that may refer to it.
	forgetDeleted = `DELETE FROM subscription WHERE last_delivery + ? < (SELECT min(id) FROM delivery)`
	forgetTenant  = `DELETE FROM subscription WHERE key IN (SELECT key FROM subscription WHERE deleted <> 0 AND tenant = ? LIMIT ?)`
	markDeleted   = `UPDATE subscription SET last_delivery = max(key, coalesce((SELECT max(id) FROM delivery), 0)) WHERE deleted <> 0 AND last_delivery IS NULL`

	bytesInUse = `SELECT (c.page_count - f.freelist_count) * s.page_size
		FROM pragma_page_count c, pragma_freelist_count f, pragma_page_size s`
)

// oldEvent is an event that may be removed.
type oldEvent struct {
	id, last       store.ID
	deliveries     int
	payload        int // its size in bytes
	tenant, chosen string
}

// Forget implements store.Store. It leaves free pages, which are used again: the
// file stops growing, but it doesn't shrink.
func (s *Store) Forget(ctx context.Context, f store.Forget) (done store.Forgotten, err error) {
	err = s.write(ctx, func(w *writer) error {
		events, err := w.oldest(f, &done)
		if err != nil {
			return err
		}
		for _, e := range events {
			pending, dead, err := w.states(e)
			if err != nil {
				return err
			}
			if pending || dead && f.KeepDead {
				continue
			}
			if err := w.forget(e, f.PayloadsOnly); err != nil {
				return err
			}
			done.Events++
		}
		if done.Next == 0 && !f.PayloadsOnly {
			if err := w.forgetSubscriptions(); err != nil {
				return err
			}
		}
		_, err = w.conn.prepare(bytesInUse).first(func(row *stmt) { done.Used = row.readInt() })
		return err
	})
	if err != nil {
		return store.Forgotten{}, s.fail("removing old events", err)
	}
	return done, nil
}

// Remove implements store.Store. It takes pending deliveries before it removes
// them, as Bury does.
func (s *Store) Remove(ctx context.Context, r store.Removal) (done store.Removed, err error) {
	var taken []store.ID
	err = s.write(ctx, func(w *writer) error {
		room := r.Limit
		for i, id := range r.Events {
			if room <= 0 {
				done.Rest = r.Events[i:]
				return nil
			}
			e, found, err := w.oldEvent(id)
			if err != nil {
				return err
			}
			if !found {
				continue
			}
			room -= e.weight()
			keep, _, err := w.states(e)
			if err == nil && keep && r.Pending {
				keep, err = s.takePending(w, e, &taken)
			}
			if err != nil {
				return err
			}
			if keep {
				done.Kept = append(done.Kept, id)
				continue
			}
			if err := w.forget(e, false); err != nil {
				return err
			}
			done.Count++
		}
		return nil
	})
	s.holds.drop(taken)
	if err != nil {
		return store.Removed{}, s.fail("removing events", err)
	}
	return done, nil
}

// takePending takes the pending deliveries of an event, and reports whether one
// was held already.
func (s *Store) takePending(w *writer, e oldEvent, taken *[]store.ID) (held bool, err error) {
	err = w.conn.query(selectPendings, []any{e.id, e.last}, func(row *stmt) error {
		id := row.readID()
		if !s.holds.take(id) {
			held = true
			return nil
		}
		*taken = append(*taken, id)
		return nil
	})
	return held, err
}

// oldEvent finds an event by its key.
func (w *writer) oldEvent(id store.ID) (e oldEvent, found bool, err error) {
	found, err = w.conn.prepare(selectOld).id(id).first(func(row *stmt) { e = readOld(row) })
	return e, found, err
}

// readOld reads columnsOld.
func readOld(row *stmt) oldEvent {
	return oldEvent{row.readID(), row.readID(), int(row.readInt()), int(row.readInt()), row.readText(), row.readText()}
}

// weight is what the event counts towards store.Forget.Limit.
func (e oldEvent) weight() int { return 1 + e.deliveries + e.payload/store.PayloadUnit }

// oldest finds the events to look at, and sets done.Next.
func (w *writer) oldest(f store.Forget, done *store.Forgotten) (events []oldEvent, err error) {
	room := f.Limit
	err = w.conn.query(selectOldest, []any{f.From, store.IDAt(f.Before)}, func(row *stmt) error {
		e := readOld(row)
		if room <= 0 {
			done.Next = e.id
			return errEnough
		}
		room -= e.weight()
		if !f.PayloadsOnly || e.payload >= store.PayloadUnit {
			events = append(events, e)
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return events, err
}

// ForgetSubscriptions implements store.Store.
func (s *Store) ForgetSubscriptions(ctx context.Context, tenant string, limit int) (n int, err error) {
	err = s.write(ctx, func(w *writer) error {
		return w.secureDelete(func() error {
			err := w.conn.run(forgetTenant, tenant, limit)
			n = w.conn.changes()
			return err
		})
	})
	if err != nil {
		return 0, s.fail("removing deleted subscriptions", err)
	}
	return n, nil
}

// forgetSubscriptions removes deleted subscriptions to which no delivery refers.
func (w *writer) forgetSubscriptions() error {
	if err := w.conn.run(forgetDeleted, store.Younger); err != nil {
		return err
	}
	return w.conn.run(markDeleted)
}

// states reports whether any of the event's deliveries is pending, and whether any
// is dead.
func (w *writer) states(e oldEvent) (pending, dead bool, err error) {
	_, err = w.conn.prepare(selectStates).id(e.id).id(e.last).first(func(row *stmt) { pending, dead = row.readBool(), row.readBool() })
	return pending, dead, err
}

// forget removes an event and all that belongs to it, or only its payload.
func (w *writer) forget(e oldEvent, payloadOnly bool) error {
	if payloadOnly {
		return w.conn.run(deletePayload, e.id)
	}
	for _, sql := range []string{deleteAttempts, deleteDeliveries} {
		if err := w.conn.run(sql, e.id, e.last); err != nil {
			return err
		}
	}
	if err := w.conn.run(deleteEvent, e.id); err != nil || e.chosen == "" {
		return err
	}
	return w.conn.run(deleteChosen, e.chosen, e.tenant)
}
