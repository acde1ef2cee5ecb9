package outbound_test

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

func TestPublishAllKeepsTheOrder(t *testing.T) {
	h := open(t)
	r := newReceiver(t)
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}, Ordered: true})
	var events []*outbound.NewEvent
	for i := range 100 {
		events = append(events, &outbound.NewEvent{Type: "a", Payload: fmt.Append(nil, i)})
	}
	events[7].Type = "not a type"
	answers := h.PublishAll(t.Context(), events)
	for i, a := range answers {
		if (a.Err != nil) != (i == 7) {
			t.Errorf("event %d: %v", i, a.Err)
		}
	}
	for i := range events {
		if i == 7 {
			continue
		}
		if got := string(r.next(t).body); got != fmt.Sprint(i) {
			t.Fatalf("delivery %d has payload %s", i, got)
		}
		h.awaitAttempt()
	}
}

func TestOneIDTwiceInOneBatch(t *testing.T) {
	h := open(t)
	same := func(payload string) *outbound.NewEvent {
		return &outbound.NewEvent{ID: "one", Type: "a", Payload: []byte(payload)}
	}
	a := h.PublishAll(t.Context(), []*outbound.NewEvent{same("1"), same("1"), same("2")})
	var reused *outbound.Reused
	if a[0].Err != nil || a[0].Duplicate || a[1].Err != nil || !a[1].Duplicate || !errors.As(a[2].Err, &reused) {
		t.Errorf("%+v", a)
	}
}

func TestTestGoesToOneSubscription(t *testing.T) {
	h := open(t, func(s *outbound.Settings) {
		s.MaxPayload = 500
		s.EventTypes = []outbound.EventType{{Name: "order.paid", Schema: []byte(`{"properties": {"id": {"type": "integer"}}, "examples": [{"id":  7}, 1]}`)}}
	})
	r := newReceiver(t)
	s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL + "/one", EventTypes: []string{"order.created"}})
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL + "/other", EventTypes: []string{"*"}})
	rec, err := h.Test(t.Context(), s.ID, &outbound.NewEvent{})
	if err != nil || rec.EventType != outbound.TestEventType || rec.SubscriptionID != s.ID {
		t.Fatalf("%+v, %v", rec, err)
	}
	a := r.next(t)
	if a.path != "/one" || !strings.Contains(string(a.body), s.ID) {
		t.Errorf("%s got %s", a.path, a.body)
	}
	check(t, h, a, s.Secrets[0].Value)
	if d := h.awaitAttempt(); d.Delivery != rec.ID || d.State != store.Delivered {
		t.Errorf("%+v", d)
	}
	r.expectNone(t)

	for name, c := range map[string]struct{ eventType, payload, want string }{
		"a payload":               {"order.sent", `[1,  2]`, `[1,  2]`},
		"a payload alone":         {"", `null`, `null`},
		"the schema's example":    {"order.paid", "", `{"id":  7}`},
		"neither":                 {"order.sent", "", "payload is missing"},
		"what breaks its schema":  {"order.paid", `{"id": "x"}`, "/id must be integer"},
		"the server's own type":   {outbound.DeliveryDead, `{}`, "is reserved"},
		"a payload that's larger": {"order.sent", `"` + strings.Repeat("x", 1000) + `"`, "over the limit"},
	} {
		payload := []byte(c.payload)
		if c.payload == "" {
			payload = nil
		}
		rec, err := h.Test(t.Context(), s.ID, &outbound.NewEvent{Type: c.eventType, Payload: payload})
		if err != nil {
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if a := r.next(t); string(a.body) != c.want || rec.EventType != cmp.Or(c.eventType, outbound.TestEventType) {
			t.Errorf("%s: of type %s came %s", name, rec.EventType, a.body)
		}
		h.awaitAttempt()
	}

	if _, err := h.Deactivate(t.Context(), s.ID, "for the test"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Test(t.Context(), s.ID, &outbound.NewEvent{}); !errors.Is(err, outbound.ErrConflict) {
		t.Errorf("while it is inactive: %v", err)
	}
	if _, err := h.Test(t.Context(), "sub_none", &outbound.NewEvent{}); !errors.Is(err, outbound.ErrNotFound) {
		t.Errorf("without a subscription: %v", err)
	}
}

func TestCatalogue(t *testing.T) {
	h := open(t, func(s *outbound.Settings) {
		s.EventTypes = []outbound.EventType{{Name: "order.created", Description: "configured"}}
	})
	put := func(name string) (bool, error) {
		return h.PutEventType(t.Context(), outbound.EventType{Name: name, Description: "by hand"})
	}
	if added, err := put("order.paid"); err != nil || !added {
		t.Errorf("new: %v, %v", added, err)
	}
	if added, err := put("order.paid"); err != nil || added {
		t.Errorf("again: %v, %v", added, err)
	}
	if _, err := put("order.created"); !errors.Is(err, outbound.ErrConflict) {
		t.Errorf("one of the configuration: %v", err)
	}
	var invalid *outbound.Invalid
	if _, err := put("order.*"); !errors.As(err, &invalid) {
		t.Errorf("a pattern: %v", err)
	}
	if err := h.DeleteEventType(t.Context(), "order.created"); !errors.Is(err, outbound.ErrConflict) {
		t.Errorf("deleting one of the configuration: %v", err)
	}
	if err := h.DeleteEventType(t.Context(), "order.paid"); err != nil {
		t.Error(err)
	}
	if err := h.DeleteEventType(t.Context(), "order.paid"); !errors.Is(err, outbound.ErrNotFound) {
		t.Errorf("deleting it again: %v", err)
	}
	if all, err := h.EventTypes(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("left: %v, %v", all, err)
	}
}

func TestContentTypesAreBounded(t *testing.T) {
	h := open(t)
	for name, c := range map[string]struct {
		contentType string
		ok          bool
	}{
		"the longest": {strings.Repeat("a", 256), true},
		"too long":    {strings.Repeat("a", 257), false},
		"not UTF-8":   {"text/\xff", false},
	} {
		_, err := h.Publish(t.Context(), &outbound.NewEvent{Type: "a", Payload: []byte("1"), ContentType: c.contentType})
		if _, invalid := errors.AsType[*outbound.Invalid](err); invalid == c.ok || c.ok && err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
