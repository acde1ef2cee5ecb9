package outbound

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/sqlite"
)

// frozenClock is a [Clock] that stands still.
type frozenClock time.Time

func (c frozenClock) Now() time.Time                  { return time.Time(c) }
func (frozenClock) Elapsed() time.Duration            { return 0 }
func (frozenClock) At(time.Duration) <-chan time.Time { return nil }

// newLane makes a lane of an engine none of whose goroutines run, so that a test can
// call each step itself.
func newLane(t *testing.T, s store.Subscription) *lane {
	t.Helper()
	st := must.Get(sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "webhooks.db"), Logger: slog.New(slog.DiscardHandler)}))(t)
	t.Cleanup(func() { _ = st.Close() })
	c := must.Get(newConfig(Settings{Logger: slog.New(slog.DiscardHandler)}))(t)
	e := &Engine{store: st, clock: newTimeline(frozenClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)), 0), life: t.Context()}
	e.ids = store.NewIDs(0, 0, e.clock.latest)
	e.config.Store(c)
	e.claims.init(e)
	e.deadLog.init(e)
	e.dispatch.e = e // it has no slots, so no attempts start
	s.Key, s.Active, s.URL = 1, true, "https://receiver.example/"
	l := &lane{e: e, key: s.Key}
	l.target.Store(newTarget(c, &s, e.now(), nil))
	return l
}

// at returns the time d from now.
func (l *lane) at(d time.Duration) time.Time { return l.e.now().Add(d) }

// A lane that sends slowly or not at all holds few deliveries, so that other lanes get
// the memory.
func TestRoomOfALane(t *testing.T) {
	for name, lane := range map[string]struct {
		rate     float64
		failures int
		pause    time.Duration
		retry    time.Duration // when an ordered lane retries its first delivery; 0 if it isn't ordered
		want     int
	}{
		"no limit":               {want: laneRoom},
		"a low rate limit":       {rate: 2.5, want: 11},
		"a high rate limit":      {rate: 1e6, want: laneRoom},
		"almost down":            {failures: downAfter - 1, want: laneRoom},
		"down":                   {failures: downAfter, want: downRoom},
		"down, in a short pause": {failures: downAfter, pause: longPause, want: downRoom},
		"in a long pause":        {pause: longPause + 1, want: 0},
		"long before a retry":    {retry: longPause + 1, want: 0},
	} {
		l := newLane(t, store.Subscription{RateLimit: lane.rate, Ordered: lane.retry > 0})
		l.breaker.failures = lane.failures
		l.notBefore, l.headDue = l.at(lane.pause), l.at(lane.retry)
		if room := l.room(l.e.now()); room != lane.want {
			t.Errorf("%s: got room for %d, want %d", name, room, lane.want)
		}
	}
}

// A new delivery stays in the store, to be claimed later, if its lane may not attempt it
// or is full, or if older ones are there.
func TestWhatALaneLeavesInTheStore(t *testing.T) {
	down := func(l *lane, held int) {
		l.breaker.failures = downAfter
		l.queue.push(l.storeEvents(t, l.at(0), true)[0])
		l.reserved = held - 1
	}
	for name, lane := range map[string]struct {
		state func(*lane)
		holds bool
	}{
		"nothing held":                {func(*lane) {}, true},
		"room for one more":           {func(l *lane) { down(l, downRoom-1) }, true},
		"full":                        {func(l *lane) { down(l, downRoom) }, false},
		"behind older ones":           {func(l *lane) { l.noteStored(l.at(0)) }, false},
		"inactive":                    {deactivate, false},
		"deleted":                     {func(l *lane) { l.closed = true }, false},
		"draining":                    {func(l *lane) { l.e.dispatch.halt() }, false},
		"no memory":                   {func(l *lane) { l.e.heldSize.Store(heldLimit); l.reserved = 1 }, false},
		"no memory, but nothing held": {func(l *lane) { l.e.heldSize.Store(heldLimit) }, true},
	} {
		l := newLane(t, store.Subscription{})
		lane.state(l)
		reserved, size := l.reserved, l.e.heldSize.Load()
		want := 0
		if lane.holds {
			want = 1
		}
		if holds := l.reserve(7); holds != lane.holds || l.backlog == lane.holds {
			t.Errorf("%s: got held %v, and a backlog in the store %v, want %v, %v", name, holds, l.backlog, lane.holds, !lane.holds)
		}
		if n, bytes := l.reserved-reserved, l.e.heldSize.Load()-size; n != want || bytes != int64(7*want) {
			t.Errorf("%s: got %d reserved with %d bytes, want %d with %d", name, n, bytes, want, 7*want)
		}
	}
}

// A delivery that was stored while its lane had room for it is released, to be claimed
// later, if the lane no longer has room, or an ordered one has older deliveries to claim.
func TestWhatALaneReleasesAtOnce(t *testing.T) {
	for name, lane := range map[string]struct {
		ordered bool
		state   func(*lane)
		holds   bool
	}{
		"nothing has changed":        {false, func(*lane) {}, true},
		"behind older ones":          {false, func(l *lane) { l.noteStored(l.at(0)) }, true},
		"behind older ones in order": {true, func(l *lane) { l.noteStored(l.at(0)) }, false},
		"inactive":                   {false, deactivate, false},
		"in a long pause":            {false, func(l *lane) { l.notBefore = l.at(time.Hour) }, false},
	} {
		l := newLane(t, store.Subscription{Ordered: lane.ordered})
		h := l.storeEvents(t, l.at(0), true)[0]
		size := weight(h.Event)
		if !l.reserve(size) {
			t.Fatal("no room")
		}
		lane.state(l)
		l.push(h)
		held, released := 1, 0
		if !lane.holds {
			held, released = 0, 1
		}
		if l.queue.len() != held || l.reserved != 0 || l.e.heldSize.Load() != int64(held*size) {
			t.Errorf("%s: got %d held, %d reserved, held size %d, want %d, 0, %d", name, l.queue.len(), l.reserved, l.e.heldSize.Load(), held, held*size)
		}
		claimed, err := l.e.store.Claim(t.Context(), l.at(0), claimBytes, []store.Want{{Subscription: l.key, Limit: 2}})
		if err != nil || len(claimed[0].Deliveries) != released {
			t.Errorf("%s: claiming it from the store: got %v, %v, want %d", name, claimed, err, released)
		}
	}
}

// An attempt begins only if the lane may make one more now. Otherwise the delivery stays
// where it is.
func TestWhenAnAttemptMayBegin(t *testing.T) {
	for name, lane := range map[string]struct {
		state  func(*lane)
		begins bool
	}{
		"one fewer than the limit": {func(l *lane) { l.running = l.limit() - 1 }, true},
		"as many as the limit":     {func(l *lane) { l.running = l.limit() }, false},
		"paused":                   {func(l *lane) { l.notBefore = l.at(time.Millisecond) }, false},
		"at the end of a pause":    {func(l *lane) { l.notBefore = l.at(0) }, true},
		"before a retry in order":  {waitInOrder, false},
		"inactive":                 {deactivate, false},
		"deleted":                  {func(l *lane) { l.closed = true }, false},
		"draining":                 {func(l *lane) { l.e.dispatch.halt() }, false},
	} {
		l := newLane(t, store.Subscription{})
		l.queue.push(l.storeEvents(t, l.at(0), true)[0])
		lane.state(l)
		wants, _ := l.runnable()
		if h := l.take(); (h != nil) != lane.begins || wants != lane.begins {
			t.Errorf("%s: got runnable %v, taken %v, want %v", name, wants, h != nil, lane.begins)
		}
	}
}

