package api_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

func TestDeadLetters(t *testing.T) {
	s := start(t)
	r := newReceiver(t, 500)
	sub := s.subscribe(r.URL)
	payload := "{ \"n\" :\n1e2 }"
	id := s.dead("order.created", payload)
	other := s.dead("invoice.paid", "2")

	d := s.get("/dead-letters/"+id).want(t, 200)
	for name, want := range map[string]string{
		"delivery_id": id, "event_type": "order.created", "subscription_id": sub.text("subscription_id"), "url": r.URL, "attempts": "2",
		"class": "status", "status": "500", "error_message": "the receiver answered 500 Internal Server Error", "content_type": "application/json",
	} {
		if got := fmt.Sprint(d[name]); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	last := s.get("/deliveries/"+id).want(t, 200)["last_attempt"].(map[string]any)
	if d["attempt_id"] != last["attempt_id"] || d["failed_at"] != last["at"] || !strings.Contains(d.text("reason"), "every attempt failed") {
		t.Errorf("%v, last attempt %v", d, last)
	}
	list := s.get("/dead-letters?event_type=order.*").want(t, 200)
	if rows := list.rows(); len(rows) != 1 || rows[0]["payload"] != nil || rows[0]["content_type"] != nil {
		t.Errorf("%v", list)
	}
	if a := s.get("/dead-letters?payload=true&event_type=order.*"); !strings.Contains(string(a.body), `"payload":`+payload+`}],`) {
		t.Errorf("got a changed payload: %s", a.body)
	}
	if first := s.get("/dead-letters?limit=1").want(t, 200); first.rows()[0].text("delivery_id") != other || first["next_cursor"] == nil {
		t.Errorf("%v", first)
	}

	r.answers(200, "")
	s.post("/dead-letters/"+id+"/redeliver", "{}").want(t, 202)
	if a := s.attempt(); a.State.String() != "delivered" {
		t.Fatalf("%+v", a)
	}
	s.get("/dead-letters/"+id).refused(t, 404, "not_found").contains(t, "detail", "it is delivered: see GET /deliveries/"+id)
	s.post("/dead-letters/"+id+"/redeliver", "").refused(t, 404, "not_found")
	s.get("/dead-letters/"+other).want(t, 200)
}

// failed_since and failed_until select by when the last attempt failed, which may be long
// after the event was published.
func TestDeadLettersByFailure(t *testing.T) {
	s := start(t, func(s *outbound.Settings) { s.Retry = outbound.Schedule{20 * time.Millisecond} })
	r := newReceiver(t, 500)
	sub := s.subscribe(r.URL)
	first, second := s.dead("a", "1"), s.dead("a", "2")
	s.post("/dead-letters/"+first+"/redeliver", "").want(t, 202)
	s.buried(1)                                                                          // the older event failed last
	s.post("/subscriptions/"+sub.text("subscription_id")+"/deactivate", "").want(t, 200) // so that redelivered ones stay queued
	failedAt := s.get("/dead-letters/"+first).want(t, 200).text("failed_at")
	for query, want := range map[string]string{
		"failed_since=" + failedAt:                                        first,
		"failed_until=" + failedAt:                                        second,
		"failed_since=2020-01-01T00:00:00Z":                               second + " " + first,
		"failed_since=2020-01-01T00:00:00Z&limit=1":                       second,
		"failed_since=2020-01-01T00:00:00Z&cursor=" + second:              first,
		"failed_until=2020-01-01T00:00:00Z":                               "",
		"event_type=b&failed_since=2020-01-01T00:00:00Z":                  "",
		"failed_since=2020-01-01T00:00:00Z&failed_until=" + failedAt:      second,
		"since=2020-01-01T00:00:00Z&failed_since=" + failedAt:             first,
		"failed_since=" + failedAt + "&failed_until=2999-01-01T00:00:00Z": first,
		"class=status":            second + " " + first,
		"class=dns":               "",
		"status=500&class=status": second + " " + first,
		"status=503":              "",
	} {
		var got []string
		for _, d := range s.get("/dead-letters?"+query).want(t, 200).rows() {
			got = append(got, d.text("delivery_id"))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v, want %s", query, got, want)
		}
	}
	for _, c := range []struct{ query, body, count string }{
		{"?failed_until=2020-01-01T00:00:00Z", "", "0"},
		{"", `{"class":"dns"}`, "0"},
		{"?status=503", "", "0"},
		{"", `{"failed_since":"` + failedAt + `","failed_until":null,"status":500,"class":"status"}`, "1"},
		{"?failed_until=" + failedAt, "", "1"},
	} {
		if got := s.post("/dead-letters/redeliver"+c.query, c.body).want(t, 200); fmt.Sprint(got["redelivered"]) != c.count {
			t.Errorf("%s %s: %v, want %s", c.query, c.body, got, c.count)
		}
	}
}

func TestRedeliverInBulk(t *testing.T) {
	s := start(t)
	r := newReceiver(t, 500)
	sub := s.subscribe(r.URL)
	for i := range 3 {
		s.dead("order.created", fmt.Sprint(i))
	}
	s.dead("invoice.paid", "3")
	id := sub.text("subscription_id")
	s.post("/subscriptions/"+id+"/deactivate", "").want(t, 200) // so that they stay queued
	for _, c := range []struct{ query, body, count string }{
		{"?event_type=invoice.*", "", "1"},
		{"?event_type=invoice.*", "", "0"},
		{"", `{"event_type":"order.created","tenant":"acme"}`, "0"},
		{"", `{"until":"2020-01-01T00:00:00Z"}`, "0"},
		{"", `{"event_type":"order.created","subscription_id":"` + id + `","tenant":null}`, "3"},
		{"?all=true", "", "0"},
		{"", `{"all":true}`, "0"},
	} {
		if got := s.post("/dead-letters/redeliver"+c.query, c.body).want(t, 200); fmt.Sprint(got["redelivered"]) != c.count {
			t.Errorf("%s %s: %v, want %s", c.query, c.body, got, c.count)
		}
	}
	if rows := s.get("/deliveries?state=pending").want(t, 200).rows(); len(rows) != 4 {
		t.Errorf("got %d queued deliveries, want 4", len(rows))
	}
}

func TestDeadLettersAreDeleted(t *testing.T) {
	s := start(t)
	r := newReceiver(t, 500)
	s.subscribe(r.URL)
	for _, kind := range []string{"a.b", "a.b", "a.c", "a.d"} {
		s.post("/events", `{"event_type":"`+kind+`","payload":1}`).want(t, 202)
	}
	s.buried(4)
	left := func() (kinds []string) {
		for _, d := range s.get("/dead-letters").want(t, 200).rows() {
			kinds = append(kinds, d.text("event_type"))
		}
		slices.Sort(kinds)
		return kinds
	}
	one := s.get("/dead-letters?event_type=a.d").want(t, 200).rows()[0].text("delivery_id")
	s.do(call{method: "DELETE", path: "/dead-letters/" + one}).want(t, 204)
	for _, path := range []string{"/dead-letters/" + one, "/dead-letters/dlv_0000000000000001"} {
		s.do(call{method: "DELETE", path: path}).want(t, 404)
	}
	if d := s.get("/deliveries/"+one).want(t, 200); d.text("state") != "discarded" || d.text("reason") == "" {
		t.Errorf("got the delivery %v, want it discarded with a reason", d)
	}
	for _, path := range []string{"/dead-letters", "/dead-letters?all=true&event_type=a.b", "/dead-letters?state=dead"} {
		if a := s.do(call{method: "DELETE", path: path}); a.StatusCode < 400 {
			t.Errorf("DELETE %s: %d", path, a.StatusCode)
		}
	}
	if got := left(); !slices.Equal(got, []string{"a.b", "a.b", "a.c"}) {
		t.Fatalf("got dead letters %v", got)
	}
	s.do(call{method: "DELETE", path: "/dead-letters?event_type=a.b"}).want(t, 200).has(t, "deleted", "2")
	s.do(call{method: "DELETE", path: "/dead-letters", body: `{"all":true}`}).want(t, 200).has(t, "deleted", "1")
	if got := left(); len(got) > 0 {
		t.Errorf("got dead letters %v, want none", got)
	}
	s.get("/status").want(t, 200).has(t, "dead_letters", "0")
	r.answers(200, "")
	s.post("/deliveries/"+one+"/redeliver", "").want(t, 202)
	if a := s.attempt(); a.State.String() != "delivered" {
		t.Errorf("redelivered: got %v", a.State)
	}
}

func TestDeadLettersAsLines(t *testing.T) {
	s := start(t)
	r := newReceiver(t, 500)
	s.subscribe(r.URL)
	const n = 450 // more than two pages
	var body strings.Builder
	for i := range n {
		fmt.Fprintf(&body, "{\"event_type\":\"a.b\",\"payload\":{ \"n\" : %d }}\n", i)
	}
	s.publishLines(body.String())
	s.buried(n)
	for path, payload := range map[string]bool{"/dead-letters": false, "/dead-letters?failed_since=2020-01-01T00:00:00Z": false, "/dead-letters?payload=true&event_type=a.*": true} {
		a := s.do(call{method: "GET", path: path, header: http.Header{"Accept": {"text/html, application/x-ndjson;q=0.9"}}})
		seen := map[string]bool{}
		for line := range bytes.Lines(a.body) {
			d := parse(t, line)
			seen[d.text("delivery_id")] = true
			if payload && !strings.HasPrefix(fmt.Sprint(d["payload"]), "map[n:") || !payload && d["payload"] != nil {
				t.Fatalf("%s", line)
			}
		}
		if a.StatusCode != 200 || a.Header.Get("Content-Type") != "application/x-ndjson" || len(seen) != n {
			t.Errorf("%s: %d, %d lines", path, a.StatusCode, len(seen))
		}
	}
	if a := s.do(call{method: "GET", path: "/dead-letters?event_type=none", header: accept}); a.StatusCode != 200 || len(a.body) > 0 {
		t.Errorf("none: got %d %s", a.StatusCode, a.body)
	}
	unwanted := http.Header{"Accept": {"application/x-ndjson;q=0, application/json"}}
	if a := s.do(call{method: "GET", path: "/dead-letters", header: unwanted}); a.Header.Get("Content-Type") != "application/json" {
		t.Errorf("lines with q=0: got %s", a.Header.Get("Content-Type"))
	}
}

// A stream that fails midway must not look complete.
func TestBrokenStreamLooksIncomplete(t *testing.T) {
	s := start(t)
	r := newReceiver(t, 500)
	s.subscribe(r.URL)
	const n = 450
	var body strings.Builder
	for range n {
		fmt.Fprintf(&body, "{\"event_type\":\"a\",\"payload\":\"%s\"}\n", strings.Repeat("x", 100_000))
	}
	s.publishLines(body.String())
	s.buried(n)
	req := must.Get(http.NewRequest("GET", s.URL+prefix+"/dead-letters?payload=true", nil))(t)
	req.Header = http.Header{"Authorization": {"Bearer " + readToken}, "Accept": {"application/x-ndjson"}}
	resp := must.Get(s.Client().Do(req))(t)
	defer resp.Body.Close()
	s.closeStore() // 45 MB are being sent, more than fits into the sockets' buffers
	if _, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Error("an incomplete stream looks complete")
	}
	if !strings.Contains(s.log.String(), "/dead-letters") {
		t.Errorf("the error isn't in the log:\n%s", s.log)
	}
}
