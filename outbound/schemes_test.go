package outbound_test

import (
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// TestEverySchemeThatIsAcceptedDelivers: what can't sign a delivery is
// refused when the subscription is made, and not with each attempt.
func TestEverySchemeThatIsAcceptedDelivers(t *testing.T) {
	h := open(t, retries())
	accepted := 0
	for _, scheme := range verify.Schemes() {
		r := newReceiver(t)
		s, err := h.CreateSubscription(t.Context(), outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"for." + scheme.Name}, Scheme: scheme.Name})
		if err != nil {
			continue
		}
		accepted++
		h.publish("for."+scheme.Name, `{"id":"1","type":"a"}`)
		if d := h.attempt(); d.Attempt.Class != "" {
			t.Errorf("%s: %s", s.Scheme, d.Attempt.Error)
		}
	}
	if accepted < 20 {
		t.Errorf("only %d schemes can sign", accepted)
	}
}
