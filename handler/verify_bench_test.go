package handler

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-webhooks/caddy-webhooks/handler/internal/spool/spooltest"
)

// BenchmarkVerify measures the cost of the handler alone, with an app that reads the body
// once.
func BenchmarkVerify(b *testing.B) {
	h := provisioned(b, &Verify{Provider: "github", Secrets: []string{testSecret}})
	h.refusals = newRefusalLog(zap.NewNop())
	next := caddyhttp.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) error {
		_, err := io.Copy(io.Discard, r.Body)
		return err
	})
	for _, size := range []int{1 << 10, 64 << 10, 1 << 20, 2 << 20} {
		body := spooltest.Bytes(size)
		signature := "sha256=" + mac(testSecret, string(body))
		b.Run(fmt.Sprintf("verified/%dKiB", size>>10), func(b *testing.B) {
			b.SetBytes(int64(size))
			benchmarkVerify(b, h, next, body, signature)
		})
	}
	b.Run("refused", func(b *testing.B) { benchmarkVerify(b, h, next, spooltest.Bytes(1<<10), "") })
}

func benchmarkVerify(b *testing.B, h *Verify, next caddyhttp.Handler, body []byte, signature string) {
	reader := bytes.NewReader(body)
	template := httptest.NewRequest(http.MethodPost, "http://hooks.example.com/github", reader)
	template = prepared(template)
	w := httptest.NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		reader.Reset(body)
		r := *template
		r.Body = io.NopCloser(reader)
		r.Header = http.Header{"X-Github-Event": {"push"}}
		if signature != "" {
			r.Header["X-Hub-Signature-256"] = []string{signature}
		}
		if err := h.ServeHTTP(w, &r, next); (err == nil) != (signature != "") {
			b.Fatal(err)
		}
	}
}
