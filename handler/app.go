package handler

import (
	"cmp"
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
	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

func init() {
	caddy.RegisterModule(new(App))
}

// App stores events durably and delivers them to subscriptions as signed
// webhooks. Failed deliveries are retried on a schedule, and become dead
// letters once every attempt has failed.
//
// Events are published by the `webhook_publish` and `webhook_api` handlers, or
// through the admin API under `/webhooks/`. The app doesn't have to be
// configured: as soon as one of these handlers is used, it runs with the
// defaults below.
//
// All strings in its configuration, including those of subscriptions and their
// secrets, may contain global placeholders such as `{env.NAME}`,
// `{file./path}` and `{system.hostname}`, except for those of schemes. They are
// replaced when the config is loaded; a placeholder that is unknown or empty is
// an error. To use a literal brace, escape it with a backslash.
type App struct {
	// Where events and deliveries are stored. Default: the SQLite file
	// `webhooks/webhooks.db` in Caddy's data directory.
	Store *Store `json:"store,omitempty"`

	// Custom signature schemes. Their names can be used wherever the name of a
	// provider can: in `webhook_verify` handlers, in `sign`, and in subscriptions,
	// including those created through the API. They must differ from the names of
	// built-in schemes. The fields are those shown by `caddy webhooks providers
	// <provider> --json`. Fields that only describe a scheme (`aliases`, `title`,
	// `source`, `unconfirmed` and `notes`) have no effect here.
	Schemes []verify.Custom `json:"schemes,omitempty"`

	// The signature scheme for subscriptions that don't set their own: a custom
	// one, or one that `caddy webhooks providers` lists. If there are several, up to
	// four with single spaces between them, each delivery has the signatures of all,
	// made with the same secrets. Default: `standard-webhooks`.
	Sign string `json:"sign,omitempty"`

	// When to retry failed deliveries. Default: after 5s, 5m, 30m, 2h, 5h, 10h,
	// 14h, 20h and 24h, which is ten attempts over about three days.
	Retry *Retry `json:"retry,omitempty"`

	// How long a single attempt may take, from dialing to the end of the
	// response. Default: `15s`.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// The maximum number of attempts in flight on this node. Default: 512.
	Concurrency int `json:"concurrency,omitempty"`

	// The maximum number of attempts in flight to a single subscription.
	// Default: 16.
	EndpointConcurrency int `json:"endpoint_concurrency,omitempty"`

	// How long a rotated secret keeps signing alongside the new one, if the
	// scheme has room for both signatures. Default: `24h`.
	SecretGrace caddy.Duration `json:"secret_grace,omitempty"`

	// When to deactivate a subscription whose receiver keeps failing. Its
	// deliveries are then held until it is activated again. Default: after 50
	// failed attempts in a row, the first of which was at least 24 hours ago.
	DisableAfter *DisableAfter `json:"disable_after,omitempty"`

	// How long to keep events, along with their deliveries, attempts and dead
	// letters; -1 to keep them forever. Events with pending deliveries are never
	// removed. Default: 30 days.
	RetainFor caddy.Duration `json:"retain_for,omitempty"`

	// The size of the store, in bytes, above which the oldest events are removed
	// early; -1 for no limit. Payloads of 4 KiB or more, of events older than
	// half the age of the oldest, are removed before anything else, and events
	// with dead letters last. An event without its payload can't be redelivered.
	// Default: 20 GiB.
	RetainSize int64 `json:"retain_size,omitempty"`

	// How many bytes of a receiver's response body to keep; -1 for none.
	// Default: 4096.
	ResponseBody int64 `json:"response_body,omitempty"`

	// The maximum size of an event's payload, in bytes. Default: 262144.
	MaxPayload int64 `json:"max_payload,omitempty"`

	// The maximum number of events per second that each tenant may publish, tests
	// included. Events over the limit are refused with status 429. Events without a
	// tenant are not limited. Default: no limit.
	TenantRateLimit float64 `json:"tenant_rate_limit,omitempty"`

	// A file to append each new dead letter to, as a line of JSON in the format
	// of the API, for `tail -F` and log shippers. After a crash or a full disk, no
	// dead letter is missing, but some may be in the file twice. The file is created
	// with mode 0600, and created again if it has been moved away. Default: none.
	DeadLetterLog string `json:"dead_letter_log,omitempty"`

	// Where deliveries may go. By default, only public addresses can be reached.
	Egress *Egress `json:"egress,omitempty"`

	// The catalogue of event types.
	EventTypes []EventType `json:"event_types,omitempty"`

	// Subscriptions, in addition to those created through the API.
	Subscriptions []Subscription `json:"subscriptions,omitempty"`

	settings outbound.Settings
	location storeLocation
	ctx      caddy.Context
	logger   *slog.Logger
	notices  *notices
	deadFile *deadFile // nil if dead_letter_log isn't set
	tracer   *tracing
	engine   atomic.Pointer[engine] // nil until Start; requests may arrive before that
}

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "webhooks",
		New: func() caddy.Module { return new(App) },
	}
}

