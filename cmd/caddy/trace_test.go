package main

import (
	"bytes"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

// traces is a receiver of OpenTelemetry's spans.
type traces struct {
	*httptest.Server
	t *testing.T

	mu    sync.Mutex
	spans []span
	raw   bytes.Buffer // all that was sent

	refuses bool
	refused int // requests
}

// span is a span with what is looked at.
type span struct {
	name, service     string
	kind              tracepb.Span_SpanKind
	trace, id, parent string // in hexadecimal
	links             []string
	attributes        map[string]string
	failed            bool
}

// newTraces starts a receiver.
func newTraces(t *testing.T) *traces {
	t.Helper()
	c := &traces{t: t}
	c.Server = httptest.NewServer(http.HandlerFunc(c.receive))
	t.Cleanup(c.Close)
	return c
}

// env returns the environment with which a process sends its spans here, soon.
func (c *traces) env() []string {
	return []string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=" + c.URL,
		"OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
		"OTEL_BSP_SCHEDULE_DELAY=50",
		"OTEL_SERVICE_NAME=webhooks-under-test",
	}
}

func (c *traces) receive(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var sent collector.ExportTraceServiceRequest
	if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, &sent) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refuses {
		c.refused++
		w.WriteHeader(http.StatusForbidden) // which isn't retried
		return
	}
	c.raw.Write(body)
	for _, resource := range sent.ResourceSpans {
		service := ""
		for _, a := range resource.Resource.GetAttributes() {
			if a.Key == "service.name" {
				service = a.Value.GetStringValue()
			}
		}
		for _, scope := range resource.ScopeSpans {
			for _, s := range scope.Spans {
				c.spans = append(c.spans, newSpan(s, service))
			}
		}
	}
}

func newSpan(s *tracepb.Span, service string) span {
	out := span{
		name: s.Name, service: service, kind: s.Kind, failed: s.Status.GetCode() == tracepb.Status_STATUS_CODE_ERROR,
		trace: hex.EncodeToString(s.TraceId), id: hex.EncodeToString(s.SpanId), parent: hex.EncodeToString(s.ParentSpanId),
		attributes: map[string]string{},
	}
	for _, l := range s.Links {
		out.links = append(out.links, hex.EncodeToString(l.TraceId)+"-"+hex.EncodeToString(l.SpanId))
	}
	for _, a := range s.Attributes {
		out.attributes[a.Key] = a.Value.GetStringValue() // numbers aren't looked at
	}
	return out
}

// where returns the spans with a name for which a condition holds.
func (c *traces) where(name string, holds func(span) bool) []span {
	c.mu.Lock()
	defer c.mu.Unlock()
	var found []span
	for _, s := range c.spans {
		if s.name == name && holds(s) {
			found = append(found, s)
		}
	}
	return found
}

// one waits for the only span with a name in a trace.
func (c *traces) one(name, trace string) span {
	c.t.Helper()
	var found []span
	must.Eventually(c.t, "the span "+name, func() bool {
		found = c.where(name, func(s span) bool { return s.trace == trace })
		return len(found) > 0
	})
	if len(found) > 1 {
		c.t.Errorf("there are %d spans %q in one trace", len(found), name)
	}
	return found[0]
}

// refuse sets whether requests are refused from now on.
func (c *traces) refuse(yes bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refuses, c.refused = yes, 0
}

// refusals returns the number of refused requests since then.
func (c *traces) refusals() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refused
}

// sent returns everything that was sent, encoded.
func (c *traces) sent() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.raw.String()
}

