package api_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

func TestEventTypes(t *testing.T) {
	s := start(t, func(s *outbound.Settings) {
		s.EventTypes = []outbound.EventType{{Name: "c", Description: "configured"}}
	})
	for _, name := range []string{"b", "a", "d.e"} {
		s.do(call{method: "PUT", path: "/event-types/" + name, body: `{"description":"` + name + `"}`}).want(t, 201)
	}
	for _, none := range []string{`{}`, `{"description":""}`, `{"description":null}`} {
		if e := s.do(call{method: "PUT", path: "/event-types/a", body: none}).want(t, 200); e["description"] != nil {
			t.Errorf("%s: described as %q", none, e["description"])
		}
	}
	s.do(call{method: "PUT", path: "/event-types/c", body: `{}`}).refused(t, 409, "conflict")
	s.do(call{method: "DELETE", path: "/event-types/c"}).refused(t, 409, "conflict")
	got := ""
	for _, row := range s.pages("/event-types?limit=2") {
		got += row.text("name") + " "
	}
	if got != "a b c d.e " {
		t.Errorf("%s", got)
	}
}

// A payload is validated by the schema that its type has when it is published.
func TestSchemas(t *testing.T) {
	s := start(t, func(s *outbound.Settings) {
		s.EventTypes = []outbound.EventType{{Name: "configured", Schema: []byte(`{"required":["id"]}`)}}
	})
	const strict = `{"type":"object","properties":{"total":{"type":"number","minimum":0},"note":{"type":"string"}},"required":["total"],"additionalProperties":false}`
	put := func(schema string) answer {
		return s.do(call{method: "PUT", path: "/event-types/order.created", body: `{"schema":` + schema + `}`})
	}
	publish := func(eventType, payload string) answer {
		return s.do(call{method: "POST", path: "/events", body: `{"event_type":"` + eventType + `","payload":` + payload + `}`})
	}
	put(strict).want(t, 201)
	if got := s.get("/event-types/order.created").want(t, 200); !reflect.DeepEqual(got["schema"], decode(t, strict)) {
		t.Errorf("%v", got["schema"])
	}
	publish("order.created", `{"total":1,"note":"x"}`).want(t, 202)
	publish("order.updated", `"anything"`).want(t, 202)
	for payload, words := range map[string]string{
		`{}`:                              "/total is missing",
		`{"total":"secret-1"}`:            "/total must be a number, not a string",
		`{"total":-17}`:                   "/total must be at least 0",
		`{"total":1,"secret-2":"x"}`:      "has fields that are not allowed",
		`[]`:                              "/ must be an object, not an array",
		`{"total":"secret-3","note":"x"}`: "/total must be a number",
		`{"note":1}`:                      "/note must be a string, not a number",
	} {
		got := publish("order.created", payload).refused(t, 422, "invalid_field")
		if detail := got.text("detail"); !strings.Contains(detail, words) || !strings.Contains(detail, "order.created") || got.text("field") != "payload" {
			t.Errorf("%s: %v", payload, got)
		}
		if strings.Contains(fmt.Sprint(got), "secret-") || strings.Contains(fmt.Sprint(got), "-17") {
			t.Errorf("%s: the response contains values of the payload: %v", payload, got)
		}
	}
	publish("configured", `{"id":1}`).want(t, 202)
	publish("configured", `{}`).refused(t, 422, "invalid_field")

	put("null").want(t, 200)
	publish("order.created", `[]`).want(t, 202)
	put("false").want(t, 200)
	publish("order.created", `{}`).refused(t, 422, "invalid_field")
	s.do(call{method: "DELETE", path: "/event-types/order.created"}).want(t, 204)
	publish("order.created", `{}`).want(t, 202)
}
