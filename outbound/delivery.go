package outbound

import (
	"context"
	"fmt"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// Types that lists use.
type (
	// Query selects the rows of a list.
	Query = store.Query
	// Record is a delivery as it is listed.
	Record = store.Record
	// Attempt is one attempt at a delivery.
	Attempt = store.Attempt
)

// Delivery returns a delivery by its public id.
func (e *Engine) Delivery(ctx context.Context, id string) (*Record, error) {
	r, err := e.delivery(ctx, id)
	if err != nil {
		return nil, err
	}
	e.addPauseInfo(r)
	return r, nil
}

// delivery returns a delivery as it is stored.
func (e *Engine) delivery(ctx context.Context, id string) (*Record, error) {
	key, err := deliveryKey(id)
	if err != nil {
		return nil, err
	}
	return e.store.Delivery(ctx, key)
}

// Deliveries lists deliveries, newest first. Dead letters are those in state
// store.Dead.
func (e *Engine) Deliveries(ctx context.Context, q Query) ([]*Record, error) {
	rs, err := e.store.Deliveries(ctx, q)
	for _, r := range rs {
		e.addPauseInfo(r)
	}
	return rs, err
}

// Attempts lists the attempts of a delivery, first to last.
func (e *Engine) Attempts(ctx context.Context, id string) ([]*Attempt, error) {
	key, err := deliveryKey(id)
	if err != nil {
		return nil, err
	}
	return e.store.Attempts(ctx, key)
}

func deliveryKey(id string) (store.ID, error) {
	key, ok := store.ParseID(store.DeliveryPrefix, id)
	if !ok {
		return 0, ErrNotFound
	}
	return key, nil
}

// Redeliver makes a delivery due at once, whatever its state, and restarts its
// schedule. If an attempt is in flight, another one follows.
func (e *Engine) Redeliver(ctx context.Context, id string) (*Record, error) {
	r, err := e.delivery(ctx, id)
	if err != nil {
		return nil, err
	}
	l := e.lanes.byKey(r.Subscription)
	if l == nil {
		return nil, fmt.Errorf("%w: subscription %s was deleted: replay the event to the subscription that replaces it", ErrConflict, r.SubscriptionID)
	}
	l.beginRequeue(r.ID)
	requeued, err := e.requeue(ctx, Query{Delivery: r.ID, Limit: 1})
	if err != nil {
		return nil, err
	}
	l.endRequeue(r.ID)
	if requeued.Count == 0 {
		if ev, err := e.store.Event(ctx, r.Tenant, r.EventID); err == nil && ev.PayloadRemoved {
			return nil, fmt.Errorf("%w: %s", ErrConflict, payloadRemoved)
		}
	}
	return e.Delivery(ctx, id)
}

// DeliveryOf returns the id of the delivery that an attempt belongs to.
func (e *Engine) DeliveryOf(ctx context.Context, attempt string) (id string, err error) {
	key, ok := store.ParseID(store.AttemptPrefix, attempt)
	if !ok {
		return "", ErrNotFound
	}
	delivery, err := e.store.DeliveryOf(ctx, key)
	return delivery.With(store.DeliveryPrefix), err
}

// Cancel makes a pending delivery a dead letter. If it held back later deliveries of an
// ordered subscription, these are attempted at once.
func (e *Engine) Cancel(ctx context.Context, id string) (*Record, error) {
	r, err := e.delivery(ctx, id)
	if err != nil {
		return nil, err
	}
	if r.State != store.Pending {
		return nil, fmt.Errorf("%w: the delivery is %s: only a pending delivery can be cancelled", ErrConflict, r.State)
	}
	l := e.lanes.byKey(r.Subscription)
	buried, err := e.buryOne(ctx, l, r)
	if err != nil {
		return nil, err
	}
	if len(buried) == 0 {
		return nil, fmt.Errorf("%w: an attempt is in flight: wait for its outcome, then cancel the delivery if it is still pending", ErrConflict)
	}
	if dead := deliveryDead(buried[0]); dead != nil {
		e.notify(ctx, dead)
	}
	if l != nil {
		l.resumeOrder(ctx)
	}
	return buried[0], nil
}

// resumeOrder has the next delivery of an ordered lane attempted at once.
func (l *lane) resumeOrder(ctx context.Context) {
	if l.ordered() {
		l.e.probeReceiver(ctx, l.key)
	}
}

// buryOne makes a pending delivery a dead letter. The lane is flushed first, so
// that it doesn't hold the delivery.
func (e *Engine) buryOne(ctx context.Context, l *lane, r *Record) ([]*Record, error) {
	e.claims.claimMu.Lock() // so that no claim holds it
	defer e.claims.claimMu.Unlock()
	if l != nil {
		l.flush()
	}
	return e.bury(ctx, store.Burial{Subscription: r.Subscription, Delivery: r.ID, Reason: ReasonCancelled, Limit: 1})
}

// bury makes dead letters of pending deliveries.
func (e *Engine) bury(ctx context.Context, b store.Burial) ([]*Record, error) {
	b.Log = e.deadLog.enabled()
	buried, err := e.store.Bury(ctx, b)
	if len(buried) > 0 {
		e.config.Load().Observer.Buried(buried)
		e.deadLog.wake.ring()
	}
	return buried, err
}

const payloadRemoved = "the event's payload was removed when the store had outgrown retain_size: publish it again, under another event_id"

// changeBatch is how many deliveries are changed in one transaction.
const changeBatch = 200

// RedeliverDead makes the dead letters that match q due at once, and returns how
// many. After an error some may have been queued; it can be called again.
func (e *Engine) RedeliverDead(ctx context.Context, q Query) (int, error) {
	return e.eachBatch(ctx, inState(q, store.Dead), e.requeue)
}

// RedeliverDelivered is RedeliverDead for deliveries that succeeded, for a receiver
// that has lost what it accepted.
func (e *Engine) RedeliverDelivered(ctx context.Context, q Query) (int, error) {
	n, err := e.eachBatch(ctx, inState(q, store.Delivered), e.requeue)
	if n > 0 {
		e.logger().Info("successful deliveries queued again", "deliveries", n)
	}
	return n, err
}

// DeleteDead deletes the dead letters that match q, and returns how many. They are
// kept as discarded deliveries until their event is removed. After an error some
// may have been deleted; it can be called again.
func (e *Engine) DeleteDead(ctx context.Context, q Query) (int, error) {
	n, err := e.eachBatch(ctx, inState(q, store.Dead), e.store.Discard)
	if n > 0 {
		e.logger().Info("dead letters deleted", "dead_letters", n)
	}
	return n, err
}

func inState(q Query, state store.State) Query {
	q.States = []store.State{state}
	return q
}

// eachBatch calls change for all rows that match, a batch at a time, oldest first,
// which is also the order in which deliveries are sent.
func (e *Engine) eachBatch(ctx context.Context, q Query, change func(context.Context, Query) (store.Changed, error)) (total int, err error) {
	q.Limit = changeBatch
	q.Until = earlier(q.Until, e.publishedUntil())
	q.After = 1
	for {
		done, err := change(ctx, q)
		total += done.Count
		if err != nil || !done.More {
			return total, err
		}
		q.After = done.Last
	}
}

// requeue makes the deliveries that match due now, and probes their receivers.
func (e *Engine) requeue(ctx context.Context, q Query) (store.Changed, error) {
	changed, err := e.store.Requeue(ctx, q, e.now())
	e.probeLanes(changed.Subscriptions)
	return changed, err
}

// probeReceiver has the receiver of a subscription probed at once, by whichever
// node delivers to it.
func (e *Engine) probeReceiver(ctx context.Context, subscription store.ID) {
	e.probeLanes([]store.ID{subscription})
	if e.shared == nil {
		return
	}
	if err := e.shared.Ask(ctx, subscription); err != nil {
		e.logger().Warn("the node that delivers to a subscription could not be told to try it now: it does when its pause is over", "error", err)
	}
}

// probeLanes has this node's lanes probe their receivers.
func (e *Engine) probeLanes(subscriptions []store.ID) {
	for _, key := range subscriptions {
		if l := e.lanes.byKey(key); l != nil {
			l.probe()
		}
	}
}

// requeueSettled requeues a delivery that was requeued while an attempt was under
// way, since the attempt's outcome has overwritten that. It retries in the
// background until the store succeeds.
func (e *Engine) requeueSettled(key store.ID) {
	requeue := func(ctx context.Context) error {
		_, err := e.requeue(ctx, Query{Delivery: key, Limit: 1})
		return err
	}
	err := requeue(context.Background())
	if err == nil {
		return
	}
	e.logger().Error("queueing a delivery again after the attempt that was in flight; trying again: if the server stops first, redeliver it once more",
		"delivery", key.With(store.DeliveryPrefix), "error", err)
	e.background(func(ctx context.Context) {
		e.sleep(ctx, storeRetryDelay)
		e.retryStore(ctx, "queueing deliveries again after an attempt that was in flight", requeue)
	})
}
