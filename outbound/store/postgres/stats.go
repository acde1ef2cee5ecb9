package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// Identity implements store.Store.
func (s *Store) Identity(ctx context.Context) (node int, last store.ID, err error) {
	err = s.read(ctx, func(ctx context.Context, db querier) error {
		return db.QueryRow(ctx, `SELECT greatest(
			coalesce((SELECT max(id) FROM webhooks.event), 0),
			coalesce((SELECT max(id) FROM webhooks.delivery), 0),
			coalesce((SELECT max(id) FROM webhooks.attempt), 0),
			coalesce((SELECT max(key) FROM webhooks.subscription), 0))`).Scan(&last)
	})
	return s.number, last, s.fail("reading the last id", err)
}

const (
	// countPending scans, for each half, an index that is ordered by subscription.
	countPending = `SELECT subscription, sum(n)::bigint FROM (
			SELECT subscription, count(*) AS n FROM webhooks.delivery WHERE state = 0 AND holder IS NULL GROUP BY subscription
			UNION ALL
			SELECT subscription, count(*) FROM webhooks.delivery WHERE holder IS NOT NULL AND state = 0 GROUP BY subscription
		) p GROUP BY subscription`
	countDead = `SELECT subscription, count(*) FROM webhooks.delivery WHERE state = 2 GROUP BY subscription`
	diskBytes = `SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c
		WHERE c.relnamespace = to_regnamespace('webhooks') AND c.relkind IN ('r', 'S')`
)

// Stats implements store.Store.
func (s *Store) Stats(ctx context.Context) (store.Stats, error) {
	stats := store.Stats{Path: s.name, Waiting: map[store.ID]int64{}, DeadBy: map[store.ID]int64{}}
	err := s.search(ctx, store.Query{}, func(ctx context.Context, db querier) error {
		count := func(query string, by map[store.ID]int64, all *int64) error {
			rows, err := db.Query(ctx, query)
			return each(rows, err, func(row pgx.Rows) error {
				var subscription store.ID
				var n int64
				err := row.Scan(&subscription, &n)
				by[subscription] = n
				*all += n
				return err
			})
		}
		if err := count(countPending, stats.Waiting, &stats.Pending); err != nil {
			return err
		}
		if err := count(countDead, stats.DeadBy, &stats.Dead); err != nil {
			return err
		}
		return db.QueryRow(ctx, diskBytes).Scan(&stats.Bytes)
	})
	return stats, s.fail("reading the figures", err)
}
