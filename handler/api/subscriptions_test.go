package api_test

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// verified checks that a delivery has the signatures of all secrets.
func verified(t *testing.T, a arrival, secrets ...string) {
	t.Helper()
	row, _ := verify.Lookup("standard-webhooks")
	for _, secret := range secrets {
		v := must.Get(verify.New(row, verify.Options{Secrets: []string{secret}}))(t)
		r, _ := http.NewRequest("POST", "http://receiver.example/", nil)
		r.Header = a.header
		if _, err := v.Verify(r, a.body); err != nil {
			t.Errorf("a signature does not verify: %v", err)
		}
	}
}

func TestSubscriptionLife(t *testing.T) {
	s := start(t)
	r := newReceiver(t, 200)
	a := s.post("/subscriptions", `{"url":"`+r.URL+`","event_types":["order.*","a"],"description":"CRM <3","tenant":"acme","headers":{"X-Env":"production"},"rate_limit":"3000/m","ordered":true,"scheme":"standard-webhooks","timeout":"90s","retry":["5s","1.5h","1d"],"metadata":{"customer":"42"},"transform":"payload"}`)
	sub := a.want(t, 201)
	id, secret := sub.text("subscription_id"), sub.text("secret")
	if a.Header.Get("Location") != "subscriptions/"+id || !strings.HasPrefix(secret, "whsec_") {
		t.Errorf("%v %v", a.Header, sub)
	}
	for name, want := range map[string]string{
		"url": r.URL, "event_types": "[order.* a]", "description": "CRM <3", "tenant": "acme", "headers": "map[X-Env:production]", "rate_limit": "50/s",
		"timeout": "1m30s", "retry": "[5s 1h30m 24h]", "metadata": "map[customer:42]", "transform": "payload",
		"ordered": "true", "active": "true", "reason": "<nil>", "scheme": "standard-webhooks", "from_config": "false",
	} {
		if got := fmt.Sprint(sub[name]); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}

	s.post("/events", `{"event_type":"order.created","payload":1,"tenant":"acme"}`).want(t, 202)
	verified(t, r.next(t), secret)

	rotated := s.post("/subscriptions/"+id+"/rotate-secret", "").want(t, 200)
	until, err := time.Parse(time.RFC3339, rotated.text("previous_secret_expires"))
	if err != nil || time.Until(until) < 23*time.Hour || time.Until(until) > 24*time.Hour || rotated.text("secret") == secret {
		t.Errorf("rotated: %v", rotated)
	}
	if shown := s.get("/subscriptions/"+id+"/secret").want(t, 200); fmt.Sprint(shown) != fmt.Sprint(rotated) {
		t.Errorf("shown: %v, rotated: %v", shown, rotated)
	}
	s.post("/events", `{"event_type":"a","payload":2,"tenant":"acme"}`).want(t, 202)
	verified(t, r.next(t), secret, rotated.text("secret"))
	s.post("/subscriptions/"+id+"/rotate-secret", `{"secret":"`+secret+`"}`).refused(t, 422, "invalid_field")

	off := s.post("/subscriptions/"+id+"/deactivate", `{"reason":"moving house"}`).want(t, 200)
	if off["active"] != false || off.text("reason") != "deactivated by hand: moving house" {
		t.Errorf("deactivated: %v", off)
	}
	s.post("/subscriptions/"+id+"/test", "").refused(t, 409, "conflict")
	held := s.post("/events", `{"event_type":"a","payload":3,"tenant":"acme"}`).want(t, 202)
	on := s.post("/subscriptions/"+id+"/activate", "").want(t, 200)
	if on["active"] != true || on["reason"] != nil {
		t.Errorf("activated: %v", on)
	}
	if got := r.next(t); got.header.Get("Webhook-Id") != held.text("event_id") || string(got.body) != "3" {
		t.Errorf("held delivery: got %s %s", got.header, got.body)
	}

	test := s.post("/subscriptions/"+id+"/test", "").want(t, 202)
	if test.text("event_type") != outbound.TestEventType || test.text("subscription_id") != id || test.text("tenant") != "acme" {
		t.Errorf("test: %v", test)
	}
	if got := r.next(t); !strings.Contains(string(got.body), id) {
		t.Errorf("test: %s", got.body)
	}
	test = s.post("/subscriptions/"+id+"/test", `{"event_type":"invoice.paid","payload":{"n": 7}}`).want(t, 202)
	if got := r.next(t); string(got.body) != `{"n":7}` || test.text("event_type") != "invoice.paid" {
		t.Errorf("test: %v came as %s", test, got.body)
	}
	s.post("/subscriptions/"+id+"/test", `{"event_type":"invoice.paid"}`).refused(t, 422, "missing_field")

	s.do(call{method: "DELETE", path: "/subscriptions/" + id}).want(t, 204)
	s.get("/subscriptions/"+id).refused(t, 404, "not_found")
	// Its deliveries can still be shown, but not redelivered.
	rows := s.get("/deliveries?subscription_id="+id).want(t, 200).rows()
	if len(rows) != 5 || rows[0].text("url") != r.URL {
		t.Fatalf("deliveries: %v", rows)
	}
	s.post("/deliveries/"+rows[0].text("delivery_id")+"/redeliver", "").refused(t, 409, "conflict").contains(t, "detail", "replay the event")
}

