package handler

import (
	"context"
	"log/slog"
	"sync/atomic"
)

// lastingLog is a slog.Handler for what outlives a config, such as a store. It
// logs to the logger of the config in effect, which has its own level, format and
// output.
type lastingLog struct {
	current *atomic.Pointer[slog.Logger]
	wrap    func(slog.Handler) slog.Handler // adds the attributes and groups of the logger
}

func newLastingLog(current *atomic.Pointer[slog.Logger]) *slog.Logger {
	return slog.New(lastingLog{current, func(h slog.Handler) slog.Handler { return h }})
}

func (l lastingLog) Enabled(ctx context.Context, level slog.Level) bool {
	return l.current.Load().Enabled(ctx, level)
}

func (l lastingLog) Handle(ctx context.Context, r slog.Record) error {
	return l.wrap(l.current.Load().Handler()).Handle(ctx, r)
}

func (l lastingLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return lastingLog{l.current, func(h slog.Handler) slog.Handler { return l.wrap(h).WithAttrs(attrs) }}
}

func (l lastingLog) WithGroup(name string) slog.Handler {
	return lastingLog{l.current, func(h slog.Handler) slog.Handler { return l.wrap(h).WithGroup(name) }}
}
