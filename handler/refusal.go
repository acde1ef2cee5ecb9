package handler

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/time/rate"

	"github.com/caddy-webhooks/caddy-webhooks/handler/internal/room"
	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// The reasons that only a server has, beside those of package verify.
const (
	// reasonSlowBody: the body comes too slowly.
	reasonSlowBody verify.Reason = "body_too_slow"
	// reasonNoRoom: the body could not be kept while it was judged.
	reasonNoRoom verify.Reason = "no_room"
	// reasonBusy: as many messages are being worked on as the replay memory can
	// watch.
	reasonBusy verify.Reason = "busy"
)

// retryAfter is when a sender may come back, in seconds, where it isn't its
// fault that it was sent away.
const retryAfter = "5"

// statusOf is the HTTP status of a reason.
func statusOf(reason verify.Reason) int {
	switch reason {
	case reasonSlowBody:
		return http.StatusRequestTimeout
	case reasonNoRoom, reasonBusy:
		return http.StatusServiceUnavailable
	}
	return reason.Status()
}

// because makes a reason of ours that of the verdict.
func (v *verdict) because(reason verify.Reason) { v.reason, v.status = reason, statusOf(reason) }

// refuse ends a request that was refused. The error's text is the reason alone:
// users print it.
func refuse(w http.ResponseWriter, r *http.Request, v *verdict) error {
	switch v.reason { // not the status, which may be one of the provider's choice
	case verify.ReasonMethodNotAllowed:
		w.Header().Set("Allow", http.MethodPost)
	case verify.ReasonInFlight, reasonNoRoom, reasonBusy:
		w.Header().Set("Retry-After", retryAfter)
	}
	if closes(r, v) {
		room.EndConnection(w, r)
	}
	if v.body != nil {
		// what was read is gone, and error routes must not wait for it
		v.body.Release()
		r.Body, r.ContentLength, r.TransferEncoding = http.NoBody, 0, nil
		r.Header.Del("Content-Length")
	}
	// what caddyhttp.Error would make of it, but for the line of code that it
	// looks up, which takes longer than the refusal and tells less than the reason
	return caddyhttp.HandlerError{
		StatusCode: v.status,
		Err:        errors.New(string(v.reason)),
		ID:         errorID(),
		Trace:      "webhook_verify",
	}
}

// errorID makes an id of the kind that Caddy gives its errors.
func errorID() string {
	const letters = "abcdefghijkmnpqrstuvwxyz23456789"
	var id [9]byte
	for i, n := 0, rand.Uint64(); i < len(id); i, n = i+1, n/uint64(len(letters)) {
		id[i] = letters[n%uint64(len(letters))]
	}
	return string(id[:])
}

// closes says whether a connection is to be closed since the rest of the body is
// not wanted. Otherwise the server reads a good part of it before it answers,
// and waits for one that the client holds back until it is asked.
func closes(r *http.Request, v *verdict) bool {
	switch v.reason {
	case verify.ReasonBodyTooLarge, reasonSlowBody:
		return true
	}
	return v.body == nil && r.Header.Get("Expect") != ""
}

// refusalLog writes refusals at warn, since Caddy shows errors below 500 at
// debug only: a few a second, and how many it left out, so that whoever is
// refused can't fill a disk. It shows no header and no query: they may hold a
// token.
type refusalLog struct {
	logger  *zap.Logger
	limiter *rate.Limiter
	omitted atomic.Int64
}

func newRefusalLog(logger *zap.Logger) *refusalLog {
	return &refusalLog{logger: logger, limiter: rate.NewLimiter(rate.Every(time.Second), 10)}
}

func (l *refusalLog) write(r *http.Request, v *verdict) {
	level, message := zapcore.WarnLevel, "webhook refused"
	switch {
	case v.err != nil:
		level = zapcore.ErrorLevel
	case v.kind == kindUnenforced:
		message = "webhook would be refused (enforce off)"
	}
	entry := l.open(level, message)
	if entry == nil {
		return
	}
	fields := []zap.Field{
		zap.String("provider", v.provider),
		zap.String("reason", string(v.reason)),
		zap.Int("status", v.status),
	}
	if v.err != nil {
		fields = append(fields, zap.Error(v.err))
	}
	entry.Write(append(fields, l.about(r)...)...)
}

// writePublish writes that webhook_publish did not take an event. What is the
// server's fault is logged by Caddy.
func (l *refusalLog) writePublish(r *http.Request, err error) {
	var refused caddyhttp.HandlerError
	if !errors.As(err, &refused) || refused.StatusCode >= http.StatusInternalServerError {
		return
	}
	if entry := l.open(zapcore.WarnLevel, "event refused: it is not stored"); entry != nil {
		entry.Write(append([]zap.Field{zap.Int("status", refused.StatusCode), zap.Error(refused.Err)}, l.about(r)...)...)
	}
}

// writeLeft writes that an event was taken without some headers.
func (l *refusalLog) writeLeft(r *http.Request, names []string) {
	if entry := l.open(zapcore.WarnLevel, "headers are not forwarded: there are too many, or they are too large"); entry != nil {
		entry.Write(append([]zap.Field{zap.String("headers", cut(strings.Join(names, ", "), 256))}, l.about(r)...)...)
	}
}

// writeDropped writes that an event has the id of another one: whoever chose the
// placeholder that gives it may not have meant that.
func (l *refusalLog) writeDropped(r *http.Request, id string) {
	if entry := l.open(zapcore.WarnLevel, "event dropped: one with its id, but another type or body, is stored"); entry != nil {
		entry.Write(append([]zap.Field{zap.String("event_id", id)}, l.about(r)...)...)
	}
}

// open begins a line, unless it is one too many or nobody reads it.
func (l *refusalLog) open(level zapcore.Level, message string) *zapcore.CheckedEntry {
	if !l.limiter.Allow() { // before Check, which costs more than all else here
		l.omitted.Add(1)
		return nil
	}
	return l.logger.Check(level, message)
}

// about tells whose request it was, and how many lines were left out before.
func (l *refusalLog) about(r *http.Request) []zap.Field {
	method, u := asSent(r)
	client, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	fields := []zap.Field{
		zap.String("client_ip", client),
		zap.String("method", method),
		zap.String("host", cut(u.Host, 256)),
		zap.String("path", cut(u.EscapedPath(), 256)),
	}
	if omitted := l.omitted.Swap(0); omitted > 0 {
		fields = append(fields, zap.Int64("omitted_before", omitted))
	}
	return fields
}

// cut shortens what a stranger wrote to what a log should hold.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return s[:limit] + "…"
}