// deactivate makes the lane's subscription inactive, before the engine has flushed the
// lane for it.
func deactivate(l *lane) {
	s := *l.sub()
	s.Active = false
	l.setTarget(l.e.config.Load(), &s)
}

// waitInOrder makes the lane an ordered one whose first delivery waits for a retry.
func waitInOrder(l *lane) {
	s := *l.sub()
	s.Ordered = true
	l.setTarget(l.e.config.Load(), &s)
	l.headDue = l.at(time.Millisecond)
}

// If reservations leave no room for a claim, the lane claims again once they are given
// back.
func TestLaneClaimsAgainWhenReservationsAreGivenBack(t *testing.T) {
	l := newLane(t, store.Subscription{})
	for range laneRoom {
		if !l.reserve(1) {
			t.Fatal("no room")
		}
	}
	l.noteStored(l.at(0))
	l.e.claims.due(l.e.now(), nil)
	if n, _, again := l.claimSize(false); n != 0 || !again.IsZero() {
		t.Fatalf("a full lane: got claim size %d, again at %v, want 0 and no time", n, again)
	}
	for range laneRoom {
		l.unreserve(1) // nothing was stored
	}
	if !l.alarm.set {
		t.Error("no claim is scheduled for what is due in the store")
	}
	if held := l.e.heldSize.Load(); held != 0 {
		t.Errorf("got held size %d, want 0", held)
	}
}

// The engine's count of held bytes includes an event's headers, and is 0 again when the
// lane has released everything, or attempted it.
func TestLaneAccountsForWhatItHolds(t *testing.T) {
	for name, end := range map[string]func(*lane){
		"released":  (*lane).flush,
		"deleted":   (*lane).close,
		"attempted": func(l *lane) { l.attemptDone(weight(l.take().Event), 0) },
	} {
		l := newLane(t, store.Subscription{})
		ev := &store.Event{Payload: []byte("1"), Headers: map[string]string{"X-A": "1234", "X-B": ""}}
		p := l.e.newPublishing(&store.Publication{Event: ev}, []*lane{l})
		if held := l.e.heldSize.Load(); held < 11+300 {
			t.Errorf("got held size %d, want 311 at least", held)
		}
		p.handOver(true)
		end(l)
		if held := l.e.heldSize.Load(); held != 0 {
			t.Errorf("%s: got held size %d, want 0", name, held)
		}
	}
}

// All lanes of one claim together get claimRows deliveries. Without that limit, a start
// with a large backlog would read most of it before the first attempt.
func TestLanesClaimLittleAtOnce(t *testing.T) {
	first := newLane(t, store.Subscription{})
	second := &lane{e: first.e, key: 2}
	second.target.Store(first.target.Load())
	for _, l := range []*lane{first, second} {
		l.storeEvents(t, l.at(0), make([]bool, claimRows)...)
		l.noteStored(l.at(0))
	}
	first.e.claims.due(first.e.now(), nil)
	first.e.claims.claim(t.Context(), []*lane{first, second})
	for _, l := range []*lane{first, second} {
		if n := l.queue.len(); n != claimRows/2 || !l.backlog {
			t.Errorf("got %d claimed with backlog %v, want %d with true", n, l.backlog, claimRows/2)
		}
	}
}

// A claim whose limit left deliveries behind that are due is followed by another one at
// once, even if something due later was stored in the meantime.
func TestLaneKnowsOfMoreAfterARetryCameUp(t *testing.T) {
	l := newLane(t, store.Subscription{})
	l.nextDue = l.at(-time.Second) // a retry
	n, ticket, _ := l.claimSize(false)
	if n == 0 {
		t.Fatal("got claim size 0, want more")
	}
	l.noteStored(l.at(time.Hour)) // another retry, while the claim is under way
	l.fill(store.Claimed{Next: l.at(-time.Millisecond)}, ticket, l.at(0), storeRetryDelay)
	if !l.alarm.set || l.alarm.at.After(l.at(time.Second)) {
		t.Errorf("got alarm %+v, want one within a second, since deliveries are due", l.alarm)
	}
}

// A delivery that falls due while a claim is running is claimed at once afterwards.
func TestLaneClaimsAtOnceWhatCameUpDuringAClaim(t *testing.T) {
	l := newLane(t, store.Subscription{})
	l.noteStored(l.at(-time.Minute))
	l.e.claims.due(l.e.now(), nil)
	_, ticket, _ := l.claimSize(false)
	due := l.at(-time.Second)
	l.fill(store.Claimed{Next: due}, ticket, l.at(-time.Minute), storeRetryDelay)
	if !l.alarm.set || !l.alarm.at.Equal(due) {
		t.Errorf("got alarm %+v, want it at %v", l.alarm, due)
	}
}

// An ordered lane claims nothing while it has reserved room for an event that is being
// stored, since that one is earlier.
func TestOrderedLaneClaimsNothingWhileRoomIsReserved(t *testing.T) {
	l := newLane(t, store.Subscription{Ordered: true})
	if !l.reserve(1) {
		t.Fatal("no room")
	}
	l.noteStored(l.at(0)) // a later event, which only the store has
	if n, _, _ := l.claimSize(false); n != 0 {
		t.Errorf("got claim size %d while room is reserved, want 0", n)
	}
	l.e.claims.due(l.e.now(), nil)
	l.push(&store.Held{Event: &store.Event{Payload: []byte("1")}})
	if n, _, _ := l.claimSize(false); n == 0 || !l.alarm.set || l.queue.len() != 0 {
		t.Errorf("afterwards: got claim size %d, alarm set %v, %d queued, want some, true, 0", n, l.alarm.set, l.queue.len())
	}
}

// hookedStore is a real store that calls before with "release", "bury", "fill" or
// "apply": the first two when the store is about to do that, "fill" when a claim has read
// its deliveries and the lanes are about to be filled with them, "apply" when a subscription
// has been updated and its lane is about to be.
type hookedStore struct {
	store.Store
	before func(step string)
}

func (w hookedStore) Release(ctx context.Context, ids []store.ID) error {
	w.before("release")
	if err := ctx.Err(); err != nil { // which SQLite doesn't ask
		return err
	}
	return w.Store.Release(ctx, ids)
}

func (w hookedStore) Claim(ctx context.Context, now time.Time, maxBytes int, want []store.Want) ([]store.Claimed, error) {
	claimed, err := w.Store.Claim(ctx, now, maxBytes, want)
	w.before("fill")
	return claimed, err
}

func (w hookedStore) Bury(ctx context.Context, b store.Burial) ([]*store.Record, error) {
	w.before("bury")
	return w.Store.Bury(ctx, b)
}

