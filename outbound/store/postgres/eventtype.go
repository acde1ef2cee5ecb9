package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// PutEventType implements store.Store.
func (s *Store) PutEventType(ctx context.Context, t store.EventType) error {
	err := s.change(ctx, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO webhooks.event_type (name, description, schema, from_config) VALUES ($1, $2, $3, $4)
			ON CONFLICT (name) DO UPDATE SET description = excluded.description, schema = excluded.schema, from_config = excluded.from_config`,
			text(t.Name), text(t.Description), t.Schema, t.FromConfig)
		return err
	})
	return s.fail("storing the event type "+t.Name, err)
}

// DeleteEventType implements store.Store.
func (s *Store) DeleteEventType(ctx context.Context, name string) error {
	err := s.change(ctx, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `DELETE FROM webhooks.event_type WHERE name = $1`, text(name))
		if err == nil && tag.RowsAffected() == 0 {
			return store.ErrNotFound
		}
		return err
	})
	return s.fail("deleting the event type "+name, err)
}

// EventTypes implements store.Store.
func (s *Store) EventTypes(ctx context.Context) (types []store.EventType, err error) {
	err = s.read(ctx, func(ctx context.Context, db querier) error {
		rows, err := db.Query(ctx, `SELECT name, description, schema, from_config FROM webhooks.event_type ORDER BY name`)
		types, err = collectBy(rows, err, func(row pgx.CollectableRow) (t store.EventType, err error) {
			err = row.Scan(&t.Name, &t.Description, &t.Schema, &t.FromConfig)
			return t, err
		})
		return err
	})
	return types, s.fail("listing the event types", err)
}
