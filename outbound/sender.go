package outbound

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/egress"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/payload"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// sender makes the HTTP requests of attempts.
type sender struct {
	options   egress.Options // of the transport
	transport *http.Transport
	conns     connections // of the transport
	bodyLimit int64       // bytes kept of a response body
	retired   atomic.Bool // newer settings have replaced it
}

// bodyTimeout is how long reading a response's body may take. The status, which
// decides, is known by then.
const bodyTimeout = 2 * time.Second

// userAgent is sent unless the subscription sets another.
var userAgent = []string{"caddy-webhooks"}

func newSender(s Settings) *sender {
	options := egress.Options{
		Policy: s.Policy, Own: s.Own, Proxy: s.Proxy, TLS: s.TLS,
		MaxIdlePerHost: s.Concurrency, // any number of subscriptions may share a host
	}
	c := &sender{
		options:   options,
		transport: egress.NewTransport(options),
		bodyLimit: max(s.ResponseBody, 0),
	}
	c.conns.most = int64(s.Concurrency) + maxSpare
	c.transport.DialContext = c.conns.counted(c.transport.DialContext)
	return c
}

// same reports whether two senders have the same settings. Two pools of root
// certificates never compare as equal; reconnecting to the receivers does no harm.
func (s *sender) same(other *sender) bool {
	return s.bodyLimit == other.bodyLimit && reflect.DeepEqual(s.options, other.options)
}

// retire closes idle connections now, and after each attempt that is still made
// with these settings, which would otherwise leave one open.
func (s *sender) retire() {
	s.retired.Store(true)
	s.transport.CloseIdleConnections()
}

// exchangeDone is called after each exchange.
func (s *sender) exchangeDone() {
	if s.retired.Load() {
		s.transport.CloseIdleConnections() // including the one just used
	}
}

// send signs an event, posts it and records the response in a.
func (s *sender) send(ctx context.Context, t *target, ev *store.Event, a *store.Attempt, trace func(http.Header)) outcome {
	switch {
	case ev.PayloadRemoved:
		return outcome{class: ClassDamaged, message: "nothing was sent: " + payloadRemoved, final: true, eventFault: true}
	case ev.Damaged:
		return outcome{class: ClassDamaged, message: "nothing was sent: the event in the store is not what was published, so its disk has an error; publish it again", final: true, eventFault: true}
	}
	h, body, o := t.compose(ctx, ev, a.At)
	if !o.ok() {
		return o
	}
	trace(h)
	defer s.exchangeDone()
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	if t.permission != nil {
		if o := t.askPermission(ctx, s, a.At); !o.ok() {
			return o
		}
	}
	if t.tokens != nil {
		if o := t.tokens.authorize(ctx, s, h, a.At); !o.ok() {
			return o
		}
	}
	resp, err := s.exchange(ctx, http.MethodPost, &t.endpoint, h, body)
	if err != nil {
		return failure(err)
	}
	defer resp.Body.Close()
	a.Status = resp.StatusCode
	a.ResponseHeaders = keptHeaders(resp.Header)
	if resp.ContentLength != 0 {
		patience := time.AfterFunc(bodyTimeout, cancel)
		a.ResponseBody = readStart(resp.Body, s.bodyLimit)
		patience.Stop()
	}
	if t.tokens != nil && resp.StatusCode == http.StatusUnauthorized {
		t.tokens.invalidate(h)
	}
	return judge(resp, a.At)
}

// compose returns the signed headers and the body to send for an event, or the outcome
// if there are none.
func (t *target) compose(ctx context.Context, ev *store.Event, at time.Time) (http.Header, []byte, outcome) {
	if t.err != nil {
		return nil, nil, failure(t.err)
	}
	body, o := t.body(ctx, ev)
	if !o.ok() {
		return nil, nil, o
	}
	h := t.headers(ev)
	err := t.signers.sign(h, &verify.Outgoing{
		Method: http.MethodPost, URL: t.sub.URL, ID: ev.ID, EventType: ev.Type, Timestamp: at, Body: body,
	})
	if err != nil {
		return nil, nil, failure(err)
	}
	return h, body, outcome{}
}

