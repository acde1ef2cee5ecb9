package outbound

import (
	"context"
	"slices"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

const (
	// replayBatch is how many events are looked at, and replayed, at once, and
	// replayBytes how many bytes of payloads where a filter reads them.
	replayBatch = 500
	replayBytes = 16 << 20
	// maxClockSkew is how far ahead the clock of another node may be.
	maxClockSkew = time.Minute
)

// Replay sends a subscription the events that match q and that it wants by what is
// said of it now, as if it had been there when they were published. Those that
// have a delivery to it are passed over. It returns how many there are, the
// oldest first. After an error some may have been replayed: it may be called again.
func (e *Engine) Replay(ctx context.Context, id string, q Query) (total int, err error) {
	l := e.lanes.byID(id)
	if l == nil {
		return 0, ErrNotFound
	}
	defer func() {
		if total > 0 {
			e.config.Load().Logger.Info("events replayed", Named(id, l.target.Load().sub.Tenant), "deliveries", total)
		}
	}()
	e.publishings.wait() // those may not have known the subscription, and aren't stored yet
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

// payloadBatch is how many events are read at once with their payloads.
func (e *Engine) payloadBatch() int {
	return int(max(1, min(replayBatch, replayBytes/e.MaxPayload())))
}

// replay makes deliveries of those events that the lane's subscription wants.
func (e *Engine) replay(ctx context.Context, l *lane, events []*store.Event) (int, error) {
	r := store.Replay{Subscription: l.key, Due: e.now()}
	for _, ev := range events {
		if ev.Type == TestEventType || !slices.Contains(e.match(ev), l) { // a test is for one subscription alone
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
	l.noteStored(r.Due) // also after an error: asking the store once more does no harm
	return n, err
}

// publishedUntil is the end of what was published so far. What goes through the past
// stops there: what is published meanwhile comes by itself, and might have no end.
func (e *Engine) publishedUntil() time.Time {
	end := e.ids.Next().Time().Add(time.Millisecond)
	if e.shared != nil {
		end = end.Add(maxClockSkew)
	}
	return end
}
