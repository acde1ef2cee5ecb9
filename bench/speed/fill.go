//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/sqlite"
)

// filling describes what a store has before a server starts with it.
type filling struct {
	urls      []string // of the subscriptions
	types     []string // the event type of each subscription
	events    int      // each has one delivery, to the subscriptions in turn
	size      int      // of a payload, in bytes
	delivered bool     // whether the deliveries are delivered or pending
	bytes     int64    // stop earlier, once the file has this size; 0: don't
}

// fill creates a store through the store package, and returns how many events it
// has and how large its file is.
func (f filling) fill(path string) (events int, size int64, err error) {
	s, err := sqlite.Open(context.Background(), sqlite.Config{Path: path})
	if err != nil {
		return 0, 0, err
	}
	events, err = f.into(s, path)
	return events, fileSize(path), errors.Join(err, s.Close())
}

func (f filling) into(s store.Store, path string) (events int, err error) {
	ctx := context.Background()
	// From an hour ago, so that ids generated later are greater.
	ids := store.NewIDs(0, 0, func() time.Time { return time.Now().Add(-time.Hour) })
	var keys []store.ID
	for i, url := range f.urls {
		key := ids.Next()
		keys = append(keys, key)
		err := s.CreateSubscription(ctx, &store.Subscription{
			Key: key, ID: key.With(store.SubscriptionPrefix), URL: url, EventTypes: []string{f.types[i]},
			Secrets: []store.Secret{{Value: "whsec_YmVuY2gtc2VjcmV0LWJlbmNoLXNlY3JldC1iZW5jaA=="}}, Active: true, Updated: time.Now(),
		})
		if err != nil {
			return 0, err
		}
	}
	const batch = 1000
	var settlements []*store.Settlement
	for events < f.events {
		b := &store.Batch{Settlements: settlements}
		settlements = nil
		for range batch {
			e := &store.Event{Key: ids.Next(), Type: "old.test", ContentType: "application/json", Payload: payload(events, f.size)}
			e.ID = e.Key.With(store.EventPrefix)
			d := store.NewDelivery{ID: ids.Next(), Subscription: keys[events%len(keys)], Due: e.Created(), Hold: f.delivered}
			b.Publications = append(b.Publications, &store.Publication{Event: e, Deliveries: []store.NewDelivery{d}})
			if f.delivered {
				settlements = append(settlements, &store.Settlement{
					Delivery: d.ID, State: store.Delivered,
					Attempt: &store.Attempt{ID: d.ID, Number: 1, At: e.Created(), Latency: time.Millisecond, Status: 200},
				})
			}
			events++
		}
		if err := s.Commit(ctx, b); err != nil {
			return 0, fmt.Errorf("filling the store: %w", err)
		}
		if f.bytes > 0 && fileSize(path) >= f.bytes {
			break
		}
	}
	return events, s.Commit(ctx, &store.Batch{Settlements: settlements})
}

// filled starts a server with a store that was filled before.
func (b *bench) filled(dir string, f filling, sink string) (*server, error) {
	if _, _, err := f.fill(storeIn(dir)); err != nil {
		return nil, err
	}
	s, err := b.launch(dir, "", sink)
	if err != nil {
		return nil, err
	}
	return s, s.ready()
}

func fileSize(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}
