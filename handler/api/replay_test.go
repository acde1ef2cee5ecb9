package api_test

import (
	"fmt"
	"testing"
)

func TestReplay(t *testing.T) {
	s := start(t)
	r := newReceiver(t, 200)
	s.post("/events", `{"event_type":"order.created","event_id":"first","payload":1}`).want(t, 202)
	s.post("/events", `{"event_type":"order.paid","event_id":"second","payload":2}`).want(t, 202)
	id := s.post("/subscriptions", `{"url":"`+r.URL+`","event_types":["order.*"]}`).want(t, 201).text("subscription_id")
	for _, c := range []struct{ body, count string }{
		{`{"since":"2020-01-01T00:00:00Z","until":"2020-01-01T01:00:00Z"}`, "0"},
		{`{"since":"9999-12-31T23:59:59Z"}`, "0"},
		{`{"event_id":"second","until":null}`, "1"},
		{`{"since":"2020-01-01T00:00:00Z","event_type":"order.paid"}`, "0"},
		{`{"since":"0001-01-01T00:00:00Z"}`, "1"},
	} {
		if got := s.post("/subscriptions/"+id+"/replay", c.body).want(t, 200); fmt.Sprint(got["replayed"]) != c.count {
			t.Errorf("%s: %v, want %s", c.body, got, c.count)
		}
	}
	list := s.get("/deliveries?event_id=first").want(t, 200).rows()
	if len(list) != 1 || list[0].text("subscription_id") != id {
		t.Errorf("%v", list)
	}
	s.post("/subscriptions/sub_x/replay", `{"event_id":"first"}`).refused(t, 404, "not_found")
}
