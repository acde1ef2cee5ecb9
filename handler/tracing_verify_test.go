package handler

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

// The span is part of the request's trace, ends before the app gets the request, and
// contains no secrets.
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
				t.Errorf("got %d ended spans when the app got the request, want 1", ended)
			}
			spans := recorder.Ended()
			if len(spans) != 1 {
				t.Fatalf("got %d spans, want 1", len(spans))
			}
			span := spans[0]
			if span.Name() != "webhook verify" || span.Parent().SpanID() != parent.SpanContext().SpanID() {
				t.Errorf("got span %q with parent %s", span.Name(), span.Parent().SpanID())
			}
			if code := span.Status().Code; code != codes.Unset { // it is no fault of the server's
				t.Errorf("got status %v", code)
			}
			got := attribute.NewSet(span.Attributes()...)
			if want := attribute.NewSet(tt.want...); !got.Equals(&want) {
				t.Errorf("got attributes %v, want %v", span.Attributes(), tt.want)
			}
		})
	}
	t.Run("no trace", func(t *testing.T) {
		recorder.Reset()
		r := prepared(signGitHub(post(t, "http://hooks.example.com/", "{}"), "{}"))
		must.Do(t, h.ServeHTTP(httptest.NewRecorder(), r, caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })))
		if n := len(recorder.Started()); n != 0 {
			t.Errorf("got %d spans without a span of the request, want 0", n)
		}
	})
}