func (w hookedStore) UpdateSubscription(ctx context.Context, id string, change func(*store.Subscription) error) (*store.Subscription, error) {
	s, err := w.Store.UpdateSubscription(ctx, id, change)
	w.before("apply")
	return s, err
}

// storeEvents stores one event for the lane for each element of hold, due at that time,
// and returns their deliveries. hold says whether the caller takes a delivery at
// once, so that no claim returns it until it is released.
func (l *lane) storeEvents(t *testing.T, due time.Time, hold ...bool) []*store.Held {
	t.Helper()
	var b store.Batch
	var deliveries []*store.Held
	for _, hold := range hold {
		ev := &store.Event{Type: "order.created", ContentType: "application/json", Payload: []byte("{}")}
		l.e.assignID(ev)
		d := store.NewDelivery{ID: l.e.ids.Next(), Subscription: l.key, Due: due, Hold: hold}
		b.Publications = append(b.Publications, &store.Publication{Event: ev, Deliveries: []store.NewDelivery{d}})
		deliveries = append(deliveries, &store.Held{Delivery: store.Delivery{ID: d.ID, Event: ev.Key, Subscription: l.key, Due: due}, Event: ev})
	}
	must.Do(t, l.e.store.Commit(t.Context(), &b))
	return deliveries
}

// queueIs reports whether the lane has queued exactly these deliveries, in this order.
func (l *lane) queueIs(hs ...*store.Held) bool {
	return slices.EqualFunc(l.queue.all(), hs, func(a, b *store.Held) bool { return a.Delivery.ID == b.Delivery.ID })
}

// While an ordered lane releases a delivery to the store, it claims nothing, since it
// would get later deliveries first.
func TestOrderedLaneClaimsNothingDuringARelease(t *testing.T) {
	for name, give := range map[string]func(*lane, *store.Held){
		"flushed": func(l *lane, h *store.Held) { l.queue.push(h); l.flush() },
		"pushed into a backlog": func(l *lane, h *store.Held) {
			l.reserved++
			l.noteStored(l.at(0))
			l.push(h)
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLane(t, store.Subscription{Ordered: true})
			first := l.storeEvents(t, l.at(0), true)[0]
			second := l.storeEvents(t, l.at(0), false)[0]
			l.e.store = hookedStore{l.e.store, func(step string) {
				if step == "release" {
					l.e.claims.claim(t.Context(), []*lane{l})
				}
			}}
			give(l, first)
			l.e.claims.claim(t.Context(), []*lane{l})
			if !l.queueIs(first, second) {
				t.Errorf("got %d queued, want the released delivery and then the later one", l.queue.len())
			}
		})
	}
}

// An ordered lane claims nothing ahead of schedule. What isn't due yet may be an event
// just published, which would overtake what the lane holds.
func TestOrderedLaneTakesNothingAheadOfTime(t *testing.T) {
	l := newLane(t, store.Subscription{Ordered: true})
	l.storeEvents(t, l.at(time.Millisecond), false)
	l.noteStored(l.at(time.Millisecond))
	l.scheduleAhead(l.at(0))
	l.e.claims.claim(t.Context(), []*lane{l})
	if n := l.queue.len(); n != 0 {
		t.Errorf("got %d queued, want 0, since nothing is due", n)
	}
}

// A probe that is asked for while the first delivery of an ordered lane waits for its
// retry isn't forgotten although claims happen before a worker takes the delivery.
func TestProbeOfWhatTheLaneHas(t *testing.T) {
	l := newLane(t, store.Subscription{Ordered: true})
	l.headDue = l.at(time.Hour)
	l.storeEvents(t, l.at(0), false)
	l.probe()
	for range 2 {
		l.e.claims.claim(t.Context(), []*lane{l})
	}
	if l.take() == nil {
		t.Error("take: got nil, want the delivery at once")
	}
}

// A probe that is asked for during a claim ahead of schedule isn't forgotten although
// that claim finds nothing after its cursor.
func TestProbeDuringAClaimAheadOfSchedule(t *testing.T) {
	l := newLane(t, store.Subscription{})
	h := l.storeEvents(t, l.at(time.Hour), false)[0]
	l.noteStored(l.at(time.Hour))
	l.breaker.since = l.at(0)
	l.breaker.aheadAt, l.breaker.aheadCursor = l.at(0), store.Place{Due: l.at(time.Hour), ID: h.Delivery.ID}
	probed := false
	l.e.store = hookedStore{l.e.store, func(step string) {
		if step == "fill" && !probed {
			probed = true
			l.probe()
		}
	}}
	for range 3 {
		l.e.claims.claim(t.Context(), []*lane{l})
	}
	if !l.queueIs(h) {
		t.Errorf("got %d queued, want the delivery that was asked for", l.queue.len())
	}
}

// A probe that is asked for during the first claim ahead of schedule, or another receiver,
// also attempts what was stored since the claim has read the store, although its retry
// comes first.
func TestProbeDuringTheFirstClaimAheadOfSchedule(t *testing.T) {
	for name, restart := range map[string]func(*lane){"probe": (*lane).probe, "another receiver": (*lane).resume} {
		l := newLane(t, store.Subscription{})
		hs := l.storeEvents(t, l.at(2*time.Hour), false)
		l.noteStored(l.at(2 * time.Hour))
		l.scheduleAhead(l.at(0))
		l.e.store = hookedStore{l.e.store, func(step string) {
			if step == "fill" && len(hs) == 1 {
				hs = append(hs, l.storeEvents(t, l.at(time.Hour), false)...)
				l.noteStored(l.at(time.Hour))
				restart(l)
			}
		}}
		for range 3 {
			l.e.claims.claim(t.Context(), []*lane{l})
		}
		if !l.queueIs(hs...) {
			t.Errorf("%s: got %d queued, want 2", name, l.queue.len())
		}
	}
}

// A failure that is stored late has its delivery attempted ahead of schedule if these
// attempts were restarted in between, unless its receiver fails again: then each gets its
// turn.
func TestFailureThatIsStoredLate(t *testing.T) {
	for name, c := range map[string]struct {
		late  func(*lane)
		again bool
	}{
		"nothing has happened":      {func(*lane) {}, false},
		"the others are attempted":  {func(l *lane) { l.breaker.restartAhead(l.at(0)) }, true},
		"there is another receiver": {(*lane).resume, true},
		"the receiver fails again":  {func(l *lane) { l.breaker.restartAhead(l.at(0)); l.breaker.since = l.at(0) }, false},
	} {
		l := newLane(t, store.Subscription{})
		l.holdSome(1)
		h := l.take()
		l.breaker.aheadRound++ // during the attempt
		l.attemptEnded(h)
		c.late(l)
		cursor := store.Place{Due: l.at(time.Hour), ID: 1}
		l.breaker.aheadAt, l.breaker.aheadCursor = time.Time{}, cursor
		l.catchUpAhead(l.removeUnsettled(h))
		if again := l.breaker.aheadAt.Equal(l.at(0)) && l.breaker.aheadCursor != cursor; again != c.again || l.alarm.set != c.again {
			t.Errorf("%s: got attempts at %v after %v, scheduled %v, want them restarted %v", name, l.breaker.aheadAt, l.breaker.aheadCursor, l.alarm.set, c.again)
		}
	}
}

