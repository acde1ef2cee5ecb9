package sqlite

import (
	"context"
	"os"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// Identity implements store.Store. The node is 0: a file belongs to one process.
func (s *Store) Identity(ctx context.Context) (node int, last store.ID, err error) {
	err = s.read(ctx, func(db *conn) error {
		_, err := db.prepare(`SELECT max(
			coalesce((SELECT max(id) FROM event), 0),
			coalesce((SELECT max(id) FROM delivery), 0),
			coalesce((SELECT max(id) FROM attempt), 0),
			coalesce((SELECT max(key) FROM subscription), 0))`).first(func(row *stmt) { last = row.readID() })
		return err
	})
	return 0, last, s.fail("reading the last id", err)
}

const (
	countPending = `SELECT subscription, count(*) FROM delivery INDEXED BY delivery_pending WHERE state = 0 GROUP BY subscription`
	countDead    = `SELECT subscription, count(*) FROM delivery INDEXED BY delivery_dead WHERE state = 2 GROUP BY subscription`
)

// Stats implements store.Store. It counts by scanning the indexes of pending
// deliveries, which groups them by subscription, and of dead letters, once each
// and without reading rows.
func (s *Store) Stats(ctx context.Context) (store.Stats, error) {
	stats := store.Stats{Path: s.path, Waiting: map[store.ID]int64{}, DeadBy: map[store.ID]int64{}}
	err := s.search(ctx, store.Query{}, func(db *conn) error {
		count := func(query string, by map[store.ID]int64, all *int64) error {
			return db.query(query, nil, func(row *stmt) error {
				subscription, n := row.readID(), row.readInt()
				by[subscription] = n
				*all += n
				return nil
			})
		}
		if err := count(countPending, stats.Waiting, &stats.Pending); err != nil {
			return err
		}
		return count(countDead, stats.DeadBy, &stats.Dead)
	})
	if err != nil {
		return stats, s.fail("reading the figures", err)
	}
	stats.Bytes = s.size()
	return stats, nil
}

// size returns the size in bytes of the file and its log.
func (s *Store) size() (bytes int64) {
	for _, suffix := range []string{"", "-wal"} {
		if info, err := os.Stat(s.path + suffix); err == nil {
			bytes += info.Size()
		}
	}
	return bytes
}
