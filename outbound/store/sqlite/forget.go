package sqlite

import (
	"context"
	"errors"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// An event's deliveries have ids in (id, last], among those of its neighbours, but
// for replayed ones.
const (
	columnsOld   = `SELECT id, last, deliveries, octet_length(payload), tenant, chosen FROM event WHERE `
	selectOld    = columnsOld + `id >= ? AND id < ? ORDER BY id`
	selectOne    = columnsOld + `id = ?`
	ofEvent      = ` FROM delivery WHERE (id > ?1 AND id <= ?2 AND event = ?1 OR replayed = 1 AND event = ?1)`
	selectWanted = `SELECT coalesce(max(state = 0), 0), coalesce(max(state = 2), 0)` + ofEvent
	selectWaiter = `SELECT id` + ofEvent + ` AND state = 0`
	forgetLater  = `DELETE FROM attempt WHERE delivery IN (SELECT id` + ofEvent + ` AND attempts > 1)`
	forgetFirst  = `DELETE` + ofEvent
	forgetEvent  = `DELETE FROM event WHERE id = ?`
	forgetBody   = `UPDATE event SET payload = x'', digest = NULL, payload_removed = 1 WHERE id = ?`
	forgetChosen = `DELETE FROM chosen WHERE id = ? AND tenant = ?`

	// The row of a deleted subscription goes when all deliveries are younger by far,
	// since ids grow.
	forgetDeleted = `DELETE FROM subscription WHERE last_delivery + ? < (SELECT min(id) FROM delivery)`
	forgetTenant  = `DELETE FROM subscription WHERE key IN (SELECT key FROM subscription WHERE deleted <> 0 AND tenant = ? LIMIT ?)`
	markDeleted   = `UPDATE subscription SET last_delivery = max(key, coalesce((SELECT max(id) FROM delivery), 0)) WHERE deleted <> 0 AND last_delivery IS NULL`

	bytesInUse = `SELECT (c.page_count - f.freelist_count) * s.page_size
		FROM pragma_page_count c, pragma_freelist_count f, pragma_page_size s`
)

// old is an event that may be forgotten.
type old struct {
	id, last       store.ID
	deliveries     int
	payload        int // its size
	tenant, chosen string
}

// Forget implements store.Store. What is removed leaves pages that are used
// again: the file grows no more, but it doesn't shrink.
func (s *Store) Forget(ctx context.Context, f store.Forget) (done store.Forgotten, err error) {
	err = s.write(ctx, func(w *writer) error {
		events, err := w.oldest(f, &done)
		if err != nil {
			return err
		}
		for _, e := range events {
			pending, dead, err := w.wanted(e)
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
		return w.conn.query(bytesInUse, nil, func(row *stmt) error {
			done.Used = row.readInt()
			return nil
		})
	})
	if err != nil {
		return store.Forgotten{}, s.fail("removing old events", err)
	}
	return done, nil
}

// Remove implements store.Store. It takes what waits, as Bury does.
func (s *Store) Remove(ctx context.Context, r store.Removal) (done store.Removed, err error) {
	var taken []store.ID
	err = s.write(ctx, func(w *writer) error {
		room := r.Limit
		for i, id := range r.Events {
			if room <= 0 {
				done.Rest = r.Events[i:]
				return nil
			}
			e, found, err := w.one(id)
			if err != nil {
				return err
			}
			if !found {
				continue
			}
			room -= e.weight()
			pending, _, err := w.wanted(e)
			if err == nil && pending && r.Pending {
				pending, err = s.takeWaiting(w, e, &taken)
			}
			switch {
			case err != nil:
				return err
			case pending:
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

// takeWaiting takes the pending deliveries of an event, and tells whether somebody
// else has one.
func (s *Store) takeWaiting(w *writer, e old, taken *[]store.ID) (held bool, err error) {
	st, err := w.conn.prepare(selectWaiter)
	if err != nil {
		return false, err
	}
	err = st.id(e.id).id(e.last).each(func(row *stmt) error {
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

// one finds an event by its key.
func (w *writer) one(id store.ID) (e old, found bool, err error) {
	st, err := w.conn.prepare(selectOne)
	if err != nil {
		return old{}, false, err
	}
	found, err = st.id(id).first(func(row *stmt) { e = readOld(row) })
	return e, found, err
}

func readOld(row *stmt) old {
	return old{row.readID(), row.readID(), int(row.readInt()), int(row.readInt()), row.readText(), row.readText()}
}

// weight is how much there is to look at.
func (e old) weight() int { return 1 + e.deliveries + e.payload/store.PayloadUnit }

// oldest finds the events to look at.
func (w *writer) oldest(f store.Forget, done *store.Forgotten) (events []old, err error) {
	room := f.Limit
	err = w.conn.query(selectOld, []any{f.From, store.IDAt(f.Before)}, func(row *stmt) error {
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
		return w.discreetly(func() error {
			st, err := w.conn.prepare(forgetTenant)
			if err != nil {
				return err
			}
			err = st.text(tenant).int(int64(limit)).exec()
			n = w.conn.changes()
			return err
		})
	})
	if err != nil {
		return 0, s.fail("removing deleted subscriptions", err)
	}
	return n, nil
}

// forgetSubscriptions removes deleted ones that no delivery names.
func (w *writer) forgetSubscriptions() error {
	if err := w.conn.query(forgetDeleted, []any{store.Younger}, nil); err != nil {
		return err
	}
	return w.conn.query(markDeleted, nil, nil)
}

// wanted tells whether one of the event's deliveries is pending, or dead.
func (w *writer) wanted(e old) (pending, dead bool, err error) {
	st, err := w.conn.prepare(selectWanted)
	if err != nil {
		return false, false, err
	}
	_, err = st.id(e.id).id(e.last).first(func(row *stmt) { pending, dead = row.readBool(), row.readBool() })
	return pending, dead, err
}

// forget removes an event and all that belongs to it, or only its payload.
func (w *writer) forget(e old, payloadOnly bool) error {
	if payloadOnly {
		st, err := w.conn.prepare(forgetBody)
		if err != nil {
			return err
		}
		return st.id(e.id).exec()
	}
	for _, sql := range []string{forgetLater, forgetFirst} {
		st, err := w.conn.prepare(sql)
		if err != nil {
			return err
		}
		if err := st.id(e.id).id(e.last).exec(); err != nil {
			return err
		}
	}
	st, err := w.conn.prepare(forgetEvent)
	if err != nil {
		return err
	}
	if err := st.id(e.id).exec(); err != nil || e.chosen == "" {
		return err
	}
	if st, err = w.conn.prepare(forgetChosen); err != nil {
		return err
	}
	return st.text(e.chosen).text(e.tenant).exec()
}
