package api_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

var (
	lines  = http.Header{"Content-Type": {"application/x-ndjson"}}
	accept = http.Header{"Accept": {"application/x-ndjson"}}
)

func TestPayloadIsDeliveredToTheByte(t *testing.T) {
	s := start(t)
	r := newReceiver(t, 200)
	s.subscribe(r.URL)
	for name, payload := range map[string]string{
		"whitespace":       "{ \"a\" :\t[ 1 , 2 ]\r\n,\n  \"b\":{ } }",
		"big numbers":      `[12345678901234567890123.4567890, 1E400, -0, 1e-7, 0.10]`,
		"escapes":          `"\u00e9 é \/ \u2028 \ud83d\ude00 \ud800 <&> \b"`,
		"raw separators":   "\"\u2028\u2029\"",
		"duplicate keys":   `{"a":1,"a":2,"":3,"":4}`,
		"envelope's names": `{"event_type":"x","payload":{"payload":null}}`,
		"null":             `null`,
		"false":            `false`,
		"text":             `"just text"`,
		"number":           `-12.50`,
		"empty text":       `""`,
		"deep":             strings.Repeat("[", 900) + strings.Repeat("]", 900),
	} {
		t.Run(name, func(t *testing.T) {
			// Whitespace around it belongs to the envelope.
			a := s.post("/events", "{ \"payload\" : \n "+payload+" \t , \"event_type\" : \"a.b\" }\n").want(t, 202)
			if got := string(r.next(t).body); got != payload {
				t.Errorf("delivered: got %s", got)
			}
			if shown := s.get("/events/" + a.text("event_id")); !strings.Contains(string(shown.body), `"payload":`+payload+"}") {
				t.Errorf("shown: got %s", shown.body)
			}
		})
	}
}

// A payload that was removed isn't shown as an empty one.
func TestRemovedPayload(t *testing.T) {
	s := start(t)
	id := s.publish("a", `"`+strings.Repeat("x", store.PayloadUnit)+`"`)
	must.Get(s.store.Forget(t.Context(), store.Forget{Before: time.Now().Add(time.Hour), PayloadsOnly: true, Limit: 100}))(t)
	e := s.get("/events/"+id).want(t, 200).has(t, "payload_removed", true)
	for _, name := range []string{"payload", "payload_text", "payload_base64"} {
		if v, ok := e[name]; ok {
			t.Errorf("got %s %q", name, v)
		}
	}
}

func TestPayloadsThatAreNotJSON(t *testing.T) {
	s := start(t)
	r := newReceiver(t, 500)
	s.subscribe(r.URL)
	for _, c := range []struct{ contentType, payload, name, shown string }{
		{"application/x-www-form-urlencoded", "a=1&b=%20", "payload_text", "a=1&b=%20"},
		{"text/plain", `{"a":1}`, "payload_text", `{"a":1}`},
		{"application/json", `{"a":`, "payload_text", `{"a":`},
		{"application/cloudevents+json; charset=utf-8", `{"a":1}`, "payload", ""},
		{"application/octet-stream", "\xff\x00\x01", "payload_base64", base64.StdEncoding.EncodeToString([]byte("\xff\x00\x01"))},
		{"text/plain", "", "payload_text", ""},
		{"not a type", "x", "payload_text", "x"},
	} {
		p := must.Get(s.engine.Publish(t.Context(), &outbound.NewEvent{Type: "a", ContentType: c.contentType, Payload: []byte(c.payload)}))(t)
		s.buried(1)
		for _, path := range []string{"/events/" + p.EventID, "/dead-letters?payload=true&event_id=" + p.EventID} {
			shown := s.get(path).want(t, 200)
			if rows := shown.rows(); len(rows) == 1 {
				shown = rows[0]
			}
			v, ok := shown[c.name]
			if text, _ := v.(string); !ok || text != c.shown || shown.text("content_type") != c.contentType {
				t.Errorf("%s of %s: %v", path, c.contentType, shown)
			}
		}
	}
}

func TestEventIDIsPublishedOnce(t *testing.T) {
	s := start(t)
	r := newReceiver(t, 200)
	s.subscribe(r.URL)
	first := s.post("/events", `{"event_type":"a","payload":{"n":1},"event_id":"one"}`).want(t, 202)
	if first.text("event_id") != "one" || first["duplicate"] != false || fmt.Sprint(first["deliveries"]) != "1" {
		t.Errorf("first: got %v", first)
	}
	again := s.post("/events", `{"payload":{"n":1},"event_id":"one","event_type":"a"}`).want(t, 200)
	if again["duplicate"] != true || fmt.Sprint(again["deliveries"]) != "1" {
		t.Errorf("again: got %v", again)
	}
	// The payload must be the same byte for byte, even if the value is the same.
	s.post("/events", `{"event_type":"a","payload":{"n": 1},"event_id":"one"}`).refused(t, 409, "event_id_reused").has(t, "field", "event_id")
	s.post("/events", `{"event_type":"b","payload":{"n":1},"event_id":"one"}`).refused(t, 409, "event_id_reused")
	s.post("/events", `{"event_type":"b","payload":1,"event_id":"one","tenant":"acme"}`).want(t, 202)

	r.next(t)
	select {
	case a := <-r.arrivals:
		t.Errorf("got a second delivery: %s", a.body)
	default:
	}
	// Each tenant has event ids of its own.
	s.get("/events/one").want(t, 200).has(t, "event_type", "a").has(t, "tenant", nil)
	s.get("/events/one?tenant=acme").want(t, 200).has(t, "event_type", "b").has(t, "tenant", "acme")
	s.get("/events/one?tenant=other").refused(t, 404, "not_found").contains(t, "detail", `not among the events of the tenant "other"`)
}

