package postgres_test

import (
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/postgres"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/postgres/pgtest"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Exercise(t, func(t testing.TB) storetest.Open {
		dsn := pgtest.Database(t)
		return func(t testing.TB, _ func() time.Time) store.Store {
			return open(t, postgres.Config{DSN: dsn})
		}
	})
}