// An attempt at the first delivery of an ordered lane ends its pause, and all that was
// planned ahead of its retry. The next attempt is at a delivery that has no retry yet.
func TestPauseOfAnOrderedLaneEnds(t *testing.T) {
	l := newLane(t, store.Subscription{Ordered: true})
	l.headDue, l.breaker.aheadAt = l.at(time.Hour), l.at(0)
	l.holdSome(2)
	for _, due := range []time.Duration{time.Hour, never} {
		h := l.take()
		if h == nil {
			t.Fatal("take: got nil, want a delivery")
		}
		if got, _ := l.attemptEnded(h); !got.Equal(l.atOrZero(due)) || !l.breaker.aheadAt.IsZero() {
			t.Errorf("got an attempt ahead of its retry at %v, and another at %v, want %v, and none", got, l.breaker.aheadAt, l.atOrZero(due))
		}
		l.attemptDone(0, 0)
	}
}

// A delivery that has come first in order since its predecessor was cancelled, perhaps on
// another node, isn't ahead of its schedule.
func TestHeadOfAnOrderedLaneIsCancelled(t *testing.T) {
	l := newLane(t, store.Subscription{Ordered: true})
	l.head, l.headDue, l.breaker.aheadAt = 7, l.at(time.Hour), l.at(0)
	l.holdSome(1)
	l.queue.all()[0].Due = l.at(time.Hour) // since before the subscription was ordered
	if due, _ := l.attemptEnded(l.take()); !due.IsZero() {
		t.Errorf("got an attempt ahead of a retry at %v, want none", due)
	}
}

// Deliveries that are retried at the same time are attempted ahead of it in turn.
func TestAheadOfTheSameRetry(t *testing.T) {
	l := newLane(t, store.Subscription{})
	due := l.at(time.Hour)
	hs := l.storeEvents(t, due, false, false)
	l.noteStored(due)
	l.breaker.since = l.at(-time.Hour) // it still fails
	for i, h := range hs {
		l.breaker.aheadAt = l.at(0)
		l.e.claims.claim(t.Context(), []*lane{l})
		if !l.queueIs(h) {
			t.Fatalf("attempt %d: got %d queued, want delivery %d", i+1, l.queue.len(), i+1)
		}
		h = l.take()
		l.storeOutcomes(t, &store.Settlement{Delivery: h.Delivery.ID, Due: due, Attempt: &store.Attempt{ID: h.Delivery.ID, Number: 1, At: l.at(0)}})
		l.removeUnsettled(h)
		l.attemptDone(0, 0)
		l.noteStored(due)
	}
	l.breaker.aheadAt = l.at(0)
	for range 2 { // the first finds nothing after the last one
		l.e.claims.claim(t.Context(), []*lane{l})
	}
	if l.queue.len() != 1 || l.queue.all()[0].Delivery.ID != hs[0].Delivery.ID {
		t.Fatalf("got %d queued, want the first again", l.queue.len())
	}
}

// Once the receiver is back, each delivery is attempted ahead of schedule once. Nothing is
// if nothing can be claimed, even from the start of the line.
func TestAheadOfScheduleEnds(t *testing.T) {
	for name, c := range map[string]struct{ fails, held bool }{
		"the receiver is back, and all had their turn": {false, false},
		"it fails, and all are held":                   {true, true},
	} {
		l := newLane(t, store.Subscription{})
		due := l.at(time.Hour)
		h := l.storeEvents(t, due, c.held)[0]
		l.noteStored(due)
		if c.fails {
			l.breaker.since = l.at(-time.Minute)
		}
		l.breaker.aheadAt, l.breaker.aheadCursor = l.at(0), store.Place{Due: due, ID: h.Delivery.ID}
		for range 2 {
			l.e.claims.claim(t.Context(), []*lane{l})
		}
		if l.queue.len() != 0 || !l.breaker.aheadAt.IsZero() {
			t.Errorf("%s: got %d queued, the next at %v, want 0 and none", name, l.queue.len(), l.breaker.aheadAt)
		}
	}
}

// An attempt ahead of schedule that fails because of the event is followed by another one
// after the first delay of the schedule.
func TestNextAheadOfScheduleAfterAFaultOfTheEvent(t *testing.T) {
	for _, early := range []bool{true, false} {
		l := newLane(t, store.Subscription{Retry: Schedule{100 * time.Second}})
		o := &outcome{class: ClassTransform, eventFault: true}
		if early {
			o.due = l.at(time.Hour)
		}
		l.e.updateLane(l.e.config.Load(), l, l.target.Load(), o)
		if !l.breaker.aheadAt.Equal(l.alarm.at) {
			t.Errorf("ahead of schedule %v: got one planned at %v, and the alarm at %v", early, l.breaker.aheadAt, l.alarm.at)
		}
		if l.alarm.set != early || early && (l.alarm.at.Before(l.at(90*time.Second)) || l.alarm.at.After(l.at(110*time.Second))) {
			t.Errorf("ahead of schedule %v: got alarm %+v, want one then, in 90 to 110 seconds", early, l.alarm)
		}
	}
}

// A failure puts off the next attempt ahead of schedule, whoever is at fault, unless that was
// planned for now since the failed one began, as after a change of the subscription.
func TestFailurePutsOffTheNextAheadOfSchedule(t *testing.T) {
	for _, eventFault := range []bool{false, true} {
		for _, changed := range []bool{false, true} {
			l := newLane(t, store.Subscription{})
			l.e.work, l.e.committer = t.Context(), newCommitter(l.e)
			l.target.Load().err = errors.New("it can't be signed")
			l.breaker.since = l.at(-time.Minute)
			l.queue.push(&store.Held{Delivery: store.Delivery{Due: l.at(time.Hour)}, Event: &store.Event{PayloadRemoved: eventFault}})
			l.probe() // a later round than the first
			h := l.take()
			if changed {
				l.probe()
			}
			l.e.attempt(l, h)
			if now := l.breaker.aheadAt.Equal(l.at(0)); now != changed {
				t.Errorf("the event's fault %v, a change during the attempt %v: got the next one planned in %v", eventFault, changed, l.breaker.aheadAt.Sub(l.at(0)))
			}
		}
	}
}

// A claim gets everything that its lane knew to be due when it began. In an ordered lane
// what it missed would end up behind what is published next.
func TestClaimGetsWhatItsLaneKnowsOf(t *testing.T) {
	l := newLane(t, store.Subscription{Ordered: true})
	gone := &lane{e: l.e, key: 2, closed: true}
	l.noteStored(l.at(0))
	var stored []*store.Held
	l.e.store = hookedStore{l.e.store, func(step string) {
		if step != "bury" {
			return
		}
		l.e.clock.zero = l.at(time.Millisecond)
		stored = l.storeEvents(t, l.at(0), false)
		l.noteStored(l.at(0))
	}}
	l.e.claims.claim(t.Context(), []*lane{gone, l})
	if !l.queueIs(stored...) {
		t.Errorf("got %d queued, want %d", l.queue.len(), len(stored))
	}
}

