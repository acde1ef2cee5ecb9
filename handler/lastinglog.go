package handler

import (
	"context"
	"log/slog"
	"sync/atomic"
)

// lastingLog is the log of what outlives a config, such as a store: it writes to
// the log of the config that rules, which has its own level, format and file.
type lastingLog struct {
	ruling *atomic.Pointer[slog.Logger]
	dress  func(slog.Handler) slog.Handler // puts on what its loggers were made with
}

func newLastingLog(ruling *atomic.Pointer[slog.Logger]) *slog.Logger {
	return slog.New(lastingLog{ruling, func(h slog.Handler) slog.Handler { return h }})
}

func (l lastingLog) Enabled(ctx context.Context, level slog.Level) bool {
	return l.ruling.Load().Enabled(ctx, level)
}

func (l lastingLog) Handle(ctx context.Context, r slog.Record) error {
	return l.dress(l.ruling.Load().Handler()).Handle(ctx, r)
}

func (l lastingLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return lastingLog{l.ruling, func(h slog.Handler) slog.Handler { return l.dress(h).WithAttrs(attrs) }}
}

func (l lastingLog) WithGroup(name string) slog.Handler {
	return lastingLog{l.ruling, func(h slog.Handler) slog.Handler { return l.dress(h).WithGroup(name) }}
}
