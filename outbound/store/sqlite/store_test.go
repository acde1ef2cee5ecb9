package sqlite_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/sqlite"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Exercise(t, func(t testing.TB) storetest.Open {
		path := filepath.Join(t.TempDir(), "webhooks.db")
		return func(t testing.TB, _ func() time.Time) store.Store {
			return must.Get(sqlite.Open(t.Context(), sqlite.Config{Path: path}))(t)
		}
	})
}
