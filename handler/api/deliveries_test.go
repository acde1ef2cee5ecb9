package api_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

func TestDeliveryAndAttempts(t *testing.T) {
	s := start(t)
	r := newReceiver(t, 500)
	r.answers(500, "no database: "+strings.Repeat("é", 3000)) // cut off within a character
	s.subscribe(r.URL)
	id := s.dead("order.created", `{"n":1}`)

	d := s.get("/deliveries/"+id).want(t, 200)
	last := object(d["last_attempt"].(map[string]any))
	for name, want := range map[string]string{"state": "dead", "attempts": "2", "event_type": "order.created", "url": r.URL, "next_attempt_at": "<nil>"} {
		if got := fmt.Sprint(d[name]); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	if fmt.Sprint(last["status"]) != "500" || last.text("class") != "status" || !strings.Contains(last.text("error_message"), "500") || fmt.Sprint(last["number"]) != "2" {
		t.Errorf("got last attempt %v", last)
	}
	attempts := s.get("/deliveries/"+id+"/attempts").want(t, 200).rows()
	if len(attempts) != 2 || attempts[1]["attempt_id"] != last["attempt_id"] || attempts[0].text("delivery_id") != id || attempts[1].text("url") != r.URL {
		t.Fatalf("got attempts %v", attempts)
	}
	if body := attempts[0].text("response_body"); !strings.HasPrefix(body, "no database: éé") || strings.ContainsRune(body, '\ufffd') || attempts[0]["response_body_base64"] != nil {
		t.Errorf("got response body %v", attempts[0])
	}
	// In pages.
	first := s.get("/deliveries/"+id+"/attempts?limit=1").want(t, 200)
	second := s.get("/deliveries/"+id+"/attempts?limit=1&cursor="+first.text("next_cursor")).want(t, 200)
	if fmt.Sprint(first.rows(), second.rows()) != fmt.Sprint(attempts[:1], attempts[1:]) || second["next_cursor"] != nil {
		t.Errorf("got pages %v, %v", first, second)
	}

	r.answers(200, "\xff\xfe")
	s.get("/deliveries/"+id+"/attempts?cursor=att_0000000000000001").refused(t, 400, "invalid_parameter") // none of its attempts
	again := s.post("/attempts/"+attempts[0].text("attempt_id")+"/redeliver", "").want(t, 202)
	if again.text("delivery_id") != id {
		t.Errorf("redelivered: got %v", again)
	}
	if a := s.attempt(); a.State.String() != "delivered" {
		t.Errorf("%+v", a)
	}
	attempts = s.get("/deliveries/"+id+"/attempts").want(t, 200).rows()
	if a := attempts[2]; a.text("response_body_base64") != "//4=" || a["response_body"] != nil || a["class"] != nil || a["error_message"] != nil {
		t.Errorf("third attempt: got %v", a)
	}
	s.post("/deliveries/"+id+"/cancel", "").refused(t, 409, "conflict") // it is a dead letter
	s.post("/deliveries/"+id+"/redeliver", "").want(t, 202)             // in any state
	if a := s.attempt(); a.Attempt.Number != 4 {
		t.Errorf("%+v", a)
	}
}

// Pages of attempts are complete even if the attempts' ids, which several nodes have made,
// are in another order.
func TestPagesOfAttemptsOfSeveralNodes(t *testing.T) {
	s := start(t)
	s.subscribe(newReceiver(t, 500).URL)
	id := s.dead("order.created", "1") // with two attempts
	key, _ := store.ParseID(store.DeliveryPrefix, id)
	third := &store.Attempt{ID: key + 1, Number: 3, At: time.Now()}
	must.Do(t, s.store.Commit(t.Context(), &store.Batch{Settlements: []*store.Settlement{{Delivery: key, Attempt: third, State: store.Dead, Reason: "it failed"}}}))
	first := s.get("/deliveries/"+id+"/attempts?limit=2").want(t, 200)
	second := s.get("/deliveries/"+id+"/attempts?limit=2&cursor="+first.text("next_cursor")).want(t, 200)
	if rows := second.rows(); len(first.rows()) != 2 || len(rows) != 1 || fmt.Sprint(rows[0]["number"]) != "3" {
		t.Errorf("got pages %v, %v", first, second)
	}
}

// If the subscription is paused, that decides when the next attempt is.
func TestNextAttempt(t *testing.T) {
	s := start(t)
	r := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "600")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	t.Cleanup(r.Close)
	sub := s.subscribe(r.URL).text("subscription_id")
	s.publish("a", "1")
	s.attempt()
	must.Eventually(t, "the subscription to be paused", func() bool {
		return s.get("/status").want(t, 200)["subscriptions"].([]any)[0].(map[string]any)["health"] == "paused"
	})
	s.publish("a", "2")
	newest := func() object { return s.get("/deliveries?limit=1").want(t, 200)["data"].([]any)[0].(map[string]any) }
	if d := newest(); d["held"] != false {
		t.Errorf("%v", d)
	} else if next, err := time.Parse(time.RFC3339, d.text("next_attempt_at")); err != nil || time.Until(next) < 5*time.Minute {
		t.Errorf("got next attempt at %v, %v", next, err)
	}
	s.post("/subscriptions/"+sub+"/deactivate", "").want(t, 200)
	if d := newest(); d["held"] != true || d["next_attempt_at"] != nil {
		t.Errorf("%v", d)
	}
}

