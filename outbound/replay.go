package outbound

import (
	"context"
	"slices"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

const (
	// replayBatch is how many events are read and replayed at once.
	replayBatch = 500
	// replayBytes bounds their payloads, if a filter needs them.
	replayBytes = 16 << 20
	// maxClockSkew is how far ahead another node's clock may be.
	maxClockSkew = time.Minute
)

// Replay delivers past events that match q to a subscription, if it wants them as
// it is now. Events that already have a delivery to it are skipped. It returns how
// many deliveries were made, oldest first. After an error some may have been made;
// it can be called again.
func (e *Engine) Replay(ctx context.Context, id string, q Query) (total int, err error) {
	l := e.lanes.byID(id)
	if l == nil {
		return 0, ErrNotFound
	}
	defer func() {
		if total > 0 {
			e.logger().Info("events replayed", Named(id, l.sub().Tenant), "deliveries", total)
		}
	}()
	e.publishings.wait() // these may not have seen the subscription, and aren't stored yet
	q.Until = earlier(q.Until, e.publishedUntil())
	q.After = max(1, store.IDAt(q.Since)-1)
	for {
		q.Limit = replayBatch
		if q.Payload = l.target.Load().filter != nil; q.Payload {
			q.Limit = e.payloadBatch()
		}
		events, err := e.store.Events(ctx, q)
		if err != nil {
			return total, err
		}
		n, err := e.replay(ctx, l, events)
		if total += n; err != nil || len(events) < q.Limit {
			return total, err
		}
		q.After = events[len(events)-1].Key
	}
}

// payloadBatch returns how many events to read at once with their payloads.
func (e *Engine) payloadBatch() int {
	return int(max(1, min(replayBatch, replayBytes/e.MaxPayload())))
}

// replay makes deliveries of the events that the lane's subscription wants.
func (e *Engine) replay(ctx context.Context, l *lane, events []*store.Event) (int, error) {
	r := store.Replay{Subscription: l.key, Due: e.now()}
	for _, ev := range events {
		if ev.Type == TestEventType || !slices.Contains(e.match(ev), l) { // a test is for one subscription only
			continue
		}
		wanted, err := e.filtered(ctx, []*lane{l}, ev)
		if err != nil {
			return 0, err
		}
		if len(wanted) > 0 {
			r.Events, r.Deliveries = append(r.Events, ev.Key), append(r.Deliveries, e.ids.Next())
		}
	}
	if len(r.Events) == 0 {
		return 0, nil
	}
	n, err := e.store.Replay(ctx, r)
	l.noteStored(r.Due) // even after an error: looking in vain does no harm
	return n, err
}

// publishedUntil returns the end of what has been published so far. Operations on
// past events stop there; otherwise they might never end while new ones are
// published.
func (e *Engine) publishedUntil() time.Time {
	end := e.ids.Next().Time().Add(time.Millisecond)
	if e.shared != nil {
		end = end.Add(maxClockSkew)
	}
	return end
}
