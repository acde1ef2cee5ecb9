package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

func TestParseEvent(t *testing.T) {
	for _, c := range []struct{ body, eventType, id, tenant, payload string }{
		{`{"event_type":"a","payload":1}`, "a", "", "", "1"},
		{" {\n\"payload\" : { \"b\" : [ ] } ,\"tenant\":\"t\",\"event_id\":\"i\",\"event_type\":\"a.b\"} \n", "a.b", "i", "t", `{ "b" : [ ] }`},
		{`{"event_type":"order\u002ecreated","event_id":null,"tenant":null,"payload":null}`, "order.created", "", "", "null"},
		{`{"event\u005ftype":"a","p\u0061yload":"\u0061"}`, "a", "", "", `"\u0061"`},
	} {
		n, err := parseEvent([]byte(c.body))
		if err != nil {
			t.Errorf("%s: %v", c.body, err)
		} else if n.Type != c.eventType || n.ID != c.id || n.Tenant != c.tenant || string(n.Payload) != c.payload {
			t.Errorf("%s: %+v", c.body, n)
		}
	}
}

func TestParseEventRefuses(t *testing.T) {
	for _, c := range []struct{ body, code, field, detail string }{
		{``, codeInvalidJSON, "", "the body is empty: send a JSON object"},
		{" \n", codeInvalidJSON, "", "the body is empty: send a JSON object"},
		{`[]`, codeInvalidJSON, "", "the body is not valid JSON: line 1, column 1 (byte 0): expected an object, as in {…}, found '['"},
		{`{"event_type":"a","payload":1} x`, codeInvalidJSON, "", "the body is not valid JSON: line 1, column 32 (byte 31): expected the end, found 'x'"},
		{`{"event_type":"a","payload":{]}`, codeInvalidJSON, "", "the body is not valid JSON: line 1, column 30 (byte 29): expected a name in double quotes, found ']'"},
		{`{"event_type":"a" "payload":1}`, codeInvalidJSON, "", `the body is not valid JSON: line 1, column 19 (byte 18): expected "," or "}", found '"'`},
		{`{"event_type`, codeInvalidJSON, "", "the body is not valid JSON: line 1, column 13 (byte 12): it ends inside a string"},
		{`{"event_type":"a"}`, codeMissingField, "payload", "payload is missing: it may be any JSON value, including null"},
		{`{}`, codeMissingField, "payload", "payload is missing: it may be any JSON value, including null"},
		{`{"eventType":"a","payload":1}`, codeUnknownField, "eventType", `there is no field "eventType" here: use event_type, payload, event_id, tenant, headers`},
		{`{"Event_Type":"a","payload":1}`, codeUnknownField, "Event_Type", `there is no field "Event_Type" here: use event_type, payload, event_id, tenant, headers`},
		{`{"\\u0065vent_type":"a","payload":1}`, codeUnknownField, `\u0065vent_type`, `there is no field "\\u0065vent_type" here: use event_type, payload, event_id, tenant, headers`},
		{`{"payload":1,"payload":2}`, codeRepeatedField, "payload", "payload is given twice: keep one"},
		{`{"tenant":"a","t\u0065nant":"b"}`, codeRepeatedField, "tenant", "tenant is given twice: keep one"},
		{`{"event_type":1,"payload":1}`, codeInvalidField, "event_type", "event_type must be a string in double quotes"},
		{`{"event_id":"","payload":1}`, codeInvalidField, "event_id", "event_id is empty: give it a value or leave it out"},
		{`{"tenant":"","payload":1}`, codeInvalidField, "tenant", "tenant is empty: give it a value or leave it out"},
		{`{"event_id":["a"],"payload":1}`, codeInvalidField, "event_id", "event_id must be a string in double quotes"},
		{`{"` + strings.Repeat("x", 500) + `":1}`, codeUnknownField, strings.Repeat("x", 128), `there is no field "` + strings.Repeat("x", 80) + `"… here: use event_type, payload, event_id, tenant, headers`},
	} {
		_, err := parseEvent([]byte(c.body))
		if err == nil {
			t.Errorf("%.60s was accepted", c.body)
			continue
		}
		if p := problemOf(err); p.Code != c.code || p.Field != c.field || p.Detail != c.detail {
			t.Errorf("%.60s: %s at %q: %s", c.body, p.Code, p.Field, p.Detail)
		}
	}
}

