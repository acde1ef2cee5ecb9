package handler

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

// queue tells how much waits, how much was given up, and how the receivers
// fare: what an alert is made of. It asks the engines when it is scraped.
type queue struct {
	pending, oldest, dead, subscriptions, nodes *prometheus.Desc

	mu   sync.Mutex
	last queueFigures
}

// queueFigures are those of all engines together.
type queueFigures struct {
	known         bool // else a store couldn't be read
	pending, dead int64
	oldest        time.Duration // since the first of what is due was, 0 where nothing is
	healths       map[string]int64
	nodes         map[string]int64
	at            time.Time
	took          time.Duration
}

var queueGauges = &queue{
	pending: prometheus.NewDesc("caddy_webhooks_deliveries_pending",
		"Deliveries that wait for an attempt or are under way.", nil, nil),
	oldest: prometheus.NewDesc("caddy_webhooks_deliveries_oldest_due_seconds",
		"For how long the first of the deliveries that are due has waited; 0 where none is due. Those of inactive subscriptions don't count.", nil, nil),
	dead: prometheus.NewDesc("caddy_webhooks_dead_letters",
		"Dead letters in the store.", nil, nil),
	subscriptions: prometheus.NewDesc("caddy_webhooks_subscriptions",
		"Subscriptions by health: ok, failing, down, paused or inactive.", []string{"health"}, nil),
	nodes: prometheus.NewDesc("caddy_webhooks_store_nodes",
		"Nodes that share the store by state: live, or lapsed, which are not heard of.", []string{"state"}, nil),
}

// The states of nodes.
const (
	nodeLive   = "live"
	nodeLapsed = "lapsed"
)

const (
	// scrapeTime bounds what is asked of a store for one scrape.
	scrapeTime = 5 * time.Second
	// Figures that took longer than slowFigures, since millions are counted, are
	// kept, where they are known, for keepFigures times as long: scrapes may take
	// a twentieth of a core.
	slowFigures = 50 * time.Millisecond
	keepFigures = 20
)

// Describe implements prometheus.Collector.
func (q *queue) Describe(to chan<- *prometheus.Desc) {
	to <- q.pending
	to <- q.oldest
	to <- q.dead
	to <- q.subscriptions
	to <- q.nodes
}

// Collect implements prometheus.Collector. While a store is being opened or can't
// be read, the figures are left out: a wrong one is worse than none.
func (q *queue) Collect(to chan<- prometheus.Metric) {
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

func (q *queue) figures() queueFigures {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.last.known || q.last.took < slowFigures || time.Since(q.last.at) > keepFigures*q.last.took {
		q.last = countQueue()
	}
	return q.last
}

func countQueue() queueFigures {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTime)
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
