package outbound_test

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/egress"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// New settings take effect in lanes that are already running. A subscription that they
// no longer have is inactive, and can be deleted but not activated.
func TestApplyReachesRunningLanes(t *testing.T) {
	h := open(t, retries(time.Hour))
	r := newReceiver(t)
	h.settings.Subscriptions = []outbound.SubscriptionSpec{{Name: "crm", URL: r.URL + "/one", EventTypes: []string{"*"}, Secrets: []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}}}
	must.Do(t, h.Apply(t.Context(), h.settings))
	h.publish("a", `1`)
	if got := r.next(t).path; got != "/one" {
		t.Fatalf("got path %s, want /one", got)
	}
	h.settings.Subscriptions[0].URL = r.URL + "/two"
	must.Do(t, h.Apply(t.Context(), h.settings))
	h.publish("a", `2`)
	if got := r.next(t).path; got != "/two" {
		t.Fatalf("got path %s, want /two", got)
	}
	h.settings.Subscriptions = nil
	must.Do(t, h.Apply(t.Context(), h.settings))
	s, err := h.Subscription("sub_crm")
	if err != nil || s.Active || s.Reason != outbound.ReasonRemoved {
		t.Fatalf("got %+v, %v, want it inactive with reason %q", s, err, outbound.ReasonRemoved)
	}
	if _, err := h.Activate(t.Context(), "sub_crm"); !errors.Is(err, outbound.ErrConflict) {
		t.Errorf("Activate: got %v, want %v", err, outbound.ErrConflict)
	}
	if err := h.DeleteSubscription(t.Context(), "sub_crm"); err != nil {
		t.Errorf("DeleteSubscription: %v", err)
	}
}

// When the settings of connections change, those that are idle are closed at once.
func TestConnectionsOfOldSettingsAreClosed(t *testing.T) {
	closed := make(chan struct{}, 9)
	r := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	r.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateClosed {
			closed <- struct{}{}
		}
	}
	r.Start()
	defer r.Close()
	h := open(t)
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	h.publish("a", `1`)
	h.awaitAttempt()
	h.settings.Concurrency++
	must.Do(t, h.Apply(t.Context(), h.settings))
	must.Receive(t, closed, "the idle connection to be closed")
}

// New settings keep connections to receivers open, unless they change how connections are
// made. A changed egress policy applies from the next attempt on.
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
			t.Fatalf("got %+v, want a success", d)
		}
		return <-callers
	}
	apply := func(allow ...string) {
		t.Helper()
		h.settings.Policy = must.Get(egress.NewPolicy(allow, nil))(t)
		must.Do(t, h.Apply(t.Context(), h.settings))
	}
	first := deliver()
	h.settings.SecretGrace = time.Hour
	apply("127.0.0.0/8")
	if second := deliver(); second != first {
		t.Errorf("after an unrelated change: got a connection from %s, want %s", second, first)
	}
	apply("127.0.0.1")
	if third := deliver(); third == first {
		t.Errorf("after a change of the policy: got the same connection from %s, want another", third)
	}
	apply()
	h.publish("a", `1`)
	if d := h.awaitAttempt(); d.Attempt.Class != outbound.ClassEgressDenied {
		t.Errorf("address no longer allowed: got %+v, want class %s", d.Attempt, outbound.ClassEgressDenied)
	}
}
