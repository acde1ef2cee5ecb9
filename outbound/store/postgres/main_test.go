package postgres_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/postgres"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/postgres/pgtest"
)

func TestMain(m *testing.M) {
	if dsn := os.Getenv(childVariable); dsn != "" {
		hold(dsn)
	}
	goleak.VerifyTestMain(pgtest.M{M: m})
}

func open(t testing.TB, config postgres.Config) *postgres.Store {
	t.Helper()
	s := must.Get(postgres.Open(t.Context(), config))(t)
	t.Cleanup(func() { s.Close() })
	return s
}
