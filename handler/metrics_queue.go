package handler

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

// queueCollector reports what alerts are based on: how much is waiting, how much
// has failed for good, and the health of the receivers. It asks the engines when
// it is scraped.
type queueCollector struct {
	pending, oldest, dead, subscriptions, nodes *prometheus.Desc

	mu   sync.Mutex
	last queueFigures
}

// queueFigures are the totals of all engines.
type queueFigures struct {
	known         bool // false if a store couldn't be read, or none is open
	pending, dead int64
	oldest        time.Duration // how long the oldest due delivery has been due; 0 if none is
	healths       map[string]int64
	nodes         map[string]int64
	at            time.Time     // when they were counted
	took          time.Duration // how long that took
}

var queueGauges = &queueCollector{
	pending: prometheus.NewDesc("caddy_webhooks_deliveries_pending",
		"Deliveries that are waiting for an attempt or in flight.", nil, nil),
	oldest: prometheus.NewDesc("caddy_webhooks_deliveries_oldest_due_seconds",
		"How long the oldest delivery that is due has been waiting; 0 if none is due. Deliveries to inactive subscriptions are not counted.", nil, nil),
	dead: prometheus.NewDesc("caddy_webhooks_dead_letters",
		"Dead letters in the store.", nil, nil),
	subscriptions: prometheus.NewDesc("caddy_webhooks_subscriptions",
		"Subscriptions by health: ok, failing, down, paused or inactive.", []string{"health"}, nil),
	nodes: prometheus.NewDesc("caddy_webhooks_store_nodes",
		"Nodes that share the store, by state: live, or lapsed if they have not been heard from.", []string{"state"}, nil),
}

// The states of nodes.
const (
	nodeLive   = "live"
	nodeLapsed = "lapsed"
)

const (
	// scrapeTimeout is how long the stores may take to answer a scrape.
	scrapeTimeout = 5 * time.Second
	// Counting millions of deliveries is slow. If it took longer than slowFigures,
	// the figures are reused for keepFigures times as long as it took, so that
	// scrapes take no more than a twentieth of a core.
	slowFigures = 50 * time.Millisecond
	keepFigures = 20
)

// Describe implements prometheus.Collector.
func (q *queueCollector) Describe(to chan<- *prometheus.Desc) {
	to <- q.pending
	to <- q.oldest
	to <- q.dead
	to <- q.subscriptions
	to <- q.nodes
}

// Collect implements prometheus.Collector. While a store is being opened or can't
// be read, there are no figures, since wrong ones would be worse.
func (q *queueCollector) Collect(to chan<- prometheus.Metric) {
	f := q.figures()
	if !f.known {
		return
	}
	to <- gauge(q.pending, float64(f.pending))
	to <- gauge(q.oldest, f.oldest.Seconds())
	to <- gauge(q.dead, float64(f.dead))
	for health, n := range f.healths {
		to <- gauge(q.subscriptions, float64(n), health)
	}
	for state, n := range f.nodes {
		to <- gauge(q.nodes, float64(n), state)
	}
}

func gauge(d *prometheus.Desc, value float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}

// figures returns the current figures, or the last ones if those took long.
func (q *queueCollector) figures() queueFigures {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.last.known || q.last.took < slowFigures || time.Since(q.last.at) > keepFigures*q.last.took {
		q.last = countQueue()
	}
	return q.last
}

// countQueue asks all engines for their figures.
func countQueue() queueFigures {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	engines := openEngines()
	f := queueFigures{known: len(engines) > 0, at: time.Now(), healths: map[string]int64{
		outbound.HealthOK: 0, outbound.HealthFailing: 0, outbound.HealthDown: 0, outbound.HealthPaused: 0, outbound.HealthInactive: 0,
	}}
	for _, e := range engines {
		s, err := e.Status(ctx)
		if err != nil && !slices.Contains(openEngines(), e) {
			continue // it was closed meanwhile
		}
		if f.known = err == nil; !f.known {
			break
		}
		f.pending += s.Store.Pending
		f.dead += s.Store.Dead
		if !s.OldestDue.IsZero() {
			f.oldest = max(f.oldest, f.at.Sub(s.OldestDue))
		}
		for _, sub := range s.Subscriptions {
			f.healths[sub.Health]++
		}
		for _, n := range s.Nodes {
			if f.nodes == nil {
				f.nodes = map[string]int64{nodeLive: 0, nodeLapsed: 0}
			}
			state := nodeLive
			if n.Lapsed {
				state = nodeLapsed
			}
			f.nodes[state]++
		}
	}
	f.took = time.Since(f.at)
	return f
}