// A subscription with an id of the caller's is created once, however often that is
// requested. If the first response was lost, the next one has the same secret.
func TestCreatedAgain(t *testing.T) {
	s := start(t)
	const body = `{"subscription_id":"sub_crm","url":"https://example.com/a","event_types":["a","b.*"],"headers":{"X-A":"1"},"rate_limit":"60/m","retry":["1m"]}`
	first := s.post("/subscriptions", body).want(t, 201).has(t, "subscription_id", "sub_crm").has(t, "duplicate", false)
	a := s.post("/subscriptions", body)
	again := a.want(t, 200).has(t, "duplicate", true)
	again["duplicate"] = false
	if fmt.Sprint(again) != fmt.Sprint(first) || a.Header.Get("Location") != "subscriptions/sub_crm" {
		t.Errorf("got %v %v, want %v", a.Header, again, first)
	}
	other := strings.Replace(body, `"1"`, `"2"`, 1)
	s.post("/subscriptions", other).refused(t, 409, "subscription_id_reused").has(t, "field", "subscription_id").contains(t, "detail", "differs in headers")
	s.do(call{method: "PATCH", path: "/subscriptions/sub_crm", body: `{"headers":{"X-A":"2"}}`}).want(t, 200)
	s.post("/subscriptions", body).refused(t, 409, "subscription_id_reused")
	rotated := s.post("/subscriptions/sub_crm/rotate-secret", "").want(t, 200).text("secret")
	s.post("/subscriptions", other).want(t, 200).has(t, "secret", rotated)
	if got := len(s.pages("/subscriptions?limit=9")); got != 1 {
		t.Errorf("got %d subscriptions, want 1", got)
	}

	s.do(call{method: "PATCH", path: "/subscriptions/sub_crm", body: `{"subscription_id":"sub_b"}`}).refused(t, 422, "unknown_field").contains(t, "detail", "it can't be changed")
	s.post("/subscriptions", `{"subscription_id":"crm","url":"https://example.com/a","event_types":["a"]}`).refused(t, 422, "invalid_field").has(t, "field", "subscription_id")
	s.post("/subscriptions", `{"subscription_id":"","url":"https://example.com/a","event_types":["a"]}`).refused(t, 422, "invalid_field").contains(t, "detail", "is empty")
}

// If the scheme has key pairs, the public key is shown wherever the secret is.
func TestPublicKey(t *testing.T) {
	s := start(t)
	sub := s.post("/subscriptions", `{"url":"https://example.com/a","event_types":["a"],"scheme":"standard-webhooks-ed25519"}`).want(t, 201)
	path := "/subscriptions/" + sub.text("subscription_id")
	row, _ := verify.Lookup("standard-webhooks-ed25519")
	for what, told := range map[string]object{
		"created": sub,
		"shown":   s.get(path+"/secret").want(t, 200),
		"rotated": s.post(path+"/rotate-secret", "").want(t, 200),
	} {
		want, err := verify.PublicKey(row, told.text("secret"))
		if got := told.text("public_key"); err != nil || got != want || !strings.HasPrefix(got, "whpk_") {
			t.Errorf("%s: %q, want %q, %v", what, got, want, err)
		}
	}
	s.get(path).want(t, 200).has(t, "public_key", nil).has(t, "secret", nil)
	if other := s.subscribe("https://example.com/b"); other["public_key"] != nil {
		t.Errorf("of a shared secret: %v", other)
	}
}