// A lane that was flushed during a claim, or may make no attempts any more, releases what
// the claim returns: an ordered one would get it before what it has released.
func TestClaimThatIsOutdated(t *testing.T) {
	for name, change := range map[string]func(*lane){
		"flushed":  (*lane).flush,
		"inactive": deactivate,
		"deleted":  func(l *lane) { l.closed = true },
	} {
		l := newLane(t, store.Subscription{})
		l.storeEvents(t, l.at(0), false)
		l.noteStored(l.at(0))
		st := l.e.store
		l.e.store = hookedStore{st, func(step string) {
			if step == "fill" {
				change(l)
			}
		}}
		l.e.claims.claim(t.Context(), []*lane{l})
		if l.queue.len() != 0 || l.e.heldSize.Load() != 0 {
			t.Errorf("%s: got %d held, held size %d, want 0, 0", name, l.queue.len(), l.e.heldSize.Load())
		}
		claimed, err := st.Claim(t.Context(), l.at(0), claimBytes, []store.Want{{Subscription: l.key, Limit: 2}})
		if err != nil || len(claimed[0].Deliveries) != 1 || !l.alarm.set {
			t.Errorf("%s: claiming it again: got %v, %v, scheduled %v, want 1, true", name, claimed, err, l.alarm.set)
		}
	}
}

// A flush during a claim doesn't make the lane forget a retry that is due later.
func TestLaneRemembersARetryThroughAFlush(t *testing.T) {
	l := newLane(t, store.Subscription{})
	l.storeEvents(t, l.at(time.Hour), false)
	l.noteStored(l.at(0)) // for a delivery that is gone by now
	l.e.claims.due(l.e.now(), nil)
	l.e.store = hookedStore{l.e.store, func(string) { l.flush() }}
	l.e.claims.claim(t.Context(), []*lane{l})
	if !l.alarm.set {
		t.Error("no alarm is set for the retry in an hour")
	}
}

// A delivery that is redelivered after a running claim has read it starts a new round
// of its schedule. The claim's other results are used nevertheless: redeliveries may
// come all the time.
func TestRedeliverDuringAClaim(t *testing.T) {
	l := newLane(t, store.Subscription{})
	l.register(t)
	hs := l.storeEvents(t, l.at(0), false, false, false)
	for _, h := range hs {
		l.storeOutcomes(t, &store.Settlement{Delivery: h.Delivery.ID, Due: l.at(0), Attempt: &store.Attempt{ID: h.Delivery.ID, Number: 1, At: l.at(0)}})
	}
	l.noteStored(l.at(0))
	l.e.store = hookedStore{l.e.store, func(step string) {
		if step != "fill" {
			return
		}
		for _, h := range hs[:2] {
			if _, err := l.e.Redeliver(t.Context(), h.Delivery.ID.With(store.DeliveryPrefix)); err != nil {
				t.Error(err)
			}
		}
	}}
	l.e.claims.claim(t.Context(), []*lane{l})
	if !l.queueIs(hs...) {
		t.Fatalf("got %d queued, want %d", l.queue.len(), len(hs))
	}
	for i, want := range []int{1, 1, 0} {
		if h := l.take(); h.Round != want {
			t.Errorf("delivery %d: got a round that begins after %d attempts, want %d", i+1, h.Round, want)
		}
	}
}

// A worker takes a delivery from the lane before or while it is being redelivered: another
// attempt follows, by the new schedule, but only at this delivery.
func TestRedeliverOfWhatIsTaken(t *testing.T) {
	for name, redeliver := range map[string]func(*lane, store.ID){
		"before": func(l *lane, id store.ID) { l.take(); l.take(); l.beginRequeue(id) },
		"while":  func(l *lane, id store.ID) { l.beginRequeue(id); l.take(); l.take(); l.endRequeue(id) },
		"after, when its schedule is new already": func(l *lane, id store.ID) {
			l.queue.all()[0].Round = 3
			l.take()
			l.take()
			l.endRequeue(id)
		},
	} {
		l := newLane(t, store.Subscription{})
		hs := l.storeEvents(t, l.at(0), true, true)
		for _, h := range hs {
			h.Attempts = 3
			l.queue.push(h)
		}
		redeliver(l, hs[0].Delivery.ID)
		for i, want := range []bool{hs[0].Round == 0, false} {
			if got := l.removeUnsettled(hs[i]).repeat; got != want {
				t.Errorf("%s, delivery %d: got another attempt %v, want %v", name, i+1, got, want)
			}
		}
	}
}

// Only what is redelivered starts its schedule anew, not what is queued with it.
func TestRedeliverOfWhatIsQueued(t *testing.T) {
	l := newLane(t, store.Subscription{})
	hs := l.storeEvents(t, l.at(0), true, true)
	for _, h := range hs {
		h.Attempts = 3
		l.queue.push(h)
	}
	l.endRequeue(hs[0].Delivery.ID)
	if hs[0].Round != 3 || hs[1].Round != 0 {
		t.Errorf("got rounds that begin after %d and %d attempts, want 3 and 0", hs[0].Round, hs[1].Round)
	}
}

// The outcome of an attempt may be stored after the next attempt at the same delivery
// has begun. Redelivering then applies to the second attempt only.
func TestRedeliverDuringTheSecondAttempt(t *testing.T) {
	l := newLane(t, store.Subscription{})
	h := l.storeEvents(t, l.at(0), true)[0]
	second := *h
	l.queue.push(h)
	l.take()
	l.queue.push(&second) // it was redelivered, and claimed again
	l.take()
	if l.removeUnsettled(h).repeat {
		t.Error("first attempt: got requeued true, want false")
	}
	l.beginRequeue(h.Delivery.ID)
	if !l.removeUnsettled(&second).repeat {
		t.Error("second attempt: got requeued false, want true")
	}
	if n := len(l.unsettled); n != 0 {
		t.Errorf("got %d attempts that aren't settled, want 0", n)
	}
}

// An attempt that is broken off leaves nothing behind in its lane. Its delivery can be
// claimed at once, maybe by another node, also if the engine is closed meanwhile.
func TestAttemptIsBrokenOff(t *testing.T) {
	l := newLane(t, store.Subscription{})
	life, end := context.WithCancel(t.Context())
	l.e.life, l.e.store = life, hookedStore{l.e.store, func(string) { end() }}
	h := l.storeEvents(t, l.at(0), true)[0]
	l.e.heldSize.Add(int64(weight(h.Event)))
	l.queue.push(h)
	l.abort(l.take(), &outcome{aborted: true})
	l.e.services.Wait()
	if held := l.e.heldSize.Load(); len(l.unsettled) != 0 || l.running != 0 || held != 0 {
		t.Errorf("got %d not settled, %d running and held size %d, want 0", len(l.unsettled), l.running, held)
	}
	if !l.lastFailure.IsZero() {
		t.Errorf("got a failure at %v, want none", l.lastFailure)
	}
	claimed, err := l.e.store.Claim(t.Context(), l.at(0), claimBytes, []store.Want{{Subscription: l.key, Limit: 1}})
	if err != nil || len(claimed[0].Deliveries) != 1 {
		t.Errorf("claiming it again: got %v, %v, want 1", claimed, err)
	}
}

