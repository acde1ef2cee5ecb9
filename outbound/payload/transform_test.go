package payload

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// A transform makes JSON of an event, with numbers as exact as in the payload.
func TestTransforms(t *testing.T) {
	for text, c := range map[string]struct{ payload, want string }{
		`{"text": "Order " + string(payload.id) + " <" + payload.by + ">"}`: {`{"id": 7, "by": "Zoë"}`, `{"text":"Order 7 <Zoë>"}`},
		`payload.order`: {`{"order": {"b": [1, 2.5, true, null, "x"], "a": {}}}`, `{"a":{},"b":[1,2.5,true,null,"x"]}`},
		`payload.id`:    {`{"id": 9007199254740993}`, `9007199254740993`},
		`{"n": 18446744073709551615u, "d": 0.1, "no": null, "list": payload.map(p, p.id)}`: {`[{"id": "a"}, {"id": "b"}]`, `{"d":0.1,"list":["a","b"],"n":18446744073709551615,"no":null}`},
		`{"type": event_type, "id": event_id, "tenant": tenant, "env": headers["x-env"]}`:  {`1`, `{"env":"test","id":"e1","tenant":"acme","type":"order.created"}`},
		`[b"hi", timestamp("2026-01-02T03:04:05Z"), payload]`:                              {`not JSON`, `["aGk=","2026-01-02T03:04:05Z",null]`},
		`has(payload.total) ? payload.total : 0`:                                           {`{}`, `0`},
	} {
		f, err := NewTransform(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		ev := &store.Event{ID: "e1", Type: "order.created", Tenant: "acme", Headers: map[string]string{"X-Env": "test"}, Payload: []byte(c.payload)}
		var got []byte
		for err = ErrTooLong; errors.Is(err, ErrTooLong); { // which it can be on a busy machine
			got, err = f.Apply(t.Context(), ev, 1000)
		}
		if string(got) != c.want || err != nil {
			t.Errorf("%s: got %s, %v, want %s", text, got, err, c.want)
		}
	}
}

// A transform fails if a value is missing, or the result isn't JSON or is too large.
func TestTransformsThatFail(t *testing.T) {
	double := "[payload]"
	for range 40 {
		double = "[" + double + "].map(x, [x, x])"
	}
	for text, want := range map[string]string{
		`payload.total`:                   "no such key: total",
		`payload.id + 1`:                  "no such overload",
		`{1: 2}`:                          ErrNotJSON.Error(),
		`1.0 / 0.0`:                       ErrNotJSON.Error(),
		`duration("1s")`:                  ErrNotJSON.Error(),
		`{"a": [duration("1s")]}`:         ErrNotJSON.Error(),
		`payload.map(p, type(p))`:         ErrNotJSON.Error(),
		`[payload, payload, payload]`:     ErrTooLarge.Error(),
		`payload.text + payload.text`:     ErrTooLarge.Error(),
		`[b"0123456789", payload.quotes]`: ErrTooLarge.Error(), // quotes are longer as JSON
		double:                            ErrTooLarge.Error(),
	} {
		f, err := NewTransform(text)
		if err != nil {
			t.Errorf("%.40s: %v", text, err)
			continue
		}
		ev := &store.Event{Payload: []byte(`{"id": "x", "text": "` + strings.Repeat("x", 60) + `", "quotes": "` + strings.Repeat(`\"`, 60) + `"}`)}
		if text == `payload.map(p, type(p))` {
			ev.Payload = []byte("[1]")
		}
		if got, err := f.Apply(t.Context(), ev, 110); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: got %s, %v, want error %q", text, got, err, want)
		}
	}
}

// Transforms that don't compile or are too large are refused.
func TestTransformIsChecked(t *testing.T) {
	for text, want := range map[string]string{
		`{"text": }`:              "Syntax error",
		`{"text": paylod.title}`:  "undeclared reference to 'paylod'",
		strings.Repeat("a", 5000): "4096 bytes",
	} {
		if _, err := NewTransform(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: got %v, want %q", text, err, want)
		}
	}
}

// FuzzTransform checks that the result of any transform and payload is JSON within the
// limit, or an error.
func FuzzTransform(f *testing.F) {
	f.Add(`{"text": "Order " + payload.id, "all": payload}`, `{"id": "7", "n": [1, 2.5, null]}`)
	f.Add(`payload.map(p, [p, p])`, `[1e999, "\u0000", {"a": {"b": []}}]`)
	f.Add(`{payload.a: b"x", "t": timestamp(payload.t)}`, `{"a": "b", "t": "2026-01-02T03:04:05Z"}`)
	f.Fuzz(func(t *testing.T, text, payload string) {
		tr, err := NewTransform(text)
		if err != nil || tr == nil {
			return
		}
		const most = 1000
		got, err := tr.Apply(t.Context(), &store.Event{ID: "e1", Payload: []byte(payload)}, most)
		if err == nil && (!json.Valid(got) || len(got) > most) {
			t.Errorf("%q of %q: got %q, want JSON of %d bytes at most", text, payload, got, most)
		}
	})
}
