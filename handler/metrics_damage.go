package handler

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// damageCollector reports the damaged stores that were set aside until their files
// are removed, so that an alert lasts until somebody has taken care of it.
type damageCollector struct{ files, lost *prometheus.Desc }

var storeDamage prometheus.Collector = damageCollector{
	files: prometheus.NewDesc("caddy_webhooks_store_damaged_files",
		"Damaged stores that were set aside and are still there.", nil, nil),
	lost: prometheus.NewDesc("caddy_webhooks_store_lost_rows",
		"Rows known to be lost with damaged stores: events, deliveries or subscriptions.", []string{"rows"}, nil),
}

// Describe implements prometheus.Collector.
func (d damageCollector) Describe(to chan<- *prometheus.Desc) { to <- d.files; to <- d.lost }

// Collect implements prometheus.Collector.
func (d damageCollector) Collect(to chan<- prometheus.Metric) {
	var files int
	var lost store.Rows
	for _, e := range openEngines() {
		for _, s := range e.Salvages() {
			files++
			lost.Events += s.Lost.Events
			lost.Deliveries += s.Lost.Deliveries
			lost.Subscriptions += s.Lost.Subscriptions
		}
	}
	to <- gauge(d.files, float64(files))
	to <- gauge(d.lost, float64(lost.Events), "events")
	to <- gauge(d.lost, float64(lost.Deliveries), "deliveries")
	to <- gauge(d.lost, float64(lost.Subscriptions), "subscriptions")
}
