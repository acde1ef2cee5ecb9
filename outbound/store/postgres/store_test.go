package postgres_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/postgres"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/postgres/pgtest"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Exercise(t, func(t testing.TB) storetest.Open {
		dsn := pgtest.Tables(t)
		return func(t testing.TB, _ func() time.Time) store.Store {
			return open(t, postgres.Config{DSN: dsn})
		}
	})
}

// TestDatabaseWithoutTables checks that every call says so while the tables are gone.
func TestDatabaseWithoutTables(t *testing.T) {
	dsn := pgtest.Database(t)
	s := open(t, postgres.Config{DSN: dsn})
	pgtest.Execute(t, dsn, `ALTER SCHEMA webhooks RENAME TO moved`)
	for call, err := range storetest.Calls(t.Context(), s) {
		if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "put them back") {
			t.Errorf("%s: got error %v", call, err)
		}
	}
	pgtest.Execute(t, dsn, `ALTER SCHEMA moved RENAME TO webhooks`)
	if _, err := s.Stats(t.Context()); err != nil {
		t.Errorf("when they are back: %v", err)
	}
}
