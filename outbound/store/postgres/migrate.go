package postgres

import (
	"context"
	"embed"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// schemas are the scripts that upgrade the tables from each format to the next.
//
//go:embed schema*.sql
var schemas embed.FS

// formats is the current format, the number of the last of the schemas.
const formats = 9

// migrate upgrades the tables to the current format. Nodes of an older version that
// are running keep running, since they check the format only when they start, so
// migrations must not change what those use. If several nodes start at once, one
// upgrades the tables, and the attempts of the others have no effect.
func (s *Store) migrate(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*patience)
	defer cancel()
	for range maxTries {
		var version int
		if version, err = formatVersion(ctx, s.pool); err != nil || version == formats {
			return err
		}
		if err = withRetries(func() error { return s.upgrade(ctx, version) }); !exists(err) {
			return err
		}
	}
	return fmt.Errorf("%w: the schema webhooks of this database contains something else (%w): use a database without such a schema", store.ErrForeign, err)
}

// formatVersion returns the format of the tables, 0 if there are none.
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

// upgrade applies the migrations after a version, unless another node has.
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

// makeSchema creates the schema, unless there is one already, which must be empty.
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

// exists reports whether something couldn't be created because it exists.
func exists(err error) bool {
	switch code(err) {
	case "42P06", "42P07", "42710", "42723", codeUnique: // schema, table, object, function; a row of the catalogue
		return true
	}
	return false
}
