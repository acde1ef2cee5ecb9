package outbound

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// Spans follow OpenTelemetry's conventions for messaging (publish: a producer) and
// HTTP clients (deliver: a client span for each attempt). The context of the
// publish span is stored with the event. The first attempt's span is its child. A
// later attempt, perhaps days after, starts a trace of its own that links to it;
// but if the publish span wasn't sampled, later attempts stay in its trace, so that
// they aren't either.

const tracerName = "github.com/caddy-webhooks/caddy-webhooks"

var w3c = propagation.TraceContext{}

// publishSpan is the span of a Publish, and what its metric needs.
type publishSpan struct {
	e     *Engine
	span  trace.Span // nil if there is no tracer
	began time.Time
}

// startPublish starts the span of a Publish, of an event of that type with a payload of
// size bytes, unless there is no tracer.
func (e *Engine) startPublish(ctx context.Context, eventType string, size int) (context.Context, publishSpan) {
	p := publishSpan{e: e, began: time.Now()}
	tracer := e.tracer(ctx)
	if tracer == nil {
		return ctx, p
	}
	if len(eventType) > maxTypeLength {
		eventType = "" // arbitrary input, about to be refused
	}
	ctx, p.span = tracer.Start(ctx, "publish "+eventType, trace.WithSpanKind(trace.SpanKindProducer))
	if p.span.IsRecording() {
		p.span.SetAttributes(
			attribute.String("messaging.system", "caddy_webhooks"),
			attribute.String("messaging.operation.name", "publish"),
			attribute.String("messaging.operation.type", "send"),
			attribute.String("messaging.destination.name", eventType),
			attribute.Int("messaging.message.body.size", size),
		)
	}
	return ctx, p
}

// tracer returns the tracer of the trace that ctx is in, so that spans are exported
// with the others of that trace, or else the engine's own, which may be nil.
func (e *Engine) tracer(ctx context.Context) trace.Tracer {
	if s := trace.SpanFromContext(ctx); s.SpanContext().IsValid() && !s.SpanContext().IsRemote() {
		return s.TracerProvider().Tracer(tracerName)
	}
	return e.config.Load().tracer()
}

func (c *config) tracer() trace.Tracer {
	if c.Tracer == nil {
		return nil
	}
	return c.Tracer.Tracer(tracerName)
}

// end ends the span with the result, and passes that to the observer.
func (p publishSpan) end(res Published, err error) {
	result := "stored"
	switch {
	case res.Duplicate:
		result = "duplicate"
	case err != nil && isRefusal(err):
		result = "refused"
	case err != nil:
		result = "failed"
	case res.Deliveries == 0:
		result = "unmatched"
	}
	if p.span != nil && p.span.IsRecording() {
		if err != nil {
			p.span.SetStatus(codes.Error, result)
			p.span.SetAttributes(attribute.String("error.type", result))
		} else {
			p.span.SetAttributes(attribute.String("messaging.message.id", res.EventID), attribute.Int("caddy_webhooks.deliveries", res.Deliveries))
		}
		p.span.End()
	}
	p.e.config.Load().Observer.PublishDone(result, time.Since(p.began))
}

// traceContext returns the span context of ctx as it is stored with an event.
func traceContext(ctx context.Context) (parent, state string) {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return "", ""
	}
	m := propagation.MapCarrier{}
	w3c.Inject(ctx, m)
	return m["traceparent"], m["tracestate"]
}

// attemptSpan is the span of an attempt.
type attemptSpan struct {
	ctx  context.Context // the trace that the receiver's spans join, if any
	span trace.Span      // nil if there is no tracer
}

// startAttempt starts the span of an attempt, unless there is no tracer, and sets
// a.TraceID.
func (e *Engine) startAttempt(ctx context.Context, c *config, t *target, h *store.Held, a *store.Attempt) (context.Context, attemptSpan) {
	if c.Tracer == nil && h.TraceParent == "" {
		return ctx, attemptSpan{ctx: ctx}
	}
	origin := w3c.Extract(ctx, propagation.MapCarrier{"traceparent": h.TraceParent, "tracestate": h.TraceState})
	if c.Tracer == nil {
		// No span of ours, but the receiver's spans still join the trace.
		return ctx, attemptSpan{ctx: origin}
	}
	opts := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindClient)}
	if from := trace.SpanContextFromContext(origin); a.Number == 1 || !from.IsSampled() {
		ctx = origin
	} else {
		opts = append(opts, trace.WithNewRoot(), trace.WithLinks(trace.Link{SpanContext: from}))
	}
	ctx, span := c.tracer().Start(ctx, "deliver "+h.Type, opts...)
	if span.IsRecording() {
		span.SetAttributes(
			attribute.String("messaging.system", "caddy_webhooks"),
			attribute.String("messaging.operation.name", "deliver"),
			attribute.String("messaging.operation.type", "send"),
			attribute.String("messaging.destination.name", h.Type),
			attribute.String("messaging.message.id", h.Event.ID),
			attribute.String("caddy_webhooks.subscription_id", t.sub.ID),
			attribute.String("caddy_webhooks.delivery_id", h.Delivery.ID.With(store.DeliveryPrefix)),
			attribute.String("http.request.method", http.MethodPost),
			attribute.Int("http.request.resend_count", a.Number-1),
		)
		if t.url != nil {
			span.SetAttributes(attribute.String("server.address", t.url.Hostname()), attribute.Int("server.port", port(t.url)))
		}
	}
	if sc := span.SpanContext(); sc.IsValid() {
		a.TraceID = sc.TraceID().String()
	}
	return ctx, attemptSpan{ctx: ctx, span: span}
}

// port returns the port that a URL connects to. The URL is http or https, and its
// port, if any, a number.
func port(u *url.URL) int {
	if n, err := strconv.Atoi(u.Port()); err == nil {
		return n
	}
	if u.Scheme == "http" {
		return 80
	}
	return 443
}

// inject adds the trace context to the headers of a delivery.
func (s attemptSpan) inject(h http.Header) { w3c.Inject(s.ctx, propagation.HeaderCarrier(h)) }

func (s attemptSpan) end(a *store.Attempt) {
	if s.span == nil {
		return
	}
	if a.Status > 0 {
		s.span.SetAttributes(attribute.Int("http.response.status_code", a.Status))
	}
	if a.Class != "" {
		kind := a.Class
		if kind == ClassStatus {
			kind = strconv.Itoa(a.Status)
		}
		s.span.SetAttributes(attribute.String("error.type", kind))
		s.span.SetStatus(codes.Error, a.Error)
	}
	s.span.End()
}
