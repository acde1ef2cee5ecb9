package payload

import (
	"errors"
	"fmt"

	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/interpreter"
)

const (
	// maxPattern is how large the pattern of a match may be, in instructions.
	maxPattern = 500
	// maxWeight bounds the values that an expression compares or joins in one step,
	// which nothing interrupts.
	maxWeight = 1 << 20
	// textRoom names a variable that no expression can name. It holds what is left of
	// maxWeight for the text that calls make in one evaluation, which may keep all of it.
	textRoom = "text room"
)

// bound makes each call of an expression check the time, which CEL itself does in
// loops only, and weigh the values that it takes as a whole: these may double in size
// with every few characters of the expression's text.
func bound(node interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
	call, ok := node.(interpreter.InterpretableCall)
	if !ok {
		return node, nil
	}
	if call.Function() == overloads.Matches {
		return newBoundMatch(call)
	}
	return &boundCall{call, weighed[call.Function()]}, nil
}

type boundCall struct {
	interpreter.InterpretableCall
	op func(l, r ref.Val) ref.Val // nil: the call's own
}

var interrupted = types.WrapErr(interpreter.InterruptError{})

func (c *boundCall) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	if frame.CheckInterrupt() {
		return interrupted
	}
	value := c.value(frame)
	switch value.(type) {
	case types.String, types.Bytes:
		room, _ := frame.ResolveName(textRoom)
		if left, ok := room.(*int); ok {
			if *left -= length(value); *left < 0 {
				return interrupted
			}
		}
	}
	return value
}

func (c *boundCall) value(frame *interpreter.ExecutionFrame) ref.Val {
	if c.op == nil {
		return c.InterpretableCall.Exec(frame)
	}
	args := c.Args()
	l := args[0].Exec(frame)
	if types.IsError(l) {
		return l
	}
	r := args[1].Exec(frame)
	if types.IsError(r) {
		return r
	}
	return c.op(l, r)
}

func (c *boundCall) Eval(vars interpreter.Activation) ref.Val {
	return c.Exec(interpreter.AsFrame(vars))
}

// boundMatch matches a text with a pattern. It isn't an InterpretableCall, since CEL
// would replace that by an optimized one of its own.
type boundMatch struct {
	interpreter.InterpretableV2
	text    interpreter.InterpretableV2
	pattern *pattern
}

func newBoundMatch(call interpreter.InterpretableCall) (interpreter.InterpretableV2, error) {
	arg, ok := call.Args()[1].(interpreter.InterpretableConst)
	if !ok {
		return nil, errors.New("the pattern of matches must be a literal")
	}
	text, ok := arg.Value().(types.String)
	if !ok {
		return nil, errors.New("the pattern of matches must be a string")
	}
	p, err := newPattern(string(text))
	if err != nil {
		return nil, err
	}
	if p.instructions > maxPattern {
		return nil, fmt.Errorf("the pattern %.40q is too large: repeat less in it", text)
	}
	return &boundMatch{call, call.Args()[0], p}, nil
}

func (m *boundMatch) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	value := m.text.Exec(frame)
	if types.IsError(value) {
		return value
	}
	text, ok := value.(types.String)
	if !ok {
		return types.NewErr("no such overload")
	}
	matched, done := m.pattern.match(string(text), frame.CheckInterrupt)
	if !done {
		return interrupted
	}
	return types.Bool(matched)
}

func (m *boundMatch) Eval(vars interpreter.Activation) ref.Val {
	return m.Exec(interpreter.AsFrame(vars))
}

// weighed are the operators that may take long for values that an expression builds.
var weighed = map[string]func(l, r ref.Val) ref.Val{
	operators.Equals: equal,
	operators.NotEquals: func(l, r ref.Val) ref.Val {
		same := equal(l, r)
		if types.IsError(same) {
			return same
		}
		return types.Bool(same != types.True)
	},
	operators.In: func(l, r ref.Val) ref.Val {
		in, ok := r.(traits.Container)
		switch {
		case !ok:
			return types.NewErr("no such overload")
		case r.Type() == types.ListType && tooHeavy(r):
			return interrupted
		}
		return in.Contains(l)
	},
	operators.Add: func(l, r ref.Val) ref.Val {
		sum, ok := l.(traits.Adder)
		switch _, gathers := l.(traits.MutableLister); {
		case !ok:
			return types.NewErr("no such overload")
		case !gathers && length(l)+length(r) > maxWeight:
			return interrupted
		}
		return sum.Add(r)
	},
}

func equal(l, r ref.Val) ref.Val {
	if tooHeavy(l) && tooHeavy(r) {
		return interrupted
	}
	return types.Equal(l, r)
}

func length(v ref.Val) int {
	switch v := v.(type) {
	case types.String:
		return len(v) / textWeight
	case types.Bytes:
		return len(v) / textWeight
	case traits.Lister:
		return int(v.Size().(types.Int))
	}
	return 0
}

func tooHeavy(v ref.Val) bool { return weigh(v, maxWeight) < 0 }