// PATCH merges: fields that aren't sent stay as they are, null resets one to its default.
func TestPatch(t *testing.T) {
	s := start(t)
	sub := s.post("/subscriptions", `{"url":"https://example.com/a","event_types":["a"],"description":"d","headers":{"X-A":"1","X-B":"2"},"rate_limit":5,"ordered":true,"handshake":"a.example.com","scheme":"standard-webhooks"}`).want(t, 201)
	path := "/subscriptions/" + sub.text("subscription_id")
	for _, c := range []struct {
		patch, field, want string
	}{
		{`{}`, "url", "https://example.com/a"},
		{`{"url":"https://example.com/b"}`, "url", "https://example.com/b"},
		{`{"event_types":["b","c.*"]}`, "event_types", "[b c.*]"},
		{`{"headers":{"X-C":"3"}}`, "headers", "map[X-A:1 X-B:2 X-C:3]"},
		{`{"headers":{"x-b":null,"X-A":"one"}}`, "headers", "map[X-A:one X-C:3]"},
		{`{"headers":{"x-a":"two"}}`, "headers", "map[X-C:3 x-a:two]"},
		{`{"headers":{"x-a":null,"X-A":"three"}}`, "headers", "map[X-A:three X-C:3]"},
		{`{"headers":{"x-a":"four","X-A":null}}`, "headers", "map[X-C:3 x-a:four]"},
		{`{"headers":{}}`, "headers", "map[X-C:3 x-a:four]"},
		{`{"headers":null}`, "headers", "map[]"},
		{`{"metadata":{"A":"1","a":"2"}}`, "metadata", "map[A:1 a:2]"},
		{`{"metadata":{"A":null,"b":"3"}}`, "metadata", "map[a:2 b:3]"},
		{`{"metadata":null}`, "metadata", "map[]"},
		{`{"transform":"{\"a\": payload}"}`, "transform", `{"a": payload}`},
		{`{"transform":null}`, "transform", "<nil>"},
		{`{}`, "handshake", "a.example.com"},
		{`{"handshake":"hooks.example.com"}`, "handshake", "hooks.example.com"},
		{`{"handshake":null}`, "handshake", "<nil>"},
		{`{"timeout":"2m"}`, "timeout", "2m"},
		{`{"timeout":null}`, "timeout", "<nil>"},
		{`{"retry":[]}`, "retry", "[]"},
		{`{"retry":["1h"]}`, "retry", "[1h]"},
		{`{"retry":null}`, "retry", "<nil>"},
		{`{"rate_limit":"90/m"}`, "rate_limit", "90/m"},
		{`{"rate_limit":0.5}`, "rate_limit", "30/m"},
		{`{"rate_limit":null}`, "rate_limit", "<nil>"},
		{`{"rate_limit":7}`, "rate_limit", "7/s"},
		{`{"rate_limit":0}`, "rate_limit", "<nil>"},
		{`{"ordered":null}`, "ordered", "false"},
		{`{"filter":"payload.total > 100"}`, "filter", "payload.total > 100"},
		{`{"filter":null}`, "filter", "<nil>"},
		{`{"description":"new"}`, "description", "new"},
		{`{"description":"` + strings.Repeat("é", 1024) + `"}`, "description", strings.Repeat("é", 1024)},
		{`{"description":null}`, "description", "<nil>"},
		{`{"scheme":"standard-webhooks github"}`, "scheme", "standard-webhooks github"},
		{`{"scheme":null}`, "scheme", "<nil>"},
	} {
		got := s.do(call{method: "PATCH", path: path, body: c.patch, header: http.Header{"Content-Type": {"application/merge-patch+json"}}}).want(t, 200)
		if fmt.Sprint(got[c.field]) != c.want {
			t.Errorf("%s: %s is %v, want %s", c.patch, c.field, got[c.field], c.want)
		}
		if shown := s.get(path).want(t, 200); fmt.Sprint(shown) != fmt.Sprint(got) {
			t.Errorf("%s: answered %v, shown %v", c.patch, got, shown)
		}
	}
	s.do(call{method: "PATCH", path: path, body: `{"headers":{"X-GitHub-Event":"x"}}`}).want(t, 200)
	before := s.get(path).body
	for patch, field := range map[string]string{
		`{"url":null}`: "url", `{"event_types":null}`: "event_types", `{"event_types":[]}`: "event_types", `{"tenant":"x"}`: "tenant",
		`{"secret":"x"}`: "secret", `{"subscription_id":"x"}`: "subscription_id", `{"active":false}`: "active",
		`{"description":"changed","url":"http://10.0.0.1"}`: "url", `{"description":"changed","nothing":1}`: "nothing",
		`{"handshake":7}`: "handshake", `{"handshake":"https://hooks.example.com"}`: "handshake",
		`{"oauth2":7}`: "oauth2", `{"oauth2":{"client_id":7}}`: "oauth2.client_id", `{"oauth2":{"params":{"a":1}}}`: "oauth2.params",
		`{"oauth2":{"scopes":["a",null]}}`: "oauth2.scopes", `{"oauth2":{"client_id":"x"}}`: "oauth2.token_url", `{"oauth2":{"secret":"x"}}`: "secret",
		`{"scheme":"github"}`: "headers", `{"scheme":"standard-webhooks github"}`: "headers", `{"scheme":"stripe","headers":{"Stripe-Signature":"x"}}`: "headers",
		`{"scheme":"standard-webhooks-ed25519"}`: "scheme", // the secret, which isn't changed, is no key of this scheme
	} {
		if p := s.do(call{method: "PATCH", path: path, body: patch}).want(t, 422); p["field"] != field {
			t.Errorf("%s: %v", patch, p)
		}
	}
	if after := s.get(path).body; string(after) != string(before) {
		t.Errorf("a refused change changed %s into %s", before, after)
	}
}

