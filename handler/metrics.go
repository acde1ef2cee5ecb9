package handler

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// engineMetrics are the collectors of the engine: made once, registered with
// each config's registry, so that a reload doesn't reset them. No label has
// a value that comes from outside.
var engineMetrics = struct {
	published   *prometheus.CounterVec
	publishTime prometheus.Histogram
	unjudged    prometheus.Counter
	attempts    *prometheus.CounterVec
	attemptTime prometheus.Histogram
	deliveries  *prometheus.CounterVec
	inFlight    prometheus.GaugeFunc
	full        prometheus.GaugeFunc
}{
	published: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "caddy_webhooks_events_published_total",
		Help: "Events by result: stored, unmatched (stored, and no subscription wants it), duplicate, refused (the publisher's fault) or failed (ours).",
	}, []string{"result"}),
	publishTime: prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "caddy_webhooks_publish_duration_seconds",
		Help:    "How long it took until an event was durable.",
		Buckets: prometheus.ExponentialBuckets(0.0005, 2, 13),
	}),
	unjudged: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "caddy_webhooks_deliveries_unjudged_total",
		Help: "Deliveries of events that the subscription's filter took too long to judge.",
	}),
	attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "caddy_webhooks_delivery_attempts_total",
		Help: "Attempts by outcome: ok, or the class of the failure.",
	}, []string{"outcome"}),
	attemptTime: prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "caddy_webhooks_delivery_attempt_duration_seconds",
		Help:    "How long receivers took to answer.",
		Buckets: prometheus.DefBuckets,
	}),
	deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "caddy_webhooks_deliveries_settled_total",
		Help: "Deliveries that came to an end, by state: delivered or dead.",
	}, []string{"state"}),
	inFlight: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "caddy_webhooks_delivery_attempts_in_flight",
		Help: "Attempts that are under way.",
	}, func() float64 {
		n := 0
		for _, e := range openEngines() {
			n += e.InFlight()
		}
		return float64(n)
	}),
	full: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "caddy_webhooks_store_full",
		Help: "Stores that have no room, so that events are refused.",
	}, func() float64 {
		n := 0
		for _, e := range openEngines() {
			if e.Full() {
				n++
			}
		}
		return float64(n)
	}),
}

// A rise from nothing is none to Prometheus, so that the first dead letter would
// wake nobody: what alerts ask for starts at 0.
func init() {
	for _, s := range []store.State{store.Delivered, store.Dead} {
		engineMetrics.deliveries.WithLabelValues(s.String())
	}
}

// registerEngineMetrics makes the collectors show in a config's registry.
func registerEngineMetrics(r *prometheus.Registry) error {
	return register(r, engineMetrics.published, engineMetrics.publishTime, engineMetrics.unjudged,
		engineMetrics.attempts, engineMetrics.attemptTime, engineMetrics.deliveries, engineMetrics.inFlight, engineMetrics.full, queueGauges, storeDamage)
}

// register tolerates that several handlers of a config bring the same
// collectors.
func register(r *prometheus.Registry, cs ...prometheus.Collector) error {
	for _, c := range cs {
		var already prometheus.AlreadyRegisteredError
		if err := r.Register(c); err != nil && !errors.As(err, &already) {
			return fmt.Errorf("registering metrics: %w", err)
		}
	}
	return nil
}