// A time that is far in the past or future is never treated as if it were left out, which
// would select everything.
func TestTimesFarOff(t *testing.T) {
	s := start(t)
	r := newReceiver(t, 500)
	s.subscribe(r.URL)
	s.dead("a", "1")
	const first, last = "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"
	none := []string{"until=" + first, "since=" + last, "until=0001-01-01T02:00:00%2B02:00", "since=2110-01-01T00:00:00Z"}
	all := []string{"since=" + first, "until=" + last, "until=2110-01-01T00:00:00Z", "since=" + first + "&until=" + last}
	for want, queries := range [][]string{none, all} {
		for _, query := range queries {
			failed := strings.NewReplacer("since", "failed_since", "until", "failed_until").Replace(query)
			for _, path := range []string{"/events?" + query, "/deliveries?" + query, "/dead-letters?" + query, "/dead-letters?" + failed} {
				if rows := s.get(path).want(t, 200).rows(); len(rows) != want {
					t.Errorf("%s: %d, want %d", path, len(rows), want)
				}
			}
		}
	}
	for field, far := range map[string]string{"until": first, "since": last, "failed_until": first, "failed_since": last} {
		for _, c := range []call{
			{method: "DELETE", path: "/dead-letters?" + field + "=" + far},
			{method: "DELETE", path: "/dead-letters", body: `{"` + field + `":"` + far + `"}`},
		} {
			if got := s.do(c).want(t, 200); fmt.Sprint(got["deleted"]) != "0" {
				t.Errorf("%s %s: %v", c.path, c.body, got)
			}
		}
		if got := s.post("/dead-letters/redeliver", `{"`+field+`":"`+far+`"}`).want(t, 200); fmt.Sprint(got["redelivered"]) != "0" {
			t.Errorf("%s: %v", field, got)
		}
	}
}

// Delivered deliveries that match the filters are redelivered, and no others; dead letters
// stay as they are.
func TestRedeliverWhatWasDelivered(t *testing.T) {
	s := start(t)
	r, other := newReceiver(t, 500), newReceiver(t, 200)
	id := s.subscribe(r.URL).text("subscription_id")
	dead := s.dead("order.created", "1")
	r.answers(200, "")
	s.subscribe(other.URL)
	s.publish("order.created", "2")
	s.attempt()
	s.attempt()
	s.post("/subscriptions/"+id+"/deactivate", "").want(t, 200) // so that they stay queued
	for _, c := range []struct{ body, count string }{
		{`{"since":"2999-01-01T00:00:00Z"}`, "0"},
		{`{"since":"2020-01-01T00:00:00Z","until":"2020-01-02T00:00:00Z"}`, "0"},
		{`{"since":"2020-01-01T00:00:00Z","event_type":"invoice.*"}`, "0"},
		{`{"since":"2020-01-01T00:00:00Z","tenant":"acme"}`, "0"},
		{`{"since":"2020-01-01T00:00:00Z","subscription_id":"` + id + `"}`, "1"},
		{`{"since":"2020-01-01T00:00:00Z","subscription_id":"` + id + `"}`, "0"}, // it is pending
	} {
		if got := s.post("/deliveries/redeliver", c.body).want(t, 200); fmt.Sprint(got["redelivered"]) != c.count {
			t.Errorf("%s: %v, want %s", c.body, got, c.count)
		}
	}
	queued := s.get("/deliveries?state=pending").want(t, 200).rows()
	if len(queued) != 1 || queued[0].text("subscription_id") != id || fmt.Sprint(queued[0]["attempts"]) != "1" {
		t.Fatalf("got queued %v", queued)
	}
	s.get("/dead-letters/"+dead).want(t, 200)
	s.post("/subscriptions/"+id+"/activate", "").want(t, 200)
	if a := s.attempt(); a.State != store.Delivered || a.Attempt.Number != 2 {
		t.Errorf("%+v", a)
	}
}
