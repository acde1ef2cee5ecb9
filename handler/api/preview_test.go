package api_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

// A preview says whether a subscription would get an event, and shows what it would be
// sent, without the signature. Nothing is stored or sent.
func TestPreview(t *testing.T) {
	s := start(t)
	r := newReceiver(t, 200)
	id := s.post("/subscriptions", `{"url":"`+r.URL+`","event_types":["order.*"],"headers":{"X-Env":"production"},
		"filter":"payload.total > 100 && headers['x-shop'] == 'a'","transform":"{'text': event_type + string(payload.total)}"}`).want(t, 201).text("subscription_id")
	preview := func(body string) object {
		t.Helper()
		return s.post("/subscriptions/"+id+"/preview", body).want(t, 200)
	}
	const headers = `,"headers":{"X-Shop":"a"}`
	got := preview(`{"event_type":"order.created","payload":{"total":101}` + headers + `}`)
	sent := got["headers"].(map[string]any)
	if id := fmt.Sprint(sent["Webhook-Id"]); !strings.HasPrefix(id, "evt_") {
		t.Errorf("got Webhook-Id %s, want the id of an event", id)
	}
	for name, want := range map[string]any{"Webhook-Signature": "[signature]", "X-Env": "production", "X-Shop": "a", "Content-Type": "application/json", "Authorization": nil} {
		if sent[name] != want {
			t.Errorf("got header %s: %v, want %v", name, sent[name], want)
		}
	}
	if fmt.Sprint(got["payload"]) != "map[text:order.created101]" || got["error_message"] != nil {
		t.Errorf("got %v, want the value of the transform and no error", got)
	}
	for name, tt := range map[string]struct{ body, selected, ofType, wanted, filterError, err string }{
		"selected":                {`{"event_type":"order.created","payload":{"total":101}` + headers + `}`, "true", "true", "true", "<nil>", "<nil>"},
		"another type":            {`{"event_type":"user.created","payload":{"total":101}` + headers + `}`, "false", "false", "true", "<nil>", "<nil>"},
		"left out by filter":      {`{"event_type":"order.created","payload":{"total":100}` + headers + `}`, "false", "true", "false", "<nil>", "<nil>"},
		"without the header":      {`{"event_type":"order.created","payload":{"total":101}}`, "false", "true", "false", "<nil>", "<nil>"},
		"a value of another type": {`{"event_type":"order.created","payload":{"total":"secret"}` + headers + `}`, "false", "true", "false", "a value has a different type", "<nil>"},
		"no transform":            {`{"event_type":"order.created","payload":{}}`, "false", "true", "false", "<nil>", "the transform can't be used"},
	} {
		t.Run(name, func(t *testing.T) {
			a := preview(tt.body)
			for field, want := range map[string]string{"selected": tt.selected, "matches_event_types": tt.ofType, "matches_filter": tt.wanted, "filter_error": tt.filterError} {
				if got := fmt.Sprint(a[field]); !strings.HasPrefix(got, want) {
					t.Errorf("got %s %s, want %s", field, got, want)
				}
			}
			_, sends := a["payload"]
			if got := fmt.Sprint(a["error_message"]); (got == "<nil>") != (tt.err == "<nil>") || sends != (tt.err == "<nil>") || tt.err != "<nil>" && !strings.Contains(got, "transform can't be used") {
				t.Errorf("got error_message %s and a payload: %t; want %s", got, sends, tt.err)
			}
			if tt.filterError != "<nil>" && strings.Contains(fmt.Sprint(a["filter_error"]), "secret") {
				t.Errorf("got %s, want nothing of the payload", a["filter_error"])
			}
		})
	}
	if n := len(s.get("/events").want(t, 200).rows()); n != 0 {
		t.Errorf("got %d events, want none: a preview stores nothing", n)
	}
}

// A preview is refused where publishing would be, and shows neither secrets nor tokens.
func TestPreviewIsBoundAsPublishingIs(t *testing.T) {
	s := start(t)
	s.do(call{method: "PUT", path: "/event-types/order.created", body: `{"schema":{"required":["total"],"examples":[{"total":7}]}}`}).want(t, 201)
	sub := s.post("/subscriptions", `{"url":"https://example.com/","event_types":["*"],"scheme":"stripe",
		"oauth2":{"token_url":"https://example.com/token","client_id":"me","client_secret":"hush-hush"}}`).want(t, 201)
	path := "/subscriptions/" + sub.text("subscription_id") + "/preview"
	got := s.post(path, `{"event_type":"order.created"}`).want(t, 200)
	sent := got["headers"].(map[string]any)
	if sent["Stripe-Signature"] != "[signature]" || sent["Authorization"] != "[access token]" || got["matches_filter"] != nil || fmt.Sprint(got["payload"]) != "map[total:7]" {
		t.Errorf("got %v, want the example, and neither a signature nor a token", got)
	}
	for _, secret := range []string{"hush-hush", sub.text("secret")} {
		if strings.Contains(fmt.Sprint(got), secret) {
			t.Errorf("got %v, want no secret in it", got)
		}
	}
	s.post(path, `{"event_type":"order.created","payload":{}}`).refused(t, 422, "invalid_field")
	s.post(path, `{"event_type":"webhooks.delivery.dead","payload":{}}`).refused(t, 422, "invalid_field")
	s.post(path, `{"event_type":"a","payload":{},"headers":{"Webhook-Id":"x"}}`).refused(t, 422, "invalid_field")
	s.post(path, `{"event_type":"a","payload":"`+strings.Repeat("x", 1<<20)+`"}`).refused(t, 413, "too_large")
	s.do(call{method: "POST", path: path, token: readToken, body: `{}`}).refused(t, 403, "insufficient_scope")
}

// What is sent to one subscription may be as large as a published event, and no larger.
func TestSizeOfSampleEvents(t *testing.T) {
	s := start(t, func(s *outbound.Settings) { s.MaxPayload = 400_000 })
	path := "/subscriptions/" + s.subscribe(newReceiver(t, 200).URL).text("subscription_id")
	event := func(size int) string {
		return `{"event_type":"a","payload":"` + strings.Repeat("x", size-2) + `"}`
	}
	for action, status := range map[string]int{"/preview": 200, "/test": 202} {
		s.post(path+action, event(400_000)).want(t, status)
		s.post(path+action, event(400_001)).refused(t, 413, "too_large").has(t, "field", "payload")
		s.post(path+action, "").want(t, status)
	}
}
