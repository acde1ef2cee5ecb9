package outbound_test

import (
	"errors"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

// What the disk can't take soon is refused at once, and what comes later isn't.
func TestPayloadsThatWaitAreBounded(t *testing.T) {
	h := open(t)
	payload := make([]byte, 256<<10)
	var events []*outbound.NewEvent
	for range 130 { // 32 MiB are 128 of them
		events = append(events, &outbound.NewEvent{Type: "a", ContentType: "application/octet-stream", Payload: payload})
	}
	for i, a := range h.PublishAll(t.Context(), events) {
		if refused := errors.Is(a.Err, outbound.ErrUnavailable); refused != (i >= 128) || a.Err != nil && !refused {
			t.Errorf("event %d: %v", i, a.Err)
		}
	}
	h.publish("a", "{}")
}
