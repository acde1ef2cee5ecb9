package outbound

import (
	"errors"
	"fmt"
	"time"

	"cel.dev/cel-go/cel"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// judgeTime bounds what all filters of an event may take, which its publisher waits
// for.
const judgeTime = time.Second

// filter says which of the events of its types a subscription wants.
type filter struct{ *expression }

// newFilter compiles a filter; an empty text is none. The error is meant for
// whoever wrote the text.
func newFilter(text string) (*filter, error) {
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
	return &filter{x}, nil
}

// judged is an event that filters judge. Its payload is read once, for the first of
// them.
type judged struct {
	event *store.Event
	vars  map[string]any
	end   time.Time // of the time for it
}

// wants judges an event. What the expression asks for and the event doesn't have
// is no: has(payload.total) asks first. errTooLong: there was no time to say.
func (f *filter) wants(j *judged) (bool, error) {
	if j.vars == nil {
		j.vars = variables(j.event)
		j.end = time.Now().Add(judgeTime)
	}
	value, err := f.of(j.vars, min(time.Until(j.end), expressionTime))
	switch {
	case err == nil:
	case isMissing(err):
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

// filtered are the lanes, of those that match an event's type, whose filters
// want it too.
func (e *Engine) filtered(lanes []*lane, ev *store.Event) []*lane {
	j := &judged{event: ev}
	for i, l := range lanes {
		if l.wants(j) {
			continue
		}
		out := append(make([]*lane, 0, len(lanes)-1), lanes[:i]...) // the index's own must stay as it is
		for _, l := range lanes[i+1:] {
			if l.wants(j) {
				out = append(out, l)
			}
		}
		return out
	}
	return lanes
}

// wants asks the lane's filter. One that has no time to judge the event gets it,
// as it may want it; one that can't judge it for what it holds doesn't.
func (l *lane) wants(j *judged) bool {
	t := l.target.Load()
	if t.filter == nil {
		return true
	}
	yes, err := t.filter.wants(j)
	if err == nil {
		return yes
	}
	c := l.e.config.Load()
	late := errors.Is(err, errTooLong)
	told, what := &c.unjudged, "a subscription's filter can't judge an event, which is not delivered to it: a value is of another kind than the filter expects"
	if late {
		c.Observer.Unjudged()
		told, what = &c.late, "a subscription's filter takes too long to judge an event, which is delivered to it unjudged: make the filter simpler, or the payload smaller"
	}
	told.Do(func() { // without the error, which may hold a piece of the payload
		c.Logger.Warn(what, Named(t.sub.ID, t.sub.Tenant), "event_id", j.event.ID, "event_type", j.event.Type)
	})
	return late
}
