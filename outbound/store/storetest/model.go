package storetest

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"

	"pgregory.net/rapid"
)

// model is the simplest implementation of what a store does.
type model struct {
	events     []*store.Publication // as stored
	deliveries map[store.ID]*delivery
	deleted    map[store.ID]bool // subscriptions, by key
	names      map[store.ID]string
}

// delivery is a delivery of the model.
type delivery struct {
	store.Delivery
	event *store.Event
	held  bool
	made  []*store.Settlement // one for each attempt
}

// testModel makes random calls to a store and to the model, and compares their
// results.
func testModel(t *testing.T, place func(t testing.TB) Open) {
	// A store on a disk is slow, so there are a quarter of rapid's default number of
	// checks, unless the command line sets another.
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue {
		_ = checks.Value.Set("25")
		defer func() { _ = checks.Value.Set(checks.DefValue) }()
	}
	rapid.Check(t, func(rt *rapid.T) {
		m := &machine{
			bench: start(check{t, rt}, place(check{t, rt})),
			model: model{deliveries: map[store.ID]*delivery{}, deleted: map[store.ID]bool{}, names: map[store.ID]string{}},
		}
		m.reporter = rt
		for _, id := range []string{"one", "two"} {
			s := m.subscribe(id)
			m.subs = append(m.subs, s)
			m.names[s.Key] = id
		}
		rt.Repeat(map[string]func(*rapid.T){
			"":        m.compare,
			"publish": m.publishSome,
			"claim":   m.claimSome,
			"settle":  m.settleSome,
			"release": m.releaseSome,
			"requeue": m.requeueSome,
			"replay":  m.replaySome,
			"discard": m.discardSome,
			"bury":    m.burySome,
			"forget":  m.forgetSome,
			"remove":  m.removeSome,
			"delete":  m.deleteOne,
			"reopen":  m.reopenIt,
			"time passes": func(rt *rapid.T) {
				m.clock = m.clock.Add(time.Duration(rapid.IntRange(1, 5).Draw(rt, "seconds")) * time.Second)
			},
		})
	})
}

// check is the test during one check, at whose end it clears up.
type check struct {
	testing.TB
	rt *rapid.T
}

func (c check) Cleanup(f func()) { c.rt.Cleanup(f) }

// machine runs a store beside the model.
type machine struct {
	*bench
	model
	subs []*store.Subscription
}

func (m *machine) publishSome(rt *rapid.T) {
	var ps []*store.Publication
	for range rapid.IntRange(1, 3).Draw(rt, "events") {
		p := m.event(rapid.SampledFrom([]string{"1", "2"}).Draw(rt, "payload"))
		if rapid.Bool().Draw(rt, "chosen") {
			p.Event.ID, p.Chosen = rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "id"), true
		}
		p.Event.Tenant = rapid.SampledFrom([]string{"", "t"}).Draw(rt, "tenant")
		for _, s := range m.subs {
			if !m.deleted[s.Key] && rapid.Bool().Draw(rt, "to "+s.ID) {
				p.Deliveries = append(p.Deliveries, store.NewDelivery{
					ID: m.ids.Next(), Subscription: s.Key, Due: m.later(rt), Hold: rapid.Bool().Draw(rt, "hold"),
				})
			}
		}
		ps = append(ps, p)
	}
	got := m.publish(ps...)
	for i, p := range ps {
		equal(m.bench, "result", got[i], m.store(p))
	}
}

func (m *model) store(p *store.Publication) store.PublishResult {
	for _, other := range m.events {
		if !p.Chosen || !other.Chosen || other.Event.ID != p.Event.ID || other.Event.Tenant != p.Event.Tenant {
			continue
		}
		if string(other.Event.Payload) == string(p.Event.Payload) {
			return store.PublishResult{Outcome: store.Duplicate, Deliveries: len(other.Deliveries)}
		}
		return store.PublishResult{Outcome: store.Reused, Deliveries: len(other.Deliveries)}
	}
	m.events = append(m.events, p)
	for _, d := range p.Deliveries {
		m.deliveries[d.ID] = &delivery{
			Delivery: store.Delivery{ID: d.ID, Event: p.Event.Key, Subscription: d.Subscription, Due: d.Due},
			event:    p.Event,
			held:     d.Hold,
		}
	}
	return store.PublishResult{Deliveries: len(p.Deliveries)}
}

