package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/handler/api"
)

func TestDeleteTenant(t *testing.T) {
	s := start(t)
	s.subscribe("a", "--tenant", "acme")
	held := s.subscribe("b", "--tenant", "acme")
	s.run("", "subscriptions", "deactivate", held).want(t, 0)
	s.subscribe("*", "--tenant", "rival")
	s.publish("a", "1", "--tenant", "acme")
	s.run("1", "events", "publish", "b", "--tenant", "acme").want(t, 0)
	s.publish("a", "1", "--tenant", "rival")
	s.run("", "tenants", "delete").want(t, 2)
	s.run("", "tenants", "delete", "acme", "--dry-run").want(t, 0).prints(t, "2 subscriptions and 2 events would be deleted\n")
	s.run("", "tenants", "delete", "acme", "--dry-run", "--json").want(t, 0).prints(t, "{\n  \"events\": 2,\n  \"subscriptions\": 2\n}\n")
	if r := s.run("", "tenants", "delete", "acme").want(t, 0); r.out != "2 subscriptions and 2 events deleted\n" || strings.Contains(r.err, "Nothing") {
		t.Errorf("got stdout %q, stderr %q", r.out, r.err)
	}
	s.run("", "tenants", "delete", "acme").want(t, 0).prints(t, "0 subscriptions and 0 events deleted\n").says(t, "Nothing belongs to a tenant acme")
	s.run("", "tenants", "delete", "rival", "--json").want(t, 0).prints(t, "{\n  \"events\": 1,\n  \"subscriptions\": 1\n}\n")
}

func TestTenantsCantDeleteTenants(t *testing.T) {
	s := start(t)
	s.tenant = "acme"
	address := serve(t, s.api().ServeHTTP)
	run(t, "", "tenants", "delete", "acme", "--address", address).want(t, 1).says(t, "whoever runs this server")
	run(t, "", "tenants", "token", "acme", "--address", address).want(t, 1).says(t, "whoever runs this server")
}

func TestTenantToken(t *testing.T) {
	s := start(t)
	api := s.public()
	t.Setenv(tokenVariable, manageToken)
	s.run("1", "events", "publish", "a", "--tenant", "rival").want(t, 0)
	issue := func(flags ...string) result {
		t.Helper()
		return runAt(t, time.Now, "", append([]string{"tenants", "token", "acme", "--api", api}, flags...)...)
	}
	r := issue("--scope", "read", "--expires-in", "8h").want(t, 0)
	token := field(t, r.out, "Token")
	r.shows(t, "Tenant:     acme\n", "Scope:      read\n", "Expires:    20", "Dashboard:  "+api+"/#token="+token+"\n")
	issue("--json").want(t, 0).shows(t, `"token": "wht_`, `"scope": "manage"`)

	t.Setenv(tokenVariable, token)
	run(t, "", "events", "list", "--api", api, "--json").want(t, 0).shows(t, `"data": []`)
	run(t, "1", "events", "publish", "a", "--api", api).want(t, 1).says(t, "this token has the scope read")
	issue().want(t, 1).says(t, "this token has the scope read")

	s.run("", "tenants", "token", "acme").want(t, 1).says(t, "from a manage token, and there is none here", "Use --api")
	s.run("", "tenants", "token").want(t, 2).says(t, "an argument is missing")
	t.Setenv(tokenVariable, manageToken)
	issue("--scope", "publish").want(t, 1).says(t, "must be read or manage")
	issue("--scope", "").want(t, 2).says(t, "--scope")
	issue("--expires-in", "8d").want(t, 1).says(t, "must be from 1s to 168h")
	issue("--expires-in", "").want(t, 2).says(t, "--expires-in")
}

// If a manage token is too short to issue tokens, another webhook_api is of no use.
func TestManageTokenTooShortToIssue(t *testing.T) {
	const short = "manage-0123456789-01234"
	h := start(t).api(api.Token{Value: short, Scope: api.ScopeManage})
	t.Setenv(tokenVariable, short)
	r := run(t, "", "tenants", "token", "acme", "--api", "http://"+serve(t, h.ServeHTTP)+mount).want(t, 1).says(t, "at least 24 random characters")
	if strings.Contains(r.err, "--api") {
		t.Errorf("got a hint at another API in %q", r.err)
	}
}
