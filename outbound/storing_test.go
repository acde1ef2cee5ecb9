package outbound_test

import (
	"errors"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

// Once a tenant's share of the memory for events that wait to be stored is used up, its
// next event is refused at once. Other tenants' events and later ones are accepted.
func TestPayloadsThatWaitAreBounded(t *testing.T) {
	h := open(t)
	payload := make([]byte, 256<<10)
	var events []*outbound.NewEvent
	for i := range 66 { // a tenant's share is 64 of them
		tenant := "greedy"
		if i == 65 {
			tenant = "other"
		}
		events = append(events, &outbound.NewEvent{Type: "a", Tenant: tenant, ContentType: "application/octet-stream", Payload: payload})
	}
	for i, a := range h.PublishAll(t.Context(), events) {
		if refused := errors.Is(a.Err, outbound.ErrUnavailable); refused != (i == 64) || a.Err != nil && !refused {
			t.Errorf("event %d: got %v, want %v for event 64 only", i, a.Err, outbound.ErrUnavailable)
		}
	}
	h.publish("a", "{}")
}
