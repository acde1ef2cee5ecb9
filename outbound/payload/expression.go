package payload

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"
)

const (
	// maxExpression is how long an expression may be, in bytes.
	maxExpression = 4 << 10
	// expressionTime bounds how long one may take for an event.
	expressionTime = 250 * time.Millisecond
)

// ErrTooLong says that there was no time to evaluate an expression for an event.
var ErrTooLong = errors.New("it takes too long")

// expression is an expression in CEL (https://cel.dev) over the variables payload,
// headers, event_type, event_id, tenant and created_at.
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

// newExpression compiles an expression and returns the type of its values. The error
// is meant for whoever wrote the text, points at what is wrong with it, and shows
// an example.
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
		return nil, nil, fmt.Errorf("is not a CEL expression over payload, headers, event_type, event_id, tenant and created_at, such as %s: %s", example, strings.ReplaceAll(err.Error(), "ERROR: <input>:", ""))
	}
	program, err := env.Program(ast, cel.EvalOptions(cel.OptOptimize), cel.InterruptCheckFrequency(1), cel.CustomDecoratorV2(bound))
	if err != nil {
		return nil, nil, fmt.Errorf("can't be used: %w", err)
	}
	return &expression{program}, ast.OutputType(), nil
}

// eval returns the expression's value for an event's variables, or ErrTooLong. Other
// errors may quote the payload.
func (x *expression) eval(vars map[string]any, left time.Duration) (ref.Val, error) {
	if left <= 0 {
		return nil, ErrTooLong
	}
	ctx, cancel := context.WithTimeout(context.Background(), left)
	defer cancel()
	room := maxWeight
	vars[textRoom] = &room
	value, _, err := x.program.ContextEval(ctx, vars)
	if errors.Is(err, interpreter.InterruptError{}) {
		return nil, ErrTooLong
	}
	return value, err
}

// IsMissing reports whether an expression failed because it uses a field or a header
// that the event doesn't have.
func IsMissing(err error) bool { return strings.HasPrefix(err.Error(), "no such key") }