func (m *machine) later(rt *rapid.T) time.Time {
	return m.now().Add(time.Duration(rapid.IntRange(-2, 4).Draw(rt, "due in")) * time.Second)
}

func (m *machine) claimSome(rt *rapid.T) {
	var want []store.Want
	for _, s := range m.subs {
		w := store.Want{Subscription: s.Key, Limit: rapid.IntRange(0, 3).Draw(rt, "limit"), Ahead: rapid.IntRange(0, 3).Draw(rt, "ahead") == 0}
		if all := m.waiting(s.Key, true); w.Ahead && len(all) > 0 && rapid.Bool().Draw(rt, "behind") {
			d := rapid.SampledFrom(all).Draw(rt, "that")
			w.After = store.Place{Due: d.Due, ID: d.ID}
		}
		want = append(want, w)
	}
	got := must.Get(m.Claim(m.ctx(), m.now(), 1<<20, want))(m)
	for i, w := range want {
		var ids []store.ID
		var next time.Time
		for _, d := range m.waiting(w.Subscription, false) {
			behind := d.Due.After(w.After.Due) || d.Due.Equal(w.After.Due) && d.ID > w.After.ID
			if behind && len(ids) < w.Limit && (w.Ahead || !d.Due.After(m.now())) {
				d.held = true
				ids = append(ids, d.ID)
			} else if next.IsZero() {
				next = d.Due
			}
		}
		same(m.bench, "claimed", heldIDs(got[i].Deliveries), ids)
		if !got[i].Next.Equal(next) {
			rt.Fatalf("next at %v, want %v", got[i].Next, next)
		}
		for _, h := range got[i].Deliveries {
			m.sameDelivery(h.Delivery)
			equal(m.bench, "payload", string(h.Payload), string(m.deliveries[h.Delivery.ID].event.Payload))
		}
	}
}

// waiting returns the pending deliveries of a subscription in the order in which
// they are due, with those that are held or without.
func (m *model) waiting(subscription store.ID, held bool) []*delivery {
	return slices.SortedFunc(maps.Values(m.filter(func(d *delivery) bool {
		return d.State == store.Pending && d.Subscription == subscription && (held || !d.held)
	})), func(a, b *delivery) int {
		return cmp.Or(a.Due.Compare(b.Due), cmp.Compare(a.ID, b.ID))
	})
}

func (m *model) filter(keep func(*delivery) bool) map[store.ID]*delivery {
	kept := map[store.ID]*delivery{}
	for id, d := range m.deliveries {
		if keep(d) {
			kept[id] = d
		}
	}
	return kept
}

// held draws some of the deliveries that are held.
func (m *machine) held(rt *rapid.T) []*delivery {
	held := slices.SortedFunc(maps.Values(m.filter(func(d *delivery) bool { return d.held })),
		func(a, b *delivery) int { return cmp.Compare(a.ID, b.ID) })
	if len(held) == 0 {
		rt.Skip("nothing is held")
	}
	return held[:rapid.IntRange(1, len(held)).Draw(rt, "of those held")]
}

func (m *machine) settleSome(rt *rapid.T) {
	var ts []*store.Settlement
	for _, d := range m.held(rt) {
		state := rapid.SampledFrom([]store.State{store.Pending, store.Delivered, store.Dead}).Draw(rt, "state")
		t := m.attempted(d.ID, d.Attempts+1, state)
		if state == store.Pending {
			t.Due, t.Round = m.later(rt), rapid.SampledFrom([]int{0, d.Round + 1}).Draw(rt, "round")
		}
		ts = append(ts, t)
		d.held, d.State, d.Due, d.Reason, d.Attempts, d.Round = false, state, t.Due, t.Reason, d.Attempts+1, max(d.Round, t.Round)
		d.made = append(d.made, t)
	}
	m.settle(ts...)
}

func (m *machine) releaseSome(rt *rapid.T) {
	var ids []store.ID
	for _, d := range m.held(rt) {
		d.held = false
		ids = append(ids, d.ID)
	}
	m.check(m.Release(m.ctx(), ids))
}

