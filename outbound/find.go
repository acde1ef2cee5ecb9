package outbound

import (
	"context"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/payload"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// findTime is how long a search goes on before it returns what it has found.
const findTime = time.Second

// Find returns the events that match q and are selected by the filter in text, an
// expression like that of a subscription. Events for which it can't be evaluated
// aren't selected. The result has no payloads. Find returns once it has q.Limit events,
// or after a second; next is the cursor to continue from, or 0 at the end.
func (e *Engine) Find(ctx context.Context, q Query, text string) (found []*Event, next store.ID, err error) {
	f, err := payload.NewFilter(text)
	if err != nil {
		return nil, 0, invalid("filter", "%v", err)
	}
	limit, end := q.Limit, time.Now().Add(findTime)
	q.Payload, q.Limit = true, e.payloadBatch()
	for {
		events, err := e.store.Events(ctx, q)
		if err != nil {
			return nil, 0, err
		}
		more := len(events) == q.Limit
		for i, ev := range events {
			if f.Selects(ctx, ev) {
				ev.Payload = nil // a page of payloads would take much memory
				found = append(found, ev)
			}
			if last := !more && i == len(events)-1; !last && (len(found) == limit || time.Now().After(end)) {
				return found, ev.Key, nil
			}
		}
		if !more {
			return found, 0, nil
		}
		q.Before = events[len(events)-1].Key
	}
}
