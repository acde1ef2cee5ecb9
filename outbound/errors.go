package outbound

import (
	"errors"
	"fmt"
	"strings"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// Errors of an engine, for errors.Is. They are the store's.
var (
	ErrNotFound    = store.ErrNotFound
	ErrConflict    = store.ErrConflict
	ErrFull        = store.ErrFull
	ErrUnavailable = store.ErrUnavailable
	ErrDamaged     = store.ErrDamaged
)

// Invalid is the error for wrong input. Its text is for the sender of the input.
type Invalid struct {
	Field   string // its name in the API
	What    string // what is wrong, and what would be right
	Missing bool   // the field is missing
}

func (e *Invalid) Error() string { return e.Field + " " + e.What }

func invalid(field, format string, args ...any) error {
	return &Invalid{Field: field, What: fmt.Sprintf(format, args...)}
}

func missing(field, hint string) error {
	return &Invalid{Field: field, What: "is missing: " + hint, Missing: true}
}

// TooLarge is the error for a payload that exceeds the limit.
type TooLarge struct{ Limit int64 }

func (e *TooLarge) Error() string {
	return fmt.Sprintf("the payload is over the limit of %d bytes (max_payload): send a link to the data instead", e.Limit)
}

// Reused is the error for an event id that a different event has already.
type Reused struct {
	EventID    string
	Deliveries int // of that event
}

func (e *Reused) Error() string {
	return fmt.Sprintf("event_id %q was used before, for an event with another type or payload: use a new one", e.EventID)
}

// Taken is the error for a subscription's id that another one has already.
type Taken struct {
	Subscription *Subscription // the one that has it
	Differs      []string      // the fields in which that isn't what was asked for, named as in the API
}

func (e *Taken) Error() string {
	if len(e.Differs) == 0 {
		return fmt.Sprintf("subscription %s exists already, with the same fields", e.Subscription.ID)
	}
	return fmt.Sprintf("subscription_id %q is taken by a subscription that differs in %s: change that one, or use another id", e.Subscription.ID, strings.Join(e.Differs, ", "))
}

// isRefusal reports whether an error is the publisher's fault.
func isRefusal(err error) bool {
	var (
		i *Invalid
		t *TooLarge
		r *Reused
		l *Limited
	)
	return errors.As(err, &i) || errors.As(err, &t) || errors.As(err, &r) || errors.As(err, &l)
}
