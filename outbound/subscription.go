package outbound

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/egress"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// Subscription says which events go where, and how they are signed.
type Subscription = store.Subscription

// EventType is an entry of the catalogue.
type EventType = store.EventType

// SubscriptionSpec is what a user says of a subscription.
type SubscriptionSpec struct {
	Name        string // of one in the configuration: its id is sub_<name>
	URL         string
	EventTypes  []string
	Tenant      string
	Description string
	Headers     map[string]string
	Scheme      string   // "" for the engine's own
	Secrets     []string // newest first; none: one is made
	RateLimit   float64
	Ordered     bool
	Filter      string // CEL, such as payload.total > 100; "" for every event
}

// Why a subscription is not active, where it isn't a user's own words.
const (
	ReasonByHand  = "deactivated by hand"
	ReasonGone    = "the receiver answered 410 Gone"
	ReasonFailing = "the receiver has failed for too long"
	ReasonRemoved = "no longer in the configuration"
)

// ReasonDeleted is why the waiting deliveries of a deleted subscription are
// dead letters.
const ReasonDeleted = "subscription deleted"

// ReasonCancelled is why a delivery is a dead letter that somebody has cancelled.
const ReasonCancelled = "cancelled by hand"

const (
	maxEventTypes  = 1000
	maxDescription = 1024
	maxSecrets     = 10
	maxRate        = 100_000
	leastRate      = 1.0 / (24 * 3600)
)

var nameForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// MatchAll is the pattern of a subscription to every event type.
const MatchAll = "*"

func checkPattern(p string) error {
	if p == MatchAll {
		return nil
	}
	if err := checkType("event_types", strings.TrimSuffix(p, ".*")); err != nil {
		return invalid("event_types", "has %q, which is neither an event type such as order.created, nor a prefix such as order.*, nor * for all", p)
	}
	return nil
}

func checkPatterns(types []string) error {
	if len(types) == 0 {
		return invalid("event_types", "is missing: name the types to receive, such as order.created or invoice.*, or * for all")
	}
	if len(types) > maxEventTypes {
		return invalid("event_types", "has more than %d entries", maxEventTypes)
	}
	for _, t := range types {
		if err := checkPattern(t); err != nil {
			return err
		}
	}
	return nil
}

func checkDescription(d string) error {
	if utf8.RuneCountInString(d) > maxDescription || !utf8.ValidString(d) {
		return invalid("description", "must be text of %d characters at most", maxDescription)
	}
	return nil
}

func checkRate(r float64) error {
	if r != 0 && !(r >= leastRate && r <= maxRate) {
		return fmt.Errorf("must be one a day at least and %d a second at most, or 0 for no limit", maxRate)
	}
	return nil
}

// signingScheme finds the row of a scheme.
func signingScheme(name string) (verify.Scheme, error) {
	row, ok := verify.Lookup(name)
	if ok {
		return row, nil
	}
	if near := verify.Suggest(name); len(near) > 0 {
		return row, fmt.Errorf("unknown signature scheme %q: did you mean %s?", name, strings.Join(near, " or "))
	}
	return row, fmt.Errorf("unknown signature scheme %q: see `caddy webhooks providers`", name)
}

// usableScheme is signingScheme for one that is about to be chosen: it must be able
// to sign deliveries.
func usableScheme(name string) (verify.Scheme, error) {
	row, err := signingScheme(name)
	if err != nil {
		return row, err
	}
	if err := row.CanSign(); err != nil {
		return row, fmt.Errorf("%s can't sign deliveries: %w", name, err)
	}
	return row, nil
}

// checkSigner makes sure that the scheme can sign deliveries, and with these
// secrets.
func checkSigner(scheme string, secrets []string) error {
	row, err := usableScheme(scheme)
	if err != nil {
		return invalid("scheme", "is wrong: %v", err)
	}
	switch {
	case len(secrets) == 0:
		return nil // one is made
	case len(secrets) > maxSecrets:
		return invalid("secret", "is given more than %d times", maxSecrets)
	}
	if _, err := verify.NewSigner(row, secrets); err != nil {
		return badSecret(row, err)
	}
	return nil
}

