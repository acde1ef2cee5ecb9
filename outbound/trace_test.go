package outbound_test

import (
	"context"
	"maps"
	"net"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// The publish span is a child of the request's. The first attempt's span is a child of the
// publish span, and a later one, also after a restart, has its own trace with a link to
// it. Spans have no secrets in them.
func TestAttemptsAreTracedToTheirCause(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	defer func() { _ = provider.Shutdown(context.Background()) }()

	h := open(t, retries(time.Minute), func(s *outbound.Settings) { s.Tracer = provider })
	r := newReceiver(t)
	r.respond(status(500))
	sub := h.subscribe(outbound.SubscriptionSpec{URL: r.URL + "/path?token=s3cret", EventTypes: []string{"*"}})

	ctx, request := provider.Tracer("test").Start(t.Context(), "request")
	p := must.Get(h.Publish(ctx, &outbound.NewEvent{Type: "order.created", Payload: []byte(`{}`)}))(t)
	request.End()
	first := r.next(t)
	if d := h.awaitAttempt(); d.State != store.Pending {
		t.Fatalf("got %+v, want a pending delivery", d)
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
		t.Errorf("publish span: got name %q and parent %v, want publish order.created under the request", publish.Name, publish.Parent)
	}
	wantAttributes(t, publish, map[string]string{
		"messaging.system": "caddy_webhooks", "messaging.operation.name": "publish", "messaging.operation.type": "send",
		"messaging.destination.name": "order.created", "messaging.message.body.size": "2", "messaging.message.id": p.EventID,
		"caddy_webhooks.deliveries": "1",
	})
	host, port, _ := net.SplitHostPort(r.Listener.Addr().String())
	wantAttributes(t, one, map[string]string{
		"messaging.system": "caddy_webhooks", "messaging.operation.name": "deliver", "messaging.operation.type": "send",
		"messaging.destination.name": "order.created", "messaging.message.id": p.EventID,
		"caddy_webhooks.subscription_id": sub.ID, "caddy_webhooks.delivery_id": d.Delivery.With(store.DeliveryPrefix),
		"http.request.method": "POST", "http.request.resend_count": "0", "server.address": host, "server.port": port,
		"http.response.status_code": "500", "error.type": "500",
	})
	if one.Name != "deliver order.created" || one.Status.Code != codes.Error || !strings.Contains(one.Status.Description, "500") || two.Status.Code != codes.Unset {
		t.Errorf("attempts: got name %q, status %+v, then %+v, want an error, then none", one.Name, one.Status, two.Status)
	}
	if one.Parent.SpanID() != publish.SpanContext.SpanID() || one.SpanContext.TraceID() != publish.SpanContext.TraceID() {
		t.Errorf("first attempt: got parent %v, want the publish span", one.Parent)
	}
	if two.SpanContext.TraceID() == publish.SpanContext.TraceID() || len(two.Links) != 1 ||
		two.Links[0].SpanContext.SpanID() != publish.SpanContext.SpanID() {
		t.Errorf("second attempt: got trace %v and links %v, want a new trace that links to the publish span", two.SpanContext.TraceID(), two.Links)
	}
	if d.Attempt.TraceID != two.SpanContext.TraceID().String() {
		t.Errorf("attempt: got trace id %q, want %s", d.Attempt.TraceID, two.SpanContext.TraceID())
	}
	for i, a := range []arrival{first, second} {
		if got, want := a.header.Get("traceparent"), []tracetest.SpanStub{one, two}[i].SpanContext.SpanID().String(); !strings.Contains(got, want) {
			t.Errorf("attempt %d: got traceparent %q, want span %s in it", i+1, got, want)
		}
	}
	for _, s := range spans.GetSpans() {
		for _, a := range s.Attributes {
			if strings.Contains(a.Value.String(), "s3cret") || strings.Contains(a.Value.String(), "whsec") {
				t.Errorf("span %s: got a secret in %v", s.Name, a)
			}
		}
	}
}

// If the request that caused an event isn't sampled, neither is any attempt. The receiver
// gets a traceparent in the request's trace nevertheless.
func TestAttemptsAreSampledAsTheirCause(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans), sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.AlwaysSample())))
	defer func() { _ = provider.Shutdown(context.Background()) }()

	h := open(t, retries(time.Minute), func(s *outbound.Settings) { s.Tracer = provider })
	r := newReceiver(t)
	r.respond(status(500))
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	cause := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}, Remote: true})
	must.Get(h.Publish(trace.ContextWithSpanContext(t.Context(), cause), &outbound.NewEvent{Type: "a", Payload: []byte(`1`)}))(t)
	for i := range 2 {
		a := r.next(t)
		h.awaitAttempt()
		if got := a.header.Get("traceparent"); !strings.HasPrefix(got, "00-"+cause.TraceID().String()) || !strings.HasSuffix(got, "-00") {
			t.Errorf("attempt %d: got traceparent %q, want trace %s, not sampled", i+1, got, cause.TraceID())
		}
		h.clock.advance(2 * time.Minute)
	}
	for _, s := range spans.GetSpans() {
		t.Errorf("got span %s of trace %s recorded, want none", s.Name, s.SpanContext.TraceID())
	}
}

// The span of a refused event has a bounded size although the event's type, which is in
// it, can be anything.
func TestSpansOfRefusedEventsAreBounded(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	defer func() { _ = provider.Shutdown(context.Background()) }()
	h := open(t, func(s *outbound.Settings) { s.Tracer = provider })
	if _, err := h.Publish(t.Context(), &outbound.NewEvent{Type: strings.Repeat("a", 100_000)}); err == nil {
		t.Fatal("Publish with a type of 100,000 bytes: got no error")
	}
	s := spans.GetSpans()[0]
	if s.Status.Code != codes.Error || attr(s, "error.type") != "refused" {
		t.Errorf("got status %+v and attributes %v, want the error refused", s.Status, s.Attributes)
	}
	if name := attr(s, "messaging.destination.name"); len(s.Name)+len(name) > 1000 {
		t.Errorf("got a span name of %d bytes and a destination of %d, want 1000 at most in all", len(s.Name), len(name))
	}
}