// Idempotency-Key, which clients of other services send, sets the event id.
func TestIdempotencyKey(t *testing.T) {
	s := start(t)
	publish := func(key, contentType, body string) answer {
		t.Helper()
		return s.do(call{method: "POST", path: "/events", body: body, header: http.Header{"Content-Type": {contentType}, "Idempotency-Key": {key}}})
	}
	const event = `{"event_type":"a","payload":1}`
	publish("one", "application/json", event).want(t, 202).has(t, "event_id", "one")
	for _, again := range []answer{
		publish(`"one"`, "application/json", event), // a string of RFC 9651
		publish("one", "application/json", `{"event_type":"a","payload":1,"event_id":"one"}`),
	} {
		if e := again.want(t, 200); e["duplicate"] != true {
			t.Errorf("again: got %v", e)
		}
	}
	publish("one", "application/json", `{"event_type":"a","payload":2}`).refused(t, 409, "event_id_reused")
	for _, refused := range []answer{
		publish("two", "application/json", `{"event_type":"a","payload":1,"event_id":"one"}`),
		publish("no id", "application/json", event),
		publish("two", "application/x-ndjson", event),
	} {
		if p := refused.refused(t, 422, "invalid_field"); p["field"] != "Idempotency-Key" || !strings.Contains(p.text("detail"), "Idempotency-Key") {
			t.Errorf("refused: %v", p)
		}
	}
}

// An event that is sent again because the response was lost is a duplicate, even if its
// type's new schema would refuse it.
func TestSentAgainAfterASchemaChange(t *testing.T) {
	s := start(t)
	r := newReceiver(t, 200)
	s.subscribe(r.URL)
	const one = `{"event_type":"a","payload":"x","event_id":"one"}`
	s.post("/events", one).want(t, 202)
	s.do(call{method: "PUT", path: "/event-types/a", body: `{"schema":{"type":"object"}}`}).want(t, 201)
	s.post("/events", one).want(t, 200).has(t, "duplicate", true).has(t, "deliveries", "1")
	for _, other := range []string{
		`{"event_type":"a","payload":"x"}`,
		`{"event_type":"a","payload":"x","event_id":"two"}`,
		`{"event_type":"a","payload":"x","event_id":"one","tenant":"acme"}`,
		`{"event_type":"a","payload":"y","event_id":"one"}`,
	} {
		if p := s.post("/events", other).refused(t, 422, "invalid_field"); p["field"] != "payload" {
			t.Errorf("%s: %v", other, p)
		}
	}
}

