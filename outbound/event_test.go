package outbound_test

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// PublishAll answers each event on its own, and keeps their order.
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
			t.Errorf("event %d: got %v, want an error for event 7 only", i, a.Err)
		}
	}
	for i := range events {
		if i == 7 {
			continue
		}
		if got := string(r.next(t).body); got != fmt.Sprint(i) {
			t.Fatalf("got payload %s, want %d", got, i)
		}
		h.awaitAttempt()
	}
}

// Events with the same id in one call are duplicates, or errors if they differ.
func TestOneIDTwiceInOneBatch(t *testing.T) {
	h := open(t)
	same := func(payload string) *outbound.NewEvent {
		return &outbound.NewEvent{ID: "one", Type: "a", Payload: []byte(payload)}
	}
	a := h.PublishAll(t.Context(), []*outbound.NewEvent{same("1"), same("1"), same("2")})
	var reused *outbound.Reused
	if a[0].Err != nil || a[0].Duplicate || a[1].Err != nil || !a[1].Duplicate || !errors.As(a[2].Err, &reused) {
		t.Errorf("got %+v, want accepted, a duplicate, and a Reused error", a)
	}
}

// A test event only goes to the subscription that it is for, although that doesn't match
// its type. Its payload is the given one, the example of its type's schema, or the default.
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
		t.Fatalf("Test: got %+v, %v, want %s to %s", rec, err, outbound.TestEventType, s.ID)
	}
	a := r.next(t)
	if a.path != "/one" || !strings.Contains(string(a.body), s.ID) {
		t.Errorf("got %s at %s, want the id %s in it at /one", a.body, a.path, s.ID)
	}
	check(t, h, a, s.Secrets[0].Value)
	if d := h.awaitAttempt(); d.Delivery != rec.ID || d.State != store.Delivered {
		t.Errorf("got %+v, want %v delivered", d, rec.ID)
	}
	r.expectNone(t)

	for name, c := range map[string]struct{ eventType, payload, want string }{
		"a payload":               {"order.sent", `[1,  2]`, `[1,  2]`},
		"a payload alone":         {"", `null`, `null`},
		"the schema's example":    {"order.paid", "", `{"id":  7}`},
		"neither":                 {"order.sent", "", "payload is missing"},
		"what breaks its schema":  {"order.paid", `{"id": "x"}`, "/id must be an integer"},
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
				t.Errorf("%s: got %v, want %q", name, err, c.want)
			}
			continue
		}
		if a := r.next(t); string(a.body) != c.want || rec.EventType != cmp.Or(c.eventType, outbound.TestEventType) {
			t.Errorf("%s: got %s of type %s, want %s", name, a.body, rec.EventType, c.want)
		}
		h.awaitAttempt()
	}

	must.Get(h.Deactivate(t.Context(), s.ID, "for the test"))(t)
	if _, err := h.Test(t.Context(), s.ID, &outbound.NewEvent{}); !errors.Is(err, outbound.ErrConflict) {
		t.Errorf("inactive subscription: got %v, want %v", err, outbound.ErrConflict)
	}
	if _, err := h.Test(t.Context(), "sub_none", &outbound.NewEvent{}); !errors.Is(err, outbound.ErrNotFound) {
		t.Errorf("unknown subscription: got %v, want %v", err, outbound.ErrNotFound)
	}
}

// Event types can be put and deleted, except those of the configuration.
func TestCatalogue(t *testing.T) {
	h := open(t, func(s *outbound.Settings) {
		s.EventTypes = []outbound.EventType{{Name: "order.created", Description: "configured"}}
	})
	put := func(name string) (bool, error) {
		return h.PutEventType(t.Context(), outbound.EventType{Name: name, Description: "by hand"})
	}
	if added, err := put("order.paid"); err != nil || !added {
		t.Errorf("new: got %v, %v, want true", added, err)
	}
	if added, err := put("order.paid"); err != nil || added {
		t.Errorf("again: got %v, %v, want false", added, err)
	}
	if _, err := put("order.created"); !errors.Is(err, outbound.ErrConflict) {
		t.Errorf("a configured one: got %v, want %v", err, outbound.ErrConflict)
	}
	var invalid *outbound.Invalid
	if _, err := put("order.*"); !errors.As(err, &invalid) {
		t.Errorf("a pattern: got %v, want an Invalid error", err)
	}
	if err := h.DeleteEventType(t.Context(), "order.created"); !errors.Is(err, outbound.ErrConflict) {
		t.Errorf("deleting a configured one: got %v, want %v", err, outbound.ErrConflict)
	}
	if err := h.DeleteEventType(t.Context(), "order.paid"); err != nil {
		t.Error(err)
	}
	if err := h.DeleteEventType(t.Context(), "order.paid"); !errors.Is(err, outbound.ErrNotFound) {
		t.Errorf("deleting it again: got %v, want %v", err, outbound.ErrNotFound)
	}
	if all, err := h.EventTypes(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("EventTypes: got %v, %v, want the configured one", all, err)
	}
}

// An event's content type is UTF-8 of 256 bytes at most.
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
			t.Errorf("%s: got %v, want it accepted: %v", name, err, c.ok)
		}
	}
}
