package outbound

import (
	"context"
	"reflect"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// followNodes keeps up with the other nodes, if the store is shared.
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
			// Other nodes have claimed this one's deliveries. Attempts under way
			// are then made twice, which can't be prevented.
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

// yield leaves deliveries that this node won't attempt any more to other nodes.
func (e *Engine) yield(ctx context.Context) {
	for _, l := range e.lanes.all() {
		if ctx.Err() != nil {
			return
		}
		l.flush()
	}
	if err := e.shared.Yield(ctx); err != nil && ctx.Err() == nil {
		e.logger().Warn("handing deliveries over to the other nodes: they have to wait until this one has stopped", "error", err)
	}
}

// wakeLanes tells the lanes what waits for them in the store. An unknown
// subscription may be one that another node has just made, so the subscriptions are
// read first. If it was deleted, it gets a closed lane, which makes dead letters of
// its deliveries.
func (e *Engine) wakeLanes(ctx context.Context, waits []store.Backlog) {
	refreshed := e.shared == nil
	for _, b := range waits {
		l := e.lanes.byKey(b.Subscription)
		if l == nil && !refreshed {
			if err := e.refresh(ctx); err != nil {
				return // the store will report it again
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

// refresh reads the subscriptions and event types from the store.
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
	stored := make(map[store.ID]bool, len(known))
	for _, s := range known {
		stored[s.Key] = true
	}
	for _, l := range e.lanes.all() { // first, because a new subscription may have the same id
		if !stored[l.key] {
			e.lanes.remove(l)
			l.close()
		}
	}
	for _, s := range known {
		if l := e.lanes.byKey(s.Key); l == nil || !sameSubscription(l.sub(), s) {
			e.applyShared(s)
		}
	}
	return nil
}

// applyShared is applySubscription for a row in which another node may have stored that
// the receiver is back.
func (e *Engine) applyShared(s *store.Subscription) {
	l := e.lanes.byKey(s.Key)
	if l != nil && !l.sub().FailingSince.IsZero() && s.FailingSince.IsZero() && s.Active { // a deactivation clears it too, without a success
		l.restartFailures()
	}
	e.applySubscription(s)
}

// sameSubscription reports whether two states of a subscription are the same. The store
// keeps times to the millisecond.
func sameSubscription(one, other *store.Subscription) bool {
	a := *one
	a.Updated, a.FailingSince = other.Updated, other.FailingSince
	return sameUpdate(one, other) && one.FailingSince.UnixMilli() == other.FailingSince.UnixMilli() && reflect.DeepEqual(a, *other)
}

// sameUpdate reports whether a user has changed neither of two states of a
// subscription since the other.
func sameUpdate(one, other *store.Subscription) bool {
	return one.Updated.UnixMilli() == other.Updated.UnixMilli()
}

// exclusive reports whether only one node at a time may deliver to a subscription,
// namely the one that claims its deliveries. The receiver's permission, too, may have a
// limit for all nodes together.
func (l *lane) exclusive(s *store.Subscription) bool {
	return l.e.shared != nil && (s.Ordered || s.RateLimit > 0 || s.Handshake != "")
}
