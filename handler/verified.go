package handler

import (
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// verifiedHeader tells the app by which provider a request was verified, or
// "false" on a dry run.
const verifiedHeader = "Webhook-Verified"

// dropClaims removes from a header whatever claims to be our verdict:
// Webhook-Verified and all that begins like it, in every spelling that some app
// server takes for the same.
func dropClaims(h http.Header) {
	for name := range h {
		if isClaim(name) {
			delete(h, name)
		}
	}
}

func isClaim(name string) bool {
	const claim = "webhook-verified"
	if len(name) < len(claim) {
		return false
	}
	for i := range len(claim) {
		c := name[i]
		switch {
		case c == '_' || c == '.':
			c = '-'
		case 'A' <= c && c <= 'Z':
			c |= 0x20
		}
		if c != claim[i] {
			return false
		}
	}
	return true
}

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
	kind     verdictKind
	reason   verify.Reason // why it is not verified
	status   int           // the status of a refusal
	err      error         // what went wrong on our side, for the log

	message *verify.Message // what is known, once the signature was right
	reply   *verify.Reply   // what is answered here
	body    *spool          // the body, or its beginning, once it was read

	key      [32]byte // of the replay memory
	reserved bool     // the key is held until the app has answered
}

// publish sets the placeholders of the verdict.
func (v *verdict) publish(repl *caddy.Replacer) {
	var id, eventType, timestamp, signed string
	var secretIndex any = ""
	if m := v.message; m != nil {
		id, eventType, signed = m.ID, m.EventType, m.Signed.String()
		secretIndex = m.SecretIndex
		if !m.Timestamp.IsZero() {
			timestamp = m.Timestamp.UTC().Format(time.RFC3339Nano)
		}
	}
	repl.Set("http.webhook.provider", v.provider)
	repl.Set("http.webhook.verified", v.reason == "")
	repl.Set("http.webhook.error", string(v.reason))
	repl.Set("http.webhook.id", id)
	repl.Set("http.webhook.event_type", eventType)
	repl.Set("http.webhook.timestamp", timestamp)
	repl.Set("http.webhook.secret_index", secretIndex)
	repl.Set("http.webhook.signed", signed)
}

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
			enc.AddString("id", cut(m.ID, 256))
		}
		if m.EventType != "" {
			enc.AddString("event_type", cut(m.EventType, 256))
		}
	}
	return nil
}

// logWith adds the verdict to the request's access log.
func (v *verdict) logWith(r *http.Request) {
	if extra, ok := r.Context().Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
		extra.Set(zap.Object("webhook", v))
	}
}
