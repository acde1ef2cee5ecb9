package handler

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// provisioned makes a handler as Caddy would, without a server.
func provisioned(t testing.TB, h *Verify) *Verify {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	if err := h.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Cleanup() })
	return h
}

// prepared is a request as Caddy's server hands it to handlers.
func prepared(r *http.Request) *http.Request {
	r.Body = http.MaxBytesReader(nil, r.Body, 1<<30)
	return caddyhttp.PrepareRequest(r, caddy.NewReplacer(), httptest.NewRecorder(), nil)
}

// TestVerifySpan: the span joins the request's trace, ends before the app is
// asked, and says nothing of secrets.
func TestVerifySpan(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	h := provisioned(t, &Verify{Provider: "github", Secrets: []string{testSecret}})
	for _, tt := range []struct {
		name, signed string
		want         []attribute.KeyValue
	}{
		{"verified", "{}", []attribute.KeyValue{
			attribute.String("webhook.provider", "github"), attribute.String("webhook.verdict", "verified")}},
		{"refused", "other", []attribute.KeyValue{
			attribute.String("webhook.provider", "github"), attribute.String("webhook.verdict", "refused"), attribute.String("webhook.reason", "bad_signature")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			recorder.Reset()
			ctx, parent := provider.Tracer("server").Start(t.Context(), "request")
			r := prepared(signGitHub(post(t, "http://hooks.example.com/", "{}"), tt.signed).WithContext(ctx))
			var ended int
			h.ServeHTTP(httptest.NewRecorder(), r, caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error {
				ended = len(recorder.Ended())
				return nil
			}))
			if tt.name == "verified" && ended != 1 {
				t.Errorf("%d spans had ended when the app was asked", ended)
			}
			spans := recorder.Ended()
			if len(spans) != 1 {
				t.Fatalf("%d spans", len(spans))
			}
			span := spans[0]
			if span.Name() != "webhook verify" || span.Parent().SpanID() != parent.SpanContext().SpanID() {
				t.Errorf("span %q under %s", span.Name(), span.Parent().SpanID())
			}
			got := attribute.NewSet(span.Attributes()...)
			if want := attribute.NewSet(tt.want...); !got.Equals(&want) {
				t.Errorf("attributes %v", span.Attributes())
			}
		})
	}
	t.Run("no trace", func(t *testing.T) {
		recorder.Reset()
		r := prepared(signGitHub(post(t, "http://hooks.example.com/", "{}"), "{}"))
		if err := h.ServeHTTP(httptest.NewRecorder(), r, caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })); err != nil {
			t.Fatal(err)
		}
		if n := len(recorder.Started()); n != 0 {
			t.Errorf("%d spans without a request's span", n)
		}
	})
}
