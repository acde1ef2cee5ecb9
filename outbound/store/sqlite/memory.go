package sqlite

import (
	"context"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/internal/selects"
)

const (
	insertSeen  = `INSERT OR REPLACE INTO seen (key, until) VALUES (?, ?)`
	deleteSeen  = `DELETE FROM seen WHERE until <= ?`
	selectSeen  = `SELECT key, until FROM (SELECT key, until FROM seen WHERE until > ? ORDER BY until DESC LIMIT ?) ORDER BY until`
	expireEvery = time.Minute // removing expired keys goes through the whole table
)

var _ store.Memory = (*Store)(nil)

// Remember implements store.Memory.
func (s *Store) Remember(ctx context.Context, now time.Time, keys []store.Remembered) error {
	err := s.write(ctx, func(w *writer) error {
		insert := w.conn.prepare(insertSeen)
		for i := range keys {
			if err := insert.bytes(keys[i].Key[:]).time(keys[i].Until).exec(); err != nil {
				return err
			}
		}
		if now.Sub(w.seenExpired) < expireEvery {
			return nil
		}
		w.seenExpired = now
		return w.conn.run(deleteSeen, selects.Millis(now))
	})
	return s.fail("remembering inbound messages", err)
}

// Remembered implements store.Memory.
func (s *Store) Remembered(ctx context.Context, now time.Time, most int) (keys []store.Remembered, err error) {
	err = s.read(ctx, func(db *conn) (err error) {
		keys, err = collect(db, selectSeen, []any{selects.Millis(now), most}, func(row *stmt) (k store.Remembered, err error) {
			copy(k.Key[:], row.readBytes())
			k.Until = row.readTime()
			return k, nil
		})
		return err
	})
	return keys, s.fail("reading which inbound messages were seen", err)
}
