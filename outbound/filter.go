package outbound

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/interpreter"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

const (
	// maxFilter is how long a filter may be, in bytes.
	maxFilter = 4 << 10
	// filterTime bounds what a filter may take to judge an event, and judgeTime what
	// all those of an event may, which its publisher waits for.
	filterTime = 250 * time.Millisecond
	judgeTime  = time.Second
)

// errTooLong: the filter would take too long to judge the event.
var errTooLong = errors.New("it takes too long")

// filter says which of the events of its types a subscription wants. It is an
// expression in CEL (https://cel.dev) over payload, headers, event_type, event_id
// and tenant.
type filter struct{ program cel.Program }

var filterEnv = sync.OnceValues(func() (*cel.Env, error) {
	return cel.NewEnv(
		cel.Variable("payload", cel.DynType),
		cel.Variable("headers", cel.MapType(cel.StringType, cel.StringType)),
		cel.Variable("event_type", cel.StringType),
		cel.Variable("event_id", cel.StringType),
		cel.Variable("tenant", cel.StringType),
		cel.CrossTypeNumericComparisons(true), // JSON has one kind of number
		cel.ParserExpressionSizeLimit(maxFilter),
		cel.DefaultUTCTimeZone(true),
	)
})

// newFilter compiles a filter; an empty text is none. The error is meant for
// whoever wrote the text, and points at what is wrong with it.
func newFilter(text string) (*filter, error) {
	if text == "" {
		return nil, nil
	}
	if len(text) > maxFilter {
		return nil, fmt.Errorf("must have %d bytes at most", maxFilter)
	}
	env, err := filterEnv()
	if err != nil {
		return nil, fmt.Errorf("setting up CEL: %w", err)
	}
	ast, issues := env.Compile(text)
	if err := issues.Err(); err != nil {
		return nil, fmt.Errorf("is no CEL expression over payload, headers, event_type, event_id and tenant, such as payload.total > 100: %s", strings.ReplaceAll(err.Error(), "ERROR: <input>:", ""))
	}
	if kind := ast.OutputType(); !kind.IsExactType(cel.BoolType) && !kind.IsExactType(cel.DynType) {
		return nil, fmt.Errorf("must give true or false, as in payload.total > 100, not %s", kind)
	}
	program, err := env.Program(ast, cel.EvalOptions(cel.OptOptimize), cel.InterruptCheckFrequency(1), cel.CustomDecoratorV2(bound))
	if err != nil {
		return nil, fmt.Errorf("can't be used: %w", err)
	}
	return &filter{program}, nil
}

// judged is an event as filters see it. Its payload is read once, for the first
// of them.
type judged struct {
	event *store.Event
	vars  map[string]any
	end   time.Time // of the time for it
}

// wants judges an event. What the expression asks for and the event doesn't have
// is no: has(payload.total) asks first. errTooLong: there was no time to say.
func (f *filter) wants(j *judged) (bool, error) {
	if j.vars == nil {
		j.vars = map[string]any{
			"payload":  jsonValue(j.event.Payload),
			"headers":  newHeaderMap(j.event.Headers),
			"event_id": j.event.ID, "event_type": j.event.Type, "tenant": j.event.Tenant,
		}
		j.end = time.Now().Add(judgeTime)
	}
	left := min(time.Until(j.end), filterTime)
	if left <= 0 {
		return false, errTooLong
	}
	ctx, cancel := context.WithTimeout(context.Background(), left)
	defer cancel()
	value, _, err := f.program.ContextEval(ctx, j.vars)
	switch {
	case err == nil:
	case errors.Is(err, interpreter.InterruptError{}):
		return false, errTooLong
	case strings.HasPrefix(err.Error(), "no such key"):
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

// headerMap has an event's headers for CEL, by their names in any case.
type headerMap struct{ traits.Mapper }

func newHeaderMap(headers map[string]string) headerMap {
	lower := make(map[string]string, len(headers))
	for name, value := range headers {
		lower[strings.ToLower(name)] = value
	}
	return headerMap{types.NewStringStringMap(types.DefaultTypeAdapter, lower)}
}

func (h headerMap) Find(name ref.Val) (ref.Val, bool) { return h.Mapper.Find(lowered(name)) }
func (h headerMap) Get(name ref.Val) ref.Val          { return h.Mapper.Get(lowered(name)) }
func (h headerMap) Contains(name ref.Val) ref.Val     { return h.Mapper.Contains(lowered(name)) }

func lowered(name ref.Val) ref.Val {
	if s, ok := name.(types.String); ok {
		return types.String(strings.ToLower(string(s)))
	}
	return name
}

// jsonValue reads a JSON value for CEL: whole numbers as such, as far as they fit.
// What isn't JSON is null.
func jsonValue(text []byte) any {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return types.NullValue
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return types.NullValue
	}
	return withNumbers(v)
}

func withNumbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64() // infinite where it is too large
		return f
	case map[string]any:
		for name, member := range v {
			v[name] = withNumbers(member)
		}
	case []any:
		for i, element := range v {
			v[i] = withNumbers(element)
		}
	case nil:
		return types.NullValue
	}
	return v
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
