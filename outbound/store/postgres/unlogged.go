package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

const (
	// adopt takes over the dead letters that sessions which have ended left unlogged.
	adopt = `UPDATE webhooks.delivery SET unlogged = $1 WHERE unlogged <> ALL($2) AND NOT ` + alive + `unlogged)`

	selectUnlogged = `SELECT id FROM webhooks.delivery WHERE unlogged = ANY($1) AND state = 2 LIMIT $2`
	setLogged      = `UPDATE webhooks.delivery SET unlogged = NULL WHERE id = ANY($1)`
)

// logger returns the session that has to log dead letters: this node's, or NULL if
// log is not set.
func (s *Store) logger(log bool) pgtype.Int8 {
	return pgtype.Int8{Int64: s.sessions.current(), Valid: log}
}

// Unlogged implements store.Store.
func (s *Store) Unlogged(ctx context.Context, limit int) (ids []store.ID, err error) {
	err = s.write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, adopt, s.sessions.current(), s.sessions.own()); err != nil {
			return err
		}
		ids, err = collect[store.ID](tx.Query(ctx, selectUnlogged, s.sessions.own(), limit))
		return err
	})
	return ids, s.fail("reading which dead letters are to be logged", err)
}

// Logged implements store.Store.
func (s *Store) Logged(ctx context.Context, ids []store.ID) error {
	err := s.send(ctx, func(batch *pgx.Batch) { batch.Queue(setLogged, keys(ids)) })
	return s.fail("noting which dead letters were logged", err)
}
