package api_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

// An event's headers are sent with its deliveries. Those of the subscription and the
// signature take precedence.
func TestHeadersOfAnEvent(t *testing.T) {
	s := start(t)
	const secret = "0123456789012345678901234567890123456789"
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("1"))
	receivers := []struct {
		name, subscription string
		over               map[string]string
		*receiver
	}{
		{"nothing else", ``, nil, newReceiver(t, 200)},
		{"headers of the subscription", `,"headers":{"X-ENV":"production","user-agent":"acme"}`, map[string]string{"X-Env": "production", "User-Agent": "acme"}, newReceiver(t, 200)},
		{"a scheme that sets some", `,"scheme":"github","secret":"` + secret + `"`, map[string]string{"X-Github-Event": "a", "X-Hub-Signature-256": "sha256=" + hex.EncodeToString(mac.Sum(nil))}, newReceiver(t, 200)},
	}
	for _, r := range receivers {
		s.post("/subscriptions", `{"url":"`+r.URL+`","event_types":["*"]`+r.subscription+`}`).want(t, 201)
	}
	const headers = `{"X-Env":"test","x-order":"7 <\u00fc>","User-Agent":"shop/1","X-Empty":"","X-Null":null,"X-GitHub-Event":"forged","X-Hub-Signature-256":"sha256=00"}`
	s.do(call{method: "POST", path: "/events", token: publishToken, body: `{"event_type":"a","event_id":"one","payload":1,"headers":` + headers + `}`}).want(t, 202)
	for _, r := range receivers {
		want := map[string]string{"X-Env": "test", "X-Order": "7 <ü>", "User-Agent": "shop/1", "X-Empty": "", "X-Github-Event": "forged", "X-Hub-Signature-256": "sha256=00"}
		maps.Copy(want, r.over)
		got := r.next(t).header
		for header, value := range want {
			if values := got[header]; len(values) != 1 || values[0] != value {
				t.Errorf("with %s: got %s %q, want %q", r.name, header, values, value)
			}
		}
		if values, there := got["X-Null"]; there {
			t.Errorf("with %s: got X-Null %q", r.name, values)
		}
	}
	shown := s.get("/events/one").want(t, 200)["headers"]
	if want := "map[User-Agent:shop/1 X-Empty: X-Env:test X-GitHub-Event:forged X-Hub-Signature-256:sha256=00 x-order:7 <ü>]"; fmt.Sprint(shown) != want {
		t.Errorf("shown: got %v", shown)
	}
}

func TestEventWithOtherHeadersIsADuplicate(t *testing.T) {
	s := start(t)
	r := newReceiver(t, 200)
	s.subscribe(r.URL)
	for i, headers := range []string{`{"X-Try":"1"}`, `{"X-Try":"2"}`, `null`} {
		a := s.post("/events", `{"event_type":"a","event_id":"one","payload":1,"headers":`+headers+`}`)
		if i == 0 {
			a.want(t, 202)
		} else if again := a.want(t, 200); again["duplicate"] != true {
			t.Errorf("%s: %v", headers, again)
		}
	}
	if got := r.next(t).header.Get("X-Try"); got != "1" {
		t.Errorf("got the headers of try %s", got)
	}
}

func TestHeadersOfLines(t *testing.T) {
	s := start(t)
	r := newReceiver(t, 200)
	s.subscribe(r.URL)
	answers := s.publishLines(`{"event_type":"a","payload":1,"headers":{"webhook-id":"x"}}` + "\n" + `{"event_type":"a","payload":2,"headers":{"X-N":"2"}}`)
	if first := answers[0]; fmt.Sprint(first["status"]) != "422" || first["field"] != "headers" {
		t.Errorf("a reserved one: got %v", first)
	}
	if a := r.next(t); string(a.body) != "2" || a.header.Get("X-N") != "2" {
		t.Errorf("got %s delivered with %v", a.body, a.header)
	}
}

// The most headers that are allowed fit into a body with the largest payload, however they
// are escaped.
func TestHeadersBesideTheLargestPayload(t *testing.T) {
	s := start(t, func(s *outbound.Settings) { s.MaxPayload = 1000 })
	publish := func(value string) answer {
		return s.post("/events", `{"event_type":"a","payload":"`+strings.Repeat("x", 998)+`","headers":{"X-Escaped":"`+value+`"}}`)
	}
	publish(strings.Repeat(`\u00fc`, 2000)).want(t, 202)
	publish(strings.Repeat(`\u00fc`, 2100)).refused(t, 422, "invalid_field").has(t, "field", "headers")
}
