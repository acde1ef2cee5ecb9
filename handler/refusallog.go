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

// refusalLog logs refused requests as warnings, since Caddy logs errors below 500
// at debug level only. It is limited to a few entries per second, and says how
// many were omitted, so that refused clients can't fill a disk. Headers and the
// query aren't logged, because they may contain a token.
type refusalLog struct {
	logger  *zap.Logger
	limiter *rate.Limiter
	omitted atomic.Int64
}

func newRefusalLog(logger *zap.Logger) *refusalLog {
	return &refusalLog{logger: logger, limiter: rate.NewLimiter(rate.Every(time.Second), 10)}
}

// writeVerdict logs a refusal by webhook_verify.
func (l *refusalLog) writeVerdict(r *http.Request, v *verdict) {
	level, message := zapcore.WarnLevel, "webhook refused"
	switch {
	case v.err != nil:
		level = zapcore.ErrorLevel
	case v.kind == kindUnenforced:
		message = "webhook would be refused (enforce off)"
	}
	if entry := l.entry(level, message); entry != nil {
		entry.Write(l.fields(r, zap.String("provider", v.provider), zap.String("reason", string(v.reason)), zap.Int("status", v.status), zap.Error(v.err))...)
	}
}

// writePublish logs a refusal by webhook_publish. Errors of 500 and above are
// logged by Caddy.
func (l *refusalLog) writePublish(r *http.Request, err error) {
	var refused caddyhttp.HandlerError
	if !errors.As(err, &refused) || refused.StatusCode >= http.StatusInternalServerError {
		return
	}
	l.warn(r, "event refused: it is not stored", zap.Int("status", refused.StatusCode), zap.Error(refused.Err))
}

// writeOmitted logs that an event was stored without some of its headers.
func (l *refusalLog) writeOmitted(r *http.Request, names []string) {
	l.warn(r, "headers are not forwarded: there are too many, or they are too large", zap.String("headers", truncate(strings.Join(names, ", "))))
}

// writeDropped logs that an event was dropped because another one has its id,
// which the author of the event_id option may not have intended.
func (l *refusalLog) writeDropped(r *http.Request, id string) {
	l.warn(r, "event dropped: another event with its id, but a different type or body, is stored", zap.String("event_id", id))
}

// writeUnknown logs that an event was stored with a type that has a placeholder which
// nothing sets, such as {event_type} for {http.webhook.event_type}. That can't be
// refused when the config is loaded, since the map directive sets any name.
func (l *refusalLog) writeUnknown(r *http.Request, eventType string) {
	l.warn(r, `a placeholder in the event type is unknown, and "unknown" is stored in its place: that of a webhook is {http.webhook.event_type}`, zap.String("event_type", eventType))
}

func (l *refusalLog) warn(r *http.Request, message string, fields ...zap.Field) {
	if entry := l.entry(zapcore.WarnLevel, message); entry != nil {
		entry.Write(l.fields(r, fields...)...)
	}
}

// entry begins a log entry. It returns nil if the rate is exceeded or the level
// isn't enabled, which saves making the fields.
func (l *refusalLog) entry(level zapcore.Level, message string) *zapcore.CheckedEntry {
	if !l.limiter.Allow() { // before Check, which costs more than everything else here
		l.omitted.Add(1)
		return nil
	}
	return l.logger.Check(level, message)
}

// fields adds to the fields those that describe the request, and how many entries
// were omitted before this one.
func (l *refusalLog) fields(r *http.Request, fields ...zap.Field) []zap.Field {
	method, u := asSent(r)
	client, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	fields = append(fields,
		zap.String("client_ip", client),
		zap.String("method", method),
		zap.String("host", truncate(u.Host)),
		zap.String("path", truncate(u.EscapedPath())),
	)
	if omitted := l.omitted.Swap(0); omitted > 0 {
		fields = append(fields, zap.Int64("omitted_before", omitted))
	}
	return fields
}

// truncate limits the length of a text from outside for the log.
func truncate(s string) string {
	const limit = 256
	if len(s) <= limit {
		return s
	}
	return s[:limit] + "…"
}
