package outbound

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/payload"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// lanes holds the lanes of all subscriptions, by key, by id, and by the event types
// that they subscribe to.
type lanes struct {
	changing sync.Mutex // held over a change of a subscription in the store and in memory

	mu       sync.RWMutex
	keys     map[store.ID]*lane
	ids      map[string]*lane
	patterns map[typePattern][]*lane
}

// typePattern is a key of the index: a tenant with an event type, or with a prefix
// of event types such as "order.", or "" for all.
type typePattern struct {
	tenant, pattern string
	prefix          bool
}

func typePatternOf(tenant, pattern string) typePattern {
	if p, ok := strings.CutSuffix(pattern, MatchAll); ok {
		return typePattern{tenant, p, true}
	}
	return typePattern{tenant, pattern, false}
}

func (ls *lanes) byKey(key store.ID) *lane {
	ls.mu.RLock()
	defer ls.mu.RUnlock()
	return ls.keys[key]
}

func (ls *lanes) byID(id string) *lane {
	ls.mu.RLock()
	defer ls.mu.RUnlock()
	return ls.ids[id]
}

func (ls *lanes) all() []*lane {
	ls.mu.RLock()
	defer ls.mu.RUnlock()
	out := make([]*lane, 0, len(ls.keys))
	for _, l := range ls.keys {
		out = append(out, l)
	}
	return out
}

// index adds a lane, or updates it after its subscription has changed from old to
// now. old is nil for a new lane.
func (ls *lanes) index(l *lane, old, now *store.Subscription) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.keys == nil {
		ls.keys, ls.ids, ls.patterns = map[store.ID]*lane{}, map[string]*lane{}, map[typePattern][]*lane{}
	}
	if old != nil {
		ls.removePatterns(l, old)
	}
	ls.keys[now.Key], ls.ids[now.ID] = l, l
	for _, p := range now.EventTypes {
		key := typePatternOf(now.Tenant, p)
		if !slices.Contains(ls.patterns[key], l) {
			// A new slice, since match may have returned the old one.
			ls.patterns[key] = append(slices.Clone(ls.patterns[key]), l)
		}
	}
}

func (ls *lanes) remove(l *lane) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	s := l.sub()
	delete(ls.keys, s.Key)
	if ls.ids[s.ID] == l { // after its deletion, another may have got its id
		delete(ls.ids, s.ID)
	}
	ls.removePatterns(l, s)
}

// removePatterns removes a lane from the patterns of its subscription. The caller
// holds mu.
func (ls *lanes) removePatterns(l *lane, s *store.Subscription) {
	for _, p := range s.EventTypes {
		key := typePatternOf(s.Tenant, p)
		rest := slices.DeleteFunc(slices.Clone(ls.patterns[key]), func(o *lane) bool { return o == l })
		if len(rest) == 0 {
			delete(ls.patterns, key)
		} else {
			ls.patterns[key] = rest
		}
	}
}

// match returns the lanes whose subscriptions want an event by its type, each once.
// The engine's own events only go to subscriptions that name them or a prefix, of
// the event's tenant and of no tenant.
func (e *Engine) match(ev *store.Event) []*lane {
	patterns := appendPatterns(make([]typePattern, 0, 8), ev.Tenant, ev.Type)
	switch {
	case !store.Operational(ev.Type):
		patterns = append(patterns, typePattern{tenant: ev.Tenant, prefix: true})
	case ev.Tenant != "":
		patterns = appendPatterns(patterns, "", ev.Type)
	}
	return e.lanes.find(patterns)
}

// appendPatterns appends the patterns that name an event type or a prefix of it, the
// longest first.
func appendPatterns(patterns []typePattern, tenant, eventType string) []typePattern {
	patterns = append(patterns, typePattern{tenant, eventType, false})
	for i := len(eventType) - 1; i >= 0; i-- {
		if eventType[i] == '.' {
			patterns = append(patterns, typePattern{tenant, eventType[:i+1], true})
		}
	}
	return patterns
}

// find returns the lanes that have one of the patterns, each once.
func (ls *lanes) find(patterns []typePattern) []*lane {
	found, n := make([][]*lane, 0, 4), 0
	ls.mu.RLock()
	for _, p := range patterns {
		if matching := ls.patterns[p]; len(matching) > 0 {
			found = append(found, matching)
			n += len(matching)
		}
	}
	ls.mu.RUnlock()
	if len(found) == 1 {
		return found[0]
	}
	out := make([]*lane, 0, n)
	seen := make(map[*lane]bool, n)
	for _, matching := range found {
		for _, l := range matching {
			if !seen[l] {
				seen[l] = true
				out = append(out, l)
			}
		}
	}
	return out
}

// filtered returns those lanes whose filters accept an event, too. The error is
// that of ctx.
func (e *Engine) filtered(ctx context.Context, lanes []*lane, ev *store.Event) ([]*lane, error) {
	if !slices.ContainsFunc(lanes, func(l *lane) bool { return l.target.Load().filter != nil }) {
		return lanes, nil
	}
	view, err := payload.NewView(ctx, ev)
	if err != nil {
		return nil, err
	}
	defer view.Close()
	wanted := make([]*lane, 0, len(lanes))
	for _, l := range lanes {
		if l.filterAccepts(view, ev) {
			wanted = append(wanted, l)
		}
	}
	return wanted, nil
}

// wants applies the filter. If that takes too long, the result is true, since the
// subscription may want the event. If it fails because the event's values are of other
// kinds than it expects, the result is false. Both also return an error, which may quote
// the payload.
func (t *target) wants(view *payload.View) (bool, error) {
	if t.filter == nil {
		return true, nil
	}
	wanted, err := t.filter.Wants(view)
	return wanted || errors.Is(err, payload.ErrTooLong), err
}

// filterAccepts applies the lane's filter, and logs why if it can't be evaluated.
func (l *lane) filterAccepts(view *payload.View, ev *store.Event) bool {
	t := l.target.Load()
	wanted, err := t.wants(view)
	if err == nil {
		return wanted
	}
	c := l.e.config.Load()
	limit, message := &c.unjudgedLog, "a subscription's filter can't be evaluated for an event, which is not delivered to it: a value has a different type than the filter expects"
	if wanted { // it took too long
		c.Observer.Unjudged()
		limit, message = &c.lateLog, "a subscription's filter takes too long to evaluate for an event, which is delivered to it unfiltered: make the filter simpler, or the payload smaller"
	}
	limit.Do(func() { // without the error, which may quote the payload
		c.Logger.Warn(message, Named(t.sub.ID, t.sub.Tenant), "event_id", ev.ID, "event_type", ev.Type)
	})
	return wanted
}