// Provision resolves and checks the settings. It leaves the store to Start,
// because `caddy validate` provisions too.
func (a *App) Provision(ctx caddy.Context) error {
	a.ctx, a.logger = ctx, ctx.Slogger()
	// Those of webhook_verify too: its handlers may not get that far if this app fails.
	r := ctx.GetMetricsRegistry()
	if err := errors.Join(registerEngineMetrics(r), registerVerifyMetrics(r)); err != nil {
		return err
	}
	var err error
	if a.location, err = cmp.Or(a.Store, new(Store)).locate(); err != nil {
		return err
	}
	events, err := ctx.App("events")
	if err != nil {
		return fmt.Errorf("getting the events app: %w", err)
	}
	a.notices = newNotices(ctx, events.(*caddyevents.App), a.logger)
	if a.DeadLetterLog != "" {
		path, err := resolveText("dead_letter_log", a.DeadLetterLog)
		if err != nil {
			return err
		}
		a.deadFile = &deadFile{path: path}
	}
	if a.tracer, err = loadTracing(ctx); err != nil {
		return fmt.Errorf("setting up OpenTelemetry from its OTEL_* variables: %w", err)
	}
	a.settings, err = a.resolve()
	return err
}

// Start opens the store, unless another config has it open, and makes this
// config's settings the current ones.
func (a *App) Start() error {
	if a.deadFile != nil {
		if err := a.deadFile.open(); err != nil {
			return err
		}
	}
	a.notices.start()
	e, shared, err := acquireEngine(a.ctx, a.location, a.settings)
	if err == nil {
		a.engine.Store(e)
		err = e.push(a.ctx, a, shared)
	}
	if err != nil {
		a.notices.stop() // Caddy doesn't stop an app that didn't start
	}
	return err
}

// Stop withdraws this config's settings. If no other config uses the engine, it
// stops making attempts and waits for those in flight, within the grace period.
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

// stopping is the engine that Stop is draining. The admin API needs it because
// there is no active config by the time Caddy stops its apps.
var stopping atomic.Pointer[outbound.Engine]

// defaultGrace is the grace period if Caddy's own is unlimited.
const defaultGrace = 30 * time.Second

// grace returns the http app's grace period, or defaultGrace if it has none.
func (a *App) grace() time.Duration {
	if app, err := a.ctx.AppIfConfigured("http"); err == nil {
		if d := time.Duration(app.(*caddyhttp.App).GracePeriod); d > 0 {
			return d
		}
	}
	return defaultGrace
}

// Cleanup releases the engine. The store is closed when the last config has
// released it.
func (a *App) Cleanup() error {
	var err error
	if a.engine.Load() != nil {
		_, err = engines.Delete(a.location.key)
	}
	if a.deadFile != nil {
		a.deadFile.close() // last, since closing the engine may still settle deliveries
	}
	return errors.Join(err, a.tracer.release())
}

// current returns the engine that this config uses, or nil before Start.
func (a *App) current() *outbound.Engine {
	e := a.engine.Load()
	if e == nil {
		return nil
	}
	return e.Engine
}

// Interface guards
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
