package handler

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

// Each verdict is counted once, and so is the secret that matched, also for a replay. An
// unsigned handshake matches no secret. A time to remember messages is enough to have
// replays acknowledged.
func TestVerdictsAreCounted(t *testing.T) {
	h := provisioned(t, &Verify{Provider: "woocommerce", Secrets: []string{"new", testSecret}, ReplayFor: minReplayFor})
	signed := func(body string) *http.Request {
		m := hmac.New(sha256.New, []byte(testSecret))
		m.Write([]byte(body))
		r := post(t, "http://hooks.example.com/", `{"id":1}`)
		r.Header.Set("X-WC-Webhook-Signature", base64.StdEncoding.EncodeToString(m.Sum(nil)))
		return r
	}
	ping := post(t, "http://hooks.example.com/", "webhook_id=7")
	ping.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	count := func() map[string]float64 { return counted(t, verifyMetrics.requests, verifyMetrics.secrets) }
	for _, tt := range []struct {
		name    string
		request *http.Request
		want    map[string]float64
	}{
		{"verified", signed(`{"id":1}`), map[string]float64{"requests_total woocommerce  verified": 1, "secret_matches_total woocommerce 1": 1}},
		{"again", signed(`{"id":1}`), map[string]float64{"requests_total woocommerce replayed acknowledged": 1, "secret_matches_total woocommerce 1": 1}},
		{"forged", signed("other"), map[string]float64{"requests_total woocommerce bad_signature refused": 1}},
		{"handshake", ping, map[string]float64{"requests_total woocommerce  handshake": 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := count()
			h.ServeHTTP(httptest.NewRecorder(), prepared(tt.request), caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil }))
			got := make(map[string]float64)
			for name, n := range count() {
				if n -= before[name]; n != 0 {
					got[name[len("caddy_webhooks_verify_"):]] = n
				}
			}
			if !maps.Equal(got, tt.want) {
				t.Errorf("got counts %v, want %v", got, tt.want)
			}
		})
	}
}

// The memory of bodies is reported while they are held.
func TestBodyMemoryMetric(t *testing.T) {
	must.Eventually(t, "the bodies of other tests to be released", func() bool { return bodies.Taken() == 0 })
	part := bodies.Part()
	part.Grow(1 << 20)
	defer part.Release()
	for _, got := range counted(t, verifyMetrics.memory) {
		if got != 1<<20 {
			t.Errorf("got %v bytes, want 1 MiB", got)
		}
	}
}
