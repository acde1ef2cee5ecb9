package outbound

import (
	"context"
	"fmt"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/payload"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// DeleteEvent removes an event with its deliveries and attempts. Its id may be used
// again. The error is ErrConflict if a delivery is pending.
func (e *Engine) DeleteEvent(ctx context.Context, ev *Event) error {
	_, kept, err := e.remove(ctx, []store.ID{ev.Key})
	switch {
	case err != nil:
		return err
	case len(kept) > 0:
		return fmt.Errorf("%w: a delivery of event %s is pending: cancel it, or wait until it is settled", ErrConflict, ev.ID)
	}
	e.logger().Info("event deleted", "event_id", ev.ID)
	return nil
}

// DeleteEvents removes the events that match q and, if filter isn't "", that it
// selects. pending is how many were kept because a delivery is pending. After an
// error some may have been removed; it can be called again.
func (e *Engine) DeleteEvents(ctx context.Context, q Query, filter string) (deleted, pending int, err error) {
	f, err := payload.NewFilter(filter)
	if err != nil {
		return 0, 0, invalid("filter", "%v", err)
	}
	deleted, err = e.eachEvent(ctx, q, f, func(ctx context.Context, events []store.ID) (int, error) {
		n, kept, err := e.remove(ctx, events)
		pending += len(kept)
		return n, err
	})
	if deleted > 0 {
		e.logger().Info("events deleted", "events", deleted)
	}
	return deleted, pending, err
}

// eachEvent is eachBatch for events. It passes the keys of those that match q and,
// if f isn't nil, that f selects.
func (e *Engine) eachEvent(ctx context.Context, q Query, f *payload.Filter, change func(context.Context, []store.ID) (int, error)) (int, error) {
	return e.eachBatch(ctx, q, func(ctx context.Context, q Query) (done store.Changed, err error) {
		if q.Payload = f != nil; q.Payload {
			q.Limit = min(q.Limit, e.payloadBatch())
		}
		events, err := e.store.Events(ctx, q)
		if err != nil || len(events) == 0 {
			return done, err
		}
		var keys []store.ID
		for _, ev := range events {
			if f.Selects(ctx, ev) {
				keys = append(keys, ev.Key)
			}
		}
		done.Last, done.More = events[len(events)-1].Key, len(events) == q.Limit
		done.Count, err = change(ctx, keys)
		return done, err
	})
}

// remove removes events, except those with a pending delivery, which it returns as
// kept.
func (e *Engine) remove(ctx context.Context, events []store.ID) (n int, kept []store.ID, err error) {
	return removeInBatches(events, func(events []store.ID) (store.Removed, error) {
		return e.store.Remove(ctx, store.Removal{Events: events, Limit: forgetLimit})
	})
}

// removeInBatches calls remove until it has dealt with all events.
func removeInBatches(events []store.ID, remove func([]store.ID) (store.Removed, error)) (n int, kept []store.ID, err error) {
	for len(events) > 0 && err == nil {
		var done store.Removed
		done, err = remove(events)
		n, kept, events = n+done.Count, append(kept, done.Kept...), done.Rest
	}
	return n, kept, err
}
