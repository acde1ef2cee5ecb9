package handler

import (
	"net/http"
	"strings"
	"testing"
)

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
		if got := eventType(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

func TestProvidersIDsBecomeOurs(t *testing.T) {
	for _, id := range []string{"", "evt_1", strings.Repeat("a", 128)} {
		if got := eventID(id); got != id {
			t.Errorf("%q becomes %q", id, got)
		}
	}
	for _, id := range []string{"a.b", "a b", strings.Repeat("a", 129)} {
		got := eventID(id)
		if len(got) != len("sha256_")+64 || got != eventID(id) {
			t.Errorf("%q becomes %q", id, got)
		}
	}
}

func TestForwardedHeaders(t *testing.T) {
	h := http.Header{
		"X-Github-Event":    {"push"},
		"X-Github-Delivery": {"1", "2"},
		"X-Other":           {"x"},
		"Connection":        {"close"},
		"Webhook-Id":        {"evil"},
	}
	got, _ := forwarded(h, []string{"x-github-*", "Connection", "Webhook-Id"})
	if len(got) != 2 || got["X-Github-Event"] != "push" || got["X-Github-Delivery"] != "1, 2" {
		t.Errorf("got %v", got)
	}
	if got, _ := forwarded(h, nil); got != nil {
		t.Errorf("without a pattern: %v", got)
	}
	if got, left := forwarded(h, []string{"*"}); len(got) != 3 || len(left) != 0 {
		t.Errorf("all that may be sent: %v, without %v", got, left)
	}
}
