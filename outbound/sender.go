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

// sender makes the HTTP exchange of an attempt.
type sender struct {
	options   egress.Options // of the transport
	transport *http.Transport
	bodyLimit int64 // bytes of an answer's body
	retired   atomic.Bool
}

// bodyTimeout is how long the body of an answer may take once its status,
// which decides, is there.
const bodyTimeout = 2 * time.Second

// userAgent tells receivers whom to look for, unless something else is set.
var userAgent = []string{"caddy-webhooks"}

func newSender(s Settings) *sender {
	options := egress.Options{
		Policy: s.Policy, Own: s.Own, Proxy: s.Proxy, TLS: s.TLS,
		MaxIdlePerHost: s.Concurrency, // any number of subscriptions may share a host
	}
	return &sender{
		options:   options,
		transport: egress.NewTransport(options),
		bodyLimit: max(s.ResponseBody, 0),
	}
}

// same tells whether two senders are made of the same settings. Two pools of roots
// are never told to be equal: to connect anew to the receivers does no harm.
func (s *sender) same(other *sender) bool {
	return s.bodyLimit == other.bodyLimit && reflect.DeepEqual(s.options, other.options)
}

// retire lets the attempts under way end, and keeps no connection open: an
// attempt that has still begun by these settings would leave one behind.
func (s *sender) retire() {
	s.retired.Store(true)
	s.transport.CloseIdleConnections()
}

// exchangeDone follows each exchange.
func (s *sender) exchangeDone() {
	if s.retired.Load() {
		s.transport.CloseIdleConnections() // and those that become idle from now on
	}
}

// send signs the event, posts it and writes what came back into a.
func (s *sender) send(ctx context.Context, t *target, ev *store.Event, a *store.Attempt, trace func(http.Header)) outcome {
	switch {
	case ev.PayloadRemoved:
		return outcome{class: ClassDamaged, message: "nothing was sent: " + payloadRemoved, final: true, eventFault: true}
	case ev.Damaged:
		return outcome{class: ClassDamaged, message: "nothing was sent: the event in the store is not what was published, so its disk has an error; publish it again", final: true, eventFault: true}
	case t.err != nil:
		return failure(t.err)
	}
	body, o := t.body(ctx, ev)
	if !o.ok() {
		return o
	}
	h := t.headers(ev)
	err := t.signer.Sign(h, &verify.Outgoing{
		Method: http.MethodPost, URL: t.sub.URL, ID: ev.ID, EventType: ev.Type, Timestamp: a.At, Body: body,
	})
	if err != nil {
		return failure(err)
	}
	trace(h)
	defer s.exchangeDone()
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	if t.tokens != nil {
		if o := t.tokens.authorize(ctx, s, h, a.At); !o.ok() {
			return o
		}
	}
	resp, err := s.post(ctx, &t.endpoint, h, body)
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

// body is what is sent of an event, or why nothing is. Errors of CEL may quote the
// payload, and what is said of an attempt is logged.
func (t *target) body(ctx context.Context, ev *store.Event) ([]byte, outcome) {
	if t.transform == nil {
		return ev.Payload, outcome{}
	}
	body, err := t.transform.Apply(ctx, ev, t.maxPayload)
	words := "a value of the event is of another kind than it expects"
	switch {
	case err == nil:
		return body, outcome{}
	case errors.Is(err, ctx.Err()):
		return nil, failure(err)
	case errors.Is(err, payload.ErrTooLong), errors.Is(err, payload.ErrNotJSON), errors.Is(err, payload.ErrTooLarge):
		words = err.Error()
	case payload.IsMissing(err):
		words = "it asks for what the event doesn't have"
	}
	return nil, outcome{
		class: ClassTransform, final: !errors.Is(err, payload.ErrTooLong), eventFault: true,
		message: "nothing was sent: the subscription's transform can't be used for the event: " + words + "; change it, then redeliver",
	}
}

// endpoint is where requests go.
type endpoint struct {
	url        *url.URL
	unanswered atomic.Bool // the last request got no answer
}

// post sends a request, and a second time where the receiver has not processed the
// first: it was about to close the connection.
func (s *sender) post(ctx context.Context, to *endpoint, h http.Header, payload []byte) (*http.Response, error) {
	var p progress
	ctx = p.follow(ctx)
	resp, err := s.transport.RoundTrip(request(ctx, to, h, payload))
	if err != nil && unprocessed(err) {
		resp, err = s.transport.RoundTrip(request(ctx, to, h, payload))
	}
	if err != nil {
		to.unanswered.Store(true)
		err = p.wrapTimeout(err)
	} else if resp.StatusCode == http.StatusSwitchingProtocols {
		resp.Body.Close() // it is the connection, which no deadline ends
		resp.Body = http.NoBody
	}
	return resp, err
}

// unprocessed tells whether a receiver says, by HTTP/2, that it has processed
// nothing of a request (RFC 9113, 6.8 and 8.7), or its connection was lost before
// anything of it was sent. net/http has but words for it.
func unprocessed(err error) bool {
	text := err.Error()
	return strings.HasPrefix(text, "http2: Transport: cannot retry err [") &&
		(strings.Contains(text, "GOAWAY") || strings.Contains(text, "REFUSED_STREAM")) ||
		text == "net/http: cannot rewind body after connection loss"
}

// request is built by hand: what http.NewRequest would parse and check anew is
// known of the URL. It has no GetBody: by that, the transport would send a POST
// again which the receiver has seen. After one that got no answer it is the last of
// its connection: that of HTTP/2 may be stuck, and still be used by all that follow.
func request(ctx context.Context, to *endpoint, h http.Header, payload []byte) *http.Request {
	r := &http.Request{
		Method: http.MethodPost, URL: to.url, Host: to.url.Host,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h, ContentLength: int64(len(payload)), Body: http.NoBody,
		Close: to.unanswered.Swap(false),
	}
	if len(payload) > 0 {
		r.Body = io.NopCloser(bytes.NewReader(payload))
	}
	return r.WithContext(ctx)
}

// readStart reads at most n bytes, and never minds how the rest ends: the
// status has decided. One byte more tells the transport that the answer is
// over, so that the connection can be used again.
func readStart(r io.Reader, n int64) []byte {
	b, _ := io.ReadAll(io.LimitReader(r, n+1))
	return b[:min(int64(len(b)), n)]
}

// keptHeader are the headers of an answer that help to see why it failed.
var keptHeader = []string{"Content-Type", "Retry-After", "Location", "Server", "Via", "X-Request-Id", "Cf-Ray"}

// maxKeptHeader bounds each of them.
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
