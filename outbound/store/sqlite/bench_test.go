package sqlite_test

import (
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// BenchmarkCommit stores batches of events of 1 KiB, each with the settlements of the
// batch before it, like an engine at full speed. If -test.benchtime is a duration,
// events/s is the rate of one committer.
func BenchmarkCommit(b *testing.B) {
	for _, events := range []int{1, 16, 64} {
		for _, deliveries := range []int{0, 1, 4} {
			b.Run(fmt.Sprintf("events=%d/deliveries=%d", events, deliveries), func(b *testing.B) {
				benchmarkCommit(b, events, deliveries, false)
			})
		}
	}
	b.Run("events=64/deliveries=1/chosen", func(b *testing.B) { benchmarkCommit(b, 64, 1, true) })
}

func benchmarkCommit(b *testing.B, events, deliveries int, chosen bool) {
	s := open(b, filepath.Join(b.TempDir(), "webhooks.db"))
	ids := store.NewIDs(0, 0, time.Now)
	var subscriptions []store.ID
	for range deliveries {
		subscriptions = append(subscriptions, ids.Next())
	}
	var settlements []*store.Settlement
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		batch := &store.Batch{Settlements: settlements}
		settlements = nil
		for range events {
			p := publication(ids, subscriptions...)
			if p.Chosen = chosen; chosen {
				p.Event.ID = rand.Text()
			}
			batch.Publications = append(batch.Publications, p)
			for _, d := range p.Deliveries {
				settlements = append(settlements, settlement(d))
			}
		}
		b.StartTimer()
		publishBatch(b, s, batch)
	}
	total := float64(b.N * events)
	b.ReportMetric(total/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(b.Elapsed().Microseconds())/total, "µs/event")
}

// BenchmarkForget removes events of 1 KiB with a delivery each, in parts like an engine.
func BenchmarkForget(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "webhooks.db"))
	ids := store.NewIDs(0, 0, time.Now)
	subscription := ids.Next()
	f := store.Forget{Before: time.Now().Add(time.Hour), Limit: 128}
	events := 0
	for b.Loop() {
		b.StopTimer()
		for range 2 {
			var settlements []*store.Settlement
			batch := &store.Batch{}
			for range 64 {
				p := publication(ids, subscription)
				batch.Publications = append(batch.Publications, p)
				settlements = append(settlements, settlement(p.Deliveries[0]))
			}
			publishBatch(b, s, batch)
			publishBatch(b, s, &store.Batch{Settlements: settlements})
		}
		b.StartTimer()
		done := must.Get(s.Forget(b.Context(), f))(b)
		events += done.Events
	}
	b.ReportMetric(float64(events)/float64(b.N), "events/op")
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(events), "µs/event")
}

// BenchmarkClaim claims deliveries of many subscriptions from a backlog.
func BenchmarkClaim(b *testing.B) {
	const subscriptions, backlog, limit = 128, 32, 8
	s := open(b, filepath.Join(b.TempDir(), "webhooks.db"))
	ids := store.NewIDs(0, 0, time.Now)
	var want []store.Want
	var keys []store.ID
	for range subscriptions {
		key := ids.Next()
		keys = append(keys, key)
		want = append(want, store.Want{Subscription: key, Limit: limit})
	}
	for range backlog {
		p := publication(ids, keys...)
		for i := range p.Deliveries {
			p.Deliveries[i].Hold = false
		}
		publish(b, s, p)
	}
	b.ReportAllocs()
	for b.Loop() {
		claimed := must.Get(s.Claim(context.Background(), time.Now(), 8<<20, want))(b)
		var taken []store.ID
		for _, c := range claimed {
			for _, h := range c.Deliveries {
				taken = append(taken, h.Delivery.ID)
			}
		}
		if len(taken) != subscriptions*limit {
			b.Fatalf("%d were claimed", len(taken))
		}
		must.Do(b, s.Release(context.Background(), taken))
	}
	b.ReportMetric(float64(b.N*subscriptions*limit)/b.Elapsed().Seconds(), "deliveries/s")
}

var backlog = flag.Int("backlog", 10_000, "deliveries that wait in BenchmarkStart")

// BenchmarkStart opens a store with a backlog and claims from it, up to the first attempt
// after a start. It also measures the time for the statistics.
func BenchmarkStart(b *testing.B) {
	path := filepath.Join(b.TempDir(), "webhooks.db")
	s := open(b, path)
	ids := store.NewIDs(0, 0, time.Now)
	var keys []store.ID
	for range 100 {
		keys = append(keys, ids.Next())
	}
	for n := 0; n < *backlog; {
		var ps []*store.Publication
		for range 100 {
			ps = append(ps, publication(ids, keys[n%100], keys[(n+1)%100]))
			n += 2
		}
		publish(b, s, ps...)
	}
	var stats time.Duration
	for b.Loop() {
		b.StopTimer()
		must.Do(b, s.Close())
		b.StartTimer()
		s = open(b, path)
		must.Get(s.Backlogs(context.Background()))(b)
		claimed, err := s.Claim(context.Background(), time.Now(), 8<<20, []store.Want{{Subscription: keys[7], Limit: 16}})
		if err != nil || len(claimed[0].Deliveries) != 16 {
			b.Fatal(err, claimed)
		}
		b.StopTimer()
		start := time.Now()
		must.Get(s.Stats(context.Background()))(b)
		stats += time.Since(start)
		b.StartTimer()
	}
	b.ReportMetric(float64(stats.Microseconds())/float64(b.N), "µs/stats")
}

func publishBatch(b *testing.B, s store.Store, batch *store.Batch) {
	must.Do(b, s.Commit(context.Background(), batch))
}
