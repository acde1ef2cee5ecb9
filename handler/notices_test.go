package handler

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

func init() { caddy.RegisterModule(noted{}) }

// noted is a handler of Caddy events that passes them on to the test.
type noted struct{}

var notedEvents = make(chan caddy.Event, 16)

func (noted) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "events.handlers.noted", New: func() caddy.Module { return new(noted) }}
}

func (noted) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { return nil }

func (noted) Handle(_ context.Context, e caddy.Event) error {
	notedEvents <- e
	return nil
}

// What happens to a subscription is emitted as a Caddy event, for the handlers in its
// config.
func TestCaddyEvents(t *testing.T) {
	receiver := newApp(t)
	receiver.respond(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) })
	s := serveSite(t, `events {
		on subscription_deactivated noted
	}
	webhooks {
		store sqlite `+storePath(t)+`
		egress {
			allow 127.0.0.1
		}
		subscription crm {
			url `+receiver.URL+`
			event_types order.*
		}
	}`, "webhook_publish order.created")
	do(t, post(t, s.url, "{}")).want(t, http.StatusAccepted)
	must.Eventually(t, "the Caddy event", func() bool { return len(notedEvents) > 0 })
	e := <-notedEvents
	if e.Name() != "subscription_deactivated" || e.Origin().CaddyModule().ID != "webhooks" || e.Data["subscription_id"] != "sub_crm" {
		t.Errorf("got %s from %s with %v", e.Name(), e.Origin().CaddyModule().ID, e.Data)
	}
}

// counted returns the values of metrics, by their name and labels.
func counted(t *testing.T, metrics ...prometheus.Collector) map[string]float64 {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(metrics...)
	counts := make(map[string]float64)
	for _, family := range must.Get(r.Gather())(t) {
		for _, m := range family.Metric {
			name := family.GetName()
			for _, label := range m.Label {
				name += " " + label.GetValue()
			}
			counts[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return counts
}

// Each outcome is counted once, also that of a delivery that became a dead letter
// without an attempt.
func TestOutcomesAreCounted(t *testing.T) {
	d := newDeaths()
	t.Cleanup(d.dead.flush)
	metrics := []prometheus.Collector{engineMetrics.published, engineMetrics.publishTime, engineMetrics.unjudged, engineMetrics.attempts, engineMetrics.attemptTime, engineMetrics.deliveries}
	before := counted(t, metrics...)
	delivered, again := d.death(1), d.death(1)
	delivered.State, delivered.Attempt.Class = store.Delivered, ""
	again.State = store.Pending
	for _, a := range []*outbound.AttemptDone{delivered, again, d.death(1)} {
		d.AttemptDone(a)
	}
	d.Buried([]*outbound.Record{d.death(2).Record(), d.death(2).Record()})
	d.Unjudged()
	for _, result := range []string{"stored", "refused", "failed"} {
		d.PublishDone(result, time.Second)
	}
	after := counted(t, metrics...)
	for name, want := range map[string]float64{
		"delivery_attempts_total ok": 1, "delivery_attempts_total status": 2, "delivery_attempt_duration_seconds": 3,
		"deliveries_settled_total delivered": 1, "deliveries_settled_total dead": 3, "deliveries_settled_total pending": 0, "deliveries_unjudged_total": 1,
		"events_published_total stored": 1, "events_published_total refused": 1, "events_published_total failed": 1, "publish_duration_seconds": 1,
	} {
		if got := after["caddy_webhooks_"+name] - before["caddy_webhooks_"+name]; got != want {
			t.Errorf("%s: got %v more, want %v", name, got, want)
		}
	}
	d.wrote(t, "the first of each subscription", "subscription_id=sub_1", "subscription_id=sub_2")
}
