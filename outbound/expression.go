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
	// maxExpression is how long an expression may be, in bytes.
	maxExpression = 4 << 10
	// expressionTime bounds what one may take for an event.
	expressionTime = 250 * time.Millisecond
)

// errTooLong: the expression would take too long for the event.
var errTooLong = errors.New("it takes too long")

// expression is one in CEL (https://cel.dev) over payload, headers, event_type,
// event_id, tenant and created_at.
type expression struct{ program cel.Program }

var expressionEnv = sync.OnceValues(func() (*cel.Env, error) {
	return cel.NewEnv(
		cel.Variable("payload", cel.DynType),
		cel.Variable("headers", cel.MapType(cel.StringType, cel.StringType)),
		cel.Variable("event_type", cel.StringType),
		cel.Variable("event_id", cel.StringType),
		cel.Variable("tenant", cel.StringType),
		cel.Variable("created_at", cel.TimestampType),
		cel.CrossTypeNumericComparisons(true), // JSON has one kind of number
		cel.ParserExpressionSizeLimit(maxExpression),
		cel.DefaultUTCTimeZone(true),
	)
})

// newExpression compiles an expression, and tells of which type its values are. The
// error is meant for whoever wrote the text, and points at what is wrong with it.
func newExpression(text, example string) (*expression, *cel.Type, error) {
	if len(text) > maxExpression {
		return nil, nil, fmt.Errorf("must have %d bytes at most", maxExpression)
	}
	env, err := expressionEnv()
	if err != nil {
		return nil, nil, fmt.Errorf("setting up CEL: %w", err)
	}
	ast, issues := env.Compile(text)
	if err := issues.Err(); err != nil {
		return nil, nil, fmt.Errorf("is no CEL expression over payload, headers, event_type, event_id, tenant and created_at, such as %s: %s", example, strings.ReplaceAll(err.Error(), "ERROR: <input>:", ""))
	}
	program, err := env.Program(ast, cel.EvalOptions(cel.OptOptimize), cel.InterruptCheckFrequency(1), cel.CustomDecoratorV2(bound))
	if err != nil {
		return nil, nil, fmt.Errorf("can't be used: %w", err)
	}
	return &expression{program}, ast.OutputType(), nil
}

// of is the value for an event, as variables has it. errTooLong: there was no time
// for it. Other errors may quote the payload.
func (x *expression) of(vars map[string]any, left time.Duration) (ref.Val, error) {
	if left <= 0 {
		return nil, errTooLong
	}
	ctx, cancel := context.WithTimeout(context.Background(), left)
	defer cancel()
	room := maxWeight
	vars[textRoom] = &room
	value, _, err := x.program.ContextEval(ctx, vars)
	if errors.Is(err, interpreter.InterruptError{}) {
		return nil, errTooLong
	}
	return value, err
}

// isMissing tells whether an expression asks for what the event doesn't have.
func isMissing(err error) bool { return strings.HasPrefix(err.Error(), "no such key") }

// variables is an event as expressions see it.
func variables(ev *store.Event) map[string]any {
	return map[string]any{
		"payload":  jsonValue(ev.Payload),
		"headers":  newHeaderMap(ev.Headers),
		"event_id": ev.ID, "event_type": ev.Type, "tenant": ev.Tenant,
		"created_at": ev.Created(),
	}
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
