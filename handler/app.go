package handler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

func init() {
	caddy.RegisterModule(new(App))
}

// App stores events and delivers them to subscriptions: signed, retried on a
// schedule, and kept as dead letters when every attempt failed.
//
// Events come in by the `webhook_publish` and `webhook_api` handlers and by
// the admin API under `/webhooks/`. Without a configuration of its own the app
// is there as soon as one of these handlers is used, with a store in Caddy's
// data directory.
//
// All texts, those of subscriptions and their secrets included, may hold the
// placeholders that are known without a request: `{env.NAME}`, `{file./path}`,
// `{system.hostname}` and the like. They are replaced when the configuration is
// loaded. One that is unknown or empty is an error. To write a brace as it is,
// put a backslash in front of it.
type App struct {
	// Where events and deliveries are kept. Default: a SQLite file,
	// `webhooks/webhooks.db` in Caddy's data directory.
	Store *Store `json:"store,omitempty"`

	// The signature scheme of deliveries, for subscriptions that don't choose
	// their own; `caddy webhooks providers` lists them. Default:
	// `standard-webhooks`.
	Sign string `json:"sign,omitempty"`

	// When to try again. Default: after 5s, 5m, 30m, 2h, 5h, 10h, 14h, 20h and
	// 24h, which makes ten attempts within some three days.
	Retry *Retry `json:"retry,omitempty"`

	// How long one attempt may take, from the dial to the end of the answer.
	// Default: 15s.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// How many attempts may be under way on this node. Default: 512.
	Concurrency int `json:"concurrency,omitempty"`

	// How many of them to one subscription. Default: 16.
	EndpointConcurrency int `json:"endpoint_concurrency,omitempty"`

	// How long a secret goes on signing, beside the new one, after it was
	// rotated, where the scheme has room for both signatures. Default: 24h.
	SecretGrace caddy.Duration `json:"secret_grace,omitempty"`

	// When a subscription whose receiver fails is deactivated, so that its
	// deliveries are held until somebody activates it. Default: after 50 failed
	// attempts in a row, the first of them 24 hours ago.
	DisableAfter *DisableAfter `json:"disable_after,omitempty"`

	// How long events are kept, with their deliveries, attempts and dead
	// letters; -1 for ever. Those with a delivery that is still to be made are
	// never removed. Default: 30 days.
	RetainFor caddy.Duration `json:"retain_for,omitempty"`

	// How many bytes the store may use before the oldest events are removed
	// sooner: payloads of 4 KiB or more, of events older than half the age of the
	// oldest, before the rest, and events with dead letters last; -1 for any
	// number. What has lost its payload can't be redelivered. Default: 20 GiB.
	RetainSize int64 `json:"retain_size,omitempty"`

	// How many bytes of a receiver's answer are kept; -1 for none. Default:
	// 4096.
	ResponseBody int64 `json:"response_body,omitempty"`

	// How many bytes an event's payload may have. Default: 262144.
	MaxPayload int64 `json:"max_payload,omitempty"`

	// How many events each tenant may publish a second; what is more is refused
	// with 429. Events without a tenant are not limited. Default: no limit.
	TenantRateLimit float64 `json:"tenant_rate_limit,omitempty"`

	// A file to which a line of JSON is appended for each delivery that becomes
	// a dead letter, as the API lists them, for `tail -f` and log shippers. What
	// can't be written, or not before a crash, is written later: no line is
	// missing, though one may be there twice. The file is made with mode 0600, and
	// opened anew where it was moved away. Default: none.
	DeadLetterLog string `json:"dead_letter_log,omitempty"`

	// Where deliveries may go. By default only public addresses are reached.
	Egress *Egress `json:"egress,omitempty"`

	// The event types of the catalogue.
	EventTypes []EventType `json:"event_types,omitempty"`

	// Subscriptions, beside those that are made by the API.
	Subscriptions []Subscription `json:"subscriptions,omitempty"`

	settings outbound.Settings
	place    place // of the store
	ctx      caddy.Context
	logger   *slog.Logger
	notices  *notices
	deadFile *deadFile // nil where there is none
	tracer   *tracing
	engine   atomic.Pointer[engine] // while this config uses it: requests may come before it is started
}

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "webhooks",
		New: func() caddy.Module { return new(App) },
	}
}

