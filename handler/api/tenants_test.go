package api_test

import (
	"fmt"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

func TestDeleteTenant(t *testing.T) {
	s := start(t, func(s *outbound.Settings) {
		s.Subscriptions = []outbound.SubscriptionSpec{{Name: "configured", URL: "http://127.0.0.1:9/", EventTypes: []string{"a"}, Tenant: "globex"}}
	})
	r := newReceiver(t, 500)
	theirs, nobodys := s.rows(r, "rival"), s.rows(r, "")
	for range 3 {
		s.rows(r, "acme")
	}
	remove := func(tenant string) answer {
		t.Helper()
		return s.do(call{method: "DELETE", path: "/tenants/" + tenant})
	}
	s.do(call{method: "DELETE", path: "/tenants/acme", token: publishToken}).refused(t, 403, "insufficient_scope")
	s.do(call{method: "DELETE", path: "/tenants/acme", token: readToken}).refused(t, 403, "insufficient_scope")
	s.of("acme").do(call{method: "DELETE", path: "/tenants/acme"}).refused(t, 403, "other_tenant")
	s.do(call{method: "DELETE", path: "/tenants/acme?event_type=a"}).refused(t, 400, "invalid_parameter")
	remove("acme:1").refused(t, 422, "invalid_field")
	remove("globex").refused(t, 409, "conflict")

	subs, events := len(s.get("/subscriptions?tenant=acme").want(t, 200).rows()), len(s.get("/events?tenant=acme").want(t, 200).rows())
	want := fmt.Sprintf("%d %d", subs, events)
	for range 2 {
		a := remove("acme").want(t, 200)
		if got := fmt.Sprintf("%v %v", a["subscriptions"], a["events"]); got != want {
			t.Errorf("got %s deleted, want %s", got, want)
		}
		want = "0 0" // when it is requested again
	}
	for _, list := range []string{"/subscriptions", "/events", "/deliveries", "/dead-letters"} {
		if rows := s.get(list+"?tenant=acme").want(t, 200).rows(); len(rows) > 0 {
			t.Errorf("%s has %v", list, rows)
		}
	}
	for _, other := range []rows{theirs, nobodys} {
		s.get("/subscriptions/"+other.subscription).want(t, 200)
		s.get("/dead-letters/"+other.dead).want(t, 200)
	}
	s.get("/subscriptions/sub_configured").want(t, 200)
}
