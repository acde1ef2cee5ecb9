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

// notices tells metrics and Caddy's events what the engine does. Caddy's
// events run their handlers one after another, so they are emitted by a
// goroutine of their own and never hold up a delivery.
type notices struct {
	ctx    caddy.Context
	events *caddyevents.App
	logger *slog.Logger
	dead   *deadLog

	dropped atomic.Int64   // events, since the log was told
	drops   rate.Sometimes // bounds what it is told

	queue   chan notice
	done    chan struct{}
	running sync.WaitGroup
}

// notice is one Caddy event.
type notice struct {
	name string
	data map[string]any
}

// noticeQueue is how many may wait; more are dropped, with a word in the log.
const noticeQueue = 256

// noticeFinish is how long handlers may take for those that wait at the end.
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

// finish emits what waits, for as long as a reload or a stop may take for it.
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

// stop ends Caddy's events, whose handlers end with the config.
func (n *notices) stop() {
	close(n.done)
	n.running.Wait()
	n.dead.flush()
	n.tellDropped()
}

func (n *notices) emit(name string, data map[string]any) {
	select {
	case n.queue <- notice{name, data}:
	default:
		n.dropped.Add(1)
		n.drops.Do(n.tellDropped)
	}
}

// tellDropped says how many events were dropped, if any were.
func (n *notices) tellDropped() {
	if dropped := n.dropped.Swap(0); dropped > 0 {
		n.logger.Warn("events were dropped: their handlers are too slow", "events", dropped)
	}
}

// PublishDone counts an event, and how long it took if it is stored.
func (n *notices) PublishDone(result string, took time.Duration) {
	engineMetrics.published.WithLabelValues(result).Inc()
	if result != "refused" && result != "failed" {
		engineMetrics.publishTime.Observe(took.Seconds())
	}
}

// Unjudged counts a delivery of an event that a filter took too long to judge.
func (n *notices) Unjudged() { engineMetrics.unjudged.Inc() }

// AttemptDone counts an attempt, and tells of a dead letter.
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

// Buried counts dead letters that nobody tried to deliver any more, and tells of
// them.
func (n *notices) Buried(deliveries []*outbound.Record) {
	engineMetrics.deliveries.WithLabelValues(store.Dead.String()).Add(float64(len(deliveries)))
	for _, r := range deliveries {
		n.dead.write(r)
	}
}

// Operational emits a Caddy event, named as Caddy's own are: that of
// webhooks.delivery.dead is delivery_dead.
func (n *notices) Operational(o *outbound.OperationalEvent) {
	name := strings.TrimPrefix(o.Type, store.OperationalPrefix)
	n.emit(strings.ReplaceAll(name, ".", "_"), o.Data)
}

var _ outbound.Observer = (*notices)(nil)
