package postgres_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/postgres"
)

func TestMain(m *testing.M) {
	if dsn := os.Getenv(childVariable); dsn != "" {
		hold(dsn)
	}
	goleak.VerifyTestMain(m)
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
