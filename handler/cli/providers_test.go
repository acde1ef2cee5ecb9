package cli

import (
	"encoding/json"
	"strings"
	"testing"

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
		"ramp":         "ramp hmac-sha256 hex {body} no opt-in yes - https://docs.ramp.com/developer-api/v1/webhooks (unconfirmed)",
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
	if err := json.Unmarshal([]byte(run(t, "", "providers", "--json").want(t, 0).out), &got); err != nil {
		t.Fatal(err)
	}
	want, err := json.Marshal(verify.Schemes())
	if err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	if string(again) != string(want) {
		t.Errorf("got %s\nwant %s", again, want)
	}
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