// slow reads the envelope with encoding/json.
func slow(body []byte) (members map[string]json.RawMessage, ok bool) {
	if !utf8.Valid(body) {
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader(body))
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return nil, false
	}
	members = map[string]json.RawMessage{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, false
		}
		var value json.RawMessage
		if d.Decode(&value) != nil {
			return nil, false
		}
		if _, twice := members[name.(string)]; twice {
			return nil, false
		}
		members[name.(string)] = value
	}
	return members, json.Valid(body)
}

// slowHeaders reads headers with encoding/json.
func slowHeaders(value []byte) (headers map[string]string, ok bool) {
	if value == nil || string(value) == "null" {
		return nil, true
	}
	members, ok := slow(value)
	headers = map[string]string{}
	for name, value := range members {
		for other, its := range members {
			ok = ok && (other == name || !strings.EqualFold(other, name) || isNull(value) != isNull(its))
		}
		var text *string
		if json.Unmarshal(value, &text) != nil {
			return nil, false
		}
		if text != nil {
			headers[name] = *text
		}
	}
	return headers, ok && len(members) <= maxEntries
}

func FuzzParseEvent(f *testing.F) {
	for _, seed := range []string{
		`{"event_type":"a","payload":{"n": 1.0, "n": [1, 2]},"event_id":"x","tenant":"t"}`,
		` { "payload" : "\u00e9\ud800" , "event_type":"\u0061" } `,
		`{"payload":1,"headers":{"X-A":"1","x-\u0062":null}}`, `{"payload":1,"headers":null}`, `{"payload":1,"headers":{"a":1}}`, `{"payload":1,"headers":{"a":"","A":""}}`, `{"payload":1,"headers":{"a":"","A":null}}`,
		`{"event\u005ftype":"a","payload":null}`, `{"payload":1,"payload":2}`, `{"a":1}`, `{"event_type":null}`, `{}{}`, `[{}]`,
	} {
		f.Add([]byte(seed))
	}
	for _, n := range []int{maxEntries, maxEntries + 1} {
		names := map[string]any{}
		for i := range n {
			names[fmt.Sprint(i)] = nil
		}
		f.Add(must.Get(json.Marshal(map[string]any{"event_type": "a", "payload": 1, "headers": names}))(f))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		n, err := parseEvent(body)
		if !bytes.Equal(before, body) {
			t.Fatal("the body was changed")
		}
		if tooDeep(err) {
			return
		}
		members, ok := slow(body)
		for name := range members {
			if name != "event_type" && name != "payload" && name != "event_id" && name != "tenant" && name != "headers" {
				ok = false
			}
		}
		headers, fine := slowHeaders(members["headers"])
		ok = ok && fine
		want := map[string]string{}
		for _, name := range []string{"event_type", "event_id", "tenant"} {
			var s string
			if value, has := members[name]; has && (json.Unmarshal(value, &s) != nil || string(value) == `""` && name != "event_type") {
				ok = false
			}
			want[name] = s
		}
		payload, has := members["payload"]
		if ok = ok && has; (err == nil) != ok {
			t.Fatalf("%q: got %v, and from encoding/json %v", body, err, ok)
		}
		if err == nil && (n.Type != want["event_type"] || n.ID != want["event_id"] || n.Tenant != want["tenant"] || !bytes.Equal(n.Payload, payload) || !maps.Equal(n.Headers, headers)) {
			t.Errorf("%q: %+v, want %v and %s", body, n, want, payload)
		}
		if err != nil {
			_ = problemOf(err)
		}
	})
}

func BenchmarkParseEvent(b *testing.B) {
	body := []byte(`{"event_type":"order.created","event_id":"order-4711","payload":{"items":[` + strings.Repeat(`{"sku":"AB-1234","quantity":2,"price":"19.90"},`, 20) + `null]}}`)
	b.SetBytes(int64(len(body)))
	b.Run("scanner", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(body)))
		for b.Loop() {
			if _, err := parseEvent(body); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding/json", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(body)))
		for b.Loop() {
			var v struct {
				EventType string          `json:"event_type"`
				EventID   string          `json:"event_id"`
				Tenant    string          `json:"tenant"`
				Payload   json.RawMessage `json:"payload"`
			}
			d := json.NewDecoder(bytes.NewReader(body))
			d.DisallowUnknownFields()
			if err := d.Decode(&v); err != nil {
				b.Fatal(err)
			}
		}
	})
}
