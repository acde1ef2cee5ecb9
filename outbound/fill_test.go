package outbound

import (
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// never stands for no time in the tables of these tests.
const never = -24 * time.Hour

// atOrZero returns the time d from now, or the zero time for never.
func (l *lane) atOrZero(d time.Duration) time.Time {
	if d == never {
		return time.Time{}
	}
	return l.at(d)
}

// holdSome puts n deliveries into the lane that no store has.
func (l *lane) holdSome(n int) {
	for range n {
		l.queue.push(&store.Held{Event: &store.Event{}})
	}
}

// A lane claims as many deliveries as it has room for, if something is due. Otherwise it
// says when to ask it again.
func TestHowMuchALaneClaims(t *testing.T) {
	for name, c := range map[string]struct {
		state func(*lane)
		tight bool
		want  int
		again time.Duration
	}{
		"nothing waits":                {func(l *lane) { l.backlog = false }, false, 0, never},
		"nothing held":                 {func(*lane) {}, false, laneRoom, never},
		"some held":                    {func(l *lane) { l.holdSome(2); l.reserved = 3 }, false, laneRoom - 5, never},
		"full":                         {func(l *lane) { l.holdSome(laneRoom - 1); l.reserved = 1 }, false, 0, never},
		"over full":                    {func(l *lane) { l.holdSome(downRoom + 1); l.breaker.failures = downAfter }, false, 0, never},
		"little memory, nothing held":  {func(*lane) {}, true, laneRoom, never},
		"little memory, some held":     {func(l *lane) { l.holdSome(1) }, true, 0, memoryPause},
		"little memory, some reserved": {func(l *lane) { l.reserved = 1 }, true, 0, memoryPause},
		"paused":                       {func(l *lane) { l.notBefore = l.at(time.Minute) }, false, 0, time.Minute},
		"inactive":                     {deactivate, false, 0, never},
		"draining":                     {func(l *lane) { l.e.dispatch.halt() }, false, 0, never},
		"a retry is due":               {func(l *lane) { l.backlog, l.nextDue = false, l.at(0) }, false, laneRoom, never},
		"two retries are due later":    {func(l *lane) { l.backlog = false; l.noteStored(l.at(time.Minute)); l.noteStored(l.at(time.Hour)) }, false, 0, time.Minute},
		"a retry is due later":         {waitForRetry, false, 0, time.Hour},
		"... and one is made after":    {func(l *lane) { waitForRetry(l); l.breaker.aheadAt = l.at(2 * time.Hour) }, false, 0, time.Hour},
		"... and one is made before":   {func(l *lane) { waitForRetry(l); l.breaker.aheadAt = l.at(time.Minute) }, false, 0, time.Minute},
		"... and one is made now":      {func(l *lane) { waitForRetry(l); l.breaker.aheadAt, l.breaker.since = l.at(0), l.at(0) }, false, 1, never},
		"... the receiver is back":     {func(l *lane) { waitForRetry(l); l.breaker.aheadAt = l.at(0); l.holdSome(2); l.running = 3 }, false, 16 - 5, never},
		"... but has much to do":       {func(l *lane) { waitForRetry(l); l.breaker.aheadAt = l.at(0); l.running = 16 }, false, 1, never},
	} {
		l := newLane(t, store.Subscription{})
		l.backlog = true
		c.state(l)
		n, _, again := l.claimSize(c.tight)
		if n != c.want || !again.Equal(l.atOrZero(c.again)) {
			t.Errorf("%s: got claim size %d, again at %v, want %d, %v", name, n, again, c.want, l.atOrZero(c.again))
		}
	}
}

// waitForRetry makes the lane know of a delivery in the store that is due in an hour.
func waitForRetry(l *lane) { l.backlog, l.nextDue = false, l.at(time.Hour) }

// A lane claims what was stored when it is due, or ahead of schedule if that is planned
// before.
func TestWhenALaneClaimsWhatIsStored(t *testing.T) {
	for _, c := range []struct{ due, ahead, want time.Duration }{
		{time.Minute, never, time.Minute}, {time.Minute, time.Hour, time.Minute}, {time.Hour, time.Minute, time.Minute}, {-time.Hour, time.Minute, -time.Hour},
	} {
		l := newLane(t, store.Subscription{})
		l.breaker.aheadAt = l.atOrZero(c.ahead)
		l.noteStored(l.at(c.due))
		if !l.alarm.set || !l.alarm.at.Equal(l.at(c.want)) {
			t.Errorf("due in %v, the next ahead of schedule in %v: got alarm %+v, want it in %v", c.due, c.ahead, l.alarm, c.want)
		}
	}
}

// After a claim, a lane knows what the store still has for it, and when to claim that.
func TestWhatALaneKnowsAfterAClaim(t *testing.T) {
	for name, c := range map[string]struct {
		claimed int
		next    time.Duration // when the first of the rest is due
		stored  time.Duration // when one is due that was stored during the claim
		backlog bool
		nextDue time.Duration
		claims  time.Duration // when the lane claims again
	}{
		"nothing is left":                     {2, never, never, false, never, never},
		"a retry is left":                     {2, time.Minute, never, false, time.Minute, time.Minute},
		"more is due":                         {2, -time.Second, never, true, never, 0},
		"more is due, but the lane has some":  {laneLow + 1, -time.Second, never, true, never, never},
		"another node claims them":            {0, -time.Second, never, true, never, storeRetryDelay},
		"one was stored":                      {2, never, time.Minute, true, time.Minute, 0},
		"nothing was claimed, one was stored": {0, never, time.Minute, true, time.Minute, 0},
		"one was stored, to be sent later":    {2, time.Second, time.Minute, true, time.Second, 0},
	} {
		l := newLane(t, store.Subscription{})
		l.backlog = true
		n, ticket, _ := l.claimSize(false)
		if n < c.claimed {
			t.Fatalf("%s: got claim size %d", name, n)
		}
		if c.stored != never {
			l.noteStored(l.at(c.stored))
		}
		hs := make([]*store.Held, c.claimed)
		for i := range hs {
			hs[i] = &store.Held{Event: &store.Event{}}
		}
		l.fill(store.Claimed{Deliveries: hs, Next: l.atOrZero(c.next)}, ticket, l.at(0), storeRetryDelay)
		if l.queue.len() != c.claimed || l.backlog != c.backlog || !l.nextDue.Equal(l.atOrZero(c.nextDue)) {
			t.Errorf("%s: got %d held, backlog %v, the next due at %v, want %d, %v, %v",
				name, l.queue.len(), l.backlog, l.nextDue, c.claimed, c.backlog, l.atOrZero(c.nextDue))
		}
		if !l.alarm.at.Equal(l.atOrZero(c.claims)) || l.alarm.set != (c.claims != never) {
			t.Errorf("%s: got alarm %+v, want it at %v", name, l.alarm, l.atOrZero(c.claims))
		}
	}
}

// A lane claims more of a backlog when it runs low, or is empty, and not each time that an
// attempt begins or ends.
func TestLaneThatRunsLowClaims(t *testing.T) {
	for name, c := range map[string]struct {
		held         int
		backlog      bool
		begins, ends bool // whether it claims when an attempt begins, and when it has ended
	}{
		"enough":            {laneLow + 2, true, false, false},
		"low":               {laneLow + 1, true, true, true},
		"almost empty":      {2, true, false, false},
		"empty":             {1, true, false, true},
		"empty, no backlog": {1, false, false, false},
	} {
		l := newLane(t, store.Subscription{})
		l.holdSome(c.held)
		l.backlog = c.backlog
		l.take()
		begins := l.alarm.set
		l.attemptDone(0, 0)
		if ends := l.alarm.set; begins != c.begins || ends != c.ends {
			t.Errorf("%s: got a claim when an attempt begins %v, when it has ended %v, want %v, %v", name, begins, ends, c.begins, c.ends)
		}
	}
}

// A full lane remembers that a retry came up, and claims it when it has room.
func TestFullLaneRemembersARetry(t *testing.T) {
	l := newLane(t, store.Subscription{})
	l.nextDue = l.at(0)
	l.reserved = laneRoom
	if n, _, _ := l.claimSize(false); n != 0 {
		t.Fatalf("got claim size %d, want 0", n)
	}
	l.unreserve(0)
	if !l.alarm.set {
		t.Error("no claim is scheduled for the retry")
	}
}

// Once nothing waits for a retry, neither in the store nor in the lane, no attempt is made
// ahead of schedule any more. One planned earlier would be made at whatever is retried next.
func TestNothingLeftToAttemptAheadOfSchedule(t *testing.T) {
	h := &store.Held{Event: &store.Event{}}
	for name, c := range map[string]struct {
		state func(*lane)
		stays bool
	}{
		"nothing waits":        {func(*lane) {}, false},
		"an attempt":           {func(l *lane) { l.unsettled = map[*store.Held]*unsettledAttempt{h: {}} }, true},
		"held by the lane":     {func(l *lane) { l.queue.push(h) }, true},
		"on its way back":      {func(l *lane) { l.startRelease(h) }, true},
		"a retry in the store": {waitForRetry, true},
	} {
		l := newLane(t, store.Subscription{})
		l.breaker.aheadAt, l.headDue = l.at(time.Minute), l.at(time.Hour)
		c.state(l)
		l.claimSize(false)
		if stays := !l.breaker.aheadAt.IsZero(); stays != c.stays || l.headDue.IsZero() == stays {
			t.Errorf("%s: got the attempt still planned %v, and a retry of the first at %v, want both %v", name, stays, l.headDue, c.stays)
		}
	}
}

// When memory is tight, a claim reads no more than fits.
func TestClaimWhenMemoryIsTight(t *testing.T) {
	l := newLane(t, store.Subscription{})
	l.storeEvents(t, l.at(0), make([]bool, 100)...)
	l.noteStored(l.at(0))
	l.e.heldSize.Store(heldLimit - 50)
	l.e.claims.claim(t.Context(), []*lane{l})
	if n := l.queue.len(); n == 0 || n > 50 {
		t.Errorf("got %d claimed, want 1 to 50", n)
	}
}

// What waits for a deleted subscription is claimed at once, to become a dead letter, even
// if it is due later. Then the lane is left alone.
func TestLaneOfADeletedSubscriptionClaimsAtOnce(t *testing.T) {
	l := newLane(t, store.Subscription{})
	l.register(t)
	if err := l.e.DeleteSubscription(t.Context(), l.sub().ID); err != nil {
		t.Fatal(err)
	}
	l.storeEvents(t, l.at(time.Hour), make([]bool, changeBatch+1)...)
	l.e.claims.due(l.e.now(), nil)
	l.noteStored(l.at(time.Hour))
	for _, want := range []int{changeBatch, changeBatch + 1} {
		lanes, _ := l.e.claims.due(l.e.now(), nil)
		l.e.claims.claim(t.Context(), lanes)
		dead, err := l.e.store.Deliveries(t.Context(), store.Query{States: []store.State{store.Dead}})
		if err != nil || len(dead) != want {
			t.Errorf("got %d dead letters, %v, want %d", len(dead), err, want)
		}
	}
	if l.alarm.set {
		t.Error("another claim is scheduled")
	}
}

// So does what the lane holds when its subscription is deleted.
func TestLaneOfADeletedSubscriptionHoldsNothing(t *testing.T) {
	l := newLane(t, store.Subscription{})
	l.register(t)
	l.queue.push(l.storeEvents(t, l.at(0), true)[0])
	must.Do(t, l.e.DeleteSubscription(t.Context(), l.sub().ID))
	l.e.claims.claim(t.Context(), []*lane{l})
	dead, err := l.e.store.Deliveries(t.Context(), store.Query{States: []store.State{store.Dead}})
	if err != nil || len(dead) != 1 {
		t.Errorf("got %d dead letters, %v, want 1", len(dead), err)
	}
}

// One claim fills claimLanes lanes at most. The others follow at once.
func TestFewLanesClaimTogether(t *testing.T) {
	l := newLane(t, store.Subscription{})
	c := &l.e.claims
	for range claimLanes + 1 {
		c.schedule(&lane{e: l.e}, l.at(0))
	}
	for _, want := range []int{claimLanes, 1} {
		lanes, again := c.due(l.e.now(), nil)
		if len(lanes) != want {
			t.Errorf("got %d lanes at once, want %d", len(lanes), want)
		}
		if left := want != 1; left != !again.After(l.at(0)) {
			t.Errorf("after %d lanes: the next look is at %v", want, again)
		}
	}
}
