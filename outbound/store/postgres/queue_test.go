package postgres_test

import (
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/postgres"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/postgres/pgtest"
)

// TestBuryKeepsToItsLimit checks that no more is buried at once than may be, even if the
// server joins row by row, as it does when it believes that there is hardly any.
func TestBuryKeepsToItsLimit(t *testing.T) {
	dsn := pgtest.Database(t)
	for _, plan := range []string{"hashagg", "hashjoin", "mergejoin", "material", "sort"} {
		dsn = setting(t, dsn, "enable_"+plan, "off")
	}
	s := open(t, postgres.Config{DSN: dsn})
	ids := store.NewIDs(0, 0, time.Now)
	for range 4 {
		must.Do(t, s.Commit(t.Context(), &store.Batch{Publications: []*store.Publication{publication(ids, 1)}}))
	}
	for _, want := range []int{3, 1} {
		if got := must.Get(s.Bury(t.Context(), store.Burial{Subscription: 1, Limit: 3}))(t); len(got) != want {
			t.Errorf("buried %d, want %d", len(got), want)
		}
	}
}
