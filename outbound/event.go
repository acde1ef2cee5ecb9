package outbound

import (
	"context"
	"regexp"
	"unicode/utf8"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/egress"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// Event is an event as it is stored.
type Event = store.Event

// NewEvent is an event to publish.
type NewEvent struct {
	ID          string            // [A-Za-z0-9_-]{1,128}, unique in its tenant; "" to have one generated
	Tenant      string            // [A-Za-z0-9_.-]{1,128}, or "" for none
	Type        string            // words of [A-Za-z0-9_-] joined by dots, 128 bytes at most
	ContentType string            // "" for application/json
	Headers     map[string]string // sent along with each delivery
	Payload     []byte            // delivered byte for byte; mustn't be changed afterwards
}

var (
	idForm     = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)
	tenantForm = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,128}$`)
	typeForm   = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)
)

const maxTypeLength = 128

func checkType(field, name string) error {
	switch {
	case name == "":
		return missing(field, `name what happened, as in "order.created"`)
	case len(name) > maxTypeLength || !typeForm.MatchString(name):
		return invalid(field, `is not an event type: use words of A-Z a-z 0-9 _ - joined by dots, %d bytes at most, as in "order.created"`, maxTypeLength)
	}
	return nil
}

// checkOwnType checks an event type that a caller defines or publishes. Those of
// the engine's own events are reserved.
func checkOwnType(name string) error {
	if err := checkType("event_type", name); err != nil {
		return err
	}
	if store.Operational(name) {
		return invalid("event_type", "is reserved: types that begin with %s are published by the server itself", store.OperationalPrefix)
	}
	return nil
}

// CheckTenant returns an *Invalid if a tenant's name isn't valid. "" is valid, and
// means no tenant.
func CheckTenant(tenant string) error {
	switch {
	case tenant == ".", tenant == "..":
		return invalid("tenant", "can't be . or .., which have another meaning in the path of a URL, where a tenant is named to delete it")
	case tenant != "" && !tenantForm.MatchString(tenant):
		return invalid("tenant", "may only have the characters A-Z a-z 0-9 _ . - and 128 of them at most")
	}
	return nil
}

func (n *NewEvent) check(c *config) error {
	if err := checkOwnType(n.Type); err != nil {
		return err
	}
	// A dot in the id would make the signed content ambiguous.
	if n.ID != "" && !idForm.MatchString(n.ID) {
		return invalid("event_id", "may only have the characters A-Z a-z 0-9 _ - and 128 of them at most; leave it out to have one generated")
	}
	if err := CheckTenant(n.Tenant); err != nil {
		return err
	}
	if int64(len(n.Payload)) > c.MaxPayload {
		return &TooLarge{Limit: c.MaxPayload}
	}
	if n.ContentType != "" && (len(n.ContentType) > 256 || !utf8.ValidString(n.ContentType)) {
		return invalid("content_type", "is not a media type")
	}
	if len(n.Headers) > 0 {
		if err := egress.CheckHeaders(n.Headers); err != nil {
			return invalid("headers", "can't be sent along: %v", err)
		}
	}
	return nil
}

// Event returns an event with its payload.
func (e *Engine) Event(ctx context.Context, tenant, id string) (*Event, error) {
	return e.store.Event(ctx, tenant, id)
}

// Events lists events, newest first.
func (e *Engine) Events(ctx context.Context, q Query) ([]*Event, error) {
	return e.store.Events(ctx, q)
}

// MaxPayload returns the maximum size of a payload, in bytes.
func (e *Engine) MaxPayload() int64 { return e.config.Load().MaxPayload }
