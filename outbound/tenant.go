package outbound

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// removePollInterval is how long to wait before trying again to remove events whose
// deliveries were being attempted.
const removePollInterval = 100 * time.Millisecond

// DeletedTenant counts what was deleted of a tenant.
type DeletedTenant struct{ Subscriptions, Events int }

// DeleteTenant deletes a tenant's subscriptions, then its events with all that
// belongs to them, including those with pending deliveries and those that the
// engine has published about the tenant. It waits for attempts in flight.
// Events published in the meantime may stay. After an error some may have been
// deleted; it can be called again. The error is ErrConflict if the configuration
// has a subscription of the tenant.
func (e *Engine) DeleteTenant(ctx context.Context, tenant string) (d DeletedTenant, err error) {
	if tenant == "" { // would mean all tenants
		return d, missing("tenant", "name the one to delete")
	}
	if err := CheckTenant(tenant); err != nil {
		return d, err
	}
	if d.Subscriptions, err = e.deleteSubscriptions(ctx, tenant); err == nil {
		d.Events, err = e.deleteEventsOf(ctx, tenant)
	}
	for n := changeBatch; n == changeBatch && err == nil; {
		n, err = e.store.ForgetSubscriptions(ctx, tenant, changeBatch)
	}
	if d != (DeletedTenant{}) {
		message := "tenant deleted"
		if err != nil {
			message = "tenant deleted in part: it can be deleted again for the rest"
		}
		e.logger().Info(message, "tenant", tenant, "subscriptions", d.Subscriptions, "events", d.Events)
	}
	return d, err
}

// deleteSubscriptions deletes all subscriptions of a tenant.
func (e *Engine) deleteSubscriptions(ctx context.Context, tenant string) (n int, err error) {
	all := e.Subscriptions(tenant, 0, math.MaxInt)
	for _, s := range all {
		if s.FromConfig && e.inConfig(s.ID) {
			return 0, fmt.Errorf("%w: subscription %s of the tenant is defined in the server's configuration: remove it there and reload, then delete the tenant", ErrConflict, s.ID)
		}
	}
	for _, s := range all {
		err := e.DeleteSubscription(ctx, s.ID)
		switch {
		case err == nil:
			n++
		case !errors.Is(err, ErrNotFound): // somebody else may have deleted it just now
			return n, err
		}
	}
	return n, nil
}

// deleteEventsOf removes all events of a tenant that has no subscriptions any more.
func (e *Engine) deleteEventsOf(ctx context.Context, tenant string) (total int, err error) {
	e.publishings.wait() // these may have matched a subscription, and aren't stored yet
	q := Query{Tenant: tenant}
	for range 2 { // again for operational events about attempts that were under way
		began := e.ids.Next().Time().Add(-maxClockSkew)
		n, err := e.eachEvent(ctx, q, nil, e.removeWaiting)
		if total += n; err != nil {
			return total, err
		}
		q.Since = began
	}
	for _, l := range e.lanes.all() {
		if s := l.sub(); s.Tenant == "" && slices.ContainsFunc(s.EventTypes, store.Operational) { // it had the tenant's operational events, one of which may have been first in line
			l.resumeOrder(ctx)
		}
	}
	return total, nil
}

// removeWaiting removes events including pending deliveries, once no attempt at
// these is under way.
func (e *Engine) removeWaiting(ctx context.Context, events []store.ID) (total int, err error) {
	var lanes []*lane
	for {
		n, kept, err := removeInBatches(events, func(events []store.ID) (store.Removed, error) {
			e.claims.claimMu.Lock() // so that no claim holds a delivery
			defer e.claims.claimMu.Unlock()
			for _, l := range lanes {
				l.flush()
			}
			return e.store.Remove(ctx, store.Removal{Events: events, Pending: true, Limit: forgetLimit})
		})
		if total += n; err != nil || len(kept) == 0 {
			return total, err
		}
		if lanes, err = e.lanesWaitingFor(ctx, kept); err != nil {
			return total, err
		}
		e.sleep(ctx, removePollInterval)
		if err := ctx.Err(); err != nil {
			return total, err
		}
		events = kept
	}
}

// lanesWaitingFor returns the lanes that may hold deliveries of events.
func (e *Engine) lanesWaitingFor(ctx context.Context, events []store.ID) (lanes []*lane, err error) {
	seen := map[store.ID]bool{}
	for _, key := range events {
		waiting, err := e.store.Deliveries(ctx, Query{Event: key, States: []store.State{store.Pending}})
		if err != nil {
			return nil, err
		}
		for _, r := range waiting {
			if l := e.lanes.byKey(r.Subscription); l != nil && !seen[l.key] {
				seen[l.key] = true
				lanes = append(lanes, l)
			}
		}
	}
	return lanes, nil
}