// oauth2 is merged too, but the client secret is never sent to another token endpoint.
func TestOAuth2(t *testing.T) {
	s := start(t)
	const secret = "secret-of-the-client"
	sub := s.post("/subscriptions", `{"url":"https://example.com","event_types":["a"],"oauth2":{"client_id":"id","client_secret":"`+secret+`","token_url":"https://login.example.com/token"}}`).want(t, 201)
	if got := fmt.Sprint(sub["oauth2"]); got != "map[auth_style:header client_id:id params:map[] scopes:[] token_url:https://login.example.com/token]" {
		t.Errorf("created: %s", got)
	}
	path := "/subscriptions/" + sub.text("subscription_id")
	kept := func() outbound.OAuth2 {
		t.Helper()
		got := must.Get(s.engine.Subscription(sub.text("subscription_id")))(t)
		return got.OAuth2
	}
	want := kept()
	if want.ClientSecret != secret {
		t.Errorf("got client secret %q", want.ClientSecret)
	}
	for _, c := range []struct {
		patch string
		edit  func()
	}{
		{`{}`, func() {}},
		{`{"description":"new"}`, func() {}},
		{`{"oauth2":{}}`, func() {}},
		{`{"oauth2":{"token_url":"https://login.example.com/token"}}`, func() {}},
		{`{"oauth2":{"scopes":["read","write"]}}`, func() { want.Scopes = []string{"read", "write"} }},
		{`{"oauth2":{"params":{"audience":"crm","resource":"x"}}}`, func() { want.Params = map[string]string{"audience": "crm", "resource": "x"} }},
		{`{"oauth2":{"params":{"resource":null}}}`, func() { want.Params = map[string]string{"audience": "crm"} }},
		{`{"oauth2":{"scopes":null,"params":null,"auth_style":"body"}}`, func() { want.Scopes, want.Params, want.AuthStyle = nil, nil, "body" }},
		{`{"oauth2":{"client_secret":"new","auth_style":null}}`, func() { want.ClientSecret, want.AuthStyle = "new", "" }},
		{`{"oauth2":{"client_secret":"newer","token_url":"https://login.example.org"}}`, func() { want.ClientSecret, want.TokenURL = "newer", "https://login.example.org" }},
	} {
		s.do(call{method: "PATCH", path: path, body: c.patch}).want(t, 200)
		c.edit()
		if got := kept(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", c.patch, got, want)
		}
	}
	p := s.do(call{method: "PATCH", path: path, body: `{"oauth2":{"token_url":"https://evil.example.com"}}`}).refused(t, 422, "missing_field")
	if p["field"] != "oauth2.client_secret" || kept().TokenURL != want.TokenURL {
		t.Errorf("to another token endpoint: %v", p)
	}
	s.do(call{method: "PATCH", path: path, body: `{"oauth2":{"params":{"password":"hunter2"}}}`}).want(t, 200)
	if got := s.do(call{method: "GET", path: path, token: readToken}).want(t, 200); strings.Contains(fmt.Sprint(got), "hunter2") {
		t.Errorf("to a reader: %v", got)
	}
	if got := s.get(path).want(t, 200); !strings.Contains(fmt.Sprint(got["oauth2"]), "params:map[password:hunter2]") {
		t.Errorf("to a manager: %v", got)
	}
	if got := s.do(call{method: "PATCH", path: path, body: `{"oauth2":null}`}).want(t, 200); got["oauth2"] != nil || kept().TokenURL != "" {
		t.Errorf("removed: got %v", got)
	}
}

