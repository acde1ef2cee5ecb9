package outbound

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// reconcile writes the subscriptions and event types of the configuration to the
// store. A subscription that was removed from it is deactivated but not deleted:
// its deliveries wait, in case that was a mistake. One that was inactive already
// keeps its reason, and stays inactive when it is put back. Unchanged ones aren't
// written, so that a configuration that the store knows can be loaded even with a
// full disk.
func (e *Engine) reconcile(ctx context.Context, c *config) error {
	wanted := map[string]bool{}
	for i := range c.Subscriptions {
		spec := &c.Subscriptions[i]
		wanted[spec.id()] = true
		s, err := e.Subscription(spec.id())
		if err != nil {
			continue
		}
		if err := spec.checkStored(s); err != nil {
			return fmt.Errorf("subscription %s: %w", spec.Name, err)
		}
	}
	for _, l := range e.lanes.all() {
		s := l.sub()
		if s.FromConfig && !wanted[s.ID] && s.Active {
			if _, err := e.Deactivate(ctx, s.ID, ReasonRemoved); err != nil {
				return err
			}
		}
	}
	for i := range c.Subscriptions { // in this order, so that lists have it, too
		spec := &c.Subscriptions[i]
		if err := e.reconcileOne(ctx, c, spec); err != nil {
			return fmt.Errorf("subscription %s: %w", spec.Name, err)
		}
		c.warnShortSecrets(Named(spec.id(), spec.Tenant), spec.Scheme, spec.Secrets)
	}
	e.warnUndeliverable(c)
	return e.catalogue.reconcile(ctx, c)
}

// checkStored checks whether a subscription of the configuration can have the id that a
// stored one has.
func (s *SubscriptionSpec) checkStored(row *store.Subscription) error {
	switch {
	case !row.FromConfig:
		return fmt.Errorf("%s was created through the API: give this one another name, or delete that one", row.ID)
	case row.Tenant != s.Tenant:
		return fmt.Errorf("its deliveries are for the tenant %q and can't go to the tenant %q: give the new tenant's subscription another name", row.Tenant, s.Tenant)
	}
	return nil
}

// warnUndeliverable logs that deliveries of some subscriptions can't be made, as
// when one names a scheme that the configuration no longer has.
func (e *Engine) warnUndeliverable(c *config) {
	var hopeless []*target
	for _, l := range e.lanes.all() {
		if t := l.target.Load(); t.err != nil && t.sub.Active {
			hopeless = append(hopeless, t)
		}
	}
	if len(hopeless) > 0 {
		t := slices.MinFunc(hopeless, func(a, b *target) int { return cmp.Compare(a.sub.Key, b.sub.Key) })
		c.Logger.Warn("with this configuration, no delivery can be made to some subscriptions: change it or them, before their deliveries become dead letters",
			"subscriptions", len(hopeless), Named(t.sub.ID, t.sub.Tenant), "error", t.err)
	}
}

// reconcileOne creates or updates one subscription of the configuration.
func (e *Engine) reconcileOne(ctx context.Context, c *config, spec *SubscriptionSpec) error {
	id := spec.id()
	l := e.lanes.byID(id)
	if l == nil {
		s := &store.Subscription{Key: e.ids.Next(), ID: id, Active: true, FromConfig: true, Updated: e.clock.Now()}
		spec.apply(s)
		if err := ensureSecret(s, c); err != nil {
			return err
		}
		err := e.create(ctx, s)
		if !errors.Is(err, ErrConflict) {
			return err
		}
		// It was created meanwhile: by another node that starts too, or through the API.
		if err := e.refreshSubscriptions(ctx); err != nil {
			return err
		}
		if l = e.lanes.byID(id); l == nil {
			return err
		}
	}
	if spec.matches(l.sub()) {
		return nil
	}
	restored := false
	s, err := e.change(ctx, id, func(s *store.Subscription) error {
		if err := spec.checkStored(s); err != nil { // it may be another one by now
			return err
		}
		spec.apply(s)
		if restored = s.Reason == ReasonRemoved; restored {
			s.Active, s.Reason = true, ""
		}
		return ensureSecret(s, c)
	})
	if err == nil && restored {
		e.notify(ctx, subscriptionChanged(s))
	}
	return err
}

func (s *SubscriptionSpec) id() string { return store.SubscriptionPrefix + s.Name }

// errConfigured returns the error for changing a subscription by the API that is,
// or was, defined in the configuration.
func (e *Engine) errConfigured(s *store.Subscription) error {
	if !e.inConfig(s.ID) {
		return fmt.Errorf("%w: subscription %s is no longer in the server's configuration: put it back there, or delete it", ErrConflict, s.ID)
	}
	return fmt.Errorf("%w: subscription %s is defined in the server's configuration: change it there and reload", ErrConflict, s.ID)
}

// inConfig reports whether the present configuration has a subscription.
func (e *Engine) inConfig(id string) bool {
	return slices.ContainsFunc(e.config.Load().Subscriptions, func(s SubscriptionSpec) bool {
		return s.id() == id
	})
}
