package outbound_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/egress"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

func TestApplyReachesRunningLanes(t *testing.T) {
	h := open(t, retries(time.Hour))
	r := newReceiver(t)
	h.settings.Subscriptions = []outbound.SubscriptionSpec{{Name: "crm", URL: r.URL + "/one", EventTypes: []string{"*"}, Secrets: []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}}}
	if err := h.Apply(t.Context(), h.settings); err != nil {
		t.Fatal(err)
	}
	h.publish("a", `1`)
	if got := r.next(t).path; got != "/one" {
		t.Fatalf("path %s", got)
	}
	h.settings.Subscriptions[0].URL = r.URL + "/two"
	if err := h.Apply(t.Context(), h.settings); err != nil {
		t.Fatal(err)
	}
	h.publish("a", `2`)
	if got := r.next(t).path; got != "/two" {
		t.Fatalf("path %s", got)
	}
	h.settings.Subscriptions = nil
	if err := h.Apply(t.Context(), h.settings); err != nil {
		t.Fatal(err)
	}
	s, err := h.Subscription("sub_crm")
	if err != nil || s.Active || s.Reason != outbound.ReasonRemoved {
		t.Fatalf("%+v, %v", s, err)
	}
	if _, err := h.Activate(t.Context(), "sub_crm"); !errors.Is(err, outbound.ErrConflict) {
		t.Errorf("activating what is no longer configured: %v", err)
	}
	if err := h.DeleteSubscription(t.Context(), "sub_crm"); err != nil {
		t.Error(err)
	}
}

// Connections to receivers stay while nothing is changed by which they are made, and
// a changed egress rule counts from the next attempt on.
func TestApplyKeepsConnections(t *testing.T) {
	h := open(t)
	r := newReceiver(t)
	callers := make(chan string, 1)
	r.respond(func(_ http.ResponseWriter, req *http.Request) { callers <- req.RemoteAddr })
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	deliver := func() string {
		t.Helper()
		h.publish("a", `1`)
		if d := h.awaitAttempt(); d.State != store.Delivered {
			t.Fatalf("%+v", d)
		}
		return <-callers
	}
	apply := func(allow ...string) {
		t.Helper()
		var err error
		if h.settings.Policy, err = egress.NewPolicy(allow, nil); err != nil {
			t.Fatal(err)
		}
		if err := h.Apply(t.Context(), h.settings); err != nil {
			t.Fatal(err)
		}
	}
	first := deliver()
	h.settings.SecretGrace = time.Hour
	apply("127.0.0.0/8")
	if second := deliver(); second != first {
		t.Errorf("after a change of something else the connection is another: %s, %s", first, second)
	}
	apply("127.0.0.1")
	if third := deliver(); third == first {
		t.Error("after a change of the policy the connection is the same")
	}
	apply()
	h.publish("a", `1`)
	if d := h.awaitAttempt(); d.Attempt.Class != outbound.ClassEgressDenied {
		t.Errorf("what is not allowed any more: %+v", d.Attempt)
	}
}
