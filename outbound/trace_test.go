package outbound_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

func TestAttemptsAreTracedToTheirCause(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	defer func() { _ = provider.Shutdown(context.Background()) }()

	h := open(t, retries(time.Minute), func(s *outbound.Settings) { s.Tracer = provider })
	r := newReceiver(t)
	r.respond(status(500))
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL + "/path?token=s3cret", EventTypes: []string{"*"}})

	ctx, request := provider.Tracer("test").Start(t.Context(), "request")
	if _, err := h.Publish(ctx, &outbound.NewEvent{Type: "order.created", Payload: []byte(`{}`)}); err != nil {
		t.Fatal(err)
	}
	request.End()
	first := r.next(t)
	if d := h.awaitAttempt(); d.State != store.Pending {
		t.Fatalf("%+v", d)
	}
	h.restart() // the context is stored with the event
	r.respond(nil)
	h.clock.advance(2 * time.Minute)
	second := r.next(t)
	d := h.awaitAttempt()

	var publish, one, two tracetest.SpanStub
	for _, s := range spans.GetSpans() {
		switch {
		case s.SpanKind == trace.SpanKindProducer:
			publish = s
		case s.SpanKind == trace.SpanKindClient && attr(s, "http.request.resend_count") == "0":
			one = s
		case s.SpanKind == trace.SpanKindClient:
			two = s
		}
	}
	if publish.Name != "publish order.created" || publish.Parent.SpanID() != request.SpanContext().SpanID() {
		t.Errorf("publish: %q under %v", publish.Name, publish.Parent)
	}
	if one.Parent.SpanID() != publish.SpanContext.SpanID() || one.SpanContext.TraceID() != publish.SpanContext.TraceID() {
		t.Errorf("the first attempt is under %v, want the publish span", one.Parent)
	}
	if attr(one, "http.response.status_code") != "500" || attr(one, "error.type") != "500" {
		t.Errorf("the first attempt has %v", one.Attributes)
	}
	if two.SpanContext.TraceID() == publish.SpanContext.TraceID() || len(two.Links) != 1 ||
		two.Links[0].SpanContext.SpanID() != publish.SpanContext.SpanID() {
		t.Errorf("the second attempt links to %v, want the publish span", two.Links)
	}
	if d.Attempt.TraceID != two.SpanContext.TraceID().String() {
		t.Errorf("the attempt's record has trace %q", d.Attempt.TraceID)
	}
	for i, a := range []arrival{first, second} {
		if got, want := a.header.Get("traceparent"), []tracetest.SpanStub{one, two}[i].SpanContext.SpanID().String(); !strings.Contains(got, want) {
			t.Errorf("attempt %d went out with traceparent %q, want span %s", i+1, got, want)
		}
	}
	for _, s := range spans.GetSpans() {
		for _, a := range s.Attributes {
			if strings.Contains(a.Value.String(), "s3cret") || strings.Contains(a.Value.String(), "whsec") {
				t.Errorf("span %s tells a secret: %v", s.Name, a)
			}
		}
	}
}

// TestAttemptsAreSampledAsTheirCause: an attempt that isn't recorded has a trace all
// the same, for the receiver, and the next one is not recorded either.
func TestAttemptsAreSampledAsTheirCause(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans), sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.AlwaysSample())))
	defer func() { _ = provider.Shutdown(context.Background()) }()

	h := open(t, retries(time.Minute), func(s *outbound.Settings) { s.Tracer = provider })
	r := newReceiver(t)
	r.respond(status(500))
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	cause := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}, Remote: true})
	if _, err := h.Publish(trace.ContextWithSpanContext(t.Context(), cause), &outbound.NewEvent{Type: "a", Payload: []byte(`1`)}); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		a := r.next(t)
		h.awaitAttempt()
		if got := a.header.Get("traceparent"); !strings.HasPrefix(got, "00-"+cause.TraceID().String()) || !strings.HasSuffix(got, "-00") {
			t.Errorf("attempt %d went out with traceparent %q", i+1, got)
		}
		h.clock.advance(2 * time.Minute)
	}
	for _, s := range spans.GetSpans() {
		t.Errorf("recorded: %s in the trace %s", s.Name, s.SpanContext.TraceID())
	}
}

// TestSpansOfRefusedEventsAreBounded: their type is whatever somebody has sent.
func TestSpansOfRefusedEventsAreBounded(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	defer func() { _ = provider.Shutdown(context.Background()) }()
	h := open(t, func(s *outbound.Settings) { s.Tracer = provider })
	if _, err := h.Publish(t.Context(), &outbound.NewEvent{Type: strings.Repeat("a", 100_000)}); err == nil {
		t.Fatal("it is taken")
	}
	s := spans.GetSpans()[0]
	if name := attr(s, "messaging.destination.name"); len(s.Name)+len(name) > 1000 {
		t.Errorf("a span has a name of %d bytes, and a destination of %d", len(s.Name), len(name))
	}
}

func attr(s tracetest.SpanStub, key string) string {
	for _, a := range s.Attributes {
		if a.Key == attribute.Key(key) {
			return a.Value.String()
		}
	}
	return ""
}
