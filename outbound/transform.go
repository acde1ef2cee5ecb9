package outbound

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// transform says what a receiver gets in the place of an event's payload: the value
// of an expression, as JSON.
type transform struct{ *expression }

// newTransform compiles a transform; an empty text is none. The error is meant for
// whoever wrote the text.
func newTransform(text string) (*transform, error) {
	if text == "" {
		return nil, nil
	}
	x, _, err := newExpression(text, `{"text": payload.title}`)
	if err != nil {
		return nil, err
	}
	return &transform{x}, nil
}

var (
	errTransformKind  = errors.New("it gives what JSON can't say")
	errTransformLarge = errors.New("it gives more than max_payload")
)

// apply makes the JSON for an event, of most bytes at most.
func (t *transform) apply(ev *store.Event, most int64) ([]byte, error) {
	value, err := t.of(variables(ev), expressionTime)
	if err != nil {
		return nil, err
	}
	left := most
	plain, err := plainValue(value, &left)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(plain); err != nil {
		return nil, errTransformKind // an infinite number
	}
	text := bytes.TrimSuffix(out.Bytes(), []byte("\n"))
	if int64(len(text)) > most {
		return nil, errTransformLarge
	}
	return text, nil
}

// plainValue makes of CEL's value one for JSON. It takes from left at least one for
// each of its bytes, since an expression of few bytes can give a value of many.
func plainValue(value ref.Val, left *int64) (any, error) {
	if *left--; *left < 0 {
		return nil, errTransformLarge
	}
	switch v := value.(type) {
	case types.Null:
		return nil, nil
	case types.Bool, types.Int, types.Uint, types.Double:
		return v.Value(), nil
	case types.String:
		*left -= int64(len(v))
		return string(v), nil
	case types.Bytes:
		*left -= int64(len(v))
		return []byte(v), nil // as base64
	case types.Timestamp:
		return v.Time.Format(time.RFC3339Nano), nil
	case traits.Mapper:
		return plainMap(v, left)
	case traits.Lister:
		list := []any{}
		for it := v.Iterator(); it.HasNext() == types.True; {
			element, err := plainValue(it.Next(), left)
			if err != nil {
				return nil, err
			}
			list = append(list, element)
		}
		return list, nil
	}
	return nil, errTransformKind
}

func plainMap(m traits.Mapper, left *int64) (any, error) {
	plain := map[string]any{}
	for it := m.Iterator(); it.HasNext() == types.True; {
		key := it.Next()
		name, ok := key.(types.String)
		if !ok {
			return nil, errTransformKind
		}
		*left -= int64(len(name))
		member, err := plainValue(m.Get(key), left)
		if err != nil {
			return nil, err
		}
		plain[string(name)] = member
	}
	return plain, nil
}

// transforming has room for those who do. More at once than there are processors
// would use up each other's time, and each takes many times its payload's memory.
var transforming = make(chan struct{}, runtime.GOMAXPROCS(0))

// transformed is what is sent of an event, or why nothing is. CEL's own errors may
// quote the payload, and what is told of an attempt is in the log.
func (t *target) transformed(ctx context.Context, ev *store.Event) ([]byte, outcome) {
	if t.transform == nil {
		return ev.Payload, outcome{}
	}
	select {
	case transforming <- struct{}{}:
		defer func() { <-transforming }()
	case <-ctx.Done():
		return nil, failure(ctx.Err())
	}
	body, err := t.transform.apply(ev, t.maxPayload)
	if err == nil {
		return body, outcome{}
	}
	words := "a value of the event is of another kind than it expects"
	switch {
	case errors.Is(err, errTooLong), errors.Is(err, errTransformKind), errors.Is(err, errTransformLarge):
		words = err.Error()
	case isMissing(err):
		words = "it asks for what the event doesn't have"
	}
	return nil, outcome{
		class: ClassTransform, final: !errors.Is(err, errTooLong), ofEvent: true,
		words: fmt.Sprintf("nothing was sent: the subscription's transform can't be used for the event: %s; change it, then redeliver", words),
	}
}
