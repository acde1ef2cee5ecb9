package api_test

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

// The dashboard needs no token. Nothing but its own script can run in it, and it makes
// requests only to this server.
func TestDashboard(t *testing.T) {
	s := start(t)
	resp := must.Get(s.Client().Get(s.URL + prefix + "/"))(t)
	defer resp.Body.Close()
	body := must.Get(io.ReadAll(resp.Body))(t)
	policy := resp.Header.Get("Content-Security-Policy")
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/html; charset=utf-8" || strings.Count(policy, "'sha256-") != 2 ||
		!strings.HasPrefix(policy, "default-src 'none'; connect-src 'self';") || !strings.Contains(policy, "frame-ancestors 'none'") {
		t.Errorf("%s, %v", resp.Status, resp.Header)
	}
	// The policy allows one script and one style, and would block what is searched for here.
	examples := strings.NewReplacer(`example: "https://example.com/`, "", `example: "https://login.example.com/`, "") // the fields' placeholders
	page := examples.Replace(string(body))
	if strings.Count(page, "<script") != 1 || strings.Count(page, "<style") != 1 {
		t.Error("got several scripts or styles")
	}
	if found := regexp.MustCompile(`\bhttps?://|\s(on\w+|style)="|\.(innerHTML|outerHTML|insertAdjacentHTML|cssText)\b`).FindString(page); found != "" {
		t.Errorf("got %s in the page", found)
	}
	if !strings.Contains(page, `options: ["", "`+strings.Join(outbound.Classes, `", "`)+`"]`) {
		t.Error("the filter doesn't have all classes")
	}
	s.do(call{method: "GET", path: "/status", token: "-"}).refused(t, 401, "missing_token")
}
