package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// The table has a line for each scheme, with the same columns.
func TestProvidersTable(t *testing.T) {
	out := run(t, "", "providers").want(t, 0).out
	lines := make(map[string]string)
	for line := range strings.Lines(out) {
		words := strings.Fields(line)
		lines[words[0]] = strings.Join(words, " ")
	}
	for name, want := range map[string]string{
		"PROVIDER":     "PROVIDER ALGORITHM ENCODING SIGNED TIME REPLAY BODY HANDSHAKE SOURCE",
		"github":       "github hmac-sha256 hex {body} no opt-in yes - https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries",
		"slack":        "slack hmac-sha256 hex v0:{timestamp}:{body} 5m yes yes slack https://docs.slack.dev/authentication/verifying-requests-from-slack",
		"dropbox-sign": "dropbox-sign hmac-sha256 hex {timestamp}{event_type} 80h, 5m ahead no no dropbox-sign hellosign/dropbox-sign-node",
		"hubspot-v1":   "hubspot-v1 sha256 hex {secret}{body} no opt-in yes - HubSpot/hubspot-api-python hubspot/utils/signature.py",
		"okta":         "okta token - nothing no no no okta https://developer.okta.com/docs/concepts/event-hooks/",
		"telnyx":       "telnyx ed25519 base64 {timestamp}|{body} 5m yes yes - team-telnyx/telnyx-node lib/Webhooks.js",
		"gusto":        "gusto hmac-sha256 hex {body} no opt-in yes - https://docs.gusto.com/embedded-payroll/docs/webhooks (unconfirmed)",
	} {
		if lines[name] != want {
			t.Errorf("got  %s\nwant %s", lines[name], want)
		}
	}
	for _, row := range verify.Schemes() {
		if lines[row.Name] == "" {
			t.Errorf("got no line for %s", row.Name)
		}
	}
}

// The rows in JSON are complete, and the same when they are read again.
func TestProvidersJSON(t *testing.T) {
	var got []verify.Scheme
	must.Do(t, json.Unmarshal([]byte(run(t, "", "providers", "--json").want(t, 0).out), &got))
	want := must.Get(json.Marshal(verify.Schemes()))(t)
	again := must.Get(json.Marshal(got))(t)
	if string(again) != string(want) {
		t.Errorf("got %s\nwant %s", again, want)
	}
}

// The schemes of a configuration are listed, shown and suggested with it, marked as own.
func TestProvidersOfAConfiguration(t *testing.T) {
	config := file(t, `{"apps":{"webhooks":{"schemes":[{"name":"acme-orders","provider":"github","content":"v0:{body}"}]}}}`)
	const line = "acme-orders hmac-sha256 hex v0:{body} no opt-in yes - own"
	list := strings.Join(strings.Fields(run(t, "", "providers", "--config", config).want(t, 0).out), " ")
	if !strings.Contains(list, line) || !strings.Contains(list, " github hmac-sha256 ") {
		t.Errorf("got a list without %q or without github:\n%s", line, list)
	}
	if list := run(t, "", "providers").want(t, 0).out; strings.Contains(list, "acme-orders") {
		t.Error("got acme-orders in the list without --config, want none")
	}
	shown := run(t, "", "providers", "acme-orders", "-c", config).want(t, 0).out
	if field(t, shown, "Source") != "own" || field(t, shown, "Signed") != "v0:{body}" || strings.Contains(shown, "Provider:") {
		t.Errorf("printed %s", shown)
	}
	if r := run(t, "", "providers", "acme-order", "-c", config).want(t, 2); !strings.Contains(r.err, "did you mean acme-orders?") {
		t.Errorf("printed %q", r.err)
	}
	run(t, "", "providers", "--adapter", "caddyfile").want(t, 2)
}

func TestProvider(t *testing.T) {
	for _, name := range []string{"stripe", "adyen", "twilio"} {
		t.Run(name, func(t *testing.T) {
			golden(t, "providers-"+name, run(t, "", "providers", name).want(t, 0).out)
		})
	}
	t.Run("by an alias", func(t *testing.T) {
		if out := run(t, "", "providers", "whatsapp").want(t, 0).out; !strings.Contains(out, "meta") {
			t.Errorf("got %s", out)
		}
	})
	t.Run("by a part of its name", func(t *testing.T) {
		if r := run(t, "", "providers", "dropbo"); r.code != exitUsage || !strings.Contains(r.err, "dropbox-sign") {
			t.Errorf("got code %d, %s", r.code, r.err)
		}
	})
}
