// Package pgtest provides tests with databases on a real Postgres server.
package pgtest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

// Variable is the environment variable with the URL of a Postgres server on which
// tests may create databases. If it isn't set, they are skipped.
const Variable = "WEBHOOKS_TEST_POSTGRES"

var databases atomic.Int64

// Database creates an empty database, which is dropped when the test ends, and
// returns its URL.
func Database(t testing.TB) string {
	t.Helper()
	server := os.Getenv(Variable)
	if server == "" {
		t.Skip("needs Postgres: set " + Variable + " to the URL of a server on which it may make databases")
	}
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("webhooks_test_%d_%d", os.Getpid(), databases.Add(1))
	administer(t, server, "CREATE DATABASE "+name)
	t.Cleanup(func() { administer(t, server, "DROP DATABASE "+name+" WITH (FORCE)") })
	u.Path = "/" + name
	return u.String()
}

// administrator is a connection that stays open, since connecting twice would take as
// long as creating a database and dropping it.
var administrator struct {
	sync.Mutex
	*pgx.Conn
}

// administer runs a statement about a database.
func administer(t testing.TB, server, sql string) {
	t.Helper()
	administrator.Lock()
	defer administrator.Unlock()
	if administrator.Conn == nil {
		administrator.Conn = must.Get(pgx.Connect(context.Background(), server))(t)
	}
	must.Get(administrator.Exec(context.Background(), sql))(t)
}

// Execute runs statements on a connection of its own.
func Execute(t testing.TB, dsn, sql string) {
	t.Helper()
	connected(t, dsn, func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol)
		return err
	})
}

// Count returns the number that a query returns, on a connection of its own.
func Count(t testing.TB, dsn, sql string) (n int) {
	t.Helper()
	connected(t, dsn, func(ctx context.Context, conn *pgx.Conn) error { return conn.QueryRow(ctx, sql).Scan(&n) })
	return n
}

// Sleeping reports whether something in the database is in pg_sleep, such as a
// trigger that a test has created.
func Sleeping(t testing.TB, dsn string) bool {
	t.Helper()
	return Count(t, dsn, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'`) > 0
}

func connected(t testing.TB, dsn string, f func(context.Context, *pgx.Conn) error) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if err := f(ctx, conn); err != nil {
		t.Fatal(err)
	}
}
