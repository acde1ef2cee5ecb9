package handler

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// resolve returns the engine's settings: the configuration with its
// placeholders replaced.
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
	err := a.checkUnits()
	if err != nil {
		return s, err
	}
	if s.Sign, err = resolveText("sign", a.Sign); err != nil {
		return s, err
	}
	if s.Schemes, err = verify.NewTable(a.Schemes); err != nil {
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
		if s.TLS, err = a.Egress.TLS.config(a.ctx); err != nil {
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

// checkUnits refuses durations that are shorter than anybody means. In JSON, a plain
// number is in nanoseconds: 30 for retain_for would remove events at once.
func (a *App) checkUnits() error {
	if a.DisableAfter != nil {
		if err := checkUnit("disable_after for", a.DisableAfter.For, time.Second); err != nil {
			return err
		}
	}
	return cmp.Or(
		checkUnit("timeout", a.Timeout, time.Millisecond),
		checkUnit("secret_grace", a.SecretGrace, time.Second),
		checkUnit("retain_for", a.RetainFor, time.Second),
	)
}

func checkUnit(name string, d caddy.Duration, least time.Duration) error {
	if d <= 0 || time.Duration(d) >= least {
		return nil
	}
	return fmt.Errorf("%s must be at least %s, not %s: write a unit, as in \"30s\"; a plain number is in nanoseconds", name, least, time.Duration(d))
}

// ownEndpoints returns the default address of Caddy's admin API, to which
// deliveries are never sent: it obeys whoever can reach it, and an operator who
// allows loopback for a receiver doesn't mean to allow that. An address set by
// the config's admin option isn't known to an app.
func ownEndpoints() []netip.AddrPort {
	addr, err := caddy.ParseNetworkAddress(caddy.DefaultAdminListen)
	if err != nil || addr.IsUnixNetwork() {
		return nil
	}
	return []netip.AddrPort{netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(addr.StartPort))}
}

// Retry is the retry schedule: either a list of delays, or how to compute them. Each
// delay is changed at random by up to a tenth.
type Retry struct {
	// The delays between attempts. There is one more attempt than there are
	// delays.
	Delays []caddy.Duration `json:"delays,omitempty"`

	// Computes delays that grow exponentially.
	Exponential *Exponential `json:"exponential,omitempty"`
}

// Exponential is a retry schedule with exponential backoff.
type Exponential struct {
	// The first delay. Default: `1s`.
	Base caddy.Duration `json:"base,omitempty"`

	// The factor by which each delay is longer than the previous one. Default: 2.
	Factor float64 `json:"factor,omitempty"`

	// The longest delay. Default: `1h`, or the first delay if that is longer.
	Max caddy.Duration `json:"max,omitempty"`

	// The maximum number of attempts; 1 for no retries. Default: 10.
	Attempts int `json:"attempts,omitempty"`
}

// schedule returns the delays between attempts, or nil for the default ones.
func (r *Retry) schedule() (outbound.Schedule, error) {
	switch {
	case r == nil, r.Exponential == nil && len(r.Delays) == 0:
		return nil, nil
	case r.Exponential != nil && len(r.Delays) > 0:
		return nil, errors.New("give either delays or exponential, not both")
	case r.Exponential != nil:
		x := r.Exponential
		if err := cmp.Or(checkUnit("base", x.Base, time.Millisecond), checkUnit("max", x.Max, time.Millisecond)); err != nil {
			return nil, err
		}
		base := cmp.Or(time.Duration(x.Base), time.Second)
		longest := cmp.Or(time.Duration(x.Max), max(time.Hour, base))
		return outbound.ExponentialSchedule(base, cmp.Or(x.Factor, 2), longest, cmp.Or(x.Attempts, 10))
	}
	s := make(outbound.Schedule, len(r.Delays))
	for i, d := range r.Delays {
		if err := checkUnit("a delay", d, time.Millisecond); err != nil {
			return nil, err
		}
		s[i] = time.Duration(d)
	}
	return s, nil
}

// DisableAfter is when to deactivate a subscription whose receiver keeps
// failing.
type DisableAfter struct {
	// How many attempts in a row must have failed; -1 to never deactivate.
	// Required.
	Failures int `json:"failures,omitempty"`

	// How long ago the first of those attempts must have been. Required, unless
	// `failures` is -1.
	For caddy.Duration `json:"for,omitempty"`
}

// EventType is an entry in the catalogue of event types.
type EventType struct {
	// The name of the event type, such as `order.created`.
	Name string `json:"name"`

	// What has happened when an event of this type is published.
	Description string `json:"description,omitempty"`

	// The [JSON Schema](https://json-schema.org) for payloads of this type; draft
	// 2020-12 unless it specifies another. Events with a payload that doesn't
	// match are refused when they are published. Default: any payload is valid.
	Schema json.RawMessage `json:"schema,omitempty"`
}

func (a *App) resolveEventTypes() ([]outbound.EventType, error) {
	var out []outbound.EventType
	seen := map[string]bool{}
	for _, raw := range a.EventTypes {
		t := texts{block: "event_type " + raw.Name}
		entry := outbound.EventType{Name: t.text("name", raw.Name), Description: t.text("description", raw.Description), Schema: raw.Schema}
		if t.err != nil {
			return nil, t.err
		}
		if seen[entry.Name] {
			return nil, fmt.Errorf("event_type %s is defined twice: remove one of the two", entry.Name)
		}
		seen[entry.Name] = true
		out = append(out, entry)
	}
	return out, nil
}