// Provision checks the settings. The store is not touched before Start, since
// `caddy validate` comes only as far as here.
func (a *App) Provision(ctx caddy.Context) error {
	a.ctx, a.logger = ctx, ctx.Slogger()
	if a.Store == nil {
		a.Store = new(Store)
	}
	var err error
	if a.place, err = a.Store.locate(); err != nil {
		return fmt.Errorf("webhooks: %w", err)
	}
	events, err := ctx.App("events")
	if err != nil {
		return fmt.Errorf("getting the events app: %w", err)
	}
	a.notices = newNotices(ctx, events.(*caddyevents.App), a.logger)
	if a.DeadLetterLog != "" {
		path, err := resolveText("dead_letter_log", a.DeadLetterLog)
		if err != nil {
			return fmt.Errorf("webhooks: %w", err)
		}
		a.deadFile = &deadFile{path: path}
	}
	if err := registerEngineMetrics(ctx.GetMetricsRegistry()); err != nil {
		return err
	}
	if a.tracer, err = loadTracing(ctx); err != nil {
		return fmt.Errorf("webhooks: setting up OpenTelemetry by its OTEL_* variables: %w", err)
	}
	if a.settings, err = a.resolve(); err != nil {
		return fmt.Errorf("webhooks: %w", err)
	}
	return nil
}

// Start opens the store, or goes on with the one that is open, and delivers.
func (a *App) Start() error {
	if a.deadFile != nil {
		if err := a.deadFile.open(); err != nil {
			return fmt.Errorf("webhooks: %w", err)
		}
	}
	a.notices.start()
	e, running, err := useEngine(a.ctx, a.place, a.settings)
	if err == nil {
		a.engine.Store(e)
		err = e.push(a.ctx, a, running)
	}
	if err != nil {
		a.notices.stop() // Caddy doesn't stop an app that didn't start
		return fmt.Errorf("webhooks: %w", err)
	}
	return nil
}

// Stop takes this config's settings back. When there is no other config, no
// more attempts are made, and those under way are waited for.
func (a *App) Stop() error {
	e := a.engine.Load()
	if last := e.pop(a.ctx, a); last {
		ctx, cancel := context.WithTimeout(context.Background(), a.grace())
		defer cancel()
		stopping.Store(e.Engine)
		defer stopping.CompareAndSwap(e.Engine, nil)
		e.Drain(ctx)
	}
	a.notices.stop()
	return nil
}

// stopping is the engine whose attempts are waited for: when Caddy stops, no
// config is the active one any more.
var stopping atomic.Pointer[outbound.Engine]

// defaultGrace is for a server that would wait for ever.
const defaultGrace = 30 * time.Second

// grace is Caddy's own grace period.
func (a *App) grace() time.Duration {
	if app, err := a.ctx.AppIfConfigured("http"); err == nil {
		if d := time.Duration(app.(*caddyhttp.App).GracePeriod); d > 0 {
			return d
		}
	}
	return defaultGrace
}

// Cleanup lets go of the engine; the last one closes the store.
func (a *App) Cleanup() error {
	var errs []error
	if a.engine.Load() != nil {
		_, err := engines.Delete(a.place.key)
		errs = append(errs, err)
	}
	if a.deadFile != nil {
		a.deadFile.close() // now that nothing can die any more
	}
	if a.tracer != nil {
		errs = append(errs, a.tracer.release())
	}
	return errors.Join(errs...)
}

// current is the engine that this config uses, nil before it is started.
func (a *App) current() *outbound.Engine {
	e := a.engine.Load()
	if e == nil {
		return nil
	}
	return e.Engine
}

// keeper keeps the replay memory in the store; nil where nothing does.
func (a *App) keeper() *keeper {
	if a == nil {
		return nil
	}
	e := a.engine.Load()
	if e == nil {
		return nil
	}
	return e.keeper
}

// Interface guards
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
