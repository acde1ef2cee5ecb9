package handler

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// verifyTracerName names the instrumentation of webhook_verify.
const verifyTracerName = "github.com/caddy-webhooks/caddy-webhooks/handler"

// startVerifySpan begins a span under the request's, with the provider of the
// one that began it: Caddy's tracing directive, or nothing.
func startVerifySpan(ctx context.Context) trace.Span {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return parent // not ours; a span that doesn't record takes no attributes
	}
	_, span := parent.TracerProvider().Tracer(verifyTracerName).Start(ctx, "webhook verify")
	return span
}

// endVerifySpan ends the span with the verdict. It says nothing of secrets.
func endVerifySpan(span trace.Span, v *verdict) {
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(
		attribute.String("webhook.provider", v.provider),
		attribute.String("webhook.verdict", string(v.kind)),
	)
	if v.reason != "" {
		span.SetAttributes(attribute.String("webhook.reason", string(v.reason)))
	}
	if v.err != nil {
		span.SetStatus(codes.Error, string(v.reason))
	}
	span.End()
}
