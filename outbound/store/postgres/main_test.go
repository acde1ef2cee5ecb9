package postgres_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/postgres"
)

// serverVariable has the URL of a Postgres server on which the tests may make
// databases.
const serverVariable = "WEBHOOKS_TEST_POSTGRES"

func TestMain(m *testing.M) {
	if os.Getenv(serverVariable) == "" {
		fmt.Println("the tests of the store postgres are skipped: set " + serverVariable + " to the URL of a server on which they may make databases")
	}
	goleak.VerifyTestMain(m)
}

var databases atomic.Int64

// database makes an empty database, which is dropped when the test ends, and
// returns its URL.
func database(t testing.TB) string {
	t.Helper()
	server := os.Getenv(serverVariable)
	if server == "" {
		t.Skip(serverVariable + " is not set")
	}
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("webhooks_test_%d_%d", os.Getpid(), databases.Add(1))
	execute(t, server, "CREATE DATABASE "+name)
	t.Cleanup(func() { execute(t, server, "DROP DATABASE "+name+" WITH (FORCE)") })
	u.Path = "/" + name
	return u.String()
}

// execute runs a statement on a connection of its own.
func execute(t testing.TB, dsn, sql string) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(context.Background(), sql); err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, config postgres.Config) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}
