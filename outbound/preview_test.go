package outbound_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

// A preview shows an event as wanted if the filter takes too long for it, as it would be
// delivered, and says why.
func TestPreviewOfAFilterThatTakesTooLong(t *testing.T) {
	h := open(t)
	s := h.subscribe(outbound.SubscriptionSpec{URL: newReceiver(t).URL, EventTypes: []string{"*"}, Filter: "payload.all(a, payload.all(b, payload.all(c, true)))"})
	ev := &outbound.NewEvent{Type: "order.created", Payload: []byte("[" + strings.Repeat("1,", 30_000) + "1]")}
	p := must.Get(h.Preview(t.Context(), s.ID, ev))(t)
	if !p.Wanted || !strings.Contains(p.FilterError, "takes too long") || p.Error != "" {
		t.Errorf("got %+v, want it wanted, with an error about the filter", p)
	}
	if _, err := h.Preview(t.Context(), "sub_unknown", ev); !errors.Is(err, outbound.ErrNotFound) {
		t.Errorf("unknown subscription: got %v, want %v", err, outbound.ErrNotFound)
	}
}
