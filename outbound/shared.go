package outbound

import (
	"context"
	"reflect"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// followNodes goes by what other nodes do, where the store is shared.
func (e *Engine) followNodes() {
	if e.shared == nil {
		return
	}
	for {
		news, err := e.shared.News(e.life)
		if err != nil {
			return
		}
		if news.Lost {
			// Others have it now. What is under way comes to them too: that can't
			// be helped.
			for _, l := range e.lanes.all() {
				l.flush()
			}
		}
		if news.Changed {
			e.retryStore(e.life, "reading what another node has changed", e.refresh)
		}
		e.probeLanes(news.Asked)
		e.wakeLanes(e.life, news.Waits)
	}
}

// yield leaves to the other nodes what this one won't attempt any more.
func (e *Engine) yield(ctx context.Context) {
	for _, l := range e.lanes.all() {
		if ctx.Err() != nil {
			return
		}
		l.flush()
	}
	if err := e.shared.Yield(ctx); err != nil && ctx.Err() == nil {
		e.config.Load().Logger.Warn("other nodes have to wait for the end of this one", "error", err)
	}
}

// wakeLanes tells the lanes what waits for them in the store. A subscription that was
// deleted gets one to bury it. What isn't known here may also have been made by
// another node just now, so the store is asked first.
func (e *Engine) wakeLanes(ctx context.Context, waits []store.Backlog) {
	refreshed := e.shared == nil
	for _, b := range waits {
		l := e.lanes.byKey(b.Subscription)
		if l == nil && !refreshed {
			if err := e.refresh(ctx); err != nil {
				return // the store tells again
			}
			refreshed = true
			l = e.lanes.byKey(b.Subscription)
		}
		if l == nil {
			l = &lane{e: e, key: b.Subscription, closed: true}
		}
		l.noteStored(b.Due)
	}
}

// refresh takes up the subscriptions and the event types as they are in the
// store.
func (e *Engine) refresh(ctx context.Context) error {
	if err := e.refreshSubscriptions(ctx); err != nil {
		return err
	}
	e.catalogue.changing.Lock()
	defer e.catalogue.changing.Unlock()
	return e.catalogue.refresh(ctx)
}

func (e *Engine) refreshSubscriptions(ctx context.Context) error {
	e.lanes.changing.Lock()
	defer e.lanes.changing.Unlock()
	known, err := e.store.Subscriptions(ctx)
	if err != nil {
		return err
	}
	there := make(map[store.ID]bool, len(known))
	for _, s := range known {
		there[s.Key] = true
	}
	for _, l := range e.lanes.all() { // first, since another one may have its id now
		if !there[l.key] {
			e.lanes.remove(l)
			l.close()
		}
	}
	for _, s := range known {
		if l := e.lanes.byKey(s.Key); l == nil || !sameSubscription(l.target.Load().sub, s) {
			e.applySubscription(s)
		}
	}
	return nil
}

// sameSubscription tells whether a row says what is known of a subscription.
// The store keeps times to the millisecond.
func sameSubscription(known, row *store.Subscription) bool {
	a, b := *known, *row
	if !a.Updated.Truncate(time.Millisecond).Equal(b.Updated) || !a.FailingSince.Truncate(time.Millisecond).Equal(b.FailingSince) {
		return false
	}
	a.Updated, a.FailingSince = b.Updated, b.FailingSince
	return reflect.DeepEqual(a, b)
}

// exclusive tells whether one node at a time may deliver to a subscription, which is
// whoever claims it.
func (l *lane) exclusive(s *store.Subscription) bool {
	return l.e.shared != nil && (s.Ordered || s.RateLimit > 0)
}
