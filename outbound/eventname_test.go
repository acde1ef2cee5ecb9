package outbound_test

import (
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

// Event types of providers are changed into valid ones of ours.
func TestProvidersTypesBecomeOurs(t *testing.T) {
	for in, want := range map[string]string{
		"shopify.orders/create":  "shopify.orders.create",
		"gitlab.Push Hook":       "gitlab.Push_Hook",
		"github.":                "github",
		"github.pull_request":    "github.pull_request",
		"..a..b..":               "a.b",
		"x.é\r\n":                "x.___",
		"webhooks.delivery.dead": "webhooks_delivery.dead",
		"webhooks":               "webhooks",
		"":                       "",
		strings.Repeat("a", 129): strings.Repeat("a", 128),

		strings.Repeat("a", 127) + ".b": strings.Repeat("a", 127),
	} {
		if got := outbound.AsEventType(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// Ids of providers are used as event ids, changed where they aren't valid ones.
func TestProvidersIDsBecomeOurs(t *testing.T) {
	for _, id := range []string{"", "evt_1", strings.Repeat("a", 128)} {
		if got := outbound.AsEventID(id); got != id {
			t.Errorf("%q: got %q, want it unchanged", id, got)
		}
	}
	for _, id := range []string{"a.b", "a b", strings.Repeat("a", 129)} {
		got := outbound.AsEventID(id)
		if len(got) != len("sha256_")+64 || got != outbound.AsEventID(id) {
			t.Errorf("%q: got %q, want the same sha256_ id each time", id, got)
		}
	}
}