// checkOwnHeaders refuses headers that the scheme sets: they would never be sent.
func checkOwnHeaders(headers map[string]string, scheme string) error {
	row, err := signingScheme(scheme)
	if err != nil {
		return err
	}
	if name := row.FirstSet(slices.Sorted(maps.Keys(headers))); name != "" {
		return invalid("headers", "can't be sent: the header %q cannot be set, for it belongs to the signature of %s", name, scheme)
	}
	return nil
}

func (s *SubscriptionSpec) checkURL(c *Settings) error {
	if _, err := c.Policy.CheckURL(s.URL); err != nil {
		return invalid("url", "is refused: %v", err)
	}
	return nil
}

func (s *SubscriptionSpec) checkNew(c *Settings) error {
	if err := s.checkURL(c); err != nil {
		return err
	}
	return s.check(c)
}

// check judges all but the URL.
func (s *SubscriptionSpec) check(c *Settings) error {
	if err := checkPatterns(s.EventTypes); err != nil {
		return err
	}
	if err := checkTenant(s.Tenant); err != nil {
		return err
	}
	if err := checkDescription(s.Description); err != nil {
		return err
	}
	if err := egress.CheckHeaders(s.Headers); err != nil {
		return invalid("headers", "can't be sent: %v", err)
	}
	if err := checkRate(s.RateLimit); err != nil {
		return invalid("rate_limit", "%v", err)
	}
	if _, err := newFilter(s.Filter); err != nil {
		return invalid("filter", "%v", err)
	}
	scheme := cmp.Or(s.Scheme, c.Sign)
	if err := checkSigner(scheme, s.Secrets); err != nil {
		return err
	}
	return checkOwnHeaders(s.Headers, scheme)
}

func (s *SubscriptionSpec) checkFromConfig(c *Settings) error {
	if !nameForm.MatchString(s.Name) {
		return errors.New("its name may only have the characters A-Z a-z 0-9 _ - and 64 of them at most")
	}
	if _, ok := store.ParseID(store.SubscriptionPrefix, store.SubscriptionPrefix+s.Name); ok {
		return errors.New("its name has the form of an id that the API gives: choose a word")
	}
	return s.checkNew(c)
}

// CreateSubscription stores a subscription and starts to match events for it.
// The answer has its secrets.
func (e *Engine) CreateSubscription(ctx context.Context, spec SubscriptionSpec) (*Subscription, error) {
	c := e.config.Load()
	if err := spec.checkNew(&c.Settings); err != nil {
		return nil, err
	}
	s := &store.Subscription{Key: e.ids.Next(), Active: true, Updated: e.clock.Now()}
	s.ID = s.Key.With(store.SubscriptionPrefix)
	spec.apply(s)
	if err := ensureSecret(s, c); err != nil {
		return nil, err
	}
	if err := e.create(ctx, s); err != nil {
		return nil, err
	}
	c.warnOfShort(s.ID, s.Scheme, spec.Secrets)
	return s, nil
}

// create stores a new subscription and gives it a lane.
func (e *Engine) create(ctx context.Context, s *store.Subscription) error {
	e.lanes.changing.Lock()
	defer e.lanes.changing.Unlock()
	if err := e.store.CreateSubscription(ctx, s); err != nil {
		return err
	}
	e.adopt(s)
	return nil
}

// apply writes what the user said into the row.
func (s *SubscriptionSpec) apply(row *store.Subscription) {
	if row.URL != s.URL {
		row.FailingSince = time.Time{}
	}
	row.URL, row.Description, row.Tenant = s.URL, s.Description, s.Tenant
	row.EventTypes, row.Headers = slices.Clone(s.EventTypes), maps.Clone(s.Headers)
	row.Scheme, row.RateLimit, row.Ordered, row.Filter = s.Scheme, s.RateLimit, s.Ordered, s.Filter
	if len(s.Secrets) > 0 {
		row.Secrets = nil
		for _, v := range s.Secrets {
			row.Secrets = append(row.Secrets, store.Secret{Value: v})
		}
	}
}

