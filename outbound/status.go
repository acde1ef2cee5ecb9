package outbound

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// The health of a subscription.
const (
	HealthOK       = "ok"
	HealthFailing  = "failing"  // the last attempt failed
	HealthDown     = "down"     // so many attempts in a row failed that only one is made at a time
	HealthPaused   = "paused"   // the receiver asked for a pause or a lower rate, the rate limit is reached, or the server has a shortage
	HealthInactive = "inactive" // it was deactivated: deliveries are held
)

// Status is the state of an engine and its store.
type Status struct {
	Store         store.Stats
	Salvages      []store.Salvage // damaged stores that were set aside
	Nodes         []store.Node    // those that share the store
	Full          bool            // the store has no room, so events are refused
	Fails         error           // why the last batch couldn't be stored; nil if it was
	OldestDue     time.Time       // of the deliveries that wait and aren't held; zero if there are none
	InFlight      int
	Draining      bool
	Subscriptions []SubscriptionStatus
}

// SubscriptionStatus is the state of one subscription.
type SubscriptionStatus struct {
	Subscription *store.Subscription
	Health       string
	InFlight     int
	Pending      int64     // pending deliveries, including those in flight
	OldestDue    time.Time // of these, if the subscription is active; zero if there are none
	Ready        int       // how many of these are in memory
	Dead         int64     // dead letters
	Failures     int       // attempts that failed in a row
	FailingSince time.Time // when the first of these was; zero if there are none
	PausedUntil  time.Time // zero if it isn't paused
	LastSuccess  time.Time // since the process started
	LastFailure  time.Time
	LastError    string
}

// Status returns the state of the engine, the store and each subscription.
func (e *Engine) Status(ctx context.Context) (Status, error) {
	stats, err := e.store.Stats(ctx)
	if err != nil {
		return Status{}, err
	}
	backlogs, err := e.store.Backlogs(ctx)
	if err != nil {
		return Status{}, err
	}
	due := map[store.ID]time.Time{}
	for _, b := range backlogs {
		due[b.Subscription] = b.Due
	}
	s := Status{Store: stats, Salvages: e.Salvages(), Full: e.Full(), Fails: e.fails(), InFlight: e.dispatch.inFlight(), Draining: e.draining.Load()}
	if e.shared != nil {
		if s.Nodes, err = e.shared.Nodes(ctx); err != nil {
			return Status{}, err
		}
	}
	for _, l := range e.lanes.all() {
		if err := l.loadLastFailure(ctx); err != nil {
			return Status{}, err
		}
		sub := l.status()
		sub.Pending, sub.Dead = stats.Waiting[l.key], stats.DeadBy[l.key]
		if sub.Subscription.Active {
			sub.OldestDue = e.clock.wall(due[l.key])
			s.OldestDue = earlier(s.OldestDue, sub.OldestDue)
		}
		s.Subscriptions = append(s.Subscriptions, sub)
	}
	slices.SortFunc(s.Subscriptions, func(a, b SubscriptionStatus) int {
		return cmp.Compare(a.Subscription.Key, b.Subscription.Key)
	})
	return s, nil
}

// OfTenant returns the part of a status that concerns a tenant: its subscriptions,
// and the sums of their numbers.
func (s Status) OfTenant(tenant string) Status {
	own := Status{Draining: s.Draining}
	for _, sub := range s.Subscriptions {
		if sub.Subscription.Tenant != tenant {
			continue
		}
		own.Subscriptions = append(own.Subscriptions, sub)
		own.Store.Pending += sub.Pending
		own.Store.Dead += sub.Dead
		own.InFlight += sub.InFlight
		own.OldestDue = earlier(own.OldestDue, sub.OldestDue)
	}
	return own
}

// Full reports whether the store has no room, as of the last batch that needed some.
func (e *Engine) Full() bool { return e.committer.full.Load() }

// fails returns why the last batch couldn't be stored; nil if it was.
func (e *Engine) fails() error {
	if err := e.committer.lastErr.Load(); err != nil {
		return *err
	}
	return nil
}

// Salvages lists the damaged stores that were set aside, if the store keeps track
// of that.
func (e *Engine) Salvages() []store.Salvage {
	if s, ok := e.store.(store.Salvager); ok {
		return s.Salvages()
	}
	return nil
}

func (l *lane) status() SubscriptionStatus {
	now := l.e.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	s := SubscriptionStatus{
		Subscription: l.sub(), Health: HealthOK,
		InFlight: l.running, Ready: l.queue.len(), Failures: l.breaker.failures,
		FailingSince: l.e.clock.wall(l.breaker.since), LastSuccess: l.lastSuccess, LastFailure: l.lastFailure, LastError: l.lastError,
	}
	if until := l.pausedUntil(); until.After(now) {
		s.PausedUntil = l.e.clock.wall(until)
	}
	switch {
	case !l.active():
		s.Health = HealthInactive
	case l.breaker.down():
		s.Health = HealthDown
	case l.notBefore.After(now):
		s.Health = HealthPaused
	case l.breaker.failures > 0 || !s.PausedUntil.IsZero(): // an ordered lane waits for a retry
		s.Health = HealthFailing
	}
	return s
}

// lastFailureLimit is how many deliveries are searched for a receiver's last
// failure.
const lastFailureLimit = 20

// loadLastFailure finds the last failure of a receiver that has been down since
// before the start, because no attempt may come that would show it. It searches
// each state separately, since there is an index for that; pending deliveries
// oldest first, because the newest have hardly been attempted.
func (l *lane) loadLastFailure(ctx context.Context) error {
	l.mu.Lock()
	known := l.breaker.since.IsZero() || !l.lastFailure.IsZero()
	l.mu.Unlock()
	if known {
		return nil
	}
	id := l.sub().ID
	waits, err := l.e.store.Deliveries(ctx, Query{Subscription: id, States: []store.State{store.Pending}, After: 1, Limit: lastFailureLimit})
	if err != nil {
		return err
	}
	dead, err := l.e.store.Deliveries(ctx, Query{Subscription: id, States: []store.State{store.Dead}, Limit: lastFailureLimit})
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range slices.Concat(waits, dead) {
		if a := r.Last; a != nil && a.Class != "" && a.At.After(l.lastFailure) {
			l.lastFailure, l.lastError = a.At, a.Error
		}
	}
	return err
}

// addPauseInfo adds to a pending delivery what it waits for.
func (e *Engine) addPauseInfo(r *Record) {
	r.Due = e.clock.wall(r.Due)
	l := e.lanes.byKey(r.Subscription)
	if l == nil || r.State != store.Pending {
		return
	}
	s := l.status()
	r.Held, r.PausedUntil = !s.Subscription.Active, s.PausedUntil
}

// InFlight returns the number of attempts in flight.
func (e *Engine) InFlight() int { return e.dispatch.inFlight() }