// body returns the body to send for an event, or the outcome if that fails. Errors of
// CEL may quote the payload, so their text isn't used: outcomes are logged.
func (t *target) body(ctx context.Context, ev *store.Event) ([]byte, outcome) {
	if t.transform == nil {
		return ev.Payload, outcome{}
	}
	body, err := t.transform.Apply(ctx, ev, t.maxPayload)
	var why string
	switch {
	case err == nil:
		return body, outcome{}
	case errors.Is(err, ctx.Err()):
		return nil, failure(err)
	case errors.Is(err, payload.ErrTooLong), errors.Is(err, payload.ErrNotJSON), errors.Is(err, payload.ErrTooLarge):
		why = err.Error()
	case payload.IsMissing(err):
		why = "it asks for what the event doesn't have"
	default:
		why = "a value of the event is of another kind than it expects"
	}
	return nil, outcome{
		class: ClassTransform, final: !errors.Is(err, payload.ErrTooLong), eventFault: true,
		message: "nothing was sent: the subscription's transform can't be used for the event: " + why + "; change it, then redeliver",
	}
}

// endpoint is a URL to send requests to.
type endpoint struct {
	url        *url.URL
	unanswered atomic.Bool // the last request got no response
}

// exchange sends a request and returns the response. It sends it a second time if the
// receiver hasn't processed the first, because it was closing the connection.
func (s *sender) exchange(ctx context.Context, method string, to *endpoint, h http.Header, payload []byte) (*http.Response, error) {
	var p progress
	ctx = p.follow(ctx)
	resp, err := s.transport.RoundTrip(s.request(ctx, method, to, h, payload))
	if err != nil && unprocessed(err) {
		resp, err = s.transport.RoundTrip(s.request(ctx, method, to, h, payload))
	}
	if err != nil {
		to.unanswered.Store(true)
		err = p.wrapTimeout(err)
	} else if resp.StatusCode == http.StatusSwitchingProtocols {
		resp.Body.Close() // the body is the connection, to which no deadline applies
		resp.Body = http.NoBody
	}
	return resp, err
}

// unprocessed reports whether a receiver has processed nothing of a request:
// because it said so by HTTP/2 (RFC 9113, sections 6.8 and 8.7), or because the
// connection was lost before anything was sent. net/http has no types for these
// errors.
func unprocessed(err error) bool {
	text := err.Error()
	return strings.HasPrefix(text, "http2: Transport: cannot retry err [") &&
		(strings.Contains(text, "GOAWAY") || strings.Contains(text, "REFUSED_STREAM")) ||
		text == "net/http: cannot rewind body after connection loss"
}

// request makes a request without http.NewRequest, which would parse and check the
// URL again. It leaves GetBody nil, since with it the transport would repeat a POST
// that the receiver may have seen. The first request after one that got no response
// closes its connection when done: an HTTP/2 connection may be stuck, and would be
// used for all that follow. So do all requests while too many connections are open.
func (s *sender) request(ctx context.Context, method string, to *endpoint, h http.Header, payload []byte) *http.Request {
	r := &http.Request{
		Method: method, URL: to.url, Host: to.url.Host,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h, ContentLength: int64(len(payload)), Body: http.NoBody,
		Close: to.unanswered.Swap(false) || s.conns.tooMany(),
	}
	if len(payload) > 0 {
		r.Body = io.NopCloser(bytes.NewReader(payload))
	}
	return r.WithContext(ctx)
}

// readStart reads at most n bytes, ignoring errors, since the status has decided.
// It tries to read one more, so that the transport sees the end of the response and
// reuses the connection.
func readStart(r io.Reader, n int64) []byte {
	b, _ := io.ReadAll(io.LimitReader(r, n+1))
	return b[:min(int64(len(b)), n)]
}

// keptHeader lists the response headers that help to understand a failure.
var keptHeader = []string{"Content-Type", "Retry-After", "Location", "Server", "Via", "X-Request-Id", "Cf-Ray"}

// maxKeptHeader bounds the value of each.
const maxKeptHeader = 256

func keptHeaders(h http.Header) map[string]string {
	var kept map[string]string
	for _, k := range keptHeader {
		if v := h.Get(k); v != "" {
			if kept == nil {
				kept = make(map[string]string, 2)
			}
			kept[k] = v[:min(len(v), maxKeptHeader)]
		}
	}
	return kept
}
