package api_test

import (
	"encoding/json"
	"fmt"
	"mime"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

// contract is openapi.json, with which every response in the tests is compared.
type contract struct {
	document object
	paths    map[string]map[string]any // path, method

	mu   sync.Mutex
	seen map[string]bool // "METHOD path status type"
}

func readContract(t testing.TB) *contract {
	t.Helper()
	text := must.Get(os.ReadFile("openapi.json"))(t)
	c := &contract{document: parse(t, text), paths: map[string]map[string]any{}, seen: map[string]bool{}}
	for path, operations := range c.document["paths"].(map[string]any) {
		c.paths[path] = operations.(map[string]any)
	}
	return c
}

var parameter = regexp.MustCompile(`\{[a-z]+\}`)

// Generators of clients, such as oapi-codegen, make types of parameters and schemas. So
// their names must differ, and each value has one type besides null.
func TestGenerators(t *testing.T) {
	components := readContract(t).document["components"].(map[string]any)
	schemas := components["schemas"].(map[string]any)
	for name := range components["parameters"].(map[string]any) {
		var camel strings.Builder
		for word := range strings.SplitSeq(name, "_") {
			camel.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
		if schemas[camel.String()] != nil {
			t.Errorf("parameter %s has the same name as schema %s", name, &camel)
		}
	}
	classes := components["parameters"].(map[string]any)["class"].(map[string]any)["schema"].(map[string]any)["enum"]
	if got := fmt.Sprint(classes); got != fmt.Sprint(outbound.Classes) {
		t.Errorf("got classes %s, want %s", got, outbound.Classes)
	}
	var types func(at string, v any)
	types = func(at string, v any) {
		m, _ := v.(map[string]any)
		for name, v := range m {
			if list, ok := v.([]any); ok && name == "type" && (len(list) != 2 || list[1] != "null") {
				t.Errorf("%s: got types %v, want one besides null", at, list)
			}
			types(at+"/"+name, v)
		}
	}
	types("schemas", schemas)
}

// operation returns what the document says about a request. Literal paths take
// precedence.
func (c *contract) operation(method, path string) (name string, op map[string]any) {
	path, _, _ = strings.Cut(path, "?")
	for _, literal := range []bool{true, false} {
		for pattern, operations := range c.paths {
			if literal && pattern != path ||
				!regexp.MustCompile("^"+parameter.ReplaceAllString(pattern, "[^/]+")+"$").MatchString(path) {
				continue
			}
			if op, ok := operations[strings.ToLower(method)].(map[string]any); ok {
				return method + " " + pattern, op
			}
		}
	}
	return "", nil
}

// check compares a response with the document.
func (c *contract) check(t testing.TB, asked call, a answer) {
	t.Helper()
	what := fmt.Sprintf("%s %s: %d", asked.method, asked.path, a.StatusCode)
	for name, value := range map[string]string{"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"} {
		if got := a.Header.Get(name); got != value {
			t.Errorf("%s has %s %q", what, name, got)
		}
	}
	required := map[int]string{401: "WWW-Authenticate", 405: "Allow", 429: "Retry-After", 503: "Retry-After"}
	if name := required[a.StatusCode]; name != "" && a.Header.Get(name) == "" {
		t.Errorf("%s has no %s", what, name)
	}
	if asked.method == "HEAD" {
		return
	}
	name, op := c.operation(asked.method, asked.path)
	if op == nil {
		if a.StatusCode < 400 {
			t.Errorf("%s is not documented", what)
		}
		return
	}
	responses := op["responses"].(map[string]any)
	response, ok := responses[strconv.Itoa(a.StatusCode)]
	if !ok {
		response = responses["default"]
		if a.StatusCode < 400 {
			t.Errorf("%s is not documented", what)
			return
		}
	}
	content, _ := c.resolve(response)["content"].(map[string]any)
	sent, _, _ := mime.ParseMediaType(a.Header.Get("Content-Type"))
	if len(content) == 0 {
		if len(a.body) > 0 || sent != "" {
			t.Errorf("%s has a body, and none is documented: %s", what, a.body)
		}
	} else if media, ok := content[sent].(map[string]any); !ok {
		t.Errorf("%s has the undocumented content type %q", what, sent)
	} else {
		for text := range documents(sent, a.body) {
			if err := c.conforms(media["schema"], decode(t, text)); err != nil {
				t.Errorf("%s: %v: %s", what, err, text)
			}
		}
	}
	c.mu.Lock()
	c.seen[fmt.Sprintf("%s %d %s", name, a.StatusCode, sent)] = true
	c.mu.Unlock()
}

// documents returns the JSON documents in a body.
func documents(contentType string, body []byte) map[string]bool {
	out := map[string]bool{}
	switch contentType {
	case "text/event-stream":
		return out // TestTail checks them
	case "application/json", "application/problem+json":
		return map[string]bool{string(body): true}
	}
	for line := range strings.Lines(string(body)) {
		out[line] = true
	}
	return out
}

func decode(t testing.TB, text string) any {
	t.Helper()
	var v any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	return v
}

// resolve returns what a reference refers to.
func (c *contract) resolve(v any) map[string]any {
	m, _ := v.(map[string]any)
	to, ok := m["$ref"].(string)
	if !ok {
		return m
	}
	at := any(map[string]any(c.document))
	for part := range strings.SplitSeq(strings.TrimPrefix(to, "#/"), "/") {
		at = at.(map[string]any)[part]
	}
	return c.resolve(at)
}

// conforms validates a value by a schema, with the part of JSON Schema that the document
// uses.
func (c *contract) conforms(schema, value any) error {
	s := c.resolve(schema)
	if s == nil {
		return fmt.Errorf("there is no schema %v", schema)
	}
	if choices, ok := s["oneOf"].([]any); ok {
		var errs []string
		for _, one := range choices {
			err := c.conforms(one, value)
			if err == nil {
				return nil
			}
			errs = append(errs, err.Error())
		}
		return fmt.Errorf("it conforms to none of these: %s", strings.Join(errs, "; "))
	}
	if enum, ok := s["enum"].([]any); ok && !slices.Contains(enum, value) {
		return fmt.Errorf("got %v, want one of %v", value, enum)
	}
	if err := c.hasType(s, value); err != nil {
		return err
	}
	switch v := value.(type) {
	case map[string]any:
		return c.object(s, v)
	case []any:
		items, ok := s["items"]
		for i, item := range v {
			if !ok {
				break // anything
			}
			if err := c.conforms(items, item); err != nil {
				return fmt.Errorf("[%d]: %w", i, err)
			}
		}
	}
	return nil
}

func (c *contract) hasType(s map[string]any, value any) error {
	var types []any
	switch t := s["type"].(type) {
	case nil:
		return nil // anything
	case string:
		types = []any{t}
	case []any:
		types = t
	}
	got := "null"
	switch v := value.(type) {
	case string:
		got = "string"
		if s["format"] == "date-time" {
			if at, err := time.Parse(time.RFC3339, v); err != nil || !strings.HasSuffix(v, "Z") || at.Year() < 2020 {
				return fmt.Errorf("got %q, want a time in UTC", v)
			}
		}
	case bool:
		got = "boolean"
	case json.Number:
		if got = "integer"; strings.ContainsAny(v.String(), ".eE") {
			got = "number"
		}
	case map[string]any:
		got = "object"
	case []any:
		got = "array"
	}
	if !slices.Contains(types, any(got)) {
		return fmt.Errorf("%v: got type %s, want %v", value, got, types)
	}
	return nil
}

func (c *contract) object(s, value map[string]any) error {
	properties, _ := s["properties"].(map[string]any)
	for name, v := range value {
		schema, ok := properties[name]
		if !ok {
			if schema, ok = s["additionalProperties"].(map[string]any); !ok {
				if s["additionalProperties"] == false {
					return fmt.Errorf("%s is not documented", name)
				}
				continue
			}
		}
		if err := c.conforms(schema, v); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	required, _ := s["required"].([]any)
	for _, name := range required {
		if _, ok := value[name.(string)]; !ok {
			return fmt.Errorf("%s is missing", name)
		}
	}
	return nil
}

func TestReferencesResolve(t *testing.T) {
	c := readContract(t)
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, item := range v {
				walk(item)
			}
		case map[string]any:
			if to, ok := v["$ref"]; ok && len(c.resolve(v)) == 0 {
				t.Errorf("reference %v doesn't resolve", to)
			}
			for _, item := range v {
				walk(item)
			}
		}
	}
	walk(map[string]any(c.document))
}

// Every successful response in the document is returned by some request, and conforms to
// the document.
func TestContract(t *testing.T) {
	s := start(t)
	r := newReceiver(t, 500)
	r.answers(500, "no database")

	for _, status := range []int{201, 200} {
		s.post("/subscriptions", `{"subscription_id":"sub_crm","url":"`+r.URL+`","event_types":["none"]}`).want(t, status)
	}
	sub := s.post("/subscriptions", `{"url":"`+r.URL+`","event_types":["order.*"],"description":"CRM","headers":{"X-Env":"production"},"rate_limit":"3000/m","ordered":true,"filter":"!has(payload.test)"}`).want(t, 201)
	id := sub.text("subscription_id")
	s.get("/subscriptions").want(t, 200)
	s.get("/subscriptions/"+id).want(t, 200)
	s.get("/subscriptions/"+id+"/secret").want(t, 200)
	s.do(call{method: "PATCH", path: "/subscriptions/" + id, body: `{"description":null,"ordered":false}`}).want(t, 200)
	s.post("/subscriptions/"+id+"/rotate-secret", "").want(t, 200)
	s.get("/subscriptions/"+id+"/secret").want(t, 200)

	event := s.post("/events", `{"event_type":"order.created","payload":{"n":1},"event_id":"order-1"}`).want(t, 202).text("event_id")
	s.post("/events", `{"event_type":"order.created","payload":{"n":1},"event_id":"order-1"}`).want(t, 200)
	s.do(call{method: "POST", path: "/events", body: "{\"event_type\":\"order.paid\",\"payload\":1}\n{}\n", header: lines}).want(t, 200)
	s.buried(2)
	s.get("/events").want(t, 200)
	full := s.get("/events/"+event).want(t, 200)
	delivery := object(full["deliveries"].([]any)[0].(map[string]any)).text("delivery_id")
	s.get("/deliveries").want(t, 200)
	s.get("/deliveries/"+delivery).want(t, 200)
	attempts := s.get("/deliveries/"+delivery+"/attempts").want(t, 200).rows()
	s.get("/dead-letters?payload=true").want(t, 200)
	s.get("/dead-letters/"+delivery).want(t, 200)
	s.do(call{method: "GET", path: "/dead-letters?payload=true", header: accept}).want(t, 200)
	s.get("/status").want(t, 200)

	s.post("/subscriptions/"+id+"/deactivate", `{"reason":"maintenance"}`).want(t, 200)
	s.get("/subscriptions/"+id).want(t, 200)
	s.post("/dead-letters/"+delivery+"/redeliver", "").want(t, 202)
	s.post("/deliveries/"+delivery+"/redeliver", "").want(t, 202)
	s.post("/attempts/"+attempts[1].text("attempt_id")+"/redeliver", "").want(t, 202)
	s.post("/deliveries/"+delivery+"/cancel", "").want(t, 200)
	other := s.get("/dead-letters").want(t, 200).rows()[0].text("delivery_id")
	s.do(call{method: "DELETE", path: "/dead-letters/" + other}).want(t, 204)
	s.get("/deliveries/"+other).want(t, 200)
	s.post("/dead-letters/redeliver", `{"all":true}`).want(t, 200)
	s.post("/deliveries/redeliver", `{"since":"2020-01-01T00:00:00Z"}`).want(t, 200)
	s.do(call{method: "DELETE", path: "/dead-letters", body: `{"all":true}`}).want(t, 200)
	r.answers(200, "")
	s.post("/subscriptions/"+id+"/activate", "").want(t, 200)
	s.post("/subscriptions/"+id+"/test", "").want(t, 202)
	s.post("/subscriptions/"+id+"/preview", `{"event_type":"order.created","payload":{}}`).want(t, 200)
	s.post("/subscriptions/"+id+"/replay", `{"since":"2020-01-01T00:00:00Z"}`).want(t, 200)

	s.do(call{method: "PUT", path: "/event-types/order.created", body: `{"description":"An order was placed"}`}).want(t, 201)
	s.do(call{method: "PUT", path: "/event-types/order.created", body: `{}`}).want(t, 200)
	s.get("/event-types").want(t, 200)
	s.get("/event-types/order.created").want(t, 200)
	s.do(call{method: "DELETE", path: "/event-types/order.created"}).want(t, 204)
	s.do(call{method: "DELETE", path: "/subscriptions/" + id}).want(t, 204)
	s.post("/events", `{"event_type":"a","event_id":"gone","payload":null}`).want(t, 202)
	s.do(call{method: "DELETE", path: "/events/gone"}).want(t, 204)
	s.do(call{method: "DELETE", path: "/events", body: `{"all":true}`}).want(t, 200)
	s.do(call{method: "DELETE", path: "/tenants/acme"}).want(t, 200)
	s.post("/tenants/acme/tokens", "").want(t, 201)
	s.follow()() // so that the tail ends at once
	if a := s.get("/tail"); a.StatusCode != 200 {
		t.Errorf("GET /tail: got %d", a.StatusCode)
	}
	s.get("/openapi.json").want(t, 200)

	for path, operations := range s.contract.paths {
		for method, op := range operations {
			for status, response := range op.(map[string]any)["responses"].(map[string]any) {
				content, _ := s.contract.resolve(response)["content"].(map[string]any)
				if len(content) == 0 {
					content = map[string]any{"": nil}
				}
				for media := range content {
					key := fmt.Sprintf("%s %s %s %s", strings.ToUpper(method), path, status, media)
					if status != "default" && !s.contract.seen[key] {
						t.Errorf("documented, but never returned: %s", key)
					}
				}
			}
		}
	}
}
