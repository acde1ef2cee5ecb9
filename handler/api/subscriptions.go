package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// subscription is a subscription as answers show it.
type subscription struct {
	SubscriptionID string            `json:"subscription_id"`
	URL            string            `json:"url"`
	EventTypes     []string          `json:"event_types"`
	Description    *string           `json:"description"`
	Tenant         *string           `json:"tenant"`
	Headers        map[string]string `json:"headers"`
	OAuth2         *oauth2           `json:"oauth2"`    // null if the receiver requires no access token
	Handshake      *string           `json:"handshake"` // null if the receiver isn't asked for permission
	Scheme         *string           `json:"scheme"`    // null for the server's default
	RateLimit      *string           `json:"rate_limit"`
	Retry          []duration        `json:"retry"`   // null for the server's default
	Timeout        *duration         `json:"timeout"` // null for the server's default
	Ordered        bool              `json:"ordered"`
	Filter         *string           `json:"filter"`    // null for all events of its types
	Transform      *string           `json:"transform"` // null for the payload as published
	Metadata       map[string]string `json:"metadata"`
	Active         bool              `json:"active"`
	Reason         *string           `json:"reason"` // why it is inactive
	FromConfig     bool              `json:"from_config"`
	CreatedAt      timestamp         `json:"created_at"`
	UpdatedAt      timestamp         `json:"updated_at"`
}

// hidden is shown instead of a value that the token may not see.
const hidden = "[hidden]"

// shown returns values that are often credentials: hidden, unless the token has
// the scope manage.
func (c *call) shown(values map[string]string) map[string]string {
	out := map[string]string{}
	for name, value := range values {
		if c.granted&scopeManage == 0 {
			value = hidden
		}
		out[name] = value
	}
	return out
}

func (c *call) subscriptionOf(s *outbound.Subscription) subscription {
	return subscription{
		SubscriptionID: s.ID, URL: s.URL, EventTypes: s.EventTypes, Description: orNull(s.Description), Tenant: orNull(s.Tenant),
		Headers: c.shown(s.Headers), OAuth2: c.oauth2Of(&s.OAuth2), Handshake: orNull(s.Handshake), Scheme: orNull(s.Scheme),
		RateLimit: orNull(outbound.FormatRate(s.RateLimit)), Retry: durations(s.Retry), Timeout: orNull(duration(s.Timeout)), Ordered: s.Ordered, Filter: orNull(s.Filter),
		Transform: orNull(s.Transform), Metadata: orEmpty(s.Metadata),
		Active: s.Active, Reason: orNull(s.Reason), FromConfig: s.FromConfig,
		CreatedAt: timestamp(s.Created()), UpdatedAt: timestamp(s.Updated),
	}
}

// The fields of a subscription that can be changed, and those that can be set
// when it is created.
var (
	changeable = []string{"url", "event_types", "description", "headers", "oauth2", "handshake", "scheme", "rate_limit", "retry", "timeout", "ordered", "filter", "transform", "metadata"}
	creatable  = append(slices.Clone(changeable), "subscription_id", "tenant", "secret")
)

// unchangeable says of other fields how they are changed instead.
var unchangeable = map[string]string{
	"secret": "it is changed by POST /subscriptions/{id}/rotate-secret",
	"active": "it is changed by POST /subscriptions/{id}/activate and /deactivate",
	"tenant": "it can't be changed: create another subscription for the other tenant",

	"subscription_id": "it can't be changed: create another subscription",
}

