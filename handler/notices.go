package handler

import (
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"golang.org/x/time/rate"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// notices is the engine's observer: it counts what the engine does, logs dead
// letters and emits Caddy events. Since emitting an event waits for its handlers,
// that is done by a goroutine, and never delays a delivery.
type notices struct {
	ctx    caddy.Context
	events *caddyevents.App
	logger *slog.Logger
	dead   *deadLog

	dropped atomic.Int64   // events that were dropped and not logged yet
	drops   rate.Sometimes // limits how often they are logged

	queue   chan notice
	done    chan struct{}
	running sync.WaitGroup
}

// notice is one Caddy event.
type notice struct {
	name string
	data map[string]any
}

// noticeQueue is how many events may wait for their handlers. More are dropped,
// which is logged.
const noticeQueue = 256

// noticeFinish is how long the handlers of waiting events may delay a reload or a
// stop.
const noticeFinish = time.Second

func newNotices(ctx caddy.Context, events *caddyevents.App, logger *slog.Logger) *notices {
	return &notices{
		ctx: ctx, events: events, logger: logger, dead: newDeadLog(logger), drops: rate.Sometimes{Interval: 10 * time.Second},
		queue: make(chan notice, noticeQueue), done: make(chan struct{}),
	}
}

func (n *notices) start() {
	n.running.Go(func() {
		for {
			select {
			case e := <-n.queue:
				n.events.Emit(n.ctx, e.name, e.data)
			case <-n.done:
				n.finish()
				return
			}
		}
	})
}

// finish emits the waiting events until noticeFinish has passed, and drops the
// rest.
func (n *notices) finish() {
	for began := time.Now(); len(n.queue) > 0; {
		e := <-n.queue
		if time.Since(began) > noticeFinish {
			n.dropped.Add(1)
			continue
		}
		n.events.Emit(n.ctx, e.name, e.data)
	}
}

// stop ends the goroutine, since the handlers of the events end with the config.
func (n *notices) stop() {
	close(n.done)
	n.running.Wait()
	n.dead.flush()
	n.logDropped()
}

// emit queues an event without blocking.
func (n *notices) emit(name string, data map[string]any) {
	select {
	case n.queue <- notice{name, data}:
	default:
		n.dropped.Add(1)
		n.drops.Do(n.logDropped)
	}
}

// logDropped logs how many events were dropped, if any.
func (n *notices) logDropped() {
	if dropped := n.dropped.Swap(0); dropped > 0 {
		n.logger.Warn("events were dropped: their handlers are too slow", "events", dropped)
	}
}

// PublishDone counts a published event and, if it is stored, observes how long
// that took.
func (n *notices) PublishDone(result string, took time.Duration) {
	engineMetrics.published.WithLabelValues(result).Inc()
	if result != "refused" && result != "failed" {
		engineMetrics.publishTime.Observe(took.Seconds())
	}
}

// Unjudged counts a delivery of an event for which the subscription's filter took
// too long.
func (n *notices) Unjudged() { engineMetrics.unjudged.Inc() }

// AttemptDone counts an attempt, and logs the dead letter if it made one.
func (n *notices) AttemptDone(a *outbound.AttemptDone) {
	outcome := a.Attempt.Class
	if outcome == "" {
		outcome = "ok"
	}
	engineMetrics.attempts.WithLabelValues(outcome).Inc()
	engineMetrics.attemptTime.Observe(a.Attempt.Latency.Seconds())
	if a.State == store.Pending {
		return
	}
	engineMetrics.deliveries.WithLabelValues(a.State.String()).Inc()
	if a.State == store.Dead {
		n.dead.write(a.Record())
	}
}

// Buried counts and logs deliveries that became dead letters without another
// attempt.
func (n *notices) Buried(deliveries []*outbound.Record) {
	engineMetrics.deliveries.WithLabelValues(store.Dead.String()).Add(float64(len(deliveries)))
	for _, r := range deliveries {
		n.dead.write(r)
	}
}

// Operational emits an operational event as a Caddy event, whose name follows
// Caddy's convention: webhooks.delivery.dead becomes delivery_dead.
func (n *notices) Operational(o *outbound.OperationalEvent) {
	name := strings.TrimPrefix(o.Type, store.OperationalPrefix)
	n.emit(strings.ReplaceAll(name, ".", "_"), o.Data)
}

var _ outbound.Observer = (*notices)(nil)
