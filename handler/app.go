package handler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/egress"
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

// Retry is a schedule: either delays, or how to compute them.
type Retry struct {
	// The delays between attempts; there is one attempt more than delays.
	Delays []caddy.Duration `json:"delays,omitempty"`

	// Delays that grow by a factor.
	Exponential *Exponential `json:"exponential,omitempty"`
}

// Exponential computes the delays of a schedule.
type Exponential struct {
	// The first delay. Default: 1s.
	Base caddy.Duration `json:"base,omitempty"`
	// By what each delay is longer than the one before. Default: 2.
	Factor float64 `json:"factor,omitempty"`
	// The longest delay. Default: 1h.
	Max caddy.Duration `json:"max,omitempty"`
	// How many attempts are made. Default: 10.
	Attempts int `json:"attempts,omitempty"`
}

// DisableAfter says when a subscription is deactivated whose receiver fails.
type DisableAfter struct {
	// How many attempts in a row must have failed; -1: it is never deactivated.
	Failures int `json:"failures,omitempty"`

	// How long ago the first of them must have been.
	For caddy.Duration `json:"for,omitempty"`
}

// Egress says where deliveries may go. Addresses that are not public
// (private, loopback, link-local, CGNAT, metadata services, …) are denied
// unless they are allowed. The address is judged when the connection is made.
type Egress struct {
	// Addresses, CIDRs and host names to allow.
	Allow []string `json:"allow,omitempty"`
	// Addresses, CIDRs and host names to deny, over what is allowed.
	Deny []string `json:"deny,omitempty"`
	// An HTTP proxy that deliveries go through.
	Proxy string `json:"proxy,omitempty"`
}

// EventType is an entry of the catalogue of event types.
type EventType struct {
	// Its name, as in `order.created`.
	Name string `json:"name"`
	// What has happened when it is fired.
	Description string `json:"description,omitempty"`
	// What its payloads must be: a [JSON Schema](https://json-schema.org), of
	// draft 2020-12 unless it names another. What doesn't meet it is refused
	// when it is published. Default: any payload.
	Schema json.RawMessage `json:"schema,omitempty"`
}

// Subscription says which events go where.
type Subscription struct {
	// Its name; its id is `sub_<name>`.
	Name string `json:"name"`
	// Where deliveries are posted to.
	URL string `json:"url"`
	// The event types to deliver: names, prefixes as in `order.*`, or `*`.
	EventTypes []string `json:"event_types"`
	// What signs deliveries, the newest first; each signs. Without one, a
	// secret is made and kept in the store.
	Secrets []string `json:"secrets,omitempty"`
	// What the subscription is for.
	Description string `json:"description,omitempty"`
	// Whose events it gets, which stays so: for another tenant's, take another
	// name. Default: those that have no tenant.
	Tenant string `json:"tenant,omitempty"`
	// Headers to send along.
	Headers map[string]string `json:"headers,omitempty"`
	// The signature scheme, if it isn't that of the app.
	Scheme string `json:"scheme,omitempty"`
	// Deliveries per second at most; 0 is no limit.
	RateLimit float64 `json:"rate_limit,omitempty"`
	// Whether deliveries go out one at a time, in the order of publishing, so
	// that a failure holds the rest back.
	Ordered bool `json:"ordered,omitempty"`
	// Which of the events of its types it gets: an expression in
	// [CEL](https://cel.dev) over `payload`, `event_type`, `event_id` and
	// `tenant`, such as `payload.total > 100`. An event that lacks what is asked
	// for is not delivered. Default: all of them.
	Filter string `json:"filter,omitempty"`
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

// resolve makes the engine's settings from the configuration.
func (a *App) resolve() (outbound.Settings, error) {
	s := outbound.Settings{
		Timeout: time.Duration(a.Timeout), Concurrency: a.Concurrency,
		EndpointConcurrency: a.EndpointConcurrency, SecretGrace: time.Duration(a.SecretGrace),
		RetainFor: time.Duration(a.RetainFor), RetainSize: a.RetainSize,
		ResponseBody: a.ResponseBody, MaxPayload: a.MaxPayload,
		TenantRate: a.TenantRateLimit,
		Own:        ownEndpoints(),
		Logger:     a.logger, Tracer: a.tracer.provider(), Observer: a.notices,
	}
	if a.deadFile != nil {
		s.DeadLetterLog = a.deadFile.append
	}
	var err error
	if s.Sign, err = resolveText("sign", a.Sign); err != nil {
		return s, err
	}
	if s.Retry, err = a.Retry.schedule(); err != nil {
		return s, fmt.Errorf("retry: %w", err)
	}
	if d := a.DisableAfter; d != nil {
		s.DisableAfter = outbound.DisableAfter{Failures: d.Failures, For: time.Duration(d.For)}
	}
	if a.Egress != nil {
		if s.Policy, s.Proxy, err = a.Egress.resolve(); err != nil {
			return s, err
		}
	}
	if s.EventTypes, err = a.resolveEventTypes(); err != nil {
		return s, err
	}
	if s.Subscriptions, err = a.resolveSubscriptions(); err != nil {
		return s, err
	}
	return s, s.Validate()
}

func (e *Egress) resolve() (*egress.Policy, *url.URL, error) {
	var t texts
	allow, deny, address := t.all("egress allow", e.Allow), t.all("egress deny", e.Deny), t.one("egress proxy", e.Proxy)
	if t.err != nil {
		return nil, nil, t.err
	}
	policy, err := egress.NewPolicy(allow, deny)
	if err != nil {
		return nil, nil, fmt.Errorf("egress: %w", err)
	}
	if address == "" {
		return policy, nil, nil
	}
	proxy, err := egress.ParseProxy(address)
	if err != nil {
		return nil, nil, fmt.Errorf("egress proxy: %w", err)
	}
	return policy, proxy, nil
}

func (a *App) resolveEventTypes() ([]outbound.EventType, error) {
	var out []outbound.EventType
	seen := map[string]bool{}
	for _, raw := range a.EventTypes {
		t := texts{block: "event_type " + raw.Name}
		entry := outbound.EventType{Name: t.one("name", raw.Name), Description: t.one("description", raw.Description), Schema: raw.Schema}
		if t.err != nil {
			return nil, t.err
		}
		if seen[entry.Name] {
			return nil, fmt.Errorf("event_type %s: is there twice: keep one of the two", entry.Name)
		}
		seen[entry.Name] = true
		out = append(out, entry)
	}
	return out, nil
}

func (a *App) resolveSubscriptions() ([]outbound.SubscriptionSpec, error) {
	var out []outbound.SubscriptionSpec
	seen := map[string]bool{}
	for _, sub := range a.Subscriptions {
		spec, err := sub.spec()
		if err != nil {
			return nil, err
		}
		if seen[spec.Name] {
			return nil, fmt.Errorf("subscription %s: is there twice: give each its own name", spec.Name)
		}
		seen[spec.Name] = true
		out = append(out, spec)
	}
	return out, nil
}

// ownEndpoints is Caddy's admin API, which obeys whoever reaches it. An
// operator who allows loopback for a receiver doesn't mean that one. An address
// that the config's admin option sets isn't known to an app.
func ownEndpoints() []netip.AddrPort {
	addr, err := caddy.ParseNetworkAddress(caddy.DefaultAdminListen)
	if err != nil || addr.IsUnixNetwork() {
		return nil
	}
	return []netip.AddrPort{netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(addr.StartPort))}
}

