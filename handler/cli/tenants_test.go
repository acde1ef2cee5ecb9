package cli

import (
	"strings"
	"testing"
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
}
