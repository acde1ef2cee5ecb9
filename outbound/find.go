package outbound

import (
	"context"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/payload"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// findTime is how long a search goes on before it gives what it has found.
const findTime = time.Second

// Find lists, without payloads, those of the events that match q which a filter
// selects, written like a subscription's. One that it can't judge isn't selected. It
// returns with what it has when there are q.Limit of them or a second is over: next is
// then where to go on, and 0 at the end.
func (e *Engine) Find(ctx context.Context, q Query, text string) (found []*Event, next store.ID, err error) {
	f, err := payload.NewFilter(text)
	if err != nil {
		return nil, 0, invalid("filter", "%v", err)
	}
	most, end := q.Limit, time.Now().Add(findTime)
	q.Payload, q.Limit = true, e.payloadBatch()
	for {
		events, err := e.store.Events(ctx, q)
		if err != nil {
			return nil, 0, err
		}
		for i, ev := range events {
			if f.Selects(ctx, ev) {
				ev.Payload = nil // for a page of them would take much memory
				found = append(found, ev)
			}
			if last := len(events) < q.Limit && i == len(events)-1; !last && (len(found) == most || time.Now().After(end)) {
				return found, ev.Key, nil
			}
		}
		if len(events) < q.Limit {
			return found, 0, nil
		}
		q.Before = events[len(events)-1].Key
	}
}