// TestTraces follows a webhook from the provider to the app. There is one trace from its
// request to the first attempt, and a link to it from an attempt after a restart.
func TestTraces(t *testing.T) {
	t.Parallel()
	collected, app := newTraces(t), newReceiver(t)
	app.answer(func(w http.ResponseWriter, _ *request) {
		if len(app.all()) == 1 {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	s := startServer(t, `{`+head+`
	webhooks {
		store sqlite {$DB}
		retry 3s
		egress {
			allow 127.0.0.1
		}
		subscription app {
			url http://{$APP}/hooks
			event_types github.*
			secret {env.APP_SECRET}
		}
	}
}

http://:{$PORT} {
	handle /github {
		tracing {
			span inbound
		}
		webhook_verify github {env.GITHUB_WEBHOOK_SECRET}
		webhook_publish github.{http.webhook.event_type}
	}
	handle_path /webhooks/* {
		webhook_api {
			token {env.PUBLISH_TOKEN} publish
			token {env.READ_TOKEN} read
		}
	}
}
`, append(collected.env(), "APP="+app.addr, "APP_SECRET="+whsec("app"), "GITHUB_WEBHOOK_SECRET="+githubSecret)...)

	const trace, caller = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	body := []byte(`{"ref":"refs/heads/main"}`)
	h := githubHeaders(githubSecret, "72d3162e", "push", body)
	h.Set("Traceparent", "00-"+trace+"-"+caller+"-01")
	h.Set("Tracestate", "vendor=state")
	id := s.post("/github", body, h).want(http.StatusAccepted).object().text("event_id")

	request := collected.one("inbound", trace)
	if request.parent != caller {
		t.Errorf("the parent of the request's span is %s, want %s", request.parent, caller)
	}
	verified := collected.one("webhook verify", trace)
	if verified.parent != request.id {
		t.Errorf("the span of verifying isn't under the request's")
	}
	if verified.attributes["webhook.provider"] != "github" {
		t.Errorf("its attributes are %v", verified.attributes)
	}
	published := collected.one("publish github.push", trace)
	if published.kind != tracepb.Span_SPAN_KIND_PRODUCER || published.parent != request.id {
		t.Errorf("the span of publishing is %+v, under %s", published, request.id)
	}
	first := collected.one("deliver github.push", trace)
	if first.kind != tracepb.Span_SPAN_KIND_CLIENT || first.parent != published.id || !first.failed || first.service != "webhooks-under-test" {
		t.Errorf("the span of the first attempt is %+v, under %s", first, published.id)
	}
	for key, want := range map[string]string{
		"messaging.message.id":       id,
		"messaging.destination.name": "github.push",
		"error.type":                 "500",
	} {
		if got := first.attributes[key]; got != want {
			t.Errorf("the first attempt's %s is %q, want %q", key, got, want)
		}
	}
	if got, want := app.wait(1)[0].header.Get("Traceparent"), "00-"+trace+"-"+first.id+"-01"; got != want {
		t.Errorf("the first attempt went out with traceparent %q, want %q", got, want)
	}
	if got := app.wait(1)[0].header.Get("Tracestate"); got != "vendor=state" {
		t.Errorf("the first attempt went out with tracestate %q", got)
	}

	s.stop()
	s.start()
	s.settled(id, "sub_app", "delivered")
	var later []span
	must.Eventually(t, "the second attempt's span", func() bool {
		later = collected.where("deliver github.push", func(s span) bool { return s.trace != trace })
		return len(later) > 0
	})
	second := later[0]
	if want := []string{trace + "-" + published.id}; !slices.Equal(second.links, want) || second.parent != "" {
		t.Errorf("the second attempt's span has the links %v, want %v, and the parent %q", second.links, want, second.parent)
	}
	if got, want := app.wait(2)[1].header.Get("Traceparent"), "00-"+second.trace+"-"+second.id+"-01"; got != want {
		t.Errorf("the second attempt went out with traceparent %q, want %q", got, want)
	}
	attempts := s.attempts(s.delivery(id, "sub_app"))
	if attempts[0].text("trace_id") != trace || attempts[1].text("trace_id") != second.trace {
		t.Errorf("the attempts are recorded with the traces %q and %q", attempts[0].text("trace_id"), attempts[1].text("trace_id"))
	}

	forged := h.Clone()
	forged.Set("Traceparent", "00-5bf92f3577b34da6a3ce929d0e0e4736-"+caller+"-01")
	s.post("/github", []byte("{}"), forged).want(http.StatusUnauthorized)
	refused := collected.one("webhook verify", "5bf92f3577b34da6a3ce929d0e0e4736")
	if refused.attributes["webhook.reason"] != "bad_signature" {
		t.Errorf("the span of a refusal has %v", refused.attributes)
	}

	s.publish(event{Type: "github.manual"}) // by the API, which this site doesn't trace
	app.wait(3)
	must.Eventually(t, "a trace of its own", func() bool {
		p := collected.where("publish github.manual", func(span) bool { return true })
		return len(p) == 1 && len(collected.where("deliver github.manual", func(s span) bool { return s.trace == p[0].trace && s.parent == p[0].id })) == 1
	})
	s.stop()
	for _, secret := range []string{githubSecret, whsec("app"), strings.TrimPrefix(whsec("app"), "whsec_"), publishToken, readToken, h.Get("X-Hub-Signature-256")} {
		if strings.Contains(collected.sent(), secret) {
			t.Errorf("a span has the secret %s", secret)
		}
	}
}

// TestNoTraces checks that deliveries have no trace if tracing isn't configured.
func TestNoTraces(t *testing.T) {
	t.Parallel()
	s := startServer(t, withOptions(local))
	r := newReceiver(t)
	s.subscribe(object{"url": r.url("/"), "event_types": []string{"*"}})
	s.publish(event{Type: "a"})
	if got := r.wait(1)[0].header.Get("Traceparent"); got != "" {
		t.Errorf("an event without a trace went out with traceparent %q", got)
	}
}

// TestCollectorRefuses checks that it is logged once, not for each batch, that a collector
// refuses spans, and once that it accepts them again.
func TestCollectorRefuses(t *testing.T) {
	t.Parallel()
	collected := newTraces(t)
	collected.refuse(true)
	s := startServer(t, withOptions(local), collected.env()...)
	for batch := 1; batch <= 3; batch++ {
		s.publish(event{Type: "a"})
		must.Eventually(t, "a batch that is refused", func() bool { return collected.refusals() >= batch })
	}
	collected.refuse(false)
	s.publish(event{Type: "b"})
	must.Eventually(t, "a line about the collector that recovered", func() bool { return strings.Contains(s.log(), "spans are taken again") })
	for what, want := range map[string]int{"spans are lost": 1, "spans are taken again": 1, `"msg":"traces export`: 0} {
		if got := strings.Count(s.log(), what); got != want {
			t.Errorf("the log has %q %d times, want %d", what, got, want)
		}
	}
}
