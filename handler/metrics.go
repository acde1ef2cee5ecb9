package handler

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// engineMetrics are the engine's collectors. They are created once and registered
// with each config's registry, so that a reload doesn't reset them. The values of
// all labels are from fixed lists, never from outside.
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
		Help: "Published events by result: stored, unmatched (stored, but without a matching subscription), duplicate, refused (the publisher's fault) or failed (the server's).",
	}, []string{"result"}),
	publishTime: prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "caddy_webhooks_publish_duration_seconds",
		Help:    "How long it took to store an event durably.",
		Buckets: prometheus.ExponentialBuckets(0.0005, 2, 13),
	}),
	unjudged: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "caddy_webhooks_deliveries_unjudged_total",
		Help: "Deliveries of events for which the subscription's filter took too long to evaluate.",
	}),
	attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "caddy_webhooks_delivery_attempts_total",
		Help: "Delivery attempts by outcome: ok, or the class of the failure.",
	}, []string{"outcome"}),
	attemptTime: prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "caddy_webhooks_delivery_attempt_duration_seconds",
		Help:    "How long receivers took to respond.",
		Buckets: prometheus.DefBuckets,
	}),
	deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "caddy_webhooks_deliveries_settled_total",
		Help: "Deliveries that have ended, by state: delivered or dead.",
	}, []string{"state"}),
	inFlight: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "caddy_webhooks_delivery_attempts_in_flight",
		Help: "Delivery attempts in flight.",
	}, func() float64 {
		n := 0
		for _, e := range openEngines() {
			n += e.InFlight()
		}
		return float64(n)
	}),
	full: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "caddy_webhooks_store_full",
		Help: "Stores that are full, so that events are refused.",
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

// To Prometheus, a counter that appears with the value 1 has not increased, so the
// first dead letter would trigger no alert. Therefore these counters start at 0.
func init() {
	for _, s := range []store.State{store.Delivered, store.Dead} {
		engineMetrics.deliveries.WithLabelValues(s.String())
	}
}

// registerEngineMetrics registers the engine's collectors with a config's registry.
func registerEngineMetrics(r *prometheus.Registry) error {
	return register(r, engineMetrics.published, engineMetrics.publishTime, engineMetrics.unjudged,
		engineMetrics.attempts, engineMetrics.attemptTime, engineMetrics.deliveries, engineMetrics.inFlight, engineMetrics.full, queueGauges, storeDamage)
}

// register registers collectors, unless they are registered already: several
// handlers of a config share them. Modules call it before anything else in Provision:
// after a reload that fails, Caddy's admin endpoint serves the new config's registry.
func register(r *prometheus.Registry, cs ...prometheus.Collector) error {
	for _, c := range cs {
		var already prometheus.AlreadyRegisteredError
		if err := r.Register(c); err != nil && !errors.As(err, &already) {
			return fmt.Errorf("registering metrics: %w", err)
		}
	}
	return nil
}
