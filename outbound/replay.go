package outbound

import (
	"context"
	"slices"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

const (
	// replayBatch is how many events are replayed at once.
	replayBatch = 500
	// replayBytes bounds the payloads of the events that are read at once, if a filter
	// needs them.
	replayBytes = 16 << 20
	// maxClockSkew is how far ahead another node's clock may be.
	maxClockSkew = time.Minute
)

// Replay delivers past events that match q to a subscription if they also match the
// subscription as it is now, oldest first. Events that already have a delivery to it
// are skipped. It returns how many deliveries were created. After an error, some may
// have been created; it can be called again.
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
	for more := true; more; {
		var wanted []store.ID
		if wanted, more, err = e.nextToReplay(ctx, l, &q); err != nil {
			return total, err
		}
		n, err := e.replay(ctx, l, wanted)
		if total += n; err != nil {
			return total, err
		}
	}
	return total, nil
}

// nextToReplay reads a batch of events, from q.After, which it moves on, and returns
// which of them the lane's subscription wants, and whether there are more. A filter
// needs their payloads, so that it reads fewer at once; the batch is as large.
func (e *Engine) nextToReplay(ctx context.Context, l *lane, q *Query) (wanted []store.ID, more bool, err error) {
	for left := replayBatch; left > 0; left -= q.Limit {
		q.Limit = left
		if q.Payload = l.target.Load().filter != nil; q.Payload {
			q.Limit = min(left, e.payloadBatch())
		}
		events, err := e.store.Events(ctx, *q)
		if err != nil {
			return nil, false, err
		}
		for _, ev := range events {
			wants, err := e.wantsReplay(ctx, l, ev)
			switch {
			case err != nil:
				return nil, false, err
			case wants:
				wanted = append(wanted, ev.Key)
			}
		}
		if len(events) < q.Limit {
			return wanted, false, nil
		}
		q.After = events[len(events)-1].Key
	}
	return wanted, true, nil
}

// payloadBatch returns how many events to read at once with their payloads.
func (e *Engine) payloadBatch() int {
	return int(max(1, min(replayBatch, replayBytes/e.MaxPayload())))
}

// wantsReplay reports whether the lane's subscription wants an event, as it is now.
func (e *Engine) wantsReplay(ctx context.Context, l *lane, ev *store.Event) (bool, error) {
	if ev.Type == TestEventType || !slices.Contains(e.match(ev), l) { // a test is for one subscription only
		return false, nil
	}
	wanted, err := e.filtered(ctx, []*lane{l}, ev)
	return len(wanted) > 0, err
}

// replay makes deliveries of events to the lane's subscription.
func (e *Engine) replay(ctx context.Context, l *lane, events []store.ID) (int, error) {
	if len(events) == 0 {
		return 0, nil
	}
	r := store.Replay{Subscription: l.key, Due: e.now(), Events: events}
	for range events {
		r.Deliveries = append(r.Deliveries, e.ids.Next())
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
