package outbound

import (
	"context"
	"fmt"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// findBacklogs tells the lanes what waits for them in the store. Lanes of
// subscriptions that are gone are made, to bury it.
func (e *Engine) findBacklogs(ctx context.Context) error {
	backlogs, err := e.store.Backlogs(ctx)
	if err != nil {
		return fmt.Errorf("reading what waits in the store: %w", err)
	}
	for _, b := range backlogs {
		l := e.lanes.byKey(b.Subscription)
		if l == nil {
			l = &lane{e: e, key: b.Subscription, closed: true}
		}
		l.stored(b.Due)
	}
	return nil
}

// watchSalvages looks for deliveries that a damaged store has lost and that
// were made anew, of which no lane knows.
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
		for e.findBacklogs(e.life) != nil {
			select {
			case <-e.life.Done():
				return
			case <-e.clock.After(claimAgain):
			}
		}
	}
}
