package postgres_test

import (
	"errors"
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

// TestBrokenDatabase checks that every call returns an error if the database is broken.
func TestBrokenDatabase(t *testing.T) {
	dsn := pgtest.Database(t)
	s := open(t, postgres.Config{DSN: dsn})
	pgtest.Execute(t, dsn, `DROP SCHEMA webhooks CASCADE`)
	for call, err := range storetest.Calls(t.Context(), s) {
		if err == nil || errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: got error %v", call, err)
		}
	}
}
