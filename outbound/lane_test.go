package outbound

import (
	"context"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/sqlite"
)

// still is a clock that stands still.
type still time.Time

func (c still) Now() time.Time                  { return time.Time(c) }
func (still) Elapsed() time.Duration            { return 0 }
func (still) At(time.Duration) <-chan time.Time { return nil }

// newLane makes a lane of an engine of which nothing runs, so that a test
// calls each step itself.
func newLane(t *testing.T, s store.Subscription) *lane {
	t.Helper()
	st, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "webhooks.db"), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	c, err := newConfig(Settings{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	e := &Engine{store: st, clock: newTimeline(still(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)), 0), life: t.Context()}
	e.ids = store.NewIDs(0, 0, e.clock.latest)
	e.config.Store(c)
	e.claims.init(e)
	e.dispatch.e = e // without slots
	s.Key, s.Active, s.URL = 1, true, "https://receiver.example/"
	l := &lane{e: e, key: s.Key}
	l.target.Store(newTarget(c, &s, e.now(), nil))
	return l
}

func (l *lane) at(d time.Duration) time.Time { return l.e.now().Add(d) }

func TestLaneAsksAgainWhenPromisedRoomIsFree(t *testing.T) {
	l := newLane(t, store.Subscription{})
	for range laneRoom {
		if !l.reserve(1) {
			t.Fatal("no room")
		}
	}
	l.stored(l.at(0))
	l.e.claims.due(l.e.now(), nil)
	if n, _, again := l.look(false); n != 0 || !again.IsZero() {
		t.Fatalf("it claims %d over its room, or looks again at %v", n, again)
	}
	for range laneRoom {
		l.unreserve(1) // nothing was stored
	}
	if !l.alarm.set {
		t.Error("what is due in the store is forgotten")
	}
	if held := l.e.heldSize.Load(); held != 0 {
		t.Errorf("%d bytes are still accounted for", held)
	}
}

func TestLaneKnowsOfMoreAfterARetryCameUp(t *testing.T) {
	l := newLane(t, store.Subscription{})
	l.due = l.at(-time.Second) // a retry
	n, ticket, _ := l.look(false)
	if n == 0 {
		t.Fatal("it claims nothing")
	}
	l.stored(l.at(time.Hour)) // another retry, while the claim is under way
	l.fill(store.Claimed{Next: l.at(-time.Millisecond)}, ticket, l.at(0), claimAgain)
	if !l.alarm.set || l.alarm.at.After(l.at(time.Second)) {
		t.Errorf("the rest of what is due waits for its next alarm, %v", l.alarm.at)
	}
}

func TestLaneClaimsAtOnceWhatCameUpDuringAClaim(t *testing.T) {
	l := newLane(t, store.Subscription{})
	l.stored(l.at(-time.Minute))
	l.e.claims.due(l.e.now(), nil)
	_, ticket, _ := l.look(false)
	due := l.at(-time.Second)
	l.fill(store.Claimed{Next: due}, ticket, l.at(-time.Minute), claimAgain)
	if !l.alarm.set || !l.alarm.at.Equal(due) {
		t.Errorf("what is due since %v is claimed at %v", due, l.alarm.at)
	}
}

func TestOrderedLaneClaimsNothingBeforeWhatWasPromised(t *testing.T) {
	l := newLane(t, store.Subscription{Ordered: true})
	if !l.reserve(1) {
		t.Fatal("no room")
	}
	l.stored(l.at(0)) // a later event, stored past the lane
	if n, _, _ := l.look(false); n != 0 {
		t.Errorf("it claims %d, which are later than what it has reserved room for", n)
	}
	l.e.claims.due(l.e.now(), nil)
	l.push(&store.Held{Event: &store.Event{Payload: []byte("1")}})
	if n, _, _ := l.look(false); n == 0 || !l.alarm.set || l.queue.len() != 0 {
		t.Errorf("afterwards it claims %d, alarm %v, with %d in the lane", n, l.alarm.set, l.queue.len())
	}
}

