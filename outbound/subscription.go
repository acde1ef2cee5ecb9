package outbound

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// Subscription says which events are sent where, and how they are signed.
type Subscription = store.Subscription

// EventType is an entry of the catalogue.
type EventType = store.EventType

// Reasons why a subscription is inactive. A user who deactivates one may also give
// another.
const (
	ReasonByHand  = "deactivated by hand"
	ReasonGone    = "the receiver answered 410 Gone"
	ReasonFailing = "the receiver has failed for too long"
	ReasonRemoved = "no longer in the configuration"
)

// ReasonDeleted is the reason of dead letters whose subscription was deleted while
// they waited.
const ReasonDeleted = "subscription deleted"

// ReasonCancelled is the reason of dead letters that were cancelled.
const ReasonCancelled = "cancelled by hand"

// CreateSubscription stores a subscription, which gets the events published from now
// on. The result includes the secrets. The error is a *Taken if a subscription that isn't
// of the configuration has its id.
func (e *Engine) CreateSubscription(ctx context.Context, spec SubscriptionSpec) (*Subscription, error) {
	c := e.config.Load()
	if err := spec.checkNew(&c.Settings); err != nil {
		return nil, err
	}
	s := &store.Subscription{Key: e.ids.Next(), Active: true, Updated: e.clock.Now()}
	s.ID = cmp.Or(spec.ID, s.Key.With(store.SubscriptionPrefix))
	spec.apply(s)
	if err := ensureSecret(s, c); err != nil {
		return nil, err
	}
	err := e.create(ctx, s)
	if spec.ID != "" && errors.Is(err, ErrConflict) {
		return nil, e.taken(ctx, &spec, err)
	}
	if err != nil {
		return nil, err
	}
	c.warnShortSecrets(Named(s.ID, s.Tenant), s.Scheme, spec.Secrets)
	return s, nil
}

// create stores a new subscription and makes its lane.
func (e *Engine) create(ctx context.Context, s *store.Subscription) error {
	e.lanes.changing.Lock()
	defer e.lanes.changing.Unlock()
	if err := e.store.CreateSubscription(ctx, s); err != nil {
		return err
	}
	e.applySubscription(s)
	return nil
}

// taken returns the error for a subscription whose id is taken, which the store has
// reported as err.
func (e *Engine) taken(ctx context.Context, spec *SubscriptionSpec, err error) error {
	// An edit that fails changes nothing. This reads what is stored, which another node
	// may just have created.
	_, found := e.store.UpdateSubscription(ctx, spec.ID, func(s *store.Subscription) error {
		if s.FromConfig {
			return e.errConfigured(s)
		}
		return &Taken{Subscription: s, Differs: spec.differs(s)}
	})
	if errors.Is(found, ErrNotFound) { // it was deleted just now
		return err
	}
	if t, ok := errors.AsType[*Taken](found); ok && e.lanes.byKey(t.Subscription.Key) == nil {
		if err := e.refreshSubscriptions(ctx); err != nil {
			return err
		}
	}
	return found
}

// Subscription returns a subscription by its id, or ErrNotFound.
func (e *Engine) Subscription(id string) (*Subscription, error) {
	l := e.lanes.byID(id)
	if l == nil {
		return nil, ErrNotFound
	}
	return l.sub(), nil
}

// Subscriptions returns at most limit subscriptions of a tenant, or of all if
// tenant is "", oldest first, starting after the key given.
func (e *Engine) Subscriptions(tenant string, after store.ID, limit int) []*Subscription {
	var out []*Subscription
	for _, l := range e.lanes.all() {
		s := l.sub()
		if s.Key > after && (tenant == "" || s.Tenant == tenant) {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b *Subscription) int { return cmp.Compare(a.Key, b.Key) })
	return out[:min(limit, len(out))]
}

// UpdateSubscription lets edit change a subscription. All attempts from now on use the
// result. Changes of Tenant and Secrets are ignored. If edit returns an error, nothing
// is changed, and the error is returned unchanged.
func (e *Engine) UpdateSubscription(ctx context.Context, id string, edit func(*SubscriptionSpec) error) (*Subscription, error) {
	c := e.config.Load()
	return e.change(ctx, id, func(s *store.Subscription) error {
		if s.FromConfig {
			return e.errConfigured(s)
		}
		spec, old := specOf(s), specOf(s)
		if err := edit(&spec); err != nil {
			return err
		}
		spec.Tenant = old.Tenant
		spec.Secrets, _ = validSecrets(s, e.now())
		if spec.URL != old.URL { // an unchanged URL may be refused by a newer policy, which mustn't keep the user from other changes
			if err := spec.checkURL(&c.Settings); err != nil {
				return err
			}
		}
		if spec.OAuth2.TokenURL != old.OAuth2.TokenURL {
			if err := checkTokenURL(&spec.OAuth2, c.Policy); err != nil {
				return err
			}
		}
		if err := spec.checkKeptSecrets(&c.Settings); err != nil {
			return err
		}
		if err := spec.check(&c.Settings); err != nil {
			return err
		}
		spec.Secrets = nil // apply then keeps those of the row, with their expiry
		spec.apply(s)
		return nil
	})
}

