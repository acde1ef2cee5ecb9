package handler

import (
	"cmp"
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-webhooks/caddy-webhooks/handler/internal/spool"
	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// verdictKind is what happens to a request.
type verdictKind string

const (
	kindVerified     verdictKind = "verified"     // passed on
	kindHandshake    verdictKind = "handshake"    // the provider's handshake, answered by this handler
	kindAcknowledged verdictKind = "acknowledged" // a replay, answered by this handler with 2xx
	kindRefused      verdictKind = "refused"
	kindUnenforced   verdictKind = "unenforced" // passed on by a dry run, but would be refused
)

// verdict is the result of verifying a request, with the resources that the
// request holds.
type verdict struct {
	provider string
	url      url.URL // as the provider sent it
	kind     verdictKind
	reason   verify.Reason // why the request isn't verified; empty if it is
	status   int           // the status of a refusal
	err      error         // an error of this server, for the log

	message *verify.Message // nil unless the signature is valid
	reply   *verify.Reply   // the response, if this handler answers the request
	ack     *verify.Reply   // how the provider wants events to be acknowledged; nil if any 2xx will do
	body    *spool.Spool    // the body, as far as it was read; nil if it wasn't

	key      [32]byte // in the replay memory
	reserved bool     // the key is reserved until the app has responded
	accept   func()   // remembers the message if the app has failed but it is stored; nil if there is nothing to remember
}

// release frees the body.
func (v *verdict) release() {
	if v.body != nil {
		v.body.Release()
	}
}

// verdictVar is the name of the request variable that has the latest verdict.
const verdictVar = "webhook_verdict"

// attach makes v the latest verdict on the request, and provides the
// {http.webhook.*} placeholders.
func (v *verdict) attach(ctx context.Context) {
	caddyhttp.SetVar(ctx, verdictVar, v)
	repl, ok := ctx.Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return
	}
	repl.Map(func(name string) (any, bool) {
		name, ok := strings.CutPrefix(name, "http.webhook.")
		if !ok {
			return nil, false
		}
		// Not v: another webhook_verify may have handled the request since.
		latest := verdictOf(ctx)
		if latest == nil {
			return nil, false
		}
		return latest.placeholder(name)
	})
}

// verdictOf returns the latest verdict on a request, or nil.
func verdictOf(ctx context.Context) *verdict {
	v, _ := caddyhttp.GetVar(ctx, verdictVar).(*verdict)
	return v
}

// placeholder returns the value of {http.webhook.<name>}, and whether there is
// such a placeholder. Unknown values are empty, so that the placeholder itself
// isn't left in the text.
func (v *verdict) placeholder(name string) (any, bool) {
	m := cmp.Or(v.message, &verify.Message{})
	switch name {
	case "provider":
		return v.provider, true
	case "verified":
		return v.reason == "", true
	case "error":
		return string(v.reason), true
	case "id":
		return m.ID, true
	case "event_type":
		return m.EventType, true
	case "timestamp":
		if m.Timestamp.IsZero() {
			return "", true
		}
		return m.Timestamp.UTC().Format(time.RFC3339Nano), true
	case "secret_index":
		if v.message == nil {
			return "", true
		}
		return m.SecretIndex, true
	case "signed":
		return m.Signed.String(), true
	}
	return nil, false
}

// unknownPlaceholder returns the first {http.webhook…} placeholder in a text that
// doesn't exist, without its braces, or an empty string.
func unknownPlaceholder(text string) string {
	const begin = "http.webhook"
	for {
		_, after, found := strings.Cut(text, "{"+begin)
		if !found {
			return ""
		}
		end, rest, _ := strings.Cut(after, "}")
		name, dotted := strings.CutPrefix(end, ".") // {http.webhooks.id} is an easy mistake
		if _, known := new(verdict).placeholder(name); !dotted || !known {
			return begin + end
		}
		text = rest
	}
}

// String returns the value of {http.vars.webhook_verdict}.
func (v *verdict) String() string { return string(v.kind) }

// MarshalLogObject implements zapcore.ObjectMarshaler, for the access log.
func (v *verdict) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("provider", v.provider)
	enc.AddString("verdict", string(v.kind))
	if v.reason != "" {
		enc.AddString("reason", string(v.reason))
	}
	if m := v.message; m != nil {
		enc.AddInt("secret_index", m.SecretIndex)
		if m.ID != "" {
			enc.AddString("id", truncate(m.ID))
		}
		if m.EventType != "" {
			enc.AddString("event_type", truncate(m.EventType))
		}
	}
	return nil
}

// addToAccessLog adds the verdict to the request's entry in the access log, if
// there is one.
func (v *verdict) addToAccessLog(ctx context.Context) {
	if server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server); ok && server != nil && server.Logs == nil {
		return
	}
	if extra, ok := ctx.Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
		extra.Set(zap.Object("webhook", v))
	}
}
