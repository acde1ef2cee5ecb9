package payload

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// judgeTime bounds how long all filters of one view may take together, since a
// publisher waits for them.
const judgeTime = time.Second

// View is an event as filters see it, with its payload read once for all of them.
type View struct {
	vars  map[string]any
	end   time.Time // when the filters' time is over
	leave func()
}

// NewView reads an event, as soon as there is room for its payload's values. It
// returns ctx's error. The caller closes the view.
func NewView(ctx context.Context, ev *store.Event) (*View, error) {
	leave, err := enter(ctx, ev.Tenant, len(ev.Payload))
	if err != nil {
		return nil, err
	}
	return &View{vars: variables(ev), end: time.Now().Add(judgeTime), leave: leave}, nil
}

// Close gives the view's room to others.
func (v *View) Close() { v.leave() }

// variables are what an expression can name.
func variables(ev *store.Event) map[string]any {
	return map[string]any{
		"payload":  jsonValue(ev.Payload),
		"headers":  newHeaderMap(ev.Headers),
		"event_id": ev.ID, "event_type": ev.Type, "tenant": ev.Tenant,
		"created_at": ev.Created(),
	}
}

// headerMap is an event's headers as a map in CEL whose keys match in any case.
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

// jsonValue reads a JSON value for CEL. Whole numbers that fit are int64, others
// float64. Text that isn't JSON is null.
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
