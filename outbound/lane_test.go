package outbound

import (
	"log/slog"
	"path/filepath"
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