// watched is a real store that tells what is about to be done.
type watched struct {
	store.Store
	before func(what string)
}

func (w watched) Release(ctx context.Context, ids []store.ID) error {
	w.before("release")
	return w.Store.Release(ctx, ids)
}

func (w watched) Bury(ctx context.Context, s store.ID, reason string, limit int) (int, error) {
	w.before("bury")
	return w.Store.Bury(ctx, s, reason, limit)
}

// keep stores events for the lane that are due at that time, and returns their
// deliveries.
func (l *lane) keep(t *testing.T, due time.Time, hold ...bool) []*store.Held {
	t.Helper()
	var b store.Batch
	var kept []*store.Held
	for _, hold := range hold {
		ev := &store.Event{Type: "order.created", ContentType: "application/json", Payload: []byte("{}")}
		l.e.name(ev)
		d := store.NewDelivery{ID: l.e.ids.Next(), Subscription: l.key, Due: due, Hold: hold}
		b.Publications = append(b.Publications, &store.Publication{Event: ev, Deliveries: []store.NewDelivery{d}})
		kept = append(kept, &store.Held{Delivery: store.Delivery{ID: d.ID, Event: ev.Key, Subscription: l.key, Due: due}, Event: ev})
	}
	if err := l.e.store.Commit(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return kept
}

// holds tells whether the lane has exactly these, in their order.
func (l *lane) holds(hs ...*store.Held) bool {
	return slices.EqualFunc(l.queue.all(), hs, func(a, b *store.Held) bool { return a.Delivery.ID == b.Delivery.ID })
}

// What an ordered lane gives back is on its way while others come up behind it.
func TestOrderedLaneClaimsNothingBeforeWhatItGivesBack(t *testing.T) {
	for name, give := range map[string]func(*lane, *store.Held){
		"flushed": func(l *lane, h *store.Held) { l.queue.push(h); l.flush() },
		"pushed into a backlog": func(l *lane, h *store.Held) {
			l.reserved++
			l.stored(l.at(0))
			l.push(h)
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLane(t, store.Subscription{Ordered: true})
			first := l.keep(t, l.at(0), true)[0]
			second := l.keep(t, l.at(0), false)[0]
			l.e.store = watched{l.e.store, func(string) { l.e.claims.claim(t.Context(), []*lane{l}) }}
			give(l, first)
			l.e.claims.claim(t.Context(), []*lane{l})
			if !l.holds(first, second) {
				t.Error("what was given back came behind a later one, or not at all")
			}
		})
	}
}

// An event that is published while retries are brought forward isn't one.
func TestOrderedLaneBringsNothingForward(t *testing.T) {
	l := newLane(t, store.Subscription{Ordered: true})
	first := l.keep(t, l.at(time.Millisecond), true)[0] // after pullForward has looked at the clock
	second := l.keep(t, l.at(time.Millisecond), false)[0]
	l.e.pullForward(t.Context(), l)
	l.queue.push(first)
	l.flush()
	l.e.clock.zero = l.at(time.Second)
	l.e.claims.claim(t.Context(), []*lane{l})
	if !l.holds(first, second) {
		t.Error("the later one has overtaken the first, or is missing")
	}
}

// A claim gets all that its lane has been told of: what is left would be behind
// what is published next.
func TestClaimGetsWhatItsLaneWasTold(t *testing.T) {
	l := newLane(t, store.Subscription{Ordered: true})
	gone := &lane{e: l.e, key: 2, closed: true}
	l.stored(l.at(0))
	var told []*store.Held
	l.e.store = watched{l.e.store, func(string) {
		l.e.clock.zero = l.at(time.Millisecond)
		told = l.keep(t, l.at(0), false)
		l.stored(l.at(0))
	}}
	l.e.claims.claim(t.Context(), []*lane{gone, l})
	if !l.holds(told...) {
		t.Errorf("it has claimed %d", l.queue.len())
	}
}
