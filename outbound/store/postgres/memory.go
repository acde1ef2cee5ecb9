package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/internal/selects"
)

const (
	insertSeen = `INSERT INTO webhooks.seen (key, until)
		SELECT key, max(until) FROM unnest($1::bytea[], $2::bigint[]) AS s (key, until) GROUP BY key ORDER BY key
		ON CONFLICT (key) DO UPDATE SET until = excluded.until`
	deleteSeen  = `DELETE FROM webhooks.seen WHERE until <= $1`
	selectSeen  = `SELECT key, until FROM webhooks.seen WHERE until > $1 ORDER BY until`
	forgetEvery = time.Minute
)

var _ store.Memory = (*Store)(nil)

// Remember implements store.Memory.
func (s *Store) Remember(ctx context.Context, now time.Time, seen []store.Remembered) error {
	var names [][]byte
	var until []int64
	for i := range seen {
		names = append(names, seen[i].Key[:])
		until = append(until, selects.Millis(seen[i].Until))
	}
	ms := selects.Millis(now)
	forgot := s.forgot.Load()
	forget := ms-forgot >= forgetEvery.Milliseconds() && s.forgot.CompareAndSwap(forgot, ms)
	err := s.send(ctx, func(b *pgx.Batch) {
		b.Queue(insertSeen, names, until)
		if forget {
			b.Queue(deleteSeen, ms)
		}
	})
	return s.fail("remembering inbound messages", err)
}

// Remembered implements store.Memory.
func (s *Store) Remembered(ctx context.Context, now time.Time) (seen []store.Remembered, err error) {
	err = s.read(ctx, func(ctx context.Context, db querier) error {
		rows, err := db.Query(ctx, selectSeen, selects.Millis(now))
		return each(rows, err, func(row pgx.Rows) error {
			var key []byte
			var until int64
			err := row.Scan(&key, &until)
			k := store.Remembered{Until: selects.FromMillis(until)}
			copy(k.Key[:], key)
			seen = append(seen, k)
			return err
		})
	})
	return seen, s.fail("reading which inbound messages were seen", err)
}
