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
	e.deadLog.init(e)
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
	l.noteStored(l.at(0))
	l.e.claims.due(l.e.now(), nil)
	if n, _, again := l.claimSize(false); n != 0 || !again.IsZero() {
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

func TestLaneAccountsForWhatItHolds(t *testing.T) {
	l := newLane(t, store.Subscription{})
	ev := &store.Event{Payload: []byte("1"), Headers: map[string]string{"X-A": "1234", "X-B": ""}}
	p := l.e.newPublishing(&store.Publication{Event: ev}, []*lane{l})
	if held := l.e.heldSize.Load(); held < 11+300 {
		t.Errorf("%d bytes are accounted for", held)
	}
	p.handOver(true)
	l.flush()
	if held := l.e.heldSize.Load(); held != 0 {
		t.Errorf("%d bytes are still accounted for", held)
	}
}

// A start with a backlog would read much of it before the first delivery is made.
func TestLanesClaimLittleAtOnce(t *testing.T) {
	first := newLane(t, store.Subscription{})
	second := &lane{e: first.e, key: 2}
	second.target.Store(first.target.Load())
	for _, l := range []*lane{first, second} {
		l.keep(t, l.at(0), make([]bool, claimRows)...)
		l.noteStored(l.at(0))
	}
	first.e.claims.due(first.e.now(), nil)
	first.e.claims.claim(t.Context(), []*lane{first, second})
	for _, l := range []*lane{first, second} {
		if n := l.queue.len(); n != claimRows/2 || !l.backlog {
			t.Errorf("%d were claimed, and more waits: %v", n, l.backlog)
		}
	}
}

func TestLaneKnowsOfMoreAfterARetryCameUp(t *testing.T) {
	l := newLane(t, store.Subscription{})
	l.nextDue = l.at(-time.Second) // a retry
	n, ticket, _ := l.claimSize(false)
	if n == 0 {
		t.Fatal("it claims nothing")
	}
	l.noteStored(l.at(time.Hour)) // another retry, while the claim is under way
	l.fill(store.Claimed{Next: l.at(-time.Millisecond)}, ticket, l.at(0), storeRetryDelay)
	if !l.alarm.set || l.alarm.at.After(l.at(time.Second)) {
		t.Errorf("the rest of what is due waits for its next alarm, %v", l.alarm.at)
	}
}

func TestLaneClaimsAtOnceWhatCameUpDuringAClaim(t *testing.T) {
	l := newLane(t, store.Subscription{})
	l.noteStored(l.at(-time.Minute))
	l.e.claims.due(l.e.now(), nil)
	_, ticket, _ := l.claimSize(false)
	due := l.at(-time.Second)
	l.fill(store.Claimed{Next: due}, ticket, l.at(-time.Minute), storeRetryDelay)
	if !l.alarm.set || !l.alarm.at.Equal(due) {
		t.Errorf("what is due since %v is claimed at %v", due, l.alarm.at)
	}
}

func TestOrderedLaneClaimsNothingBeforeWhatWasPromised(t *testing.T) {
	l := newLane(t, store.Subscription{Ordered: true})
	if !l.reserve(1) {
		t.Fatal("no room")
	}
	l.noteStored(l.at(0)) // a later event, stored past the lane
	if n, _, _ := l.claimSize(false); n != 0 {
		t.Errorf("it claims %d, which are later than what it has reserved room for", n)
	}
	l.e.claims.due(l.e.now(), nil)
	l.push(&store.Held{Event: &store.Event{Payload: []byte("1")}})
	if n, _, _ := l.claimSize(false); n == 0 || !l.alarm.set || l.queue.len() != 0 {
		t.Errorf("afterwards it claims %d, alarm %v, with %d in the lane", n, l.alarm.set, l.queue.len())
	}
}

// watched is a real store that tells what is about to be done, with what was claimed
// too.
type watched struct {
	store.Store
	before func(what string)
}

func (w watched) Release(ctx context.Context, ids []store.ID) error {
	w.before("release")
	return w.Store.Release(ctx, ids)
}

func (w watched) Claim(ctx context.Context, now time.Time, maxBytes int, want []store.Want) ([]store.Claimed, error) {
	claimed, err := w.Store.Claim(ctx, now, maxBytes, want)
	w.before("filling")
	return claimed, err
}

func (w watched) Bury(ctx context.Context, b store.Burial) ([]*store.Record, error) {
	w.before("bury")
	return w.Store.Bury(ctx, b)
}

// keep stores events for the lane that are due at that time, and returns their
// deliveries.
func (l *lane) keep(t *testing.T, due time.Time, hold ...bool) []*store.Held {
	t.Helper()
	var b store.Batch
	var kept []*store.Held
	for _, hold := range hold {
		ev := &store.Event{Type: "order.created", ContentType: "application/json", Payload: []byte("{}")}
		l.e.assignID(ev)
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
			l.noteStored(l.at(0))
			l.push(h)
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLane(t, store.Subscription{Ordered: true})
			first := l.keep(t, l.at(0), true)[0]
			second := l.keep(t, l.at(0), false)[0]
			l.e.store = watched{l.e.store, func(what string) {
				if what == "release" {
					l.e.claims.claim(t.Context(), []*lane{l})
				}
			}}
			give(l, first)
			l.e.claims.claim(t.Context(), []*lane{l})
			if !l.holds(first, second) {
				t.Error("what was given back came behind a later one, or not at all")
			}
		})
	}
}

