package postgres

import (
	"context"
	_ "embed"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

//go:embed schema1.sql
var schema1 string

// migrations make each version of the tables from the one before.
var migrations = []string{schema1}

// migrationLock keeps nodes that start at once from making the tables together.
const migrationLock = 0x77656268 // "webh"

// migrate brings the tables up to this version. Nodes of an older one that are
// running go on: a version that they can't work with is refused at their start
// only, so migrations must leave what they use.
func (s *Store) migrate(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*patience)
	defer cancel()
	version, err := formatVersion(ctx, s.pool)
	if err != nil || version == len(migrations) {
		return err
	}
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, migrationLock); err != nil {
			return err
		}
		version, err := formatVersion(ctx, tx)
		if err != nil {
			return err
		}
		if version == 0 {
			if err := found(ctx, tx); err != nil {
				return err
			}
		}
		for _, script := range migrations[version:] {
			if _, err := tx.Exec(ctx, script, pgx.QueryExecModeSimpleProtocol); err != nil {
				return foreign(err)
			}
		}
		_, err = tx.Exec(ctx, `UPDATE webhooks.format SET version = $1`, len(migrations))
		return err
	})
}

// formatVersion is that of the tables, 0 where there are none.
func formatVersion(ctx context.Context, db querier) (version int, err error) {
	var there bool
	if err := db.QueryRow(ctx, `SELECT to_regclass('webhooks.format') IS NOT NULL`).Scan(&there); err != nil || !there {
		return 0, err
	}
	if err := db.QueryRow(ctx, `SELECT version FROM webhooks.format`).Scan(&version); err != nil {
		return 0, err
	}
	if version > len(migrations) {
		return 0, fmt.Errorf("%w: its tables are of format %d, which a newer version of caddy-webhooks has made; this one knows up to %d", store.ErrForeign, version, len(migrations))
	}
	return version, nil
}

// found makes the schema, unless somebody has made an empty one for us.
func found(ctx context.Context, tx pgx.Tx) error {
	var there bool
	if err := tx.QueryRow(ctx, `SELECT to_regnamespace('webhooks') IS NOT NULL`).Scan(&there); err != nil {
		return err
	}
	if !there {
		if _, err := tx.Exec(ctx, `CREATE SCHEMA webhooks`); err != nil {
			return err
		}
	}
	_, err := tx.Exec(ctx, `CREATE TABLE webhooks.format (version integer NOT NULL)`)
	if err == nil {
		_, err = tx.Exec(ctx, `INSERT INTO webhooks.format VALUES (0)`)
	}
	return err
}

// foreign describes why the tables can't be made where somebody else has some.
func foreign(err error) error {
	var e *pgconn.PgError
	if errors.As(err, &e) && (e.Code == "42P07" || e.Code == "42710" || e.Code == "42723") {
		return fmt.Errorf("%w: the schema webhooks of this database holds something else (%s): give us a database in which it is free", store.ErrForeign, e.Message)
	}
	return err
}