// errUnchanged is what an edit returns that has changed nothing: the subscription was
// then not updated.
var errUnchanged = errors.New("unchanged")

func (e *Engine) change(ctx context.Context, id string, edit func(*store.Subscription) error) (*Subscription, error) {
	e.lanes.changing.Lock()
	defer e.lanes.changing.Unlock()
	s, err := e.store.UpdateSubscription(ctx, id, func(s *store.Subscription) error {
		err := edit(s)
		if errors.Is(err, errUnchanged) {
			return nil
		}
		s.Updated = e.clock.Now()
		return err
	})
	if err != nil {
		return nil, err
	}
	e.applyShared(s)
	return s, nil
}

// applySubscription makes the engine use a subscription as it is in the store now.
func (e *Engine) applySubscription(s *store.Subscription) {
	c := e.config.Load()
	l := e.lanes.byKey(s.Key)
	if l == nil {
		l = &lane{e: e, key: s.Key}
		l.breaker.restore(s.FailingSince)
		l.target.Store(newTarget(c, s, e.now(), nil))
		e.lanes.index(l, nil, s)
		return
	}
	old := l.sub()
	l.setTarget(c, s)
	if !slices.Equal(old.EventTypes, s.EventTypes) { // its tenant never changes
		e.lanes.index(l, old, s)
	}
	if !l.exclusive(old) && l.exclusive(s) {
		l.flush() // one node at a time may hold its deliveries, by claiming them
	}
	switch {
	case old.Active && !s.Active:
		l.flush()
	case !old.Active && s.Active, !sameReceiver(old, s): // what is known of the receiver may be out of date
		l.resume()
	case old.Ordered && !s.Ordered, old.RateLimit != s.RateLimit:
		l.unpause()
	}
	if !sameRequest(old, s) { // the receiver may accept the new ones
		l.probe()
	}
}

// sameReceiver reports whether an outcome for one subscription says something about
// the receiver of the other: they have the same URL, and get permission and tokens in the
// same way.
func sameReceiver(one, other *store.Subscription) bool {
	return one == other || one.URL == other.URL && one.Handshake == other.Handshake && reflect.DeepEqual(one.OAuth2, other.OAuth2)
}

// sameRequest reports whether both subscriptions send the same requests. If they
// don't, the change may have made failing attempts succeed: the receiver may trust
// the other signature, accept the other body, or need the longer timeout.
func sameRequest(one, other *store.Subscription) bool {
	return one.Scheme == other.Scheme && one.Transform == other.Transform && one.Timeout == other.Timeout && maps.Equal(one.Headers, other.Headers) &&
		slices.EqualFunc(one.Secrets, other.Secrets, func(a, b store.Secret) bool { return a.Value == b.Value })
}

// Deactivate stops attempts for a subscription. Its deliveries, including new ones,
// are held until Activate.
func (e *Engine) Deactivate(ctx context.Context, id, reason string) (*Subscription, error) {
	return e.setActive(ctx, id, false, reason, nil)
}

// Activate resumes attempts for a subscription: deliveries that were held are due at
// once. Those that are waiting for a retry are attempted too, even if the subscription
// was active already.
func (e *Engine) Activate(ctx context.Context, id string) (*Subscription, error) {
	return e.setActive(ctx, id, true, "", nil)
}

// setActive activates or deactivates a subscription. If still isn't nil, it must
// return true for the subscription as it is stored, or nothing is changed.
func (e *Engine) setActive(ctx context.Context, id string, active bool, reason string, still func(*store.Subscription) bool) (*Subscription, error) {
	changed := false
	s, err := e.change(ctx, id, func(s *store.Subscription) error {
		if active && s.FromConfig && !e.inConfig(s.ID) {
			return e.errConfigured(s)
		}
		changed = s.Active != active && (still == nil || still(s))
		if !changed {
			return errUnchanged
		}
		s.Active, s.Reason, s.FailingSince = active, reason, time.Time{}
		return nil
	})
	if err != nil {
		return nil, err
	}
	log := e.logger()
	switch {
	case changed && active:
		log.Info("subscription activated", Named(s.ID, s.Tenant))
	case changed:
		log.Warn("subscription deactivated: its deliveries are held until it is activated", Named(s.ID, s.Tenant), "reason", reason)
	case active:
		e.probeReceiver(ctx, s.Key)
	}
	if changed {
		e.notify(ctx, subscriptionChanged(s))
	}
	return s, nil
}

// DeleteSubscription deletes a subscription. Its pending deliveries become dead
// letters; if there are many, this continues in the background.
func (e *Engine) DeleteSubscription(ctx context.Context, id string) error {
	e.lanes.changing.Lock()
	defer e.lanes.changing.Unlock()
	l := e.lanes.byID(id)
	if l == nil {
		return ErrNotFound
	}
	if s := l.sub(); s.FromConfig && e.inConfig(s.ID) {
		return e.errConfigured(s)
	}
	if err := e.store.DeleteSubscription(ctx, id); err != nil {
		return err
	}
	e.lanes.remove(l)
	l.close()
	return nil
}