// What looks as if it waited has just been published, and would go before what the
// lane holds.
func TestOrderedLaneTakesNothingAheadOfTime(t *testing.T) {
	l := newLane(t, store.Subscription{Ordered: true})
	l.keep(t, l.at(time.Millisecond), false)
	l.noteStored(l.at(time.Millisecond))
	l.scheduleAhead(l.at(0))
	l.e.claims.claim(t.Context(), []*lane{l})
	if l.queue.len() != 0 {
		t.Error("it has claimed what isn't due")
	}
}

// A push of what waits for a retry is not forgotten while the lane has it already, but
// no worker yet.
func TestPushOfWhatTheLaneHas(t *testing.T) {
	l := newLane(t, store.Subscription{Ordered: true})
	l.headDue = l.at(time.Hour)
	l.keep(t, l.at(0), false)
	l.probe()
	for range 2 {
		l.e.claims.claim(t.Context(), []*lane{l})
	}
	if l.take() == nil {
		t.Error("it waits for its retry")
	}
}

// Nor while a claim has found nothing behind what was tried the last.
func TestPushDuringAClaimAheadOfTime(t *testing.T) {
	l := newLane(t, store.Subscription{})
	h := l.keep(t, l.at(time.Hour), false)[0]
	l.noteStored(l.at(time.Hour))
	l.breaker.since = l.at(0)
	l.breaker.aheadAt, l.breaker.aheadCursor = l.at(0), store.Place{Due: l.at(time.Hour), ID: h.Delivery.ID}
	pushed := false
	l.e.store = watched{l.e.store, func(what string) {
		if what == "filling" && !pushed {
			pushed = true
			l.probe()
		}
	}}
	for range 3 {
		l.e.claims.claim(t.Context(), []*lane{l})
	}
	if !l.holds(h) {
		t.Error("the push is forgotten")
	}
}

// A claim gets all that its lane has been told of: what is left would be behind
// what is published next.
func TestClaimGetsWhatItsLaneWasTold(t *testing.T) {
	l := newLane(t, store.Subscription{Ordered: true})
	gone := &lane{e: l.e, key: 2, closed: true}
	l.noteStored(l.at(0))
	var told []*store.Held
	l.e.store = watched{l.e.store, func(what string) {
		if what != "bury" {
			return
		}
		l.e.clock.zero = l.at(time.Millisecond)
		told = l.keep(t, l.at(0), false)
		l.noteStored(l.at(0))
	}}
	l.e.claims.claim(t.Context(), []*lane{gone, l})
	if !l.holds(told...) {
		t.Errorf("it has claimed %d", l.queue.len())
	}
}

// A flush during a claim doesn't have the lane forget what comes later.
func TestLaneRemembersARetryThroughAFlush(t *testing.T) {
	l := newLane(t, store.Subscription{})
	l.keep(t, l.at(time.Hour), false)
	l.noteStored(l.at(0)) // something else, which is gone by now
	l.e.claims.due(l.e.now(), nil)
	l.e.store = watched{l.e.store, func(string) { l.flush() }}
	l.e.claims.claim(t.Context(), []*lane{l})
	if !l.alarm.set {
		t.Error("nobody looks for the retry in an hour")
	}
}

// What is redelivered while a claim is under way that has read it already goes by
// its new schedule, and the claim isn't for nothing: redeliveries may come all the
// time.
func TestRedeliverDuringAClaim(t *testing.T) {
	l := newLane(t, store.Subscription{})
	l.known(t)
	hs := l.keep(t, l.at(0), false, false)
	for _, h := range hs {
		l.commit(t, &store.Settlement{Delivery: h.Delivery.ID, Due: l.at(0), Attempt: &store.Attempt{ID: h.Delivery.ID, Number: 1, At: l.at(0)}})
	}
	l.noteStored(l.at(0))
	l.e.store = watched{l.e.store, func(what string) {
		if what != "filling" {
			return
		}
		if _, err := l.e.Redeliver(t.Context(), hs[0].Delivery.ID.With(store.DeliveryPrefix)); err != nil {
			t.Error(err)
		}
	}}
	l.e.claims.claim(t.Context(), []*lane{l})
	if !l.holds(hs...) {
		t.Fatalf("the lane has %d", l.queue.len())
	}
	if again, as := l.take(), l.take(); again.Round != 1 || as.Round != 0 {
		t.Errorf("their rounds began after %d and %d attempts", again.Round, as.Round)
	}
}

// It may be taken from the lane just then.
func TestRedeliverOfWhatIsTaken(t *testing.T) {
	l := newLane(t, store.Subscription{})
	h := l.keep(t, l.at(0), true)[0]
	h.Attempts = 3
	l.queue.push(h)
	l.beginRequeue(h.Delivery.ID)
	l.take()
	l.endRequeue(h.Delivery.ID)
	if !l.removeUnsettled(h) {
		t.Error("no attempt follows that goes by the new schedule")
	}
}

