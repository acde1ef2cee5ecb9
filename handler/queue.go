package handler

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

// queue tells how much waits, how much was given up, and how the receivers
// fare: what an alert is made of. It asks the engines when it is scraped.
type queue struct{ pending, dead, subscriptions *prometheus.Desc }

var queueGauges prometheus.Collector = queue{
	pending: prometheus.NewDesc("caddy_webhooks_deliveries_pending",
		"Deliveries that wait for an attempt or are under way.", nil, nil),
	dead: prometheus.NewDesc("caddy_webhooks_dead_letters",
		"Dead letters in the store.", nil, nil),
	subscriptions: prometheus.NewDesc("caddy_webhooks_subscriptions",
		"Subscriptions by health: ok, failing, down, paused or inactive.", []string{"health"}, nil),
}

// scrapeTime bounds what is asked of a store for one scrape.
const scrapeTime = 5 * time.Second

// Describe implements prometheus.Collector.
func (q queue) Describe(to chan<- *prometheus.Desc) {
	to <- q.pending
	to <- q.dead
	to <- q.subscriptions
}

// Collect implements prometheus.Collector. While a store can't be read, the
// figures are left out: a wrong one is worse than none.
func (q queue) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTime)
	defer cancel()
	var pending, dead int64
	healths := map[string]int64{
		outbound.HealthOK: 0, outbound.HealthFailing: 0, outbound.HealthDown: 0, outbound.HealthPaused: 0, outbound.HealthInactive: 0,
	}
	readable := true
	engines.Range(func(_, v any) bool {
		s, err := v.(*engine).Status(ctx)
		if err != nil {
			readable = false
			return false
		}
		pending += s.Store.Pending
		dead += s.Store.Dead
		for _, sub := range s.Subscriptions {
			healths[sub.Health]++
		}
		return true
	})
	if !readable {
		return
	}
	gauge := func(d *prometheus.Desc, n int64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), labels...)
	}
	gauge(q.pending, pending)
	gauge(q.dead, dead)
	for health, n := range healths {
		gauge(q.subscriptions, n, health)
	}
}