// After a shortage, a lane that needs no more deliveries is woken nevertheless.
func TestPauseOfAFullLaneAfterAShortage(t *testing.T) {
	l := newLane(t, store.Subscription{})
	l.queue.push(l.storeEvents(t, l.at(0), true)[0])
	for range laneLow + 1 {
		l.queue.push(&store.Held{})
	}
	l.abort(l.take(), &outcome{aborted: true, retryAfter: shortagePause})
	l.e.services.Wait()
	if a := l.alarm; !a.set || !a.at.Equal(l.at(shortagePause)) {
		t.Errorf("got alarm %+v, want one in %v", a, shortagePause)
	}
}

// A shortage doesn't end a longer pause that began during the attempt, and has nothing
// attempted ahead of schedule that wasn't.
func TestShortageInAPause(t *testing.T) {
	l := newLane(t, store.Subscription{})
	l.queue.push(l.storeEvents(t, l.at(0), true)[0])
	h := l.take()
	l.notBefore = l.at(time.Hour)
	l.abort(h, &outcome{aborted: true, retryAfter: shortagePause})
	l.e.services.Wait()
	if !l.notBefore.Equal(l.at(time.Hour)) || !l.breaker.aheadAt.IsZero() {
		t.Errorf("got a pause of %v, and an attempt ahead of schedule at %v, want an hour, and none", l.notBefore.Sub(l.e.now()), l.breaker.aheadAt)
	}
}

// After a shortage, an attempt ahead of schedule is made again, although it was the last in
// line and the receiver doesn't fail.
func TestShortageAheadOfSchedule(t *testing.T) {
	l := newLane(t, store.Subscription{})
	h := l.storeEvents(t, l.at(time.Hour), false)[0]
	l.noteStored(l.at(time.Hour))
	l.scheduleAhead(l.at(0))
	l.e.claims.claim(t.Context(), []*lane{l})
	l.abort(l.take(), &outcome{aborted: true, retryAfter: shortagePause})
	l.e.services.Wait()
	l.e.clock.zero = l.at(shortagePause)
	for range 2 { // the first finds nothing due
		l.e.claims.claim(t.Context(), []*lane{l})
	}
	if !l.queueIs(h) {
		t.Errorf("got %d queued, want the delivery again", l.queue.len())
	}
}

// In an ordered lane, no delivery overtakes one whose attempt is broken off.
func TestOrderWhenAnAttemptIsBrokenOff(t *testing.T) {
	l := newLane(t, store.Subscription{Ordered: true})
	hs := l.storeEvents(t, l.at(0), true, true)
	for _, h := range hs {
		l.queue.push(h)
	}
	l.abort(l.take(), &outcome{aborted: true})
	l.e.services.Wait()
	l.e.claims.claim(t.Context(), []*lane{l})
	if !l.queueIs(hs...) {
		t.Errorf("got %d queued, want 2 in order", l.queue.len())
	}
}

// A rate limit is lifted between a worker's look at the lane and the pause that the
// limit demanded: the lane isn't paused.
func TestRateLimitIsLiftedBeforeThePause(t *testing.T) {
	l := newLane(t, store.Subscription{RateLimit: .001})
	for _, h := range l.storeEvents(t, l.at(0), true, true) {
		l.queue.push(h)
	}
	l.take()
	if _, paused := l.next(); !paused { // what take does first
		t.Fatal("got no pause")
	}
	free := *l.sub()
	free.RateLimit = 0
	l.setTarget(l.e.config.Load(), &free)
	l.unpause()
	l.startPause() // what take does next
	if l.notBefore.After(l.e.now()) {
		t.Errorf("got a pause of %v, want none", l.notBefore.Sub(l.e.now()))
	}
}

// The receiver is replaced between a failure of the old one and the pause that follows from
// it: the lane isn't paused.
func TestReceiverIsReplacedBeforeThePause(t *testing.T) {
	l := newLane(t, store.Subscription{})
	l.breaker.failures = downAfter
	l.record(l.target.Load(), &outcome{class: ClassStatus, retryAfter: time.Hour}, l.e.config.Load()) // what updateLane does first
	if !l.notBefore.Equal(l.at(time.Hour)) {
		t.Errorf("got a pause until %v, want an hour", l.notBefore)
	}
	l.resume()
	l.startPause() // what updateLane does next
	if l.notBefore.After(l.e.now()) {
		t.Errorf("got a pause of %v, want none", l.notBefore.Sub(l.e.now()))
	}
}

// An ordered lane pauses until its first delivery is retried, by the schedule or ahead of
// it, but not while the receiver has asked for a pause.
func TestWhenAnOrderedLaneGoesOn(t *testing.T) {
	for name, c := range map[string]struct {
		ordered bool
		retry   time.Duration // when the first delivery is retried
		ahead   time.Duration // when something is attempted ahead of that
		asked   time.Duration // the pause that the receiver asked for
		want    time.Duration
	}{
		"at the retry":         {true, time.Hour, never, 0, time.Hour},
		"ahead of schedule":    {true, time.Hour, time.Minute, 0, time.Minute},
		"after a longer pause": {true, time.Hour, time.Minute, 10 * time.Minute, 10 * time.Minute},
		"nothing is retried":   {true, never, time.Minute, 0, 0},
		"no longer ordered":    {false, time.Hour, never, 10 * time.Minute, 10 * time.Minute},
	} {
		l := newLane(t, store.Subscription{Ordered: c.ordered})
		l.headDue, l.breaker.aheadAt, l.notBefore = l.atOrZero(c.retry), l.atOrZero(c.ahead), l.at(c.asked)
		if got := l.pausedUntil(); !got.Equal(l.at(c.want)) {
			t.Errorf("%s: got a pause of %v, want %v", name, got.Sub(l.e.now()), c.want)
		}
	}
}

// When the order needn't be kept any more, it is forgotten what it waited for. That doesn't
// hold anything up when it must be kept again.
func TestOrderIsKeptAgain(t *testing.T) {
	l := newLane(t, store.Subscription{Ordered: true})
	l.register(t)
	l.headDue = l.at(time.Hour)
	for _, ordered := range []bool{false, true} {
		s := *l.sub()
		s.Ordered = ordered
		l.e.applySubscription(&s)
	}
	if until := l.pausedUntil(); until.After(l.at(0)) {
		t.Errorf("got a pause of %v, want none", until.Sub(l.at(0)))
	}
}

// If a receiver asks for a pause by Retry-After and then for a shorter one, the longer
// one counts.
func TestShorterRetryAfterComesLast(t *testing.T) {
	l := newLane(t, store.Subscription{RateLimit: 100})
	for _, pause := range []time.Duration{time.Hour, time.Second} {
		l.e.updateLane(l.e.config.Load(), l, l.target.Load(), &outcome{class: ClassStatus, retryAfter: pause})
	}
	for range 2 {
		if !l.notBefore.Equal(l.at(time.Hour)) {
			t.Errorf("got a pause of %v, want an hour", l.notBefore.Sub(l.e.now()))
		}
		l.unpause() // the rate was changed
	}
}