// The outcome of an attempt may be told when another one at the same delivery has
// begun, which can be redelivered too.
func TestRedeliverDuringTheSecondAttempt(t *testing.T) {
	l := newLane(t, store.Subscription{})
	h := l.keep(t, l.at(0), true)[0]
	second := *h
	l.queue.push(h)
	l.take()
	l.queue.push(&second) // it was redelivered, and claimed again
	l.take()
	if l.removeUnsettled(h) {
		t.Error("the first one is to be followed by another")
	}
	l.beginRequeue(h.Delivery.ID)
	if !l.removeUnsettled(&second) {
		t.Error("the redelivery is forgotten")
	}
}

// A pause by a rate that was lifted just then ends with it.
func TestRateIsLiftedWhileTheLaneLooks(t *testing.T) {
	l := newLane(t, store.Subscription{RateLimit: .001})
	for _, h := range l.keep(t, l.at(0), true, true) {
		l.queue.push(h)
	}
	l.take()
	_, until := l.next(l.e.now()) // what take does first
	free := *l.sub()
	free.RateLimit = 0
	l.setTarget(l.e.config.Load(), &free)
	l.unpause()
	l.startPause(until) // and then
	if l.notBefore.After(l.e.now()) {
		t.Errorf("it keeps still for %v", l.notBefore.Sub(l.e.now()))
	}
}

// Of two wishes of a receiver the longer one counts, whichever comes last.
func TestShorterWishComesLast(t *testing.T) {
	l := newLane(t, store.Subscription{RateLimit: 100})
	for _, wish := range []time.Duration{time.Hour, time.Second} {
		l.e.updateLane(l.e.config.Load(), l, l.target.Load(), &outcome{class: ClassStatus, retryAfter: wish})
	}
	l.unpause() // the rate was changed
	if !l.notBefore.Equal(l.at(time.Hour)) {
		t.Errorf("it keeps still for %v", l.notBefore.Sub(l.e.now()))
	}
}

// What the receiver wants that a subscription had before is nothing to the new one.
func TestWishOfAnotherReceiver(t *testing.T) {
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
			t.Errorf("it keeps still for %v, after %d failures", l.notBefore.Sub(l.e.now()), l.breaker.failures)
		}
	}
}

// What a receiver that is down can't have soon would take the memory of others.
func TestLaneThatGoesDownHoldsNothing(t *testing.T) {
	l := newLane(t, store.Subscription{})
	for _, h := range l.keep(t, l.at(0), true, true, true) {
		l.e.heldSize.Add(int64(weight(h.Event)))
		l.queue.push(h)
	}
	for range downAfter {
		l.e.updateLane(l.e.config.Load(), l, l.target.Load(), &outcome{class: ClassStatus})
	}
	if n, held := l.queue.len(), l.e.heldSize.Load(); n != 0 || held != 0 {
		t.Errorf("it holds %d deliveries of %d bytes", n, held)
	}
	claimed, err := l.e.store.Claim(t.Context(), l.e.now(), claimBytes, []store.Want{{Subscription: l.key, Limit: 3}})
	if err != nil || len(claimed[0].Deliveries) != 3 {
		t.Errorf("the store has %v, %v", claimed, err)
	}
}

// A failure was the last straw, and when the subscription is to be deactivated for it
// the receiver works again, or it has another one.
func TestDeactivatedForWhatIsNoMore(t *testing.T) {
	for name, change := range map[string]func(*lane, *store.Subscription){
		"works again":      func(l *lane, _ *store.Subscription) { l.breaker = breaker{} },
		"another receiver": func(_ *lane, failed *store.Subscription) { failed.URL = "https://before.example/" },
		"":                 func(*lane, *store.Subscription) {},
	} {
		l := newLane(t, store.Subscription{ID: "sub_1", EventTypes: []string{"*"}})
		l.known(t)
		c := l.e.config.Load()
		l.breaker.failures, l.breaker.since = c.DisableAfter.Failures, l.at(-c.DisableAfter.For)
		failed := *l.sub()
		change(l, &failed)
		l.e.disable(t.Context(), &failed, ReasonFailing, func() bool { return l.shouldDisable(c.DisableAfter) })
		if active := l.sub().Active; active != (name != "") {
			t.Errorf("%s: it is active: %v", name, active)
		}
	}
}

// known has the engine and its store know the lane's subscription.
func (l *lane) known(t *testing.T) {
	t.Helper()
	s := l.sub()
	l.e.lanes.index(l, nil, s)
	if err := l.e.store.CreateSubscription(t.Context(), s); err != nil {
		t.Fatal(err)
	}
}

func (l *lane) commit(t *testing.T, outcomes ...*store.Settlement) {
	t.Helper()
	if err := l.e.store.Commit(t.Context(), &store.Batch{Settlements: outcomes}); err != nil {
		t.Fatal(err)
	}
}
