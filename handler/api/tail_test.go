package api_test

import (
	"bufio"
	"cmp"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

// tail is a stream of events that is being read.
type tail struct {
	t      *testing.T
	events chan map[string]string // the fields of each
}

// tail follows the attempts until the test ends.
func (s *server) tail(t *testing.T, query string) *tail {
	t.Helper()
	r := must.Get(http.NewRequestWithContext(t.Context(), "GET", s.URL+prefix+"/tail"+query, nil))(t)
	r.Header.Set("Authorization", "Bearer "+cmp.Or(s.token, readToken))
	resp := must.Get(s.Client().Do(r))(t)
	if got := resp.Header.Get("Content-Type"); resp.StatusCode != 200 || got != "text/event-stream" {
		t.Fatalf("%s, %s", resp.Status, got)
	}
	f := &tail{t: t, events: make(chan map[string]string, 1000)}
	go func() {
		defer close(f.events)
		defer resp.Body.Close()
		event := map[string]string{}
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch {
			case name != "":
				event[name] = value
			case len(event) > 0:
				f.events <- event
				event = map[string]string{}
			}
		}
	}()
	return f
}

// next returns the delivery after the next attempt.
func (f *tail) next(c *contract) object {
	f.t.Helper()
	event := must.Receive(f.t, f.events, "an event of the stream")
	if event["event"] != "attempt" {
		f.t.Fatalf("got %v", event)
	}
	if err := c.conforms(map[string]any{"$ref": "#/components/schemas/Delivery"}, decode(f.t, event["data"])); err != nil {
		f.t.Errorf("%v: %s", err, event["data"])
	}
	d := parse(f.t, []byte(event["data"]))
	if last, _ := d["last_attempt"].(map[string]any); last == nil || last["attempt_id"] != event["id"] {
		f.t.Errorf("the event's id isn't that of the attempt: %v", event)
	}
	return d
}

func TestTail(t *testing.T) {
	s := start(t)
	reload := s.follow()
	good, bad := newReceiver(t, 200), newReceiver(t, 500)
	s.post("/subscriptions", `{"url":"`+good.URL+`","event_types":["order.*"]}`).want(t, 201)
	failing := s.post("/subscriptions", `{"url":"`+bad.URL+`","event_types":["user.*"]}`).want(t, 201).text("subscription_id")

	all, orders, dead, of := s.tail(t, ""), s.tail(t, "?event_type=order.*"), s.tail(t, "?state=dead"), s.tail(t, "?subscription_id="+failing)
	event := s.publish("order.created", "1")
	for _, f := range []*tail{all, orders} {
		d := f.next(s.contract)
		if d.text("event_id") != event || d.text("state") != "delivered" || d.text("event_type") != "order.created" {
			t.Errorf("got %v", d)
		}
	}
	id := s.dead("user.left", "2")
	for _, f := range []*tail{all, of} {
		if d := f.next(s.contract); d.text("state") != "pending" || d["next_attempt_at"] == nil {
			t.Errorf("after the first of two attempts: got %v", d)
		}
		if d := f.next(s.contract); d.text("state") != "dead" || d.text("delivery_id") != id || d.text("reason") == "" {
			t.Errorf("after the last: got %v", d)
		}
	}
	if d := dead.next(s.contract); d.text("delivery_id") != id {
		t.Errorf("got %v", d)
	}

	reload() // ends the tails
	for _, f := range []*tail{all, orders, dead, of} {
		if event, more := <-f.events; more {
			t.Errorf("got one more: %v", event)
		}
	}
}

func TestTailOfATenant(t *testing.T) {
	s := start(t)
	r := newReceiver(t, 200)
	for _, tenant := range []string{"acme", "rival"} {
		s.post("/subscriptions", `{"url":"`+r.URL+`","event_types":["*"],"tenant":"`+tenant+`"}`).want(t, 201)
	}
	of := s.tail(t, "?tenant=rival")
	for _, tenant := range []string{"acme", "rival"} {
		s.post("/events", `{"event_type":"a","payload":1,"tenant":"`+tenant+`"}`).want(t, 202)
		s.attempt() // before the other tenant's
	}
	if d := of.next(s.contract); d.text("tenant") != "rival" {
		t.Errorf("got %v", d)
	}
}

// Tails that have ended don't count towards the limit.
func TestTailsThatEnded(t *testing.T) {
	s := start(t)
	for range 65 {
		s.do(call{method: "HEAD", path: "/tail"}).want(t, 200)
	}
}

func TestTailRefuses(t *testing.T) {
	s := start(t)
	for query, field := range map[string]string{"?limit=1": "limit", "?state=lost": "state", "?since=2026-01-01T00:00:00Z": "since", "?event_type=a*": "event_type"} {
		if p := s.get("/tail"+query).refused(t, 400, "invalid_parameter"); p.text("field") != field {
			t.Errorf("%s: %v", query, p)
		}
	}
	for range 64 {
		w := must.Get(s.engine.Watch(""))(t)
		defer w.Stop()
	}
	s.get("/tail").refused(t, 503, "unavailable")
}