func TestEventLists(t *testing.T) {
	s := start(t)
	r := newReceiver(t, 200)
	sub := s.subscribe(r.URL)
	for i := range 5 {
		s.publish(fmt.Sprintf("order.n%d", i), fmt.Sprint(i))
		r.next(t)
		s.attempt()
	}
	s.post("/events", `{"event_type":"order.x","payload":0,"tenant":"acme"}`).want(t, 202)
	types := func(path string) (out []string) {
		t.Helper()
		for _, row := range s.pages(path) {
			out = append(out, strings.TrimPrefix(row.text("event_type"), "order."))
		}
		return out
	}
	for path, want := range map[string]string{
		"/events?limit=2":                                                    "x n4 n3 n2 n1 n0",
		"/events?limit=3":                                                    "x n4 n3 n2 n1 n0",
		"/events?limit=6":                                                    "x n4 n3 n2 n1 n0",
		"/events?limit=2&tenant=acme":                                        "x",
		"/events?limit=2&event_type=order.n3":                                "n3",
		"/events?limit=4&event_type=order.*":                                 "x n4 n3 n2 n1 n0",
		"/events?limit=4&event_type=orders.*":                                "",
		"/events?limit=2&since=2020-01-01T00:00:00Z":                         "x n4 n3 n2 n1 n0",
		"/events?limit=2&until=2020-01-01T00:00:00%2B02:00":                  "",
		"/deliveries?limit=2":                                                "n4 n3 n2 n1 n0",
		"/deliveries?limit=5&state=delivered":                                "n4 n3 n2 n1 n0",
		"/deliveries?limit=2&state=pending,dead":                             "",
		"/deliveries?limit=2&event_type=order.n2":                            "n2",
		"/deliveries?limit=2&tenant=acme":                                    "",
		"/deliveries?limit=1&subscription_id=" + sub.text("subscription_id"): "n4 n3 n2 n1 n0",
	} {
		if got := strings.Join(types(path), " "); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

func TestEventShowsItsDeliveriesByPage(t *testing.T) {
	s := start(t)
	r := newReceiver(t, 200)
	for range 5 {
		s.subscribe(r.URL)
	}
	id := s.publish("a", "1")
	seen := map[string]bool{}
	cursor := ""
	for range 3 {
		e := s.get("/events/"+id+"?limit=2"+cursor).want(t, 200)
		for _, d := range e["deliveries"].([]any) {
			seen[d.(map[string]any)["subscription_id"].(string)] = true
		}
		cursor = "&cursor=" + e.text("next_cursor")
	}
	if len(seen) != 5 || cursor != "&cursor=" {
		t.Errorf("got %d deliveries, then %q", len(seen), cursor)
	}
}

func TestDeleteEvent(t *testing.T) {
	s := start(t)
	r := newReceiver(t, 200)
	id := s.subscribe(r.URL).text("subscription_id")
	s.post("/subscriptions/"+id+"/deactivate", "").want(t, 200)
	s.post("/events", `{"event_type":"a","event_id":"mine","tenant":"t","payload":1}`).want(t, 202)
	s.post("/events", `{"event_type":"a","event_id":"mine","payload":1}`).want(t, 202)
	remove := func(query string) answer {
		t.Helper()
		return s.do(call{method: "DELETE", path: "/events/mine" + query})
	}
	if detail := remove("").refused(t, 409, "conflict").text("detail"); !strings.Contains(detail, "cancel it") {
		t.Error(detail)
	}
	delivery := s.get("/deliveries?event_id=mine").want(t, 200).rows()[0].text("delivery_id")
	s.post("/deliveries/"+delivery+"/cancel", "").want(t, 200)
	remove("").want(t, 204)
	remove("").refused(t, 404, "not_found")
	s.get("/deliveries/"+delivery).refused(t, 404, "not_found")
	s.get("/events/mine?tenant=t").want(t, 200)
	remove("?tenant=t").want(t, 204)
	s.get("/events/mine?tenant=t").refused(t, 404, "not_found")
	remove("?event_type=a").refused(t, 400, "invalid_parameter")
}

func TestDeleteEvents(t *testing.T) {
	s := start(t)
	r := newReceiver(t, 200)
	id := s.subscribe(r.URL).text("subscription_id")
	s.post("/subscriptions/"+id+"/deactivate", "").want(t, 200)
	const n = 450 // more than two batches
	var body strings.Builder
	for i := range n {
		fmt.Fprintf(&body, "{\"event_type\":\"bulk.%d\",\"tenant\":\"acme\",\"payload\":{\"n\":%d}}\n", i%2, i)
	}
	s.publishLines(body.String())
	s.post("/events", `{"event_type":"a","event_id":"waits","payload":1}`).want(t, 202)
	s.post("/events", `{"event_type":"webhooked","event_id":"other","tenant":"rival","payload":1}`).want(t, 202)

	for _, c := range []call{
		{path: "/events"}, {path: "/events", body: `{}`}, {path: "/events?all=false"}, {path: "/events", body: `{"all":true,"tenant":"acme"}`},
		{path: "/events?tenant=acme", body: `{"tenant":"acme"}`}, {path: "/events?tenant="}, {path: "/events?limit=1"}, {path: "/events?class=dns"},
		{path: "/events?filter=payload.n+%3D"}, {path: "/events", body: `{"filter":"payload.n ="}`}, {path: "/events?all=true&state=dead"},
	} {
		c.method = "DELETE"
		if a := s.do(c); a.StatusCode != 400 && a.StatusCode != 422 {
			t.Errorf("%s %s: %d %s", c.path, c.body, a.StatusCode, a.body)
		}
	}
	for _, c := range []struct{ query, body, answer string }{
		{"?tenant=nobody", "", "0 0"},
		{"?filter=payload.n%3C10", "", "10 0"},
		{"", `{"filter":"payload.n < 20","event_type":"bulk.1"}`, "5 0"},
		{"?until=2020-01-01T00:00:00Z", "", "0 0"},
		{"?event_type=bulk.1", "", "215 0"},
		{"?tenant=acme&state=pending", "", "0 0"},
		{"?state=pending", "", "0 1"},
		{"?tenant=acme", "", "220 0"},
		{"?event_id=waits", "", "0 1"},
		{"", `{"all":true}`, "1 1"},
		{"?all=true", "", "0 1"},
	} {
		if a := s.do(call{method: "DELETE", path: "/events" + c.query, body: c.body}).want(t, 200); fmt.Sprintf("%v %v", a["deleted"], a["pending"]) != c.answer {
			t.Errorf("%s %s: %v, want %s", c.query, c.body, a, c.answer)
		}
	}
	if left := s.get("/events").want(t, 200).rows(); len(left) != 1 || left[0].text("event_id") != "waits" {
		t.Errorf("got events %v, want only the pending one", left)
	}
	s.post("/events", `{"event_type":"a","event_id":"other","tenant":"rival","payload":2}`).want(t, 202)
}