// setField sets a field of a subscription to the value that was sent; null resets it
// to its default.
func setField(spec *outbound.SubscriptionSpec, field string, value []byte) error {
	switch field {
	case "url":
		return readString(field, value, &spec.URL)
	case "description":
		return readString(field, value, &spec.Description)
	case "handshake":
		return readString(field, value, &spec.Handshake)
	case "scheme":
		return readString(field, value, &spec.Scheme)
	case "filter":
		return readString(field, value, &spec.Filter)
	case "transform":
		return readString(field, value, &spec.Transform)
	case "subscription_id":
		return readNonEmpty(field, value, &spec.ID)
	case "tenant":
		return readNonEmpty(field, value, &spec.Tenant)
	case "secret":
		return readSecret(field, value, &spec.Secrets)
	case "ordered":
		return readBool(field, value, &spec.Ordered)
	case "event_types":
		return readStrings(field, value, &spec.EventTypes)
	case "oauth2":
		return mergeOAuth2(field, value, &spec.OAuth2)
	case "rate_limit":
		return readRate(field, value, &spec.RateLimit)
	case "timeout":
		return readDuration(field, value, &spec.Timeout)
	case "retry":
		return readDurations(field, value, (*[]time.Duration)(&spec.Retry))
	case "metadata":
		return mergeStrings(field, value, `{"customer": "42"}`, sameText, &spec.Metadata)
	}
	return mergeHeaders(value, &spec.Headers)
}

// readSecret reads the only secret of a new subscription; null leaves it out.
func readSecret(field string, value []byte, to *[]string) error {
	var s string
	if err := readString(field, value, &s); err != nil || isNull(value) {
		return err
	}
	if s == "" {
		return invalidField(field, "is empty: leave it out to have one generated")
	}
	*to = []string{s}
	return nil
}

// readRate reads a rate such as "50/s", or a number of deliveries per second.
// Null and 0 mean no limit.
func readRate(field string, value []byte, to *float64) error {
	*to = 0
	if value[0] == '"' {
		var s string
		if err := readString(field, value, &s); err != nil {
			return err
		}
		perSecond, err := outbound.ParseRate(s)
		if err != nil {
			return invalidField(field, "is wrong: %v", err)
		}
		*to = perSecond
		return nil
	}
	if err := json.Unmarshal(value, to); err != nil {
		return invalidField(field, `must be a rate as in "50/s" or "3000/m", or a number of deliveries per second, or null for no limit`)
	}
	return nil
}

// created is a new subscription with its secret, or the one that its id was given to
// before.
type created struct {
	subscription
	Secret    string  `json:"secret"`
	PublicKey *string `json:"public_key"`
	Duplicate bool    `json:"duplicate"`
}

func (c *call) createSubscription() error {
	var spec outbound.SubscriptionSpec
	err := c.object(creatable, func(field string, value []byte) error { return setField(&spec, field, value) })
	if err != nil {
		return err
	}
	if spec.URL == "" {
		return refuse(codeMissingField, "url is missing: say where deliveries go, as in https://example.com/hooks").at("url")
	}
	status := http.StatusCreated
	s, err := c.engine.CreateSubscription(c.r.Context(), spec)
	if taken, ok := errors.AsType[*outbound.Taken](err); ok && len(taken.Differs) == 0 {
		s, err, status = taken.Subscription, nil, http.StatusOK
	}
	if err != nil {
		return err
	}
	c.w.Header().Set("Location", "subscriptions/"+s.ID) // relative, since the mount's prefix isn't known here
	signing := c.engine.Signing(s)
	return c.answer(status, created{c.subscriptionOf(s), signing.Secret, orNull(signing.PublicKey), status == http.StatusOK})
}

func (c *call) listSubscriptions() error {
	limit, after, err := c.sent.place(store.SubscriptionPrefix)
	if err != nil {
		return err
	}
	subs, err := c.engine.Subscriptions(c.sent["tenant"], after, limit+1)
	if err != nil {
		return err
	}
	return answerList(c, subs, limit, func(s *outbound.Subscription) string { return s.Key.With(store.SubscriptionPrefix) }, c.subscriptionOf)
}

// noSubscription says that the subscription of the path doesn't exist.
func (c *call) noSubscription(err error) error {
	return notFound(err, "subscription", c.id, "/subscriptions")
}

