package handler

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// verifyTracerName is the instrumentation scope of the spans of webhook_verify.
const verifyTracerName = "github.com/caddy-webhooks/caddy-webhooks/handler"

// startVerifySpan starts a child of the request's span, which Caddy's tracing
// directive may have started, with the same trace provider.
func startVerifySpan(ctx context.Context) trace.Span {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return parent // endVerifySpan doesn't touch a span that isn't recording
	}
	_, span := parent.TracerProvider().Tracer(verifyTracerName).Start(ctx, "webhook verify")
	return span
}

// endVerifySpan adds the verdict to the span, without any secrets, and ends it.
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