func (r *Retry) schedule() (outbound.Schedule, error) {
	switch {
	case r == nil, r.Exponential == nil && len(r.Delays) == 0:
		return nil, nil
	case r.Exponential != nil && len(r.Delays) > 0:
		return nil, errors.New("give either delays or exponential, not both")
	case r.Exponential != nil:
		x := *r.Exponential
		if x.Base == 0 {
			x.Base = caddy.Duration(time.Second)
		}
		if x.Factor == 0 {
			x.Factor = 2
		}
		if x.Max == 0 {
			x.Max = max(caddy.Duration(time.Hour), x.Base)
		}
		if x.Attempts == 0 {
			x.Attempts = 10
		}
		return outbound.ExponentialSchedule(time.Duration(x.Base), x.Factor, time.Duration(x.Max), x.Attempts)
	}
	s := make(outbound.Schedule, len(r.Delays))
	for i, d := range r.Delays {
		s[i] = time.Duration(d)
	}
	return s, nil
}

func (s *Subscription) spec() (outbound.SubscriptionSpec, error) {
	t := texts{block: "subscription " + s.Name}
	spec := outbound.SubscriptionSpec{
		Name: t.one("name", s.Name), URL: t.one("url", s.URL), EventTypes: t.all("event_types", s.EventTypes),
		Tenant: t.one("tenant", s.Tenant), Description: t.one("description", s.Description),
		Headers: map[string]string{}, Scheme: t.one("scheme", s.Scheme), RateLimit: s.RateLimit, Ordered: s.Ordered, Filter: t.one("filter", s.Filter),
	}
	for _, raw := range slices.Sorted(maps.Keys(s.Headers)) { // so that one mistake gives one error
		option := "header " + raw
		name, value := t.one(option, raw), t.one(option, s.Headers[raw])
		if _, twice := spec.Headers[name]; twice && t.err == nil {
			t.err = fmt.Errorf("%s: header %s is given twice", t.block, name)
		}
		spec.Headers[name] = value
	}
	if t.err != nil {
		return spec, t.err
	}
	for _, raw := range s.Secrets {
		secret, err := resolveSecret(t.block+": secret", raw)
		if err != nil {
			return spec, err
		}
		spec.Secrets = append(spec.Secrets, secret)
	}
	return spec, nil
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