// query draws a query, and returns which deliveries it should match.
func (m *machine) query(rt *rapid.T) (store.Query, func(*delivery) bool) {
	q := store.Query{
		Subscription: rapid.SampledFrom([]string{"", "one", "two"}).Draw(rt, "subscription"),
		EventID:      rapid.SampledFrom([]string{"", "", "a", "b"}).Draw(rt, "event id"),
		Tenant:       rapid.SampledFrom([]string{"", "", "t"}).Draw(rt, "tenant"),
		States:       rapid.SampledFrom([][]store.State{nil, {store.Pending}, {store.Delivered}, {store.Dead}, {store.Delivered, store.Dead}, {store.Discarded}}).Draw(rt, "states"),
		Limit:        rapid.IntRange(1, 5).Draw(rt, "limit"),
	}
	var failed func(*delivery) bool
	q.FailedSince, q.FailedUntil, failed = m.failed(rt)
	if ids := newestFirst(slices.Collect(maps.Keys(m.deliveries))...); len(ids) > 0 && rapid.Bool().Draw(rt, "page") {
		q.Before = rapid.SampledFrom(ids).Draw(rt, "before")
	}
	return q, func(d *delivery) bool {
		return (q.Subscription == "" || m.names[d.Subscription] == q.Subscription) &&
			(q.EventID == "" || d.event.ID == q.EventID) &&
			(q.Tenant == "" || d.event.Tenant == q.Tenant) &&
			(len(q.States) == 0 || slices.Contains(q.States, d.State)) &&
			(q.Before == 0 || d.ID < q.Before) && failed(d)
	}
}

// failed draws the times between which the last attempt was made, mostly none, and
// returns which deliveries match.
func (m *machine) failed(rt *rapid.T) (since, until time.Time, matches func(*delivery) bool) {
	if rapid.IntRange(0, 3).Draw(rt, "by failure") > 0 {
		return since, until, func(*delivery) bool { return true }
	}
	moment := rapid.IntRange(-9, 1)
	since = m.now().Add(time.Duration(moment.Draw(rt, "failed since")) * time.Second)
	until = m.now().Add(time.Duration(moment.Draw(rt, "failed until")) * time.Second)
	return since, until, func(d *delivery) bool {
		if len(d.made) == 0 {
			return false
		}
		at := d.made[len(d.made)-1].Attempt.At
		return !at.Before(since) && at.Before(until)
	}
}

func (m *machine) requeueSome(rt *rapid.T) {
	q, matches := m.query(rt)
	ids := newestFirst(slices.Collect(maps.Keys(m.filter(func(d *delivery) bool { return matches(d) && !m.deleted[d.Subscription] })))...)
	ids = ids[:min(q.Limit, len(ids))]
	want := store.Changed{Count: len(ids), More: len(ids) == q.Limit}
	for _, id := range ids {
		d := m.deliveries[id]
		if d.State != store.Pending || d.Due.After(m.now()) {
			d.Due = m.now()
		}
		d.State, d.Reason, d.Round = store.Pending, "", d.Attempts
		want.Last = id
		if !slices.Contains(want.Subscriptions, d.Subscription) {
			want.Subscriptions = append(want.Subscriptions, d.Subscription)
		}
	}
	got := m.requeue(q)
	equal(m.bench, "count", got.Count, want.Count)
	equal(m.bench, "last", got.Last, want.Last)
	equal(m.bench, "more", got.More, want.More)
	same(m.bench, "subscriptions", newestFirst(got.Subscriptions...), newestFirst(want.Subscriptions...))
}

func (m *machine) replaySome(rt *rapid.T) {
	if len(m.events) == 0 {
		rt.Skip("nothing was published")
	}
	s := rapid.SampledFrom(m.subs).Draw(rt, "subscription")
	first := rapid.IntRange(0, len(m.events)-1).Draw(rt, "first")
	r, made := store.Replay{Subscription: s.Key, Due: m.now()}, 0
	for _, p := range m.events[first:] {
		id := m.ids.Next()
		r.Events, r.Deliveries = append(r.Events, p.Event.Key), append(r.Deliveries, id)
		has := m.filter(func(d *delivery) bool { return d.Event == p.Event.Key && d.Subscription == s.Key })
		if len(has) > 0 || m.deleted[s.Key] {
			continue
		}
		made++
		m.deliveries[id] = &delivery{
			Delivery: store.Delivery{ID: id, Event: p.Event.Key, Subscription: s.Key, Due: m.now()},
			event:    p.Event,
		}
	}
	got := must.Get(m.Replay(m.ctx(), r))(m)
	equal(m.bench, "replayed", got, made)
}

