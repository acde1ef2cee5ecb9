package outbound_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

const (
	shortSecret = "whsec_c2hvcnQ="
	longSecret  = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"
)

// A short secret signs, since receivers may know it, and the log warns of it
// wherever it comes from.
func TestShortSecretsAreWarnedOf(t *testing.T) {
	for _, c := range []struct {
		name   string
		secret string
		short  bool
	}{
		{"short", shortSecret, true},
		{"long enough", longSecret, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log journal
			h := open(t, writes(&log))
			warned := func(by, id string) {
				t.Helper()
				line := log.line("short enough to be guessed")
				if (line != "") != c.short || c.short && !strings.Contains(line, "subscription_id="+id+" bytes=5 at_least=24") {
					t.Errorf("%s: %q", by, line)
				}
				if line := log.line(c.secret); line != "" {
					t.Errorf("the secret is in the log: %s", line)
				}
				log.b.Reset()
			}
			spec := outbound.SubscriptionSpec{URL: "https://receiver.example", EventTypes: []string{"*"}, Secrets: []string{c.secret}}
			warned("created", h.subscribe(spec).ID)
			spec.Secrets = nil
			made := h.subscribe(spec).ID
			if line := log.line("short enough"); line != "" {
				t.Errorf("one that was made: %s", line)
			}
			if _, err := h.RotateSecret(t.Context(), made, c.secret); err != nil {
				t.Fatal(err)
			}
			warned("rotated", made)
			spec.Name, spec.Secrets = "crm", []string{longSecret, c.secret}
			h.settings.Subscriptions = []outbound.SubscriptionSpec{spec}
			if err := h.Apply(t.Context(), h.settings); err != nil {
				t.Fatal(err)
			}
			warned("configured", "sub_crm")
			h.restart()
			warned("after a restart", "sub_crm")
		})
	}
}

// What is said of a secret that doesn't fit is its form, and not the secret.
func TestSecretsThatDoNotFit(t *testing.T) {
	h := open(t)
	for scheme, want := range map[string]string{"standard-webhooks": "whsec_", "onfleet": "openssl rand -hex 32"} {
		_, err := h.CreateSubscription(t.Context(), outbound.SubscriptionSpec{
			URL: "https://receiver.example", EventTypes: []string{"*"}, Scheme: scheme, Secrets: []string{"my-secret"},
		})
		var wrong *outbound.Invalid
		if !errors.As(err, &wrong) || wrong.Field != "secret" || !strings.Contains(wrong.What, want) || strings.Contains(err.Error(), "my-secret") || strings.Contains(err.Error(), "provider") {
			t.Errorf("%s: %v", scheme, err)
		}
	}
}
