package handler

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/egress"
)

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
