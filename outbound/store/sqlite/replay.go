package sqlite

import (
	"context"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/internal/selects"
)

const replay = `INSERT INTO delivery (id, event, subscription, state, due, attempts, round, replayed)
	SELECT ?1, e.id, s.key, 0, ?2, 0, 0, 1 FROM event e, subscription s
	WHERE e.id = ?3 AND e.payload_removed IS NULL AND s.key = ?4 AND s.deleted = 0
		AND NOT EXISTS (SELECT 1 FROM delivery d WHERE ` + isOfEvent + ` AND d.subscription = s.key)`

// Replay implements store.Store.
func (s *Store) Replay(ctx context.Context, r store.Replay) (made int, err error) {
	err = s.write(ctx, func(w *writer) error {
		if err := s.reserve.restore(); err != nil {
			return err
		}
		for i, event := range r.Events {
			if err := w.conn.run(replay, r.Deliveries[i], selects.Millis(r.Due), event, r.Subscription); err != nil {
				return err
			}
			made += w.conn.changes()
		}
		return nil
	})
	if err != nil {
		return 0, s.fail("replaying events", err)
	}
	return made, nil
}
