package handler

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/internal/freeport"
)

// Options that the Caddyfile's parser refuses are refused in JSON too, so that the API
// is never open by mistake.
func TestAPIInJSON(t *testing.T) {
	runCaddy(t, "", "")
	for options, want := range map[string]string{
		`"tokens":[]`:    "the API would be open to everybody",
		`"auth":"basic"`: "write `auth none`, or tokens",
		`"auth":"none","tokens":[{"value":"x","scope":"read"}]`: "can't be combined with tokens",
		`"tokens":[{"value":"x","scope":"admin"}]`:              "scope",
		`"tokens":[{"value":"x"}]`:                              "scope",
		`"tokens":[{"scope":"read"}]`:                           "token: the secret is empty",
	} {
		config := fmt.Sprintf(`{"admin":{"listen":"localhost:%d"},"apps":{"http":{"servers":{"s":{"listen":["127.0.0.1:%d"],"routes":[{"handle":[{"handler":"webhook_api",%s}]}]}}}}}`, adminPort(), freeport.Get(), options)
		res := postLoad(t, "application/json", config)
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode == http.StatusOK || !strings.Contains(string(body), "webhook_api: ") || !strings.Contains(string(body), want) {
			t.Errorf("%s: got %s %s, want %q in it", options, res.Status, body, want)
		}
	}
}
