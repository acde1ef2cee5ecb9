package handler

import (
	"log/slog"
	"sync"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// deadLog logs dead letters: the first one of each subscription at once, and then
// at intervals how many have followed, until none does. When a receiver has been
// down for days, all deliveries that waited for it become dead letters within
// minutes, and an entry for each would fill the log. The store and the metrics have
// them all.
type deadLog struct {
	logger *slog.Logger
	mu     sync.Mutex
	bursts map[store.ID]*burst // by the subscription's key; removed when they end
}

// burst is what has followed the last log entry of a subscription.
type burst struct {
	subscription string
	more         int
	delivery     string // the last one, like class and reason
	class        string
	reason       string
	timer        *time.Timer // until the next entry
}

// deadLogInterval is the time between two log entries of a subscription.
const deadLogInterval = 10 * time.Second

func newDeadLog(logger *slog.Logger) *deadLog {
	return &deadLog{logger: logger, bursts: map[store.ID]*burst{}}
}

// write logs a dead letter, or counts it for the next entry of its subscription.
func (l *deadLog) write(r *outbound.Record) {
	var class string
	if r.Last != nil {
		class = r.Last.Class
	}
	delivery := r.ID.With(store.DeliveryPrefix)
	if l.addToBurst(r, delivery, class) {
		return
	}
	l.logger.Warn("a delivery is a dead letter",
		"delivery_id", delivery, "event_id", r.EventID, "event_type", r.EventType,
		outbound.Named(r.SubscriptionID, r.Tenant), "attempts", r.Attempts, "class", class, "reason", r.Reason)
}

// addToBurst counts a dead letter in the burst of its subscription. If there is
// none, it begins one and returns false.
func (l *deadLog) addToBurst(r *outbound.Record, delivery, class string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := r.Subscription
	if b := l.bursts[key]; b != nil {
		b.more++
		b.delivery, b.class, b.reason = delivery, class, r.Reason
		return true
	}
	b := &burst{subscription: r.SubscriptionID}
	b.timer = time.AfterFunc(deadLogInterval, func() { l.tick(key) })
	l.bursts[key] = b
	return false
}

// tick logs what has followed the last entry, and ends the burst if nothing has.
func (l *deadLog) tick(subscription store.ID) {
	l.mu.Lock()
	b := l.bursts[subscription]
	if b == nil || b.more == 0 {
		delete(l.bursts, subscription)
		l.mu.Unlock()
		return
	}
	finished := *b
	b.more = 0
	b.timer.Reset(deadLogInterval)
	l.mu.Unlock()
	l.log(&finished)
}

// flush logs what has not been logged yet, and ends all bursts.
func (l *deadLog) flush() {
	l.mu.Lock()
	bursts := l.bursts
	l.bursts = map[store.ID]*burst{}
	l.mu.Unlock()
	for _, b := range bursts {
		b.timer.Stop()
		if b.more > 0 {
			l.log(b)
		}
	}
}

func (l *deadLog) log(b *burst) {
	l.logger.Warn("more deliveries are dead letters",
		"subscription_id", b.subscription, "dead_letters", b.more,
		"last_delivery_id", b.delivery, "class", b.class, "reason", b.reason)
}
