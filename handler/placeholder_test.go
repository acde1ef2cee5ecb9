package handler

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/sqlite"
)

// everyText is a webhooks block with a placeholder in each text.
const everyText = `webhooks {
	store sqlite {env.WH_STORE}
	sign {env.WH_SIGN}
	egress {
		allow {env.WH_ALLOW} localhost
		deny {env.WH_DENY}
		proxy http://{env.WH_PROXY}:3128
	}
	event_type {env.WH_TYPE} "About {env.WH_ABOUT}, \{as is\}"
	subscription {env.WH_NAME} {
		url https://{env.WH_HOST}/hooks
		event_types {env.WH_TYPES} invoice.*
		secret {file.%s}
		header {env.WH_HEADER} "Bearer {env.WH_VALUE}"
		scheme {env.WH_SCHEME}
		tenant {env.WH_TENANT}
		description "For {env.WH_DESCRIPTION}"
		metadata {env.WH_HEADER} {env.WH_VALUE}
	}
}`

// Global placeholders are replaced in every text of the config when it is loaded.
func TestPlaceholdersOfEveryText(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	must.Do(t, os.WriteFile(secret, []byte("s3cret\n"), 0o600))
	for name, value := range map[string]string{
		"STORE": filepath.Join(dir, "webhooks.db"), "SIGN": "stripe", "ALLOW": "10.0.0.0/8", "DENY": "evil.example", "PROXY": "egress.internal",
		"TYPE": "order.created", "ABOUT": "orders",
		"NAME": "crm", "HOST": "crm.example.com", "TYPES": "order.*", "HEADER": "X-Env", "VALUE": "xyz",
		"SCHEME": "github", "TENANT": "acme", "DESCRIPTION": "the CRM",
	} {
		t.Setenv("WH_"+name, value)
	}
	block := fmt.Sprintf(everyText, secret)
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte("{\n"+block+"\n}\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(adapted), "{env.WH_"); n != strings.Count(block, "{env.WH_") || strings.Contains(string(adapted), "s3cret") {
		t.Errorf("placeholders were replaced before the config was loaded: %s", adapted)
	}

	a := new(App)
	must.Do(t, a.UnmarshalCaddyfile(caddyfile.NewTestDispenser(block)))
	if p, err := a.Store.locate(); err != nil || p.key != "sqlite:"+must.Get(sqlite.Canonical(filepath.Join(dir, "webhooks.db")))(t) {
		t.Errorf("got store %s, %v", p.key, err)
	}
	s := must.Get(a.resolve())(t)
	if s.Sign != "stripe" || s.Proxy.Host != "egress.internal:3128" {
		t.Errorf("got scheme %s and proxy %s", s.Sign, s.Proxy)
	}
	for u, allowed := range map[string]bool{"http://10.1.2.3/": true, "http://localhost/": true, "http://192.168.0.1/": false, "https://evil.example/": false} {
		if _, err := s.Policy.CheckURL(u); (err == nil) != allowed {
			t.Errorf("%s: got %v, want allowed: %v", u, err, allowed)
		}
	}
	if want := []outbound.EventType{{Name: "order.created", Description: "About orders, {as is}"}}; !reflect.DeepEqual(s.EventTypes, want) {
		t.Errorf("got event types %+v, want %+v", s.EventTypes, want)
	}
	want := []outbound.SubscriptionSpec{{
		Name: "crm", URL: "https://crm.example.com/hooks", EventTypes: []string{"order.*", "invoice.*"},
		Secrets: []string{"s3cret"}, Headers: map[string]string{"X-Env": "Bearer xyz"},
		Metadata: map[string]string{"X-Env": "xyz"},
		Scheme:   "github", Tenant: "acme", Description: "For the CRM",
	}}
	if !reflect.DeepEqual(s.Subscriptions, want) {
		t.Errorf("got subscriptions %+v, want %+v", s.Subscriptions, want)
	}
}

// An empty or unknown placeholder is an error that names its option.
func TestEmptyPlaceholders(t *testing.T) {
	runCaddy(t, "", ":0 {\n}")
	t.Setenv("WH_EMPTY", "")
	t.Setenv("WH_TWICE", "twice")
	subscription := func(s string) string { return "subscription crm {\n" + s + "\n}" }
	for option, lines := range map[string]string{
		"store sqlite":                   "store sqlite %s",
		"sign":                           "sign %s",
		"egress allow":                   "egress {\nallow 10.0.0.1 %s\n}",
		"egress deny":                    "egress {\ndeny %s\n}",
		"egress proxy":                   "egress {\nproxy http://%s\n}",
		"egress tls_client_auth":         "egress {\ntls_client_auth %s /dev/null\n}",
		"event_type a: description":      `event_type a "about %s"`,
		"subscription crm: url":          subscription("url https://%s/"),
		"subscription crm: event_types":  subscription("event_types a %s"),
		"subscription crm: secret":       subscription("secret %s"),
		"subscription crm: header X-Env": subscription("header X-Env %s"),
		"subscription crm: scheme":       subscription("scheme %s"),
		"subscription crm: tenant":       subscription("tenant %s"),
		"subscription crm: description":  subscription(`description "for %s"`),
	} {
		for placeholder, what := range map[string]string{
			"{env.WH_EMPTY}": "the environment variable WH_EMPTY is empty or not set in the process that loads the config: set it there",
			"{env.WH_NONE}":  "the environment variable WH_NONE is empty or not set",
			"{order.id}":     "the text in braces is not a placeholder",
		} {
			want := "provision webhooks: " + option + ": " + what
			if got := loadCaddy(t, "webhooks {\n"+fmt.Sprintf(lines, placeholder)+"\n}", ""); !strings.Contains(got, want) {
				t.Errorf("%s %s: got %s, want %q in it", option, placeholder, got, want)
			}
		}
	}
	for name, c := range map[string]struct{ lines, want string }{
		"an event type":        {"event_type twice\nevent_type {env.WH_TWICE}", "event_type twice is defined twice"},
		"a subscription":       {"subscription twice {\n}\nsubscription {env.WH_TWICE} {\n}", "subscription twice is defined twice"},
		"a header":             {subscription("header twice 1\nheader {env.WH_TWICE} 2"), "subscription crm: header twice is given twice"},
		"an event type's name": {"event_type {env.WH_NONE}", "name: the environment variable WH_NONE"},
	} {
		if got := loadCaddy(t, "webhooks {\n"+c.lines+"\n}", ""); !strings.Contains(got, c.want) {
			t.Errorf("%s: got %s, want %q in it", name, got, c.want)
		}
	}
}