// Secrets are only in the three responses that are meant to have them.
func TestSecretsAreShownNowhereElse(t *testing.T) {
	s := start(t)
	r := newReceiver(t, 500)
	const own, bearer = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "Bearer hunter2-in-a-header"
	sub := s.post("/subscriptions", `{"url":"`+r.URL+`","event_types":["*"],"secret":"`+own+`","headers":{"X-Authorization":"`+bearer+`"},
		"oauth2":{"token_url":"`+r.URL+`","client_id":"id","client_secret":"hunter3-of-the-client"}}`).want(t, 201)
	if sub.text("secret") != own {
		t.Errorf("got another secret than was sent: %v", sub)
	}
	id := sub.text("subscription_id")
	next := s.post("/subscriptions/"+id+"/rotate-secret", "").want(t, 200).text("secret")
	dead := s.dead("a", "1")
	s.follow()() // so that tails end at once
	for path, operations := range s.contract.paths {
		if _, ok := operations["get"]; !ok || path == "/subscriptions/{id}/secret" {
			continue
		}
		for _, value := range []string{id, dead, "x"} {
			a := s.get(parameter.ReplaceAllString(path, value))
			if strings.Contains(string(a.body), own[6:]) || strings.Contains(string(a.body), next[6:]) || strings.Contains(string(a.body), "hunter3") {
				t.Errorf("GET %s shows a secret: %s", path, a.body)
			}
			a = s.do(call{method: "GET", path: parameter.ReplaceAllString(path, value), token: readToken})
			if strings.Contains(string(a.body), "hunter2") {
				t.Errorf("GET %s shows a credential to a reader: %s", path, a.body)
			}
		}
	}
	for _, c := range []call{
		{method: "PATCH", path: "/subscriptions/" + id, body: `{}`},
		{method: "POST", path: "/subscriptions/" + id + "/deactivate"},
		{method: "POST", path: "/subscriptions/" + id + "/activate"},
	} {
		if a := s.do(c); strings.Contains(string(a.body), "whsec_") {
			t.Errorf("%s %s shows a secret: %s", c.method, c.path, a.body)
		}
	}
	s.do(call{method: "GET", path: "/subscriptions/" + id, token: readToken}).want(t, 200).has(t, "headers", "map[X-Authorization:[hidden]]")
	s.get("/subscriptions/"+id).want(t, 200).has(t, "headers", "map[X-Authorization:"+bearer+"]")
	if log := s.log.String(); strings.Contains(log, own[6:]) || strings.Contains(log, next[6:]) || strings.Contains(log, "hunter") || strings.Contains(log, manageToken) {
		t.Errorf("got a secret in the log:\n%s", log)
	}
}

func TestSubscriptionsOfTheConfiguration(t *testing.T) {
	s := start(t, func(s *outbound.Settings) {
		s.Subscriptions = []outbound.SubscriptionSpec{{Name: "crm", URL: "https://example.com", EventTypes: []string{"none"}}}
	})
	s.get("/subscriptions/sub_crm").want(t, 200).has(t, "from_config", true)
	for _, c := range []call{
		{method: "PATCH", path: "/subscriptions/sub_crm", body: `{"description":"x"}`},
		{method: "DELETE", path: "/subscriptions/sub_crm"},
		{method: "POST", path: "/subscriptions/sub_crm/rotate-secret"},
	} {
		if p := s.do(c).refused(t, 409, "conflict"); !strings.Contains(p.text("detail"), "change it there and reload") {
			t.Errorf("%s: %v", c.path, p)
		}
	}
}

func TestSubscriptionLists(t *testing.T) {
	s := start(t)
	for i := range 5 {
		tenant := `null`
		if i%2 == 1 {
			tenant = `"acme"`
		}
		s.post("/subscriptions", fmt.Sprintf(`{"url":"https://example.com/%d","event_types":["a"],"tenant":%s}`, i, tenant)).want(t, 201)
	}
	for query, want := range map[string]string{"?limit=2": "01234", "?limit=5": "01234", "?limit=1&tenant=acme": "13", "?limit=200&tenant=none": ""} {
		got := ""
		for _, row := range s.pages("/subscriptions" + query) {
			got += strings.TrimPrefix(row.text("url"), "https://example.com/")
		}
		if got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
}