func (m *machine) discardSome(rt *rapid.T) {
	q, matches := m.query(rt)
	if len(q.States) > 0 && !slices.Contains(q.States, store.Dead) {
		rt.Skip("no dead letters")
	}
	ids := newestFirst(slices.Collect(maps.Keys(m.filter(func(d *delivery) bool { return d.State == store.Dead && matches(d) })))...)
	ids = ids[:min(q.Limit, len(ids))]
	for _, id := range ids {
		m.deliveries[id].State = store.Discarded
	}
	got := must.Get(m.Discard(m.ctx(), q))(m)
	equal(m.bench, "discarded", got.Count, len(ids))
}

func (m *machine) burySome(rt *rapid.T) {
	s := rapid.SampledFrom(m.subs).Draw(rt, "subscription")
	limit := rapid.IntRange(1, 3).Draw(rt, "limit")
	waiting := m.waiting(s.Key, false)
	waiting = waiting[:min(limit, len(waiting))]
	for _, d := range waiting {
		d.State, d.Due, d.Reason = store.Dead, time.Time{}, "buried"
	}
	buried := must.Get(m.Bury(m.ctx(), store.Burial{Subscription: s.Key, Reason: "buried", Limit: limit}))(m)
	equal(m.bench, "buried", len(buried), len(waiting))
}

func (m *machine) forgetSome(rt *rapid.T) {
	f := store.Forget{
		Before:   m.later(rt),
		KeepDead: rapid.Bool().Draw(rt, "keep dead letters"),
		Limit:    rapid.IntRange(0, 9).Draw(rt, "limit"),
	}
	if len(m.events) > 0 && rapid.Bool().Draw(rt, "go on") {
		f.From = rapid.SampledFrom(m.events).Draw(rt, "from").Event.Key
	}
	want, room := store.Forgotten{}, f.Limit
	m.events = slices.DeleteFunc(m.events, func(p *store.Publication) bool {
		if p.Event.Key < f.From || p.Event.Key >= store.IDAt(f.Before) || want.Next != 0 {
			return false
		}
		if room <= 0 {
			want.Next = p.Event.Key
			return false
		}
		room -= 1 + len(p.Deliveries)
		mine := m.filter(func(d *delivery) bool { return d.Event == p.Event.Key })
		for _, d := range mine {
			if d.State == store.Pending || d.State == store.Dead && f.KeepDead {
				return false
			}
		}
		want.Events++
		for id := range mine {
			delete(m.deliveries, id)
		}
		return true
	})
	got := m.forget(f)
	got.Used = 0
	equal(m.bench, "forgotten", got, want)
}

func (m *machine) removeSome(rt *rapid.T) {
	if len(m.events) == 0 {
		rt.Skip("nothing was published")
	}
	r := store.Removal{Pending: rapid.Bool().Draw(rt, "pending too"), Limit: rapid.IntRange(0, 9).Draw(rt, "limit")}
	for range rapid.IntRange(1, 4).Draw(rt, "events") {
		key := rapid.SampledFrom(m.events).Draw(rt, "event").Event.Key
		if !slices.Contains(r.Events, key) {
			r.Events = append(r.Events, key)
		}
	}
	slices.Sort(r.Events)
	want, room := store.Removed{}, r.Limit
	for i, key := range r.Events {
		if room <= 0 {
			want.Rest = r.Events[i:]
			break
		}
		at := slices.IndexFunc(m.events, func(p *store.Publication) bool { return p.Event.Key == key })
		room -= 1 + len(m.events[at].Deliveries)
		mine := m.filter(func(d *delivery) bool { return d.Event == key })
		if len(m.filter(func(d *delivery) bool { return d.Event == key && d.State == store.Pending && (d.held || !r.Pending) })) > 0 {
			want.Kept = append(want.Kept, key)
			continue
		}
		want.Count++
		for id := range mine {
			delete(m.deliveries, id)
		}
		m.events = slices.Delete(m.events, at, at+1)
	}
	got := m.remove(r)
	equal(m.bench, "removed", got.Count, want.Count)
	same(m.bench, "kept", got.Kept, want.Kept)
	same(m.bench, "left to look at", got.Rest, want.Rest)
}

