package outbound

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// reconcile makes the subscriptions and event types of the configuration those
// of the store. One that is no longer there is deactivated and not
// deleted: its deliveries wait, in case it was taken out by mistake. One that
// was inactive already keeps its reason, and stays so when it is put back.
// Nothing is written for what is unchanged, so that a configuration which the
// store knows can be loaded however full the disk is.
func (e *Engine) reconcile(ctx context.Context, c *config) error {
	wanted := map[string]bool{}
	for i := range c.Subscriptions {
		spec := &c.Subscriptions[i]
		wanted[spec.id()] = true
		if s, err := e.Subscription(spec.id()); err == nil && s.Tenant != spec.Tenant {
			return fmt.Errorf("subscription %s: what it has is for the tenant %q and can't go to the tenant %q: give that one's another name",
				spec.Name, s.Tenant, spec.Tenant)
		}
	}
	for _, l := range e.lanes.all() {
		s := l.target.Load().sub
		if s.FromConfig && !wanted[s.ID] && s.Active {
			if _, err := e.setActive(ctx, s.ID, false, ReasonRemoved); err != nil {
				return err
			}
		}
	}
	for i := range c.Subscriptions { // in their order, which is that of lists
		spec := &c.Subscriptions[i]
		if err := e.reconcileOne(ctx, c, spec); err != nil {
			return fmt.Errorf("subscription %s: %w", spec.Name, err)
		}
		c.warnShortSecrets(Named(spec.id(), spec.Tenant), spec.Scheme, spec.Secrets)
	}
	e.warnUndeliverable(c)
	return e.catalogue.reconcile(ctx, c)
}

// warnUndeliverable says in the log that no delivery to some subscriptions can be made,
// as where one names a scheme that the configuration has no longer.
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
		if e.shared == nil || !errors.Is(err, ErrConflict) {
			return err
		}
		// Another node, which starts too, was quicker.
		if err := e.refreshSubscriptions(ctx); err != nil {
			return err
		}
		if l = e.lanes.byID(id); l == nil {
			return err
		}
	}
	if spec.matches(l.target.Load().sub) {
		return nil
	}
	back := false
	s, err := e.change(ctx, id, func(s *store.Subscription) error {
		spec.apply(s)
		if back = s.Reason == ReasonRemoved; back {
			s.Active, s.Reason = true, ""
		}
		return ensureSecret(s, c)
	})
	if err == nil && back {
		e.notify(ctx, subscriptionChanged(s))
	}
	return err
}

// id is that of a subscription of the configuration.
func (s *SubscriptionSpec) id() string { return store.SubscriptionPrefix + s.Name }

// errConfigured refuses to change by the API what the configuration says, or said.
func (e *Engine) errConfigured(s *store.Subscription) error {
	if !e.inConfig(s.ID) {
		return fmt.Errorf("%w: subscription %s is no longer in the server's configuration: put it back there, or delete it", ErrConflict, s.ID)
	}
	return fmt.Errorf("%w: subscription %s is defined in the server's configuration: change it there and reload", ErrConflict, s.ID)
}

// inConfig tells whether the configuration still has a subscription.
func (e *Engine) inConfig(id string) bool {
	return slices.ContainsFunc(e.config.Load().Subscriptions, func(s SubscriptionSpec) bool {
		return s.id() == id
	})
}
