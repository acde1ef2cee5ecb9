package handler

import (
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

// verdictKind is what became of a request.
type verdictKind string

const (
	kindVerified     verdictKind = "verified"     // passed on
	kindHandshake    verdictKind = "handshake"    // a provider's handshake, answered here
	kindAcknowledged verdictKind = "acknowledged" // a replay, answered here with 200
	kindRefused      verdictKind = "refused"
	kindUnenforced   verdictKind = "unenforced" // would be refused; passed on a dry run
)

// verdict is one request's judgement and what it holds.
type verdict struct {
	provider string
	url      url.URL // as the provider sent it
	kind     verdictKind
	reason   verify.Reason // why it is not verified
	status   int           // the status of a refusal
	err      error         // what went wrong on our side, for the log

	message *verify.Message // what is known, once the signature was right
	reply   *verify.Reply   // what is answered here
	taken   *verify.Reply   // what the provider wants to hear of an event; nil: any 2xx
	body    *spool.Spool    // the body, or its beginning, once it was read

	key      [32]byte // of the replay memory
	reserved bool     // the key is held until the app has answered
}

// verdictVar is the request's variable with its latest verdict.
const verdictVar = "webhook_verdict"

// publish makes the verdict that of the request, whose placeholders show it.
func (v *verdict) publish(ctx context.Context) {
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
		// not v: another webhook_verify may have judged the request since
		latest := verdictOf(ctx)
		if latest == nil {
			return nil, false
		}
		return latest.placeholder(name)
	})
}

// verdictOf is the latest verdict on a request, nil for none.
func verdictOf(ctx context.Context) *verdict {
	v, _ := caddyhttp.GetVar(ctx, verdictVar).(*verdict)
	return v
}

// placeholder is what {http.webhook.<name>} stands for. What isn't known is
// empty, so that nothing of the placeholder itself is left.
func (v *verdict) placeholder(name string) (any, bool) {
	switch name {
	case "provider":
		return v.provider, true
	case "verified":
		return v.reason == "", true
	case "error":
		return string(v.reason), true
	}
	m := v.message
	if m == nil {
		m = new(verify.Message)
	}
	switch name {
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

// misspelt finds a placeholder in a text that is meant to be {http.webhook.<name>},
// and that no verdict has.
func misspelt(text string) string {
	const begin = "http.webhook"
	for {
		_, after, found := strings.Cut(text, "{"+begin)
		if !found {
			return ""
		}
		end, rest, _ := strings.Cut(after, "}")
		name, dotted := strings.CutPrefix(end, ".") // the plural is easily written
		if _, known := new(verdict).placeholder(name); !dotted || !known {
			return begin + end
		}
		text = rest
	}
}

// String is what {http.vars.webhook_verdict} stands for.
func (v *verdict) String() string { return string(v.kind) }

// MarshalLogObject makes the verdict a field of the access log.
func (v *verdict) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("provider", v.provider)
	enc.AddString("verdict", string(v.kind))
	if v.reason != "" {
		enc.AddString("reason", string(v.reason))
	}
	if m := v.message; m != nil {
		enc.AddInt("secret_index", m.SecretIndex)
		if m.ID != "" {
			enc.AddString("id", cut(m.ID))
		}
		if m.EventType != "" {
			enc.AddString("event_type", cut(m.EventType))
		}
	}
	return nil
}

// logWith adds the verdict to the request's access log, if there is one.
func (v *verdict) logWith(ctx context.Context) {
	if server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server); ok && server != nil && server.Logs == nil {
		return
	}
	if extra, ok := ctx.Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
		extra.Set(zap.Object("webhook", v))
	}
}