// isWritten tells whether the row of a subscription in the configuration says
// all of this already.
func (s *SubscriptionSpec) isWritten(row *store.Subscription) bool {
	want := *row
	s.apply(&want)
	return row.Reason != ReasonRemoved && len(row.Secrets) > 0 &&
		row.URL == want.URL && row.Description == want.Description && row.Tenant == want.Tenant &&
		slices.Equal(row.EventTypes, want.EventTypes) && maps.Equal(row.Headers, want.Headers) &&
		row.Scheme == want.Scheme && row.RateLimit == want.RateLimit && row.Ordered == want.Ordered && row.Filter == want.Filter &&
		slices.Equal(row.Secrets, want.Secrets)
}

// Subscription returns one by its id.
func (e *Engine) Subscription(id string) (*Subscription, error) {
	l := e.lanes.byID(id)
	if l == nil {
		return nil, ErrNotFound
	}
	return l.target.Load().sub, nil
}

// Subscriptions returns those of a tenant, or all where tenant is "", by age,
// after the one with the key given.
func (e *Engine) Subscriptions(tenant string, after store.ID, limit int) []*Subscription {
	var out []*Subscription
	for _, l := range e.lanes.all() {
		s := l.target.Load().sub
		if s.Key > after && (tenant == "" || s.Tenant == tenant) {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b *Subscription) int { return cmp.Compare(a.Key, b.Key) })
	return out[:min(limit, len(out))]
}

// UpdateSubscription changes what was said of a subscription; attempts from
// now on use what it says now. The Tenant and the Secrets stay as they are. An
// error from edit ends it, and is returned as it is.
func (e *Engine) UpdateSubscription(ctx context.Context, id string, edit func(*SubscriptionSpec) error) (*Subscription, error) {
	c := e.config.Load()
	return e.change(ctx, id, func(s *store.Subscription) error {
		if s.FromConfig {
			return configured(s)
		}
		spec := SubscriptionSpec{
			URL: s.URL, EventTypes: s.EventTypes, Description: s.Description, Headers: maps.Clone(s.Headers),
			Scheme: s.Scheme, RateLimit: s.RateLimit, Ordered: s.Ordered, Filter: s.Filter,
		}
		if err := edit(&spec); err != nil {
			return err
		}
		spec.Tenant, spec.Secrets = s.Tenant, nil
		for _, v := range s.Secrets {
			spec.Secrets = append(spec.Secrets, v.Value)
		}
		if spec.URL != s.URL { // the policy may have changed since it was set, which is no fault of other changes
			if err := spec.checkURL(&c.Settings); err != nil {
				return err
			}
		}
		if err := spec.check(&c.Settings); err != nil {
			return err
		}
		secrets := s.Secrets
		spec.apply(s)
		s.Secrets = secrets // with their expiries
		return nil
	})
}

// configured refuses to change by the API what the configuration says.
func configured(s *store.Subscription) error {
	return fmt.Errorf("%w: subscription %s is defined in the server's configuration: change it there and reload", ErrConflict, s.ID)
}

// configures tells whether the configuration still has a subscription.
func (e *Engine) configures(id string) bool {
	return slices.ContainsFunc(e.config.Load().Subscriptions, func(s SubscriptionSpec) bool {
		return store.SubscriptionPrefix+s.Name == id
	})
}

// change edits a subscription in the store and in its lane.
func (e *Engine) change(ctx context.Context, id string, edit func(*store.Subscription) error) (*Subscription, error) {
	e.lanes.changing.Lock()
	defer e.lanes.changing.Unlock()
	s, err := e.store.UpdateSubscription(ctx, id, func(s *store.Subscription) error {
		s.Updated = e.clock.Now()
		return edit(s)
	})
	if err != nil {
		return nil, err
	}
	e.adopt(s)
	return s, nil
}

// Deactivate stops attempts to a subscription. Its deliveries are held, new
// ones too, until Activate.
func (e *Engine) Deactivate(ctx context.Context, id, reason string) (*Subscription, error) {
	return e.setActive(ctx, id, false, reason)
}

// Activate lets deliveries go on; those that were held are due at once, and what
// waits for a retry is tried. It does so where the subscription is active too.
func (e *Engine) Activate(ctx context.Context, id string) (*Subscription, error) {
	return e.setActive(ctx, id, true, "")
}

