package sqlite

import (
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// TestClaimBesideSearches checks that any number of slow lists don't keep deliveries from
// being claimed.
func TestClaimBesideSearches(t *testing.T) {
	s := must.Get(Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "webhooks.db")}))(t)
	defer s.Close()
	endless := `DROP TABLE event; CREATE VIEW event AS
		WITH RECURSIVE n (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n)
		SELECT id, 'type' || id AS type, '' AS tenant, '' AS chosen, '' AS content_type, '' AS headers,
			'' AS trace_parent, '' AS trace_state, 0 AS payload_removed FROM n`
	must.Do(t, s.w.conn.exec(endless))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 2*readers)
	for range 2 * readers {
		go func() {
			_, err := s.Events(ctx, store.Query{EventType: "order.created", Limit: 1})
			ended <- err
		}()
	}
	for len(s.reading) > 1 && len(ended) == 0 {
		runtime.Gosched()
	}
	for range 100 {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		must.Get(s.Claim(ctx, time.Now(), 1, []store.Want{{Subscription: 1, Limit: 1}}))(t)
		cancel()
	}
	cancel()
	for range 2 * readers {
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("a list ended with error %v", err)
		}
	}
}

// TestListsOfManyKinds checks that the number of prepared statements is limited: there are
// tens of thousands of combinations of filters.
func TestListsOfManyKinds(t *testing.T) {
	s := must.Get(Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "webhooks.db")}))(t)
	defer s.Close()
	for n := range 1 << 10 {
		var q store.Query
		for bit, ask := range []func(){
			func() { q.Before = 1 }, func() { q.Since = time.Now() }, func() { q.Until = time.Now() },
			func() { q.EventID = "x" }, func() { q.EventType = "x" }, func() { q.Subscription = "x" },
			func() { q.Tenant = "x" }, func() { q.Within = "x" }, func() { q.Class = "dns" }, func() { q.Status = 500 },
		} {
			if n>>bit&1 == 1 {
				ask()
			}
		}
		must.Get(s.Deliveries(t.Context(), q))(t)
	}
	for range readers {
		c := <-s.reading
		if len(c.stmts) > keptStatements {
			t.Errorf("%d prepared statements, which is too many", len(c.stmts))
		}
		s.reading <- c
	}
}
