package handler

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/internal/freeport"
	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

// A subscription with a handshake delivers to a server that answers that of a provider of
// CloudEvents.
func TestHandshakeBetweenServers(t *testing.T) {
	app := newApp(t)
	got := make(chan struct{}, 1)
	app.respond(func(http.ResponseWriter, *http.Request) { got <- struct{}{} })
	port := freeport.Get()
	runCaddy(t, fmt.Sprintf(`webhooks {
		store sqlite %s
		egress {
			allow 127.0.0.1
		}
		retry off
		subscription grid {
			url http://127.0.0.1:%d/?token=t0ken-of-the-grid
			event_types order.*
			handshake hooks.example.com
			header Content-Type application/cloudevents+json
			transform `+"`"+`{"specversion": "1.0", "id": event_id, "source": "/orders", "type": event_type, "data": payload}`+"`"+`
		}
	}`, storePath(t), port), fmt.Sprintf(`http://127.0.0.1:%d {
		webhook_verify azure-event-grid t0ken-of-the-grid
		reverse_proxy %s
	}`, port, app.addr))
	admin(t, http.MethodPost, "/webhooks/events", `{"event_type":"order.created","payload":{"order":7}}`).want(t, http.StatusAccepted)
	must.Eventually(t, "the delivery", func() bool { return len(got) > 0 })
	delivery := app.one(t)
	if origin := delivery.Header.Get("WebHook-Request-Origin"); delivery.Method != http.MethodPost || origin != "hooks.example.com" || !strings.Contains(string(delivery.body), `"type":"order.created"`) {
		t.Errorf("the app got a %s of %s: %s", delivery.Method, origin, delivery.body)
	}
}
