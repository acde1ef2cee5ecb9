package outbound_test

import (
	"net/http"
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

func TestOtherSchemesSign(t *testing.T) {
	h := open(t)
	r := newReceiver(t)
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}, Scheme: "github", Secrets: []string{"s3cret"}})
	h.publish("push", `{"a":1}`)
	a := r.next(t)
	row, _ := verify.Lookup("github")
	v, err := verify.New(row, verify.Options{Secrets: []string{"s3cret"}})
	if err != nil {
		t.Fatal(err)
	}
	req, _ := http.NewRequest(http.MethodPost, r.URL, nil)
	req.Header = a.header
	if m, err := v.Verify(req, a.body); err != nil || m.EventType != "push" {
		t.Errorf("%+v, %v", m, err)
	}
}
