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
	dsn, name := create(t)
	t.Cleanup(func() { must.Do(t, administer("DROP DATABASE "+name+" WITH (FORCE)")) })
	return dsn
}

// idle are the databases of Tables that no test uses, each with a connection to it.
var idle = make(chan *pgx.Conn, 100)

// Tables is Database for a test that only uses a store, and leaves nothing but rows. The
// tables may be there already, without rows, from a test before: creating the database and
// the tables takes longer than most tests. M drops it.
func Tables(t testing.TB) string {
	t.Helper()
	var conn *pgx.Conn
	select {
	case conn = <-idle:
		must.Get(conn.Exec(context.Background(), empty))(t)
	default:
		dsn, _ := create(t)
		conn = must.Get(pgx.Connect(context.Background(), dsn))(t)
	}
	t.Cleanup(func() { idle <- conn })
	return conn.Config().ConnString()
}

const empty = `DO $$ DECLARE name text; BEGIN
	FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'webhooks' AND tablename NOT IN ('format', 'revision') LOOP
		EXECUTE 'DELETE FROM webhooks.' || name;
	END LOOP;
END $$`

// M runs the tests of a package that uses Tables.
type M struct{ *testing.M }

// Run runs them, and then drops their databases.
func (m M) Run() int {
	code := m.M.Run()
	for close(idle); len(idle) > 0; {
		if err := administer("DROP DATABASE " + (<-idle).Config().Database + " WITH (FORCE)"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	return code
}

// create creates a database with a name of its own.
func create(t testing.TB) (dsn, name string) {
	t.Helper()
	server := os.Getenv(Variable)
	if server == "" {
		t.Skip("needs Postgres: set " + Variable + " to the URL of a server on which it may make databases")
	}
	u := must.Get(url.Parse(server))(t)
	name = fmt.Sprintf("webhooks_test_%d_%d", os.Getpid(), databases.Add(1))
	sql := "CREATE DATABASE " + name
	if administer(sql+" STRATEGY file_copy") != nil { // a third of the work, but needs Postgres 15
		must.Do(t, administer(sql))
	}
	u.Path = "/" + name
	return u.String(), name
}

// administrator is a connection that stays open, since connecting twice would take as
// long as creating a database and dropping it.
var administrator struct {
	sync.Mutex
	*pgx.Conn
}

// administer runs a statement about a database.
func administer(sql string) (err error) {
	administrator.Lock()
	defer administrator.Unlock()
	if administrator.Conn == nil {
		if administrator.Conn, err = pgx.Connect(context.Background(), os.Getenv(Variable)); err != nil {
			return err
		}
	}
	_, err = administrator.Exec(context.Background(), sql)
	return err
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