// deactivateGone deactivates a subscription whose receiver answered 410, unless
// it has another URL by now.
func (e *Engine) deactivateGone(ctx context.Context, answered *store.Subscription) error {
	_, err := e.setActiveIf(ctx, answered.ID, false, ReasonGone, func(s *store.Subscription) bool { return s.URL == answered.URL })
	return err
}

func (e *Engine) setActive(ctx context.Context, id string, active bool, reason string) (*Subscription, error) {
	return e.setActiveIf(ctx, id, active, reason, func(*store.Subscription) bool { return true })
}

func (e *Engine) setActiveIf(ctx context.Context, id string, active bool, reason string, still func(*store.Subscription) bool) (*Subscription, error) {
	changed := false
	s, err := e.change(ctx, id, func(s *store.Subscription) error {
		if active && s.FromConfig && !e.configures(s.ID) {
			return fmt.Errorf("%w: subscription %s is no longer in the server's configuration: put it back there, or delete it", ErrConflict, s.ID)
		}
		changed = s.Active != active && still(s)
		if changed {
			s.Active, s.Reason, s.FailingSince = active, reason, time.Time{}
		}
		return nil
	})
	if err == nil && changed {
		c := e.config.Load()
		if active {
			c.Logger.Info("subscription activated", "subscription_id", s.ID)
		} else {
			c.Logger.Warn("subscription deactivated: its deliveries are held until it is activated", "subscription_id", s.ID, "reason", reason)
		}
		e.tell(ctx, subscriptionChanged(s))
	}
	if err == nil && active && !changed {
		e.ask(ctx, s.Key)
	}
	return s, err
}

// DeleteSubscription removes a subscription. What waits for it becomes dead
// letters, in the background where it is much.
func (e *Engine) DeleteSubscription(ctx context.Context, id string) error {
	e.lanes.changing.Lock()
	defer e.lanes.changing.Unlock()
	l := e.lanes.byID(id)
	if l == nil {
		return ErrNotFound
	}
	if s := l.target.Load().sub; s.FromConfig && e.configures(s.ID) {
		return configured(s)
	}
	if err := e.store.DeleteSubscription(ctx, id); err != nil {
		return err
	}
	e.lanes.remove(l)
	l.close()
	return nil
}

// reconcile makes the subscriptions and event types of the configuration those
// of the store. One that is no longer there is deactivated and not
// deleted: its deliveries wait, in case it was taken out by mistake. One that
// was inactive already keeps its reason, and stays so when it is put back.
// Nothing is written for what is unchanged, so that a configuration which the
// store knows can be loaded however full the disk is.
func (e *Engine) reconcile(ctx context.Context, c *config) error {
	wanted := map[string]*SubscriptionSpec{}
	for i := range c.Subscriptions {
		wanted[store.SubscriptionPrefix+c.Subscriptions[i].Name] = &c.Subscriptions[i]
	}
	for id, spec := range wanted {
		if s, err := e.Subscription(id); err == nil && s.Tenant != spec.Tenant {
			return fmt.Errorf("subscription %s: what it has is for the tenant %q and can't go to the tenant %q: give that one's another name",
				spec.Name, s.Tenant, spec.Tenant)
		}
	}
	for _, l := range e.lanes.all() {
		s := l.target.Load().sub
		if s.FromConfig && wanted[s.ID] == nil && s.Active {
			if _, err := e.setActive(ctx, s.ID, false, ReasonRemoved); err != nil {
				return err
			}
		}
	}
	for id, spec := range wanted {
		if err := e.reconcileOne(ctx, c, id, spec); err != nil {
			return fmt.Errorf("subscription %s: %w", spec.Name, err)
		}
		c.warnOfShort(id, spec.Scheme, spec.Secrets)
	}
	return e.catalogue.reconcile(ctx, c)
}

func (e *Engine) reconcileOne(ctx context.Context, c *config, id string, spec *SubscriptionSpec) error {
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
	if spec.isWritten(l.target.Load().sub) {
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
		e.tell(ctx, subscriptionChanged(s))
	}
	return err
}
