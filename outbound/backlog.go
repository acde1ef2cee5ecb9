package outbound

import (
	"context"
	"fmt"
	"slices"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// wakeBacklogs wakes the lanes that have deliveries in the store, and returns these
// backlogs.
func (e *Engine) wakeBacklogs(ctx context.Context) ([]store.Backlog, error) {
	backlogs, err := e.store.Backlogs(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading what waits in the store: %w", err)
	}
	e.wakeLanes(ctx, backlogs)
	return backlogs, nil
}

// resumeBacklogs is wakeBacklogs at the start. It logs that deliveries wait, but
// not how many, since a million would take long to count. After a restart only
// receivers that were down are known to have failed, so each that has a backlog is
// tried soon.
func (e *Engine) resumeBacklogs(ctx context.Context, c *config) error {
	backlogs, err := e.wakeBacklogs(ctx)
	if err != nil || len(backlogs) == 0 {
		return err
	}
	for _, b := range backlogs {
		if l := e.lanes.byKey(b.Subscription); l != nil {
			l.scheduleAhead(e.now().Add(jitter(l.target.Load().retry.first())))
		}
	}
	first := slices.MinFunc(backlogs, func(a, b store.Backlog) int { return a.Due.Compare(b.Due) })
	c.Logger.Info("there are pending deliveries in the store",
		"subscriptions", len(backlogs), "oldest_due", e.clock.wall(first.Due))
	return nil
}

// watchSalvages wakes the lanes when deliveries that a damaged store had lost were
// restored.
func (e *Engine) watchSalvages() {
	s, ok := e.store.(store.Salvager)
	if !ok {
		return
	}
	for {
		select {
		case <-e.life.Done():
			return
		case <-s.Salvaged():
		}
		e.retryStore(e.life, "looking for deliveries that were salvaged", func(ctx context.Context) error {
			_, err := e.wakeBacklogs(ctx)
			return err
		})
	}
}
