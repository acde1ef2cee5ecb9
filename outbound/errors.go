package outbound

import (
	"errors"
	"fmt"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// What an engine's errors are, for errors.Is. Those of the store come
// through as they are.
var (
	ErrNotFound    = store.ErrNotFound
	ErrConflict    = store.ErrConflict
	ErrFull        = store.ErrFull
	ErrUnavailable = store.ErrUnavailable
	ErrDamaged     = store.ErrDamaged
)

// Invalid is what a caller got wrong. Its text is meant for that caller.
type Invalid struct {
	Field   string // as the API names it
	What    string // what is wrong, and what would be right
	Missing bool   // it isn't there
}

func (e *Invalid) Error() string { return e.Field + " " + e.What }

func invalid(field, format string, args ...any) error {
	return &Invalid{Field: field, What: fmt.Sprintf(format, args...)}
}

func missing(field, hint string) error {
	return &Invalid{Field: field, What: "is missing: " + hint, Missing: true}
}

// TooLarge is a payload over the limit.
type TooLarge struct{ Limit int64 }

func (e *TooLarge) Error() string {
	return fmt.Sprintf("the payload is over the limit of %d bytes (max_payload): send a link to the data instead", e.Limit)
}

// Reused is an event id that is taken by another event.
type Reused struct {
	EventID    string
	Deliveries int // of that event
}

func (e *Reused) Error() string {
	return fmt.Sprintf("event_id %q was used before, for an event with another type or payload: use a new one", e.EventID)
}

// isRefusal tells an error of the caller's from one of ours.
func isRefusal(err error) bool {
	var (
		i *Invalid
		t *TooLarge
		r *Reused
		l *Limited
	)
	return errors.As(err, &i) || errors.As(err, &t) || errors.As(err, &r) || errors.As(err, &l)
}
