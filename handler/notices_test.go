package handler

import (
	"context"
	"net/http"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func init() { caddy.RegisterModule(noted{}) }

// noted is a handler of Caddy's events, which hands them on to the test.
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

// TestCaddyEvents: what happens to a subscription is an event of Caddy's, for whichever
// handler its config has.
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
	until(t, "the event", func() bool { return len(notedEvents) > 0 })
	e := <-notedEvents
	if e.Name() != "subscription_deactivated" || e.Origin().CaddyModule().ID != "webhooks" || e.Data["subscription_id"] != "sub_crm" {
		t.Errorf("got %s from %s with %v", e.Name(), e.Origin().CaddyModule().ID, e.Data)
	}
}
