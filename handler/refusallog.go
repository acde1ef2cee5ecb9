package handler

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/time/rate"
)

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
	if line := l.line(level, message); line != nil {
		line.Write(l.about(r, zap.String("provider", v.provider), zap.String("reason", string(v.reason)), zap.Int("status", v.status), zap.Error(v.err))...)
	}
}

// writePublish writes that webhook_publish did not take an event. What is the
// server's fault is logged by Caddy.
func (l *refusalLog) writePublish(r *http.Request, err error) {
	var refused caddyhttp.HandlerError
	if !errors.As(err, &refused) || refused.StatusCode >= http.StatusInternalServerError {
		return
	}
	if line := l.line(zapcore.WarnLevel, "event refused: it is not stored"); line != nil {
		line.Write(l.about(r, zap.Int("status", refused.StatusCode), zap.Error(refused.Err))...)
	}
}

// writeLeft writes that an event was taken without some headers.
func (l *refusalLog) writeLeft(r *http.Request, names []string) {
	if line := l.line(zapcore.WarnLevel, "headers are not forwarded: there are too many, or they are too large"); line != nil {
		line.Write(l.about(r, zap.String("headers", cut(strings.Join(names, ", "))))...)
	}
}

// writeDropped writes that an event has the id of another one: whoever chose the
// placeholder that gives it may not have meant that.
func (l *refusalLog) writeDropped(r *http.Request, id string) {
	if line := l.line(zapcore.WarnLevel, "event dropped: one with its id, but another type or body, is stored"); line != nil {
		line.Write(l.about(r, zap.String("event_id", id))...)
	}
}

// line begins one, and returns nil where it is one too many or nobody reads it: what
// is to be in it needn't be made then.
func (l *refusalLog) line(level zapcore.Level, message string) *zapcore.CheckedEntry {
	if !l.limiter.Allow() { // before Check, which costs more than all else here
		l.omitted.Add(1)
		return nil
	}
	return l.logger.Check(level, message)
}

// about adds whose request it was, and how many lines were left out before.
func (l *refusalLog) about(r *http.Request, fields ...zap.Field) []zap.Field {
	method, u := asSent(r)
	client, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	fields = append(fields,
		zap.String("client_ip", client),
		zap.String("method", method),
		zap.String("host", cut(u.Host)),
		zap.String("path", cut(u.EscapedPath())),
	)
	if omitted := l.omitted.Swap(0); omitted > 0 {
		fields = append(fields, zap.Int64("omitted_before", omitted))
	}
	return fields
}

// cut shortens what a stranger wrote to what a log should hold.
func cut(s string) string {
	const most = 256
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
