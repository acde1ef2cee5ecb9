package postgres

import (
	"context"
	"embed"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// schemas make each format of the tables from the one before.
//
//go:embed schema*.sql
var schemas embed.FS

// formats is how many there are.
const formats = 8

// migrate brings the tables up to this version. Nodes of an older one that are
// running go on: a version that they can't work with is refused at their start
// only, so migrations must leave what they use. Of nodes that start at once, one
// makes the tables, and what the others try comes to nothing.
func (s *Store) migrate(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*patience)
	defer cancel()
	for range tries {
		var version int
		if version, err = formatVersion(ctx, s.pool); err != nil || version == formats {
			return err
		}
		if err = again(func() error { return s.upgrade(ctx, version) }); !exists(err) {
			return err
		}
	}
	return fmt.Errorf("%w: the schema webhooks of this database holds something else (%w): give us a database in which it is free", store.ErrForeign, err)
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
	if version > formats {
		return 0, fmt.Errorf("%w: its tables are of format %d, which a newer version of caddy-webhooks has made; this one knows up to %d", store.ErrForeign, version, formats)
	}
	return version, nil
}

// upgrade applies the migrations from a version on, unless somebody else is
// quicker.
func (s *Store) upgrade(ctx context.Context, version int) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if version == 0 {
			if err := makeSchema(ctx, tx); err != nil {
				return err
			}
		}
		tag, err := tx.Exec(ctx, `UPDATE webhooks.format SET version = $1 WHERE version = $2`, formats, version)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		for to := version + 1; to <= formats; to++ {
			script, err := schemas.ReadFile(fmt.Sprintf("schema%d.sql", to))
			if err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, string(script), pgx.QueryExecModeSimpleProtocol); err != nil {
				return err
			}
		}
		return nil
	})
}

// makeSchema makes the schema, unless somebody has made an empty one for us.
func makeSchema(ctx context.Context, tx pgx.Tx) error {
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

// exists tells whether something couldn't be made because it is there.
func exists(err error) bool {
	switch code(err) {
	case "42P06", "42P07", "42710", "42723", codeUnique: // schema, table, object, function; a row of the catalogue
		return true
	}
	return false
}
