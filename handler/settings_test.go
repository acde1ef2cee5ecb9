package handler

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// The engine gets the settings that the config contains.
func TestSettings(t *testing.T) {
	schema := filepath.Join(t.TempDir(), "order.json")
	must.Do(t, os.WriteFile(schema, []byte(`{"type":"object"}`), 0o600))
	runCaddy(t, `webhooks {
		store sqlite `+storePath(t)+`
		scheme acme {
			signature header X-Sig
		}
		sign acme
		retry 5s 5m 1d
		timeout 10s
		concurrency 64
		endpoint_concurrency 4
		secret_grace 2h
		disable_after 7 3h
		retain_for 4d
		retain_size 5GiB
		response_body 6KiB
		max_payload 1MiB
		tenant_rate_limit 100/s
		event_type order.created "Fired when a new order is placed" {
			schema `+schema+`
		}
		subscription crm {
			url https://crm.example.com/hooks
			event_types order.* customer.created
			secret secret-of-now secret-of-before
			header X-Env production
			oauth2 https://login.example.com/oauth2/token {
				client_id webhooks
				client_secret hush
				scope hooks.write
				param audience https://crm.example.com
				auth_style body
			}
			handshake hooks.example.com
			scheme stripe
			tenant acme
			description "The CRM"
			rate_limit 3000/m
			retry off
			timeout 1m
			ordered
			filter `+"`payload.total > 100`"+`
			transform `+"`{\"env\": payload.env}`"+`
			metadata customer 42
		}
	}`, "")
	app := must.Get(caddy.ActiveContext().App("webhooks"))(t)
	got := app.(*App).settings
	got.Own, got.Logger, got.Tracer, got.Observer = nil, nil, nil, nil
	empty, _ := verify.Lookup("hmac")
	want := outbound.Settings{
		Sign: "acme", Schemes: verify.Table{"acme": empty.Merge(verify.Scheme{Name: "acme", Signature: verify.Signature{In: "header", Name: "X-Sig"}})},
		Retry: outbound.Schedule{5 * time.Second, 5 * time.Minute, 24 * time.Hour}, Timeout: 10 * time.Second,
		Concurrency: 64, EndpointConcurrency: 4, SecretGrace: 2 * time.Hour,
		DisableAfter: outbound.DisableAfter{Failures: 7, For: 3 * time.Hour},
		RetainFor:    4 * 24 * time.Hour, RetainSize: 5 << 30, ResponseBody: 6 << 10, MaxPayload: 1 << 20, TenantRate: 100,
		EventTypes: []outbound.EventType{{Name: "order.created", Description: "Fired when a new order is placed", Schema: json.RawMessage(`{"type":"object"}`)}},
		Subscriptions: []outbound.SubscriptionSpec{{
			Name: "crm", URL: "https://crm.example.com/hooks", EventTypes: []string{"order.*", "customer.created"},
			Tenant: "acme", Description: "The CRM", Headers: map[string]string{"X-Env": "production"}, Scheme: "stripe",
			Secrets: []string{"secret-of-now", "secret-of-before"},
			OAuth2: outbound.OAuth2{
				TokenURL: "https://login.example.com/oauth2/token", ClientID: "webhooks", ClientSecret: "hush",
				Scopes: []string{"hooks.write"}, Params: map[string]string{"audience": "https://crm.example.com"}, AuthStyle: "body",
			},
			Handshake: "hooks.example.com",
			RateLimit: 50, Retry: outbound.Schedule{}, Timeout: time.Minute, Ordered: true,
			Filter: "payload.total > 100", Transform: `{"env": payload.env}`, Metadata: map[string]string{"customer": "42"},
		}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestRetrySchedule(t *testing.T) {
	for name, c := range map[string]struct {
		x    Exponential
		want outbound.Schedule
	}{
		"with all fields": {Exponential{Base: caddy.Duration(time.Minute), Factor: 3, Max: caddy.Duration(5 * time.Minute), Attempts: 4}, outbound.Schedule{time.Minute, 3 * time.Minute, 5 * time.Minute}},
		"by default":      {Exponential{}, outbound.Schedule{1 * time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 32 * time.Second, 64 * time.Second, 128 * time.Second, 256 * time.Second}},
	} {
		if got, err := (&Retry{Exponential: &c.x}).schedule(); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, %v, want %v", name, got, err, c.want)
		}
	}
	if _, err := (&Retry{Exponential: new(Exponential), Delays: []caddy.Duration{1}}).schedule(); err == nil || !strings.Contains(err.Error(), "not both") {
		t.Errorf("both: got %v, want an error", err)
	}
}

// An option of the other type of store is an error.
func TestStoreInJSON(t *testing.T) {
	for _, c := range []struct {
		store Store
		want  string
	}{
		{Store{Type: "mysql", DSN: "s3cr3t"}, "store: unknown type"},
		{Store{DSN: "s3cr3t"}, "store sqlite takes a path, not a dsn"},
		{Store{Type: "postgres", DSN: "s3cr3t", Path: "/var/lib/webhooks.db"}, "store postgres takes a dsn, not a path"},
		{Store{Type: "postgres"}, "store postgres: the secret is empty"},
		{Store{Type: "postgres", DSN: "postgres://u:s3cr3t@:x"}, "store postgres: its argument "},
	} {
		if _, err := c.store.locate(); err == nil || !strings.HasPrefix(err.Error(), "store") || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%+v: got %v, want %q", c.store, err, c.want)
		}
	}
}
