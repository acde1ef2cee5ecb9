package handler

import "github.com/prometheus/client_golang/prometheus"

// damage tells of damaged stores that were set aside, for as long as they are
// there, so that an alert stays until somebody has looked.
type damage struct{ files, lost *prometheus.Desc }

var storeDamage prometheus.Collector = damage{
	files: prometheus.NewDesc("caddy_webhooks_store_damaged_files",
		"Damaged stores that were set aside and are still there.", nil, nil),
	lost: prometheus.NewDesc("caddy_webhooks_store_lost_rows",
		"What is known to be lost with them: events, deliveries or subscriptions.", []string{"rows"}, nil),
}

// Describe implements prometheus.Collector.
func (d damage) Describe(to chan<- *prometheus.Desc) { to <- d.files; to <- d.lost }

// Collect implements prometheus.Collector.
func (d damage) Collect(to chan<- prometheus.Metric) {
	var files, events, deliveries, subscriptions int64
	for _, e := range openEngines() {
		for _, s := range e.Salvages() {
			files++
			events += s.Lost.Events
			deliveries += s.Lost.Deliveries
			subscriptions += s.Lost.Subscriptions
		}
	}
	gauge := func(d *prometheus.Desc, n int64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), labels...)
	}
	gauge(d.files, files)
	gauge(d.lost, events, "events")
	gauge(d.lost, deliveries, "deliveries")
	gauge(d.lost, subscriptions, "subscriptions")
}
