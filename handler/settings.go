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

// Retry is the retry schedule: either a list of delays, or how to compute them.
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

	// The maximum number of attempts. Default: 10.
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

// Egress restricts where deliveries may go. Addresses that are not public
// (private, loopback, link-local, CGNAT, metadata services, …) are denied
// unless they are allowed here. Addresses are checked when the connection is
// made, after DNS has been resolved.
type Egress struct {
	// IP addresses, CIDR ranges and host names to allow.
	Allow []string `json:"allow,omitempty"`

	// IP addresses, CIDR ranges and host names to deny. Takes precedence over
	// `allow`.
	Deny []string `json:"deny,omitempty"`

	// The URL of the HTTP proxy to send deliveries through, such as
	// `http://egress.internal:3128`. Default: none.
	Proxy string `json:"proxy,omitempty"`

	// Which CAs to trust, and the client certificate. Default: the system's CAs,
	// and no client certificate.
	TLS EgressTLS `json:"tls,omitzero"`
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

// Subscription delivers events to a receiver.
type Subscription struct {
	// The name of the subscription. Its id is `sub_<name>`.
	Name string `json:"name"`

	// The URL to post deliveries to.
	URL string `json:"url"`

	// The event types to deliver: exact names, prefixes such as `order.*`, or
	// `*` for all.
	EventTypes []string `json:"event_types"`

	// The secrets to sign deliveries with, newest first. If the scheme has room
	// for several signatures, every secret signs. Default: a generated secret,
	// which is kept in the store.
	Secrets []string `json:"secrets,omitempty"`

	// What the subscription is for.
	Description string `json:"description,omitempty"`

	// The tenant whose events to deliver. It can't be changed later: for another
	// tenant, use another name. Default: events without a tenant.
	Tenant string `json:"tenant,omitempty"`

	// Headers to add to each delivery.
	Headers map[string]string `json:"headers,omitempty"`

	// How to get access tokens, if the receiver requires them. Default: none are
	// sent.
	OAuth2 *OAuth2 `json:"oauth2,omitempty"`

	// The signature scheme. Default: the app's `sign`.
	Scheme string `json:"scheme,omitempty"`

	// The maximum number of deliveries per second; 0 for no limit.
	RateLimit float64 `json:"rate_limit,omitempty"`

	// Send deliveries one at a time, in the order in which the events were
	// published. A failed delivery holds back those after it.
	Ordered bool `json:"ordered,omitempty"`

	// A [CEL](https://cel.dev) expression that selects which events of these
	// types to deliver, such as `payload.total > 100`. The variables are
	// `payload`, `headers` (the event's), `event_type`, `event_id` and `tenant`. An
	// event without a field that the expression uses is not delivered. Default: all
	// events.
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
	spec.OAuth2 = s.OAuth2.resolve(&t)
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
