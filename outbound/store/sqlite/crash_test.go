package sqlite_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/sqlite"
)

// publishAndSettle is a child process that prints what was acknowledged until it is
// killed: "published" or "settled", and the ids of deliveries.
func publishAndSettle(s *sqlite.Store) {
	_, last, err := s.Identity(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	ids := store.NewIDs(0, last, time.Now)
	var settlements []*store.Settlement
	for {
		b := &store.Batch{Settlements: settlements}
		settlements = nil
		for range 1 + rand.IntN(20) {
			p := publication(ids, 1, 2)
			b.Publications = append(b.Publications, p)
			settlements = append(settlements, settlement(p.Deliveries[0]))
		}
		if err := s.Commit(context.Background(), b); err != nil {
			fmt.Println(err)
			return
		}
		var line strings.Builder
		for _, p := range b.Publications {
			fmt.Fprintf(&line, "published %d\npublished %d\n", p.Deliveries[0].ID, p.Deliveries[1].ID)
		}
		for _, t := range b.Settlements {
			fmt.Fprintf(&line, "settled %d\n", t.Delivery)
		}
		fmt.Print(line.String())
	}
}

// TestKill kills a process at random moments. Everything that was acknowledged is there,
// and all pending deliveries can be claimed.
func TestKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "webhooks.db")
	want := map[store.ID]store.State{}
	for round := range 8 {
		c := startChild(t, "publish", path)
		stop := 50 + rand.IntN(2000)
		for n := 0; c.out.Scan(); n++ {
			var what string
			var id store.ID
			if _, err := fmt.Sscan(c.out.Text(), &what, &id); err != nil {
				break // cut by the kill, or an error
			}
			if state := map[string]store.State{"published": store.Pending, "settled": store.Delivered}[what]; state >= want[id] {
				want[id] = state
			}
			if n == stop {
				c.cmd.Process.Kill() // then read the rest of its output
			}
		}
		c.kill()
		if len(want) == 0 {
			t.Fatalf("the child process printed nothing but %q", c.out.Text())
		}
		s := open(t, path)
		records := must.Get(s.Deliveries(t.Context(), store.Query{}))(t)
		got := map[store.ID]store.State{}
		pending := 0
		for _, r := range records {
			got[r.ID] = r.State
			if r.State == store.Pending {
				pending++
			}
		}
		for id, state := range want {
			if found, there := got[id]; !there || found < state {
				t.Errorf("round %d: %s: found: %t, state %v, want %v", round, id.With(store.DeliveryPrefix), there, found, state)
			}
		}
		claimed := must.Get(s.Claim(t.Context(), time.Now(), 1<<30, []store.Want{{Subscription: 1, Limit: 1 << 30}, {Subscription: 2, Limit: 1 << 30}}))(t)
		if n := len(claimed[0].Deliveries) + len(claimed[1].Deliveries); n != pending {
			t.Errorf("round %d: claimed %d deliveries, want %d", round, n, pending)
		}
		must.Do(t, s.Close())
	}
	t.Logf("%d deliveries acknowledged, none lost", len(want))
}
