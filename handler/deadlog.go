package handler

import (
	"log/slog"
	"sync"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// deadLog writes that deliveries are dead letters: of each subscription the
// first one at once, and how many followed it every so often until none does. A
// receiver that was down for days leaves all that waited for it dead within
// minutes, and a line for each would fill the log. The store and the metrics
// have them all.
type deadLog struct {
	logger *slog.Logger
	mu     sync.Mutex
	bursts map[store.ID]*burst // by the subscription's key; gone when they are over
}

// burst is what followed the last line of a subscription.
type burst struct {
	subscription string
	more         int
	delivery     string // the last one
	class        string
	reason       string
	timer        *time.Timer // for the next line
}

// deadLogEvery is how long a subscription's next line waits.
const deadLogEvery = 10 * time.Second

func newDeadLog(logger *slog.Logger) *deadLog {
	return &deadLog{logger: logger, bursts: map[store.ID]*burst{}}
}

// write writes a line, unless it is to be counted in a later one.
func (l *deadLog) write(r *outbound.Record) {
	var class string
	if r.Last != nil {
		class = r.Last.Class
	}
	delivery := r.ID.With(store.DeliveryPrefix)
	if l.follows(r, delivery, class) {
		return
	}
	l.logger.Warn("a delivery is a dead letter",
		"delivery_id", delivery, "event_id", r.EventID, "event_type", r.EventType,
		outbound.Named(r.SubscriptionID, r.Tenant), "attempts", r.Attempts, "class", class, "reason", r.Reason)
}

// follows counts a dead letter in the burst of its subscription, and reports
// whether there was one.
func (l *deadLog) follows(r *outbound.Record, delivery, class string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := r.Subscription
	if b := l.bursts[key]; b != nil {
		b.more++
		b.delivery, b.class, b.reason = delivery, class, r.Reason
		return true
	}
	b := &burst{subscription: r.SubscriptionID}
	b.timer = time.AfterFunc(deadLogEvery, func() { l.tell(key) })
	l.bursts[key] = b
	return false
}

// tell says what has followed the last line, and ends a burst when nothing has.
func (l *deadLog) tell(subscription store.ID) {
	l.mu.Lock()
	b := l.bursts[subscription]
	if b == nil || b.more == 0 {
		delete(l.bursts, subscription)
		l.mu.Unlock()
		return
	}
	told := *b
	b.more = 0
	b.timer.Reset(deadLogEvery)
	l.mu.Unlock()
	l.say(&told)
}

// flush says what has not been said yet.
func (l *deadLog) flush() {
	l.mu.Lock()
	bursts := l.bursts
	l.bursts = map[store.ID]*burst{}
	l.mu.Unlock()
	for _, b := range bursts {
		b.timer.Stop()
		if b.more > 0 {
			l.say(b)
		}
	}
}

func (l *deadLog) say(b *burst) {
	l.logger.Warn("more deliveries are dead letters",
		"subscription_id", b.subscription, "dead_letters", b.more,
		"last_delivery_id", b.delivery, "class", b.class, "reason", b.reason)
}