// A receiver that is overloaded gets half as many attempts at once, after a pause. Those
// that were under way at the same time don't make that longer, nor does the pause of a
// receiver that is down become shorter.
func TestPauseOfAnOverloadedReceiver(t *testing.T) {
	for failures, pause := range map[int]time.Duration{0: minSlowPause, 1_000_000: 5 * time.Second} {
		l := newLane(t, store.Subscription{Retry: Schedule{5 * time.Second}})
		l.breaker.failures, l.running = failures, 9
		for range 2 {
			l.record(l.target.Load(), &outcome{class: ClassStatus, overloaded: true}, l.e.config.Load())
			if !l.notBefore.Equal(l.at(pause)) || l.breaker.throttle != 4 {
				t.Errorf("after %d failures: got a pause of %v and %d attempts at once, want %v and 4", failures, l.notBefore.Sub(l.e.now()), l.breaker.throttle, pause)
			}
		}
	}
}

// What a user asks for is attempted during a pause that the receiver has asked for only if
// the receiver is down, or there is another one by now.
func TestProbeDuringAPause(t *testing.T) {
	for name, c := range map[string]struct {
		state func(*lane)
		want  time.Duration
	}{
		"it works":         {func(*lane) {}, time.Hour},
		"it is down":       {func(l *lane) { l.breaker.failures = downAfter }, never},
		"another receiver": {(*lane).resume, never},
	} {
		l := newLane(t, store.Subscription{})
		l.notBefore, l.askedUntil = l.at(time.Hour), l.at(time.Hour)
		c.state(l)
		l.probe()
		if !l.notBefore.Equal(l.atOrZero(c.want)) {
			t.Errorf("%s: got a pause until %v, want %v", name, l.notBefore, l.atOrZero(c.want))
		}
	}
}

// A lane releases what it holds for a long pause, and keeps it for a short one.
func TestWhatALaneHoldsInAPause(t *testing.T) {
	for pause, want := range map[time.Duration]int{longPause: 2, longPause + 1: 0} {
		l := newLane(t, store.Subscription{})
		for _, h := range l.storeEvents(t, l.at(0), true, true) {
			l.queue.push(h)
		}
		l.notBefore = l.at(pause)
		l.startPause()
		if n := l.queue.len(); n != want || !l.alarm.set {
			t.Errorf("in a pause of %v: got %d held, alarm set %v, want %d, true", pause, n, l.alarm.set, want)
		}
	}
}

// An attempt that began before the subscription's URL or token endpoint changed neither
// pauses the lane nor counts as a failure of the new receiver.
func TestOutcomeOfAFormerReceiver(t *testing.T) {
	for _, change := range []func(*store.Subscription){
		func(s *store.Subscription) { s.URL = "https://other.example/" },
		func(s *store.Subscription) { s.OAuth2.TokenURL = "https://login.example/" },
	} {
		l := newLane(t, store.Subscription{})
		old := l.target.Load()
		moved := *old.sub
		change(&moved)
		l.setTarget(l.e.config.Load(), &moved)
		l.e.updateLane(l.e.config.Load(), l, old, &outcome{class: ClassStatus, retryAfter: time.Hour})
		if !l.notBefore.IsZero() || l.breaker.failures != 0 {
			t.Errorf("got a pause of %v and %d failures, want none", l.notBefore.Sub(l.e.now()), l.breaker.failures)
		}
	}
}

// A lane whose receiver goes down releases its deliveries to the store, so that they
// don't take memory that other lanes can use.
func TestLaneThatGoesDownHoldsNothing(t *testing.T) {
	l := newLane(t, store.Subscription{})
	for _, h := range l.storeEvents(t, l.at(0), true, true, true) {
		l.e.heldSize.Add(int64(weight(h.Event)))
		l.queue.push(h)
	}
	for range downAfter {
		l.e.updateLane(l.e.config.Load(), l, l.target.Load(), &outcome{class: ClassStatus})
	}
	if n, held := l.queue.len(), l.e.heldSize.Load(); n != 0 || held != 0 {
		t.Errorf("got %d deliveries queued and held size %d, want 0", n, held)
	}
	claimed, err := l.e.store.Claim(t.Context(), l.e.now(), claimBytes, []store.Want{{Subscription: l.key, Limit: 3}})
	if err != nil || len(claimed[0].Deliveries) != 3 {
		t.Errorf("claiming them from the store: got %v, %v, want 3", claimed, err)
	}
}

// A failure that should deactivate the subscription doesn't, if by the time that the
// engine does so the receiver works again, the subscription has another one, or it has
// been deactivated and activated since, which this node may not know yet.
func TestDeactivationIsOutdated(t *testing.T) {
	works := func(l *lane, _ *store.Subscription) { l.breaker = breaker{} }
	moved := func(_ *lane, failed *store.Subscription) { failed.URL = "https://before.example/" }
	activated := func(l *lane, failed *store.Subscription) {
		l.e.clock.Clock = frozenClock(l.at(time.Millisecond))
		must.Get(l.e.Deactivate(t.Context(), failed.ID, ReasonByHand))(t)
		must.Get(l.e.Activate(t.Context(), failed.ID))(t)
	}
	fails := func(l *lane, _ *store.Subscription) {
		l.record(l.target.Load(), &outcome{class: ClassStatus}, l.e.config.Load())
	}
	elsewhere := func(l *lane, failed *store.Subscription) {
		must.Get(l.e.store.UpdateSubscription(t.Context(), failed.ID, func(s *store.Subscription) error {
			s.Updated = s.Updated.Add(time.Second)
			return nil
		}))(t)
	}
	none := func(*lane, *store.Subscription) {}
	for name, c := range map[string]struct {
		reason string
		change func(*lane, *store.Subscription)
		active bool
	}{
		"failing":                   {ReasonFailing, none, false},
		"failing, works again":      {ReasonFailing, works, true},
		"failing, another receiver": {ReasonFailing, moved, true},
		"failing, activated since":  {ReasonFailing, activated, true},
		"gone":                      {ReasonGone, none, false},
		"gone, fails otherwise":     {ReasonGone, fails, false},
		"gone, another receiver":    {ReasonGone, moved, true},
		"gone, activated since":     {ReasonGone, activated, true},
		"gone, activated elsewhere": {ReasonGone, elsewhere, true},
	} {
		l := newLane(t, store.Subscription{ID: "sub_1", EventTypes: []string{"*"}})
		l.register(t)
		config := l.e.config.Load()
		var still func() bool
		if c.reason == ReasonFailing {
			l.breaker.failures, l.breaker.since = config.DisableAfter.Failures, l.at(-config.DisableAfter.For)
			still = func() bool { return l.shouldDisable(config.DisableAfter) }
		}
		failed := *l.sub()
		c.change(l, &failed)
		before := must.Get(l.e.store.Subscriptions(t.Context()))(t)[0]
		l.e.disable(t.Context(), &failed, c.reason, still)
		if active := l.sub().Active; active != c.active {
			t.Errorf("%s: got active %v, want %v", name, active, c.active)
		}
		if s := l.sub(); c.active && !sameUpdate(s, before) { // or the next one would be outdated, too
			t.Errorf("%s: got an update at %v, want none since %v", name, s.Updated, before.Updated)
		}
	}
}