// Without a tracer, the receiver gets the trace context of the request that caused the
// event.
func TestTraceContextWithoutATracer(t *testing.T) {
	h := open(t)
	r := newReceiver(t)
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	cause := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled, Remote: true})
	must.Get(h.Publish(trace.ContextWithSpanContext(t.Context(), cause), &outbound.NewEvent{Type: "a", Payload: []byte(`1`)}))(t)
	if got, want := r.next(t).header.Get("traceparent"), "00-"+cause.TraceID().String()+"-"+cause.SpanID().String()+"-01"; got != want {
		t.Errorf("got traceparent %q, want %q", got, want)
	}
}

// The second attempt at an event that was published before there was a tracer has a trace of
// its own. Its URL is no longer allowed, so that it reaches no server.
func TestSpanOfAnEventWithoutATrace(t *testing.T) {
	h := open(t, retries(time.Minute))
	r := newReceiver(t)
	r.respond(status(500))
	sub := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	p := h.publish("a", `1`)
	h.awaitAttemptEnd()
	spans := tracetest.NewInMemoryExporter()
	h.settings.Tracer, h.settings.Policy = sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)), nil
	must.Do(t, h.Apply(t.Context(), h.settings))
	h.clock.advance(2 * time.Minute)
	d := h.awaitAttemptEnd()
	s := spans.GetSpans()[0]
	wantAttributes(t, s, map[string]string{
		"messaging.system": "caddy_webhooks", "messaging.operation.name": "deliver", "messaging.operation.type": "send",
		"messaging.destination.name": "a", "messaging.message.id": p.EventID,
		"caddy_webhooks.subscription_id": sub.ID, "caddy_webhooks.delivery_id": d.Delivery.With(store.DeliveryPrefix),
		"http.request.method": "POST", "http.request.resend_count": "1", "error.type": outbound.ClassEgressDenied,
	})
	if s.Parent.IsValid() || len(s.Links) > 0 || d.Attempt.TraceID != s.SpanContext.TraceID().String() {
		t.Errorf("got trace %q, parent %v and links %v, want trace %s without either", d.Attempt.TraceID, s.Parent, s.Links, s.SpanContext.TraceID())
	}
}

// The publish span is in the trace of the caller, also if the engine has no tracer of its
// own or the trace comes from elsewhere.
func TestPublishSpanIsInTheCallersTrace(t *testing.T) {
	for name, elsewhere := range map[string]bool{"no tracer of the engine's own": false, "a trace from elsewhere": true} {
		spans := tracetest.NewInMemoryExporter()
		provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
		ctx, caller := provider.Tracer("test").Start(t.Context(), "request")
		h := open(t, func(s *outbound.Settings) {
			if elsewhere {
				s.Tracer = provider
				ctx = trace.ContextWithRemoteSpanContext(t.Context(), caller.SpanContext())
			}
		})
		must.Get(h.Publish(ctx, &outbound.NewEvent{Type: "a", Payload: []byte(`1`)}))(t)
		if got := spans.GetSpans(); len(got) != 1 || got[0].Parent.SpanID() != caller.SpanContext().SpanID() {
			t.Errorf("%s: got spans %v, want one under the caller's", name, got)
		}
	}
}

// resultObserver is an observer of what Publish has come to.
type resultObserver struct {
	*observer
	results chan string
}

func (o resultObserver) PublishDone(result string, _ time.Duration) { o.results <- result }

func TestResultsOfPublish(t *testing.T) {
	o := resultObserver{newObserver(), make(chan string, 1)}
	h := open(t, func(s *outbound.Settings) { s.Observer = o })
	h.subscribe(outbound.SubscriptionSpec{URL: newReceiver(t).URL, EventTypes: []string{"wanted"}})
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		ctx   context.Context
		event outbound.NewEvent
		want  string
	}{
		{t.Context(), outbound.NewEvent{ID: "1", Type: "wanted", Payload: []byte(`1`)}, "stored"},
		{t.Context(), outbound.NewEvent{ID: "1", Type: "wanted", Payload: []byte(`1`)}, "duplicate"},
		{t.Context(), outbound.NewEvent{ID: "1", Type: "wanted", Payload: []byte(`2`)}, "refused"},
		{t.Context(), outbound.NewEvent{Type: "other", Payload: []byte(`1`)}, "unmatched"},
		{t.Context(), outbound.NewEvent{Type: "not a type", Payload: []byte(`1`)}, "refused"},
		{cancelled, outbound.NewEvent{Type: "wanted", Payload: []byte(`1`)}, "failed"},
	} {
		_, err := h.Publish(c.ctx, &c.event)
		if got := <-o.results; got != c.want {
			t.Errorf("%+v: got %s, %v, want %s", c.event, got, err, c.want)
		}
	}
}

// wantAttributes checks that a span has exactly these attributes.
func wantAttributes(t *testing.T, s tracetest.SpanStub, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	for _, a := range s.Attributes {
		got[string(a.Key)] = a.Value.String()
	}
	if !maps.Equal(got, want) {
		t.Errorf("span %s: got attributes %v, want %v", s.Name, got, want)
	}
}

// attr returns the value of a span's attribute, "" if it has none.
func attr(s tracetest.SpanStub, key string) string {
	for _, a := range s.Attributes {
		if a.Key == attribute.Key(key) {
			return a.Value.String()
		}
	}
	return ""
}