// deleteOne deletes the last subscription and creates another with the same id.
func (m *machine) deleteOne(rt *rapid.T) {
	if len(m.subs) > 4 {
		rt.Skip("enough were deleted")
	}
	m.check(m.DeleteSubscription(m.ctx(), "two"))
	m.deleted[m.subs[len(m.subs)-1].Key] = true
	s := m.subscribe("two")
	m.subs = append(m.subs, s)
	m.names[s.Key] = "two"
}

func (m *machine) reopenIt(*rapid.T) {
	m.reopen()
	for _, d := range m.deliveries {
		d.held = false
	}
}

// compare compares what the store returns with the model.
func (m *machine) compare(rt *rapid.T) {
	records := must.Get(m.Deliveries(m.ctx(), store.Query{}))(m)
	var ids []store.ID
	var pending, dead int64
	waiting, deadBy := map[store.ID]int64{}, map[store.ID]int64{}
	for _, r := range records {
		ids = append(ids, r.ID)
		m.sameDelivery(r.Delivery)
		d := m.deliveries[r.ID]
		equal(m.bench, "event id", r.EventID, d.event.ID)
		equal(m.bench, "subscription id", r.SubscriptionID, m.names[d.Subscription])
		switch {
		case len(d.made) > 0:
			sameAttempts(m.bench, []*store.Attempt{r.Last}, d.made[len(d.made)-1])
		case r.Last != nil:
			rt.Fatalf("an attempt that wasn't made: %+v", r.Last)
		}
		switch d.State {
		case store.Pending:
			pending++
			waiting[d.Subscription]++
		case store.Dead:
			dead++
			deadBy[d.Subscription]++
		}
	}
	same(m.bench, "deliveries", ids, newestFirst(slices.Collect(maps.Keys(m.deliveries))...))
	stats := must.Get(m.Stats(m.ctx()))(m)
	equal(m.bench, "figures", fmt.Sprint(stats.Pending, stats.Waiting, stats.Dead, stats.DeadBy), fmt.Sprint(pending, waiting, dead, deadBy))
	m.compareBacklogs()
	if q, matches := m.query(rt); true {
		want := newestFirst(slices.Collect(maps.Keys(m.filter(matches)))...)
		same(m.bench, fmt.Sprintf("the list of %+v", q), m.list(q), want[:min(q.Limit, len(want))])
	}
	if len(ids) > 0 {
		id := rapid.SampledFrom(ids).Draw(rt, "delivery")
		attempts := must.Get(m.Attempts(m.ctx(), id))(m)
		sameAttempts(m.bench, attempts, m.deliveries[id].made...)
	}
}

func (m *machine) compareBacklogs() {
	got := must.Get(m.Backlogs(context.Background()))(m)
	var want []store.ID
	for _, s := range m.subs {
		if len(m.waiting(s.Key, true)) > 0 {
			want = append(want, s.Key)
		}
	}
	var keys []store.ID
	for _, l := range got {
		keys = append(keys, l.Subscription)
		if first := m.waiting(l.Subscription, true); len(first) > 0 && !first[0].Due.Equal(l.Due) {
			m.Fatalf("the backlog of %v is due at %v, want %v", l.Subscription, l.Due, first[0].Due)
		}
	}
	same(m.bench, "backlogs", newestFirst(keys...), newestFirst(want...))
}

func (m *machine) sameDelivery(got store.Delivery) {
	want := m.deliveries[got.ID]
	if want == nil {
		m.Fatalf("a delivery from nowhere: %+v", got)
	}
	if !got.Due.Equal(want.Due) {
		m.Fatalf("delivery %v is due at %v, want %v", got.ID, got.Due, want.Due)
	}
	got.Due = want.Due
	equal(m.bench, "delivery", got, want.Delivery)
}