// The store is told whether a receiver is down when that changes, and when the store has
// it wrong, but not by two callers at a time.
func TestWhenTheStoreIsToldOfAReceiver(t *testing.T) {
	for name, c := range map[string]struct {
		down, known, changed, underWay, inactive, want bool
	}{
		"it works":                     {},
		"it is down":                   {down: true, known: true},
		"it has gone down":             {down: true, changed: true, want: true},
		"it is back":                   {known: true, changed: true, want: true},
		"down, but not for the store":  {down: true, want: true},
		"down only for the store":      {known: true, want: true},
		"which it is being told":       {known: true, underWay: true},
		"a change while it is told":    {down: true, changed: true, underWay: true, want: true},
		"the subscription is inactive": {down: true, inactive: true},
	} {
		l := newLane(t, store.Subscription{})
		s := *l.sub()
		s.Active = !c.inactive
		if c.known {
			s.FailingSince = l.at(-time.Hour)
		}
		l.setTarget(l.e.config.Load(), &s)
		if c.down {
			l.breaker.failures = downAfter
		}
		l.persisting = c.underWay
		if got := l.shouldPersist(c.changed); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

// Deliveries that failed together aren't retried together.
func TestRetriesAreSpread(t *testing.T) {
	l := newLane(t, store.Subscription{Retry: Schedule{time.Hour}})
	due := map[time.Time]bool{}
	for range 100 {
		s := &store.Settlement{Attempt: &store.Attempt{Number: 1}}
		l.e.decide(l, l.target.Load(), &store.Held{}, &outcome{class: ClassStatus}, s)
		due[s.Due] = true
	}
	if len(due) < 90 {
		t.Errorf("got %d times for 100 retries, want almost as many", len(due))
	}
}

// The store is told of a change that happens while it is being told of another one. If it
// couldn't be told, it is after the next attempt.
func TestStoreIsToldOfEachChange(t *testing.T) {
	l := newLane(t, store.Subscription{})
	expect := func(told bool, o *outcome) {
		t.Helper()
		if got := l.record(l.target.Load(), o, l.e.config.Load()).persist; got != told {
			t.Errorf("after %d failures: got told %v, want %v", l.breaker.failures, got, told)
		}
	}
	success, failure := &outcome{}, &outcome{class: ClassStatus}
	l.persisting = true
	for range downAfter - 1 {
		expect(false, failure)
	}
	expect(true, failure)
	expect(false, failure)
	l.persisting = false
	expect(true, failure)
	expect(true, success)
	down := *l.sub()
	down.FailingSince = l.at(0)
	l.setTarget(l.e.config.Load(), &down)
	expect(false, success)
	l.persisting = false
	expect(true, success)
}

// A receiver goes down again while the store is being told that it is back: the run of
// failures begins with the first of them, and not only when the store has been told.
func TestDownAgainWhileTheStoreIsTold(t *testing.T) {
	l := newLane(t, store.Subscription{ID: "sub_1", FailingSince: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)})
	l.register(t)
	since := l.at(-time.Second)
	l.e.store = hookedStore{l.e.store, func(string) { l.breaker.failures, l.breaker.since = downAfter, since }}
	l.e.persistFailing(t.Context(), l)
	if !l.sub().FailingSince.IsZero() || !l.breaker.since.Equal(since) {
		t.Errorf("got failing since %v, stored %v, want %v and none", l.breaker.since, l.sub().FailingSince, since)
	}
}

// A receiver goes down after its subscription was deleted, and another one has got the id:
// that one isn't said to fail.
func TestDownAfterTheIDIsAnothers(t *testing.T) {
	l := newLane(t, store.Subscription{ID: "sub_crm"})
	other := *l.sub()
	other.Key = 2
	must.Do(t, l.e.store.CreateSubscription(t.Context(), &other))
	l.breaker.failures, l.breaker.since = downAfter, l.at(0)
	l.e.persistFailing(t.Context(), l)
	stored := must.Get(l.e.store.Subscriptions(t.Context()))(t)
	if since := stored[0].FailingSince; !since.IsZero() {
		t.Errorf("got failing since %v, want it not to fail", since)
	}
}

// Another node has stored that a receiver is back, which this node hears of when it changes
// the subscription: the run of failures begins anew here, too.
func TestBackForAnotherNodeDuringAChange(t *testing.T) {
	l := newLane(t, store.Subscription{ID: "sub_1"})
	l.register(t)
	l.breaker.failures, l.breaker.since = downAfter, l.at(-time.Hour)
	l.e.persistFailing(t.Context(), l)
	must.Get(l.e.store.UpdateSubscription(t.Context(), "sub_1", func(s *store.Subscription) error {
		s.FailingSince = time.Time{}
		return nil
	}))(t)
	must.Get(l.e.change(t.Context(), "sub_1", func(s *store.Subscription) error {
		s.Description = "changed"
		return nil
	}))(t)
	if !l.breaker.since.Equal(l.at(0)) {
		t.Errorf("got failing since %v, want %v", l.breaker.since, l.at(0))
	}
}

// A subscription that is created through the API while a configuration with its id is
// applied isn't taken over, whether or not the engine knows of it yet, and even if it is
// the same.
func TestReconcileWithAnotherCreatedMeanwhile(t *testing.T) {
	for _, known := range []bool{true, false} {
		for _, url := range []string{"https://receiver.example/", "https://other.example/"} {
			l := newLane(t, store.Subscription{ID: "sub_crm", EventTypes: []string{"a"}, Secrets: []store.Secret{{Value: "whsec_" + strings.Repeat("A", 32)}}})
			spec := specOf(l.sub())
			spec.Name, spec.URL = "crm", url
			if l.register(t); !known {
				l.e.lanes.remove(l)
			}
			err := l.e.reconcileOne(t.Context(), l.e.config.Load(), &spec)
			if err == nil || !strings.Contains(err.Error(), "was created through the API") {
				t.Errorf("%s, known %v: got %v, want an error", url, known, err)
			}
			if stored := must.Get(l.e.store.Subscriptions(t.Context()))(t); stored[0].URL != l.sub().URL || stored[0].FromConfig {
				t.Errorf("%s, known %v: it was changed: %+v", url, known, stored[0])
			}
		}
	}
}

// register adds the lane's subscription to the engine's index and to the store.
func (l *lane) register(t *testing.T) {
	t.Helper()
	s := l.sub()
	l.e.lanes.index(l, nil, s)
	must.Do(t, l.e.store.CreateSubscription(t.Context(), s))
}

// storeOutcomes stores the outcomes of attempts.
func (l *lane) storeOutcomes(t *testing.T, outcomes ...*store.Settlement) {
	t.Helper()
	must.Do(t, l.e.store.Commit(t.Context(), &store.Batch{Settlements: outcomes}))
}
