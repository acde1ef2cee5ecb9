package sqlite

import (
	"context"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// PutEventType implements store.Store.
func (s *Store) PutEventType(ctx context.Context, t store.EventType) error {
	err := s.write(ctx, func(w *writer) error {
		return w.conn.prepare(`INSERT OR REPLACE INTO event_type (name, description, schema, from_config) VALUES (?, ?, ?, ?)`).
			text(t.Name).text(t.Description).bytes(t.Schema).bool(t.FromConfig).exec()
	})
	return s.fail("storing the event type "+t.Name, err)
}

// DeleteEventType implements store.Store.
func (s *Store) DeleteEventType(ctx context.Context, name string) error {
	err := s.write(ctx, func(w *writer) error {
		if err := w.conn.run(`DELETE FROM event_type WHERE name = ?`, name); err != nil {
			return err
		}
		if w.conn.changes() == 0 {
			return store.ErrNotFound
		}
		return nil
	})
	return s.fail("deleting the event type "+name, err)
}

// EventTypes implements store.Store.
func (s *Store) EventTypes(ctx context.Context) (types []store.EventType, err error) {
	err = s.read(ctx, func(db *conn) (err error) {
		types, err = collect(db, `SELECT name, description, schema, from_config FROM event_type ORDER BY name`, nil, func(row *stmt) (store.EventType, error) {
			return store.EventType{Name: row.readText(), Description: row.readText(), Schema: row.readBytes(), FromConfig: row.readBool()}, nil
		})
		return err
	})
	return types, s.fail("listing the event types", err)
}
