package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/internal/selects"
)

const (
	// lockEvents makes a replay see what another one, or Forget, has just done with
	// the events.
	lockEvents = `SELECT FROM webhooks.event WHERE id = ANY($1) ORDER BY id FOR UPDATE`

	replay = `INSERT INTO webhooks.delivery (id, event, subscription, state, due, attempts, round)
		SELECT r.id, e.id, s.key, 0, $3, 0, 0
		FROM unnest($1::bigint[], $2::bigint[]) AS r (id, event)
		JOIN webhooks.event e ON e.id = r.event AND NOT e.payload_removed
		JOIN webhooks.subscription s ON s.key = $4 AND s.deleted = 0
		WHERE NOT EXISTS (SELECT FROM webhooks.delivery d WHERE d.event = e.id AND d.subscription = s.key)`
)

// Replay implements store.Store.
func (s *Store) Replay(ctx context.Context, r store.Replay) (made int, err error) {
	events := keys(r.Events)
	err = s.write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockEvents, events); err != nil {
			return err
		}
		done, err := tx.Exec(ctx, replay, keys(r.Deliveries), events, selects.Millis(r.Due), int64(r.Subscription))
		if made = int(done.RowsAffected()); err != nil || made == 0 {
			return err
		}
		var b pgx.Batch
		b.Queue(addBytes, int64(made*deliveryBytes), s.number)
		s.queueNotifyOwners(&b, newsWaits, []int64{int64(r.Subscription)})
		return tx.SendBatch(ctx, &b).Close()
	})
	if err != nil {
		return 0, s.fail("replaying events", err)
	}
	return made, nil
}
