package payload

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// Transform makes what a receiver gets in place of an event's payload: the value of
// an expression, as JSON.
type Transform struct{ *expression }

// NewTransform compiles a transform. It returns nil for an empty text. The error is
// for the author of the text.
func NewTransform(text string) (*Transform, error) {
	if text == "" {
		return nil, nil
	}
	x, _, err := newExpression(text, `{"text": payload.title}`)
	if err != nil {
		return nil, err
	}
	return &Transform{x}, nil
}

// What Apply returns for a value that can't be sent.
var (
	ErrNotJSON  = errors.New("it gives a value that JSON doesn't have")
	ErrTooLarge = errors.New("it gives more than max_payload")
)

// Apply returns the JSON for an event, which has at most most bytes. It waits for its
// turn. The error is that of ctx, ErrTooLong, ErrNotJSON or ErrTooLarge, or another,
// which may quote the payload; [IsMissing] tells some of these apart.
func (t *Transform) Apply(ctx context.Context, ev *store.Event, most int64) ([]byte, error) {
	if err := transforming.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer transforming.Release(1)
	value, err := t.eval(variables(ev), expressionTime)
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
		return nil, ErrNotJSON // an infinite number
	}
	text := bytes.TrimSuffix(out.Bytes(), []byte("\n"))
	if int64(len(text)) > most {
		return nil, ErrTooLarge
	}
	return text, nil
}

// plainValue converts a value of CEL to one for encoding/json. It subtracts at least
// its size as JSON from left, since a short expression can give a value of many bytes.
func plainValue(value ref.Val, left *int64) (any, error) {
	if *left--; *left < 0 {
		return nil, ErrTooLarge
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
	return nil, ErrNotJSON
}

func plainMap(m traits.Mapper, left *int64) (any, error) {
	plain := map[string]any{}
	for it := m.Iterator(); it.HasNext() == types.True; {
		key := it.Next()
		name, ok := key.(types.String)
		if !ok {
			return nil, ErrNotJSON
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