func (c *call) showSubscription() error {
	s, err := c.engine.Subscription(c.id)
	return c.answerSubscription(s, err)
}

func (c *call) answerSubscription(s *outbound.Subscription, err error) error {
	if err != nil {
		return c.noSubscription(err)
	}
	return c.answer(http.StatusOK, c.subscriptionOf(s))
}

// member is a field of a body, with its value.
type member struct {
	field string
	value []byte
}

func (c *call) updateSubscription() error {
	var sent []member
	err := c.object(changeable, func(field string, value []byte) error {
		sent = append(sent, member{field, value})
		return setField(new(outbound.SubscriptionSpec), field, value) // so that mistakes are found even if there is no such subscription
	}, "application/merge-patch+json")
	if err != nil {
		if p, ok := errors.AsType[*problem](err); ok && p.Code == codeUnknownField && unchangeable[p.Field] != "" {
			p.Detail = p.Field + " can't be sent here: " + unchangeable[p.Field]
		}
		return err
	}
	s, err := c.engine.UpdateSubscription(c.r.Context(), c.id, func(spec *outbound.SubscriptionSpec) error {
		for _, m := range sent {
			if err := setField(spec, m.field, m.value); err != nil {
				return err
			}
		}
		return nil
	})
	return c.answerSubscription(s, err)
}

func (c *call) deleteSubscription() error {
	return c.remove(func() error { return c.noSubscription(c.engine.DeleteSubscription(c.r.Context(), c.id)) })
}

// secret is the signing secret of a subscription.
type secret struct {
	Secret          string    `json:"secret"`
	PublicKey       *string   `json:"public_key"`              // what the receiver verifies with, if not the secret
	PreviousExpires timestamp `json:"previous_secret_expires"` // until then, the previous secret signs too
}

func (c *call) answerSecret(s outbound.Signing) error {
	return c.answer(http.StatusOK, secret{s.Secret, orNull(s.PublicKey), timestamp(s.PreviousExpires)})
}

func (c *call) showSecret() error {
	s, err := c.engine.Subscription(c.id)
	if err != nil {
		return c.noSubscription(err)
	}
	return c.answerSecret(c.engine.Signing(s))
}

func (c *call) rotateSecret() error {
	var given string
	err := c.optionalObject([]string{"secret"}, func(field string, value []byte) error { return readString(field, value, &given) })
	if err != nil {
		return err
	}
	s, err := c.engine.RotateSecret(c.r.Context(), c.id, given)
	if err != nil {
		return c.noSubscription(err)
	}
	return c.answerSecret(s)
}

// maxReason limits the characters of a reason.
const maxReason = 500

func (c *call) deactivate() error {
	reason := outbound.ReasonByHand
	err := c.optionalObject([]string{"reason"}, func(field string, value []byte) error {
		var given string
		if err := readString(field, value, &given); err != nil {
			return err
		}
		if utf8.RuneCountInString(given) > maxReason || !utf8.ValidString(given) {
			return invalidField(field, "must have at most %d characters", maxReason)
		}
		if given != "" {
			reason += ": " + given // so that it can't be mistaken for a reason of the engine's
		}
		return nil
	})
	if err != nil {
		return err
	}
	s, err := c.engine.Deactivate(c.r.Context(), c.id, reason)
	return c.answerSubscription(s, err)
}

func (c *call) activate() error {
	if err := c.noBody(); err != nil {
		return err
	}
	s, err := c.engine.Activate(c.r.Context(), c.id)
	return c.answerSubscription(s, err)
}

func (c *call) testSubscription() error {
	n, err := c.sampleEvent("event_type", "payload")
	if err != nil {
		return err
	}
	r, err := c.engine.Test(c.r.Context(), c.id, n)
	if err != nil {
		return c.noSubscription(err)
	}
	return c.answer(http.StatusAccepted, deliveryOf(r))
}
