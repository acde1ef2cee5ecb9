package handler

import (
	"reflect"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// TestSettings: what the config says is what the engine is told.
func TestSettings(t *testing.T) {
	runCaddy(t, `webhooks {
		store sqlite `+storePath(t)+`
		sign hmac {
			signature header X-Sig
		}
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
		event_type order.created "Fired when a new order is placed"
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
			scheme stripe
			tenant acme
			description "The CRM"
			rate_limit 3000/m
			ordered
			filter `+"`payload.total > 100`"+`
		}
	}`, "")
	app, err := caddy.ActiveContext().App("webhooks")
	if err != nil {
		t.Fatal(err)
	}
	got := app.(*App).settings
	got.Own, got.Logger, got.Tracer, got.Observer = nil, nil, nil, nil
	want := outbound.Settings{
		Sign: "hmac", SignScheme: verify.Scheme{Signature: verify.Signature{In: "header", Name: "X-Sig"}},
		Retry: outbound.Schedule{5 * time.Second, 5 * time.Minute, 24 * time.Hour}, Timeout: 10 * time.Second,
		Concurrency: 64, EndpointConcurrency: 4, SecretGrace: 2 * time.Hour,
		DisableAfter: outbound.DisableAfter{Failures: 7, For: 3 * time.Hour},
		RetainFor:    4 * 24 * time.Hour, RetainSize: 5 << 30, ResponseBody: 6 << 10, MaxPayload: 1 << 20, TenantRate: 100,
		EventTypes: []outbound.EventType{{Name: "order.created", Description: "Fired when a new order is placed"}},
		Subscriptions: []outbound.SubscriptionSpec{{
			Name: "crm", URL: "https://crm.example.com/hooks", EventTypes: []string{"order.*", "customer.created"},
			Tenant: "acme", Description: "The CRM", Headers: map[string]string{"X-Env": "production"}, Scheme: "stripe",
			Secrets: []string{"secret-of-now", "secret-of-before"},
			OAuth2: outbound.OAuth2{
				TokenURL: "https://login.example.com/oauth2/token", ClientID: "webhooks", ClientSecret: "hush",
				Scopes: []string{"hooks.write"}, Params: map[string]string{"audience": "https://crm.example.com"}, AuthStyle: "body",
			},
			RateLimit: 50, Ordered: true, Filter: "payload.total > 100",
		}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}
