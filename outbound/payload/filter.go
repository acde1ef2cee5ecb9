package payload

import (
	"context"
	"fmt"
	"time"

	"cel.dev/cel-go/cel"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// Filter selects among the events of a subscription's event types.
type Filter struct{ *expression }

// NewFilter compiles a filter. It returns nil for an empty text. The error is for the
// author of the text.
func NewFilter(text string) (*Filter, error) {
	if text == "" {
		return nil, nil
	}
	x, kind, err := newExpression(text, "payload.total > 100")
	if err != nil {
		return nil, err
	}
	if !kind.IsExactType(cel.BoolType) && !kind.IsExactType(cel.DynType) {
		return nil, fmt.Errorf("must give true or false, as in payload.total > 100, not %s", kind)
	}
	return &Filter{x}, nil
}

// Wants reports whether the filter selects an event. An event without a field or a
// header that the filter uses isn't selected, which is no error. The error is
// ErrTooLong, or another, which may quote the payload.
func (f *Filter) Wants(v *View) (bool, error) {
	value, err := f.eval(v.vars, min(time.Until(v.end), expressionTime))
	switch {
	case err == nil:
	case IsMissing(err):
		return false, nil
	default:
		return false, err
	}
	yes, ok := value.Value().(bool)
	if !ok {
		return false, fmt.Errorf("it gives %s, not true or false", value.Type().TypeName())
	}
	return yes, nil
}

// Selects is Wants for a single event. If there is an error, the event isn't selected.
// A nil Filter selects every event.
func (f *Filter) Selects(ctx context.Context, ev *store.Event) bool {
	if f == nil {
		return true
	}
	v, err := NewView(ctx, ev)
	if err != nil {
		return false
	}
	defer v.Close()
	yes, _ := f.Wants(v)
	return yes
}
