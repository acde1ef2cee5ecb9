package outbound_test

import (
	"errors"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

// What the disk can't take soon is refused at once, and what comes later isn't;
// nor is what another tenant publishes.
func TestPayloadsThatWaitAreBounded(t *testing.T) {
	h := open(t)
	payload := make([]byte, 256<<10)
	var events []*outbound.NewEvent
	for i := range 66 { // a tenant's part of 32 MiB is 64 of them
		tenant := "greedy"
		if i == 65 {
			tenant = "other"
		}
		events = append(events, &outbound.NewEvent{Type: "a", Tenant: tenant, ContentType: "application/octet-stream", Payload: payload})
	}
	for i, a := range h.PublishAll(t.Context(), events) {
		if refused := errors.Is(a.Err, outbound.ErrUnavailable); refused != (i == 64) || a.Err != nil && !refused {
			t.Errorf("event %d: %v", i, a.Err)
		}
	}
	h.publish("a", "{}")
}
