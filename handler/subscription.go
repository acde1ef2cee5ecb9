package handler

import (
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

// Subscription delivers events to a receiver.
type Subscription struct {
	// The name of the subscription. Its id is `sub_<name>`.
	Name string `json:"name"`

	// The URL to post deliveries to.
	URL string `json:"url"`

	// The event types to deliver: exact names, prefixes such as `order.*`, or
	// `*` for all.
	EventTypes []string `json:"event_types"`

	// The secrets to sign deliveries with, newest first. If a scheme has room
	// for several signatures, every secret signs. Default: a generated secret,
	// which is kept in the store.
	Secrets []string `json:"secrets,omitempty"`

	// What the subscription is for.
	Description string `json:"description,omitempty"`

	// The tenant whose events to deliver. It can't be changed later: for another
	// tenant, use another name. Default: events without a tenant.
	Tenant string `json:"tenant,omitempty"`

	// Headers to add to each delivery. `Content-Type` can only be set if there is a
	// `transform`.
	Headers map[string]string `json:"headers,omitempty"`

	// How to get access tokens, if the receiver requires them. Default: none are
	// sent.
	OAuth2 *OAuth2 `json:"oauth2,omitempty"`

	// The DNS name by which receivers know this server, such as
	// `hooks.example.com`. The receiver is asked whether it allows deliveries from
	// it, and how many per minute, as in the abuse protection of CloudEvents'
	// [HTTP 1.1 Web Hooks](https://github.com/cloudevents/spec/blob/main/cloudevents/http-webhook.md#4-abuse-protection);
	// without permission, nothing is delivered. Default: the receiver isn't asked.
	Handshake string `json:"handshake,omitempty"`

	// The signature scheme, or several with single spaces between them, as in the
	// app's `sign`. Default: the app's `sign`.
	Scheme string `json:"scheme,omitempty"`

	// The maximum number of deliveries per second. Default: no limit.
	RateLimit float64 `json:"rate_limit,omitempty"`

	// When to retry failed deliveries. Default: the app's `retry`.
	Retry *Retry `json:"retry,omitempty"`

	// How long a single attempt may take. Default: the app's `timeout`.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// Send deliveries one at a time, in the order in which the events were
	// published. A failed delivery holds back those after it.
	Ordered bool `json:"ordered,omitempty"`

	// A [CEL](https://cel.dev) expression that selects which events of these
	// types to deliver, such as `payload.total > 100`. The variables are
	// `payload`, `headers` (the event's), `event_type`, `event_id`, `tenant` and
	// `created_at`. An event without a field that the expression uses is not
	// delivered. Default: all events.
	Filter string `json:"filter,omitempty"`

	// A CEL expression over the same variables whose value is sent as JSON in
	// place of the payload, such as `{"text": payload.title}`. An event for which
	// it can't be evaluated becomes a dead letter. It can't contain placeholders,
	// since its braces would look like them. Default: the payload as it was
	// published.
	Transform string `json:"transform,omitempty"`

	// Arbitrary keys and values, such as the ids of related objects in another
	// system. They are shown to everyone who can see the subscription, so they must
	// not contain secrets.
	Metadata map[string]string `json:"metadata,omitempty"`
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
			return nil, fmt.Errorf("subscription %s is defined twice: give each its own name", spec.Name)
		}
		seen[spec.Name] = true
		out = append(out, spec)
	}
	return out, nil
}

// spec returns the subscription for the engine, with its placeholders replaced.
func (s *Subscription) spec() (outbound.SubscriptionSpec, error) {
	t := texts{block: "subscription " + s.Name}
	spec := outbound.SubscriptionSpec{
		Name:        t.text("name", s.Name),
		URL:         t.text("url", s.URL),
		EventTypes:  t.list("event_types", s.EventTypes),
		Tenant:      t.text("tenant", s.Tenant),
		Description: t.text("description", s.Description),
		Headers:     t.named("header", s.Headers),
		Handshake:   t.text("handshake", s.Handshake),
		Scheme:      t.text("scheme", s.Scheme),
		RateLimit:   s.RateLimit,
		Ordered:     s.Ordered,
		Filter:      t.text("filter", s.Filter),
		Timeout:     time.Duration(s.Timeout),
		Metadata:    t.named("metadata", s.Metadata),
		Transform:   s.Transform,
		OAuth2:      s.OAuth2.resolve(&t),
	}
	for _, raw := range s.Secrets {
		spec.Secrets = append(spec.Secrets, t.secret("secret", raw))
	}
	if t.err != nil {
		return spec, t.err
	}
	err := checkUnit("timeout", s.Timeout, time.Millisecond)
	if err != nil {
		return spec, fmt.Errorf("%s: %w", t.block, err)
	}
	if spec.Retry, err = s.Retry.schedule(); err != nil {
		return spec, fmt.Errorf("%s: retry: %w", t.block, err)
	}
	return spec, nil
}
