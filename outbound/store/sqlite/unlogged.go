package sqlite

import (
	"context"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

const (
	selectUnlogged = `SELECT id FROM delivery INDEXED BY delivery_unlogged WHERE unlogged = 1 AND state = 2 LIMIT ?`
	setLogged      = `UPDATE delivery SET unlogged = NULL WHERE id = ?`
)

// unlogged binds the column unlogged.
func (s *stmt) unlogged(yes bool) *stmt {
	if yes {
		return s.int(1)
	}
	return s.null()
}

// Unlogged implements store.Store.
func (s *Store) Unlogged(ctx context.Context, limit int) (ids []store.ID, err error) {
	err = s.read(ctx, func(db *conn) (err error) {
		ids, err = collect(db, selectUnlogged, []any{limit}, func(row *stmt) (store.ID, error) { return row.readID(), nil })
		return err
	})
	return ids, s.fail("reading which dead letters are to be logged", err)
}

// Logged implements store.Store.
func (s *Store) Logged(ctx context.Context, ids []store.ID) error {
	err := s.write(ctx, func(w *writer) error {
		for _, id := range ids {
			if err := w.conn.run(setLogged, id); err != nil {
				return err
			}
		}
		return nil
	})
	return s.fail("noting which dead letters were logged", err)
}
