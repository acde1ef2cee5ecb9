package api_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/handler/api"
	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
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

func TestTenantsTokens(t *testing.T) {
	s := start(t)
	for _, c := range []struct {
		body, scope string
		life        time.Duration
	}{
		{"", "manage", time.Hour},
		{"{}", "manage", time.Hour},
		{`{"scope":null,"expires_in":null}`, "manage", time.Hour},
		{`{"scope":"read","expires_in":"8h"}`, "read", 8 * time.Hour},
		{`{"expires_in":"7d","scope":"manage"}`, "manage", 7 * 24 * time.Hour},
	} {
		before := time.Now().Add(c.life).Truncate(time.Millisecond)
		got := s.post("/tenants/acme/tokens", c.body).want(t, 201)
		expires, err := time.Parse(time.RFC3339, got.text("expires_at"))
		if got["tenant"] != "acme" || got["scope"] != c.scope || err != nil || expires.Before(before) || expires.After(time.Now().Add(c.life)) {
			t.Errorf("%s: got %v", c.body, got)
		}
		acme := s.by(got.text("token"))
		acme.get("/openapi.json").want(t, 200)
		if status := acme.get("/status").want(t, 200); status["store"] != nil {
			t.Errorf("got %v", status)
		}
		published := acme.post("/events", `{"event_type":"a","payload":1}`)
		if c.scope == "read" {
			published.refused(t, 403, "insufficient_scope")
		} else {
			s.get("/events/"+published.want(t, 202).text("event_id")+"?tenant=acme").want(t, 200)
		}
		acme.do(call{method: "DELETE", path: "/tenants/acme"}).want(t, 403)
	}
	for _, tenant := range []string{"%2e%2e%2e", strings.Repeat("x", 128), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-"} {
		name := must.Get(url.PathUnescape(tenant))(t)
		id := s.by(s.issue(tenant, "")).post("/events", `{"event_type":"a","payload":1}`).want(t, 202).text("event_id")
		s.get("/events/"+id+"?tenant="+name).want(t, 200).has(t, "tenant", name)
	}
}

func TestTenantsTokensAreRefused(t *testing.T) {
	s := start(t)
	const path = "/tenants/acme/tokens"
	for _, token := range []string{publishToken, readToken, s.issue("acme", `{"scope":"read"}`)} {
		s.by(token).post(path, "").refused(t, 403, "insufficient_scope")
	}
	s.of("acme").post(path, "").refused(t, 403, "other_tenant")
	s.by(s.issue("acme", "")).post(path, "").refused(t, 403, "other_tenant")
	for _, c := range []struct {
		path, body string
		status     int
		code       string
	}{
		{"/tenants/a%20b/tokens", "", 422, "invalid_field"},
		{"/tenants/%0A/tokens", "", 422, "invalid_field"},
		{"/tenants/%2E%2E/tokens", "", 422, "invalid_field"},
		{"/tenants/" + strings.Repeat("x", 129) + "/tokens", "", 422, "invalid_field"},
		{"/tenants//tokens", "", 404, "no_such_route"},
		{"/tenants/a%2Fb/tokens", "", 404, "no_such_route"},
		{path + "?scope=read", "", 400, "invalid_parameter"},
		{path, `{"scope":"publish"}`, 422, "invalid_field"},
		{path, `{"scope":"Manage"}`, 422, "invalid_field"},
		{path, `{"scope":""}`, 422, "invalid_field"},
		{path, `{"scope":1}`, 422, "invalid_field"},
		{path, `{"tenant":"rival"}`, 422, "unknown_field"},
		{path, `{"expires_in":"999ms"}`, 422, "invalid_field"},
		{path, `{"expires_in":"0s"}`, 422, "invalid_field"},
		{path, `{"expires_in":"-1h"}`, 422, "invalid_field"},
		{path, `{"expires_in":"168h1ns"}`, 422, "invalid_field"},
		{path, `{"expires_in":"106751d"}`, 422, "invalid_field"},
		{path, `{"expires_in":"200000d"}`, 422, "invalid_field"},
		{path, `{"expires_in":3600}`, 422, "invalid_field"},
		{path, `{"expires_in":""}`, 422, "invalid_field"},
		{path, `{"scope":"read","scope":"manage"}`, 422, "repeated_field"},
	} {
		s.post(c.path, c.body).refused(t, c.status, c.code)
	}
}

// A token is valid where the manage token is that issued it, and nowhere else.
func TestTenantsTokensElsewhere(t *testing.T) {
	s := start(t)
	issued := call{method: "GET", path: "/events", token: s.issue("acme", "")}
	withToken := func(only api.Token) *server {
		t.Helper()
		return s.with(api.Config{Tokens: []api.Token{only}}).by(only.Value)
	}
	withToken(api.Token{Value: manageToken, Scope: api.ScopeManage}).do(issued).want(t, 200)
	for _, other := range []api.Token{
		{Value: manageToken, Scope: api.ScopeRead}, {Value: manageToken + "-2", Scope: api.ScopeManage}, {Value: issued.token + "x", Scope: api.ScopeManage},
	} {
		withToken(other).do(issued).refused(t, 401, "invalid_token")
	}

	short := "manage-0123456789-01234"
	withToken(api.Token{Value: short, Scope: api.ScopeManage}).post("/tenants/acme/tokens", "").refused(t, 403, "cannot_issue").contains(t, "detail", "24 random characters")
	s.with(api.Config{NoAuth: true}).post("/tenants/acme/tokens", "").refused(t, 403, "cannot_issue").contains(t, "detail", "send the request to a webhook_api")
}

func TestTenantsTokensExpire(t *testing.T) {
	s := start(t)
	expired := s.by(api.TenantToken(manageToken, "acme", time.Now()))
	for _, route := range api.Routes() {
		method, path, _ := strings.Cut(route, " ")
		p := expired.do(call{method: method, path: strings.Replace(path, "{id}", "x", 1), body: reaches[route].body}).refused(t, 401, "invalid_token")
		p.contains(t, "detail", "this token expired at ")
	}
}

// What a request is still doing when its token expires ends with the token.
func TestRequestsEndWithTheirToken(t *testing.T) {
	s := start(t)
	acme := s.by(api.TenantToken(manageToken, "acme", time.Now().Add(8*time.Second))) // enough for a slow machine to begin
	f := acme.tail(t, "")
	lines, answer := acme.publishALine(t)

	if _, more := <-f.events; more {
		t.Error("got an attempt of nothing")
	}
	last := object{"status": 202}
	for end := time.Now().Add(must.Patience); fmt.Sprint(last["status"]) != "401" && time.Now().Before(end); { // a line that is being stored when the token expires gets 503
		fmt.Fprint(lines, aLine)
		last = answer()
	}
	last.has(t, "status", 401).contains(t, "detail", "this token expired at ")
}
