package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

var concurrentTests = []test{
	{"every delivery is handed out once", func(b *bench) {
		const publishers, batches, size, claimers = 4, 8, 5, 3
		subs := []*store.Subscription{b.subscribe("one"), b.subscribe("two")}
		var (
			all       sync.WaitGroup
			published sync.WaitGroup
			mu        sync.Mutex
			handed    = map[store.ID]int{}
			left      atomic.Int64
		)
		left.Store(publishers * batches * size * int64(len(subs)))
		hand := func(ids ...store.ID) {
			mu.Lock()
			defer mu.Unlock()
			for _, id := range ids {
				handed[id]++
			}
		}
		settle := func(ids ...store.ID) {
			batch := &store.Batch{}
			for _, id := range ids {
				batch.Settlements = append(batch.Settlements, b.attempted(id, 1, store.Delivered))
			}
			if err := b.Commit(b.ctx(), batch); err != nil {
				b.Errorf("settling: %v", err)
			}
			left.Add(-int64(len(ids)))
		}
		done := make(chan struct{})
		for range publishers {
			published.Go(func() {
				for range batches {
					batch := &store.Batch{}
					for i := range size {
						p := b.event("1", subs...)
						p.Deliveries[0].Hold = i%2 == 0
						batch.Publications = append(batch.Publications, p)
					}
					if err := b.Commit(b.ctx(), batch); err != nil {
						b.Errorf("publishing: %v", err)
					}
					for i, p := range batch.Publications {
						if i%2 == 0 {
							hand(p.Deliveries[0].ID)
							settle(p.Deliveries[0].ID)
						}
					}
				}
			})
		}
		for range claimers {
			all.Go(func() {
				for left.Load() > 0 {
					want := []store.Want{{Subscription: subs[0].Key, Limit: 3}, {Subscription: subs[1].Key, Limit: 3}}
					claimed, err := b.Claim(b.ctx(), b.now(), 1<<20, want)
					if err != nil {
						b.Errorf("claiming: %v", err)
						return
					}
					for _, c := range claimed {
						ids := heldIDs(c.Deliveries)
						hand(ids...)
						if len(ids) > 0 {
							settle(ids...)
						}
					}
					select {
					case <-done:
						if b.Failed() {
							return
						}
					default:
					}
				}
			})
		}
		published.Wait()
		close(done)
		all.Wait()
		for id, n := range handed {
			if n != 1 {
				b.Errorf("%s was handed out %d times", id.With(store.DeliveryPrefix), n)
			}
		}
		equal(b, "handed out", len(handed), publishers*batches*size*len(subs))
		equal(b, "pending", len(b.list(store.Query{States: []store.State{store.Pending}})), 0)
	}},
	{"one of many with the same id is stored", func(b *bench) {
		var wg sync.WaitGroup
		results := make([]store.Outcome, 8)
		for i := range results {
			wg.Go(func() {
				p := b.chosen("x", "1")
				if err := b.Commit(b.ctx(), &store.Batch{Publications: []*store.Publication{p}}); err != nil {
					b.Errorf("publishing: %v", err)
				}
				results[i] = p.Result.Outcome
			})
		}
		wg.Wait()
		slices.Sort(results)
		want := slices.Repeat([]store.Outcome{store.Duplicate}, len(results))
		want[0] = store.Stored
		same(b, "outcomes", results, want)
	}},
	{"one of many subscriptions with the same id is created", func(b *bench) {
		var wg sync.WaitGroup
		var created atomic.Pointer[store.Subscription]
		for range 8 {
			s := &store.Subscription{Key: b.ids.Next(), ID: "crm", URL: "https://example.com", EventTypes: []string{"*"}, Updated: b.now()}
			wg.Go(func() {
				err := b.CreateSubscription(b.ctx(), s)
				if err == nil && created.Swap(s) != nil {
					b.Error("two were created")
				}
				if err != nil && !errors.Is(err, store.ErrConflict) {
					b.Errorf("creating: %v", err)
				}
			})
		}
		wg.Wait()
		sameSubscriptions(b, created.Load())
	}},
	{"a dead letter is queued again once", func(b *bench) {
		const callers, letters, limit = 4, 60, 7
		s := b.subscribe("crm")
		var ps []*store.Publication
		var deaths []*store.Settlement
		for range letters {
			p := b.event("1", s)
			ps = append(ps, p)
			deaths = append(deaths, b.attempted(p.Deliveries[0].ID, 1, store.Dead))
		}
		b.publish(ps...)
		b.settle(deaths...)
		var wg sync.WaitGroup
		var queued atomic.Int64
		for range callers {
			wg.Go(func() {
				q := store.Query{States: []store.State{store.Dead}, Limit: limit}
				for more := true; more; {
					done, err := b.Requeue(b.ctx(), q, b.now())
					if err != nil {
						b.Errorf("queueing again: %v", err)
						return
					}
					queued.Add(int64(done.Count))
					q.Before, more = done.Last, done.More
				}
			})
		}
		wg.Wait()
		equal(b, "queued", queued.Load(), letters)
		same(b, "pending", b.list(store.Query{States: []store.State{store.Pending}}), newestFirst(deliveries(ps...)...))
	}},
	{"no change of a subscription is lost", func(b *bench) {
		b.subscribe("crm")
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				_, err := b.UpdateSubscription(b.ctx(), "crm", func(s *store.Subscription) error {
					s.RateLimit++
					return nil
				})
				if err != nil {
					b.Errorf("changing: %v", err)
				}
			})
		}
		wg.Wait()
		equal(b, "rate limit", must.Get(b.Subscriptions(b.ctx()))(b)[0].RateLimit, 8)
	}},
	{"closing waits for what is under way", func(b *bench) {
		s := b.subscribe("crm")
		var wg sync.WaitGroup
		var stored atomic.Int64
		begun := make(chan struct{}, 4)
		for i := range 4 {
			wg.Go(func() {
				for n := 0; ; n++ {
					p := b.chosen(fmt.Sprintf("%d-%d", i, n), "1", s)
					err := b.Commit(b.ctx(), &store.Batch{Publications: []*store.Publication{p}})
					if errors.Is(err, store.ErrUnavailable) {
						return
					}
					if err != nil {
						b.Errorf("publishing: %v", err)
						return
					}
					stored.Add(1)
					if n == 2 {
						begun <- struct{}{}
					}
				}
			})
		}
		for range 4 {
			<-begun
		}

		b.check(b.Store.Close())
		wg.Wait()
		b.Store = b.open(b.t, b.now)
		equal(b, "stored", int64(len(b.list(store.Query{}))), stored.Load())
	}},
}
