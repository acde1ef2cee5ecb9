package outbound_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// told is an operational event as a receiver gets it.
type told struct {
	Type      string
	Timestamp string
	Data      map[string]any
}

func (r *receiver) told(t *testing.T) told {
	t.Helper()
	var v told
	if err := json.Unmarshal(r.next(t).body, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// refusesAll is a subscription whose deliveries die at once.
func (h *harness) refusesAll(tenant string, types ...string) *outbound.Subscription {
	h.t.Helper()
	r := newReceiver(h.t)
	r.respond(status(400))
	return h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: types, Tenant: tenant})
}

func TestADeadLetterIsTold(t *testing.T) {
	h := open(t, retries())
	failing := h.refusesAll("", "*")
	ops, all := newReceiver(t), newReceiver(t)
	h.subscribe(outbound.SubscriptionSpec{URL: ops.URL, EventTypes: []string{"webhooks.*"}})
	h.subscribe(outbound.SubscriptionSpec{URL: all.URL, EventTypes: []string{"*"}})
	p := h.publish("order.created", `{}`)

	got := ops.told(t)
	if got.Type != outbound.DeliveryDead || got.Timestamp != "2026-03-01T12:00:00Z" {
		t.Errorf("%+v", got)
	}
	for field, want := range map[string]any{
		"event_id": p.EventID, "event_type": "order.created", "subscription_id": failing.ID, "tenant": nil,
		"attempts": 1.0, "reason": "every attempt failed, the last one: the receiver answered 400 Bad Request",
	} {
		if got.Data[field] != want {
			t.Errorf("%s is %v, want %v", field, got.Data[field], want)
		}
	}
	id, _ := got.Data["delivery_id"].(string)
	if d, err := h.Delivery(t.Context(), id); err != nil || d.State != store.Dead {
		t.Errorf("the delivery that it tells of: %+v, %v", d, err)
	}
	observed := receive(t, h.dead, "the observer's word")
	if observed.Type != got.Type || observed.Data["event_id"] != p.EventID {
		t.Errorf("the observer is told %+v", observed)
	}
	for range 3 { // the one that died, and the two that are told
		h.awaitAttempt()
	}
	if got := string(all.next(t).body); got != `{}` {
		t.Errorf("a subscription to everything got %s", got)
	}
	all.expectNone(t)
}

// What is published of dead letters brings forth no more of it when it dies.
func TestADeadLetterOfADeadLetterIsNotTold(t *testing.T) {
	h := open(t, retries())
	h.refusesAll("", "order.*", "webhooks.*")
	h.publish("order.created", `{}`)
	receive(t, h.dead, "the dead letter")
	for range 2 {
		if a := h.awaitAttempt(); a.State != store.Dead {
			t.Fatalf("%+v", a.State)
		}
	}
	if events, err := h.Events(t.Context(), outbound.Query{Limit: 10}); err != nil || len(events) != 2 {
		t.Errorf("%d events, %v", len(events), err)
	}
	if len(h.dead) > 0 {
		t.Error("the observer is told of the second one")
	}
}

// A tenant is told of its own, and whoever belongs to none of all.
func TestTenantsAreToldOfTheirOwn(t *testing.T) {
	h := open(t, retries())
	mine, others, all := newReceiver(t), newReceiver(t), newReceiver(t)
	for tenant, r := range map[string]*receiver{"acme": mine, "other": others, "": all} {
		h.subscribe(outbound.SubscriptionSpec{URL: r.URL, Tenant: tenant, EventTypes: []string{"webhooks.subscription.*"}})
	}
	s := h.refusesAll("acme", "order.*")
	if _, err := h.Deactivate(t.Context(), s.ID, "by its owner"); err != nil {
		t.Fatal(err)
	}
	for _, r := range []*receiver{mine, all} {
		got := r.told(t)
		if got.Type != outbound.SubscriptionDeactivated || got.Data["subscription_id"] != s.ID || got.Data["tenant"] != "acme" || got.Data["reason"] != "by its owner" {
			t.Errorf("%+v", got)
		}
	}
	if _, err := h.Activate(t.Context(), s.ID); err != nil {
		t.Fatal(err)
	}
	for _, r := range []*receiver{mine, all} {
		if got := r.told(t); got.Type != outbound.SubscriptionActivated {
			t.Errorf("%+v", got)
		}
	}
	for range 4 {
		h.awaitAttempt()
	}
	others.expectNone(t)
}

func TestOperationalEventsAreFiltered(t *testing.T) {
	h := open(t, retries())
	h.refusesAll("", "order.*")
	r := newReceiver(t)
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{outbound.DeliveryDead}, Filter: `payload.data.event_type == "order.paid"`})
	h.publish("order.created", `{}`)
	h.awaitAttempt()
	h.publish("order.paid", `{}`)
	if got := r.told(t); got.Data["event_type"] != "order.paid" {
		t.Errorf("%+v", got)
	}
	h.awaitAttempt()
	h.awaitAttempt()
	r.expectNone(t)
}

func TestOperationalTypesAreReserved(t *testing.T) {
	h := open(t)
	var invalid *outbound.Invalid
	if _, err := h.Publish(t.Context(), &outbound.NewEvent{Type: outbound.DeliveryDead}); !errors.As(err, &invalid) || invalid.Field != "event_type" {
		t.Errorf("%v", err)
	}
	h.publish("webhooks", `{}`) // which begins none of them
	h.publish("webhooksx.y", `{}`)
}

// A disk that has room for outcomes only keeps dead letters, but not the events
// that tell of them, until it has room again.
func TestAFullDiskKeepsDeadLetters(t *testing.T) {
	h, f := openFailing(t, retries())
	defer h.clock.run(t)()
	h.refusesAll("", "order.*")
	r := newReceiver(t)
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"webhooks.*"}})
	answer := make(chan struct{})
	slow := newReceiver(t)
	slow.respond(func(w http.ResponseWriter, _ *http.Request) {
		<-answer
		w.WriteHeader(http.StatusBadRequest)
	})
	h.subscribe(outbound.SubscriptionSpec{URL: slow.URL, EventTypes: []string{"invoice.*"}})
	h.publish("invoice.paid", `{}`)
	slow.next(t)
	f.full.Store(true)
	close(answer)
	if a := h.awaitAttempt(); a.State != store.Dead {
		t.Fatalf("%+v", a.State)
	}
	receive(t, h.dead, "the observer's word")
	if !h.Full() {
		t.Error("it doesn't know that the disk is full")
	}
	f.full.Store(false)
	h.publish("order.created", `{}`)
	if h.Full() {
		t.Error("the disk is full still")
	}
	if got := r.told(t); got.Data["event_type"] != "order.created" {
		t.Errorf("%+v", got)
	}
	h.awaitAttempt()
	h.awaitAttempt()
	r.expectNone(t)
}

// An error that comes after all is stored doesn't keep anything from being stored
// from then on.
func TestNewsAreStoredAgainAfterAnError(t *testing.T) {
	h, f := openFailing(t, retries())
	defer h.clock.run(t)()
	h.refusesAll("", "order.*")
	r := newReceiver(t)
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"webhooks.*"}})
	f.after.Store(true)
	h.publish("order.created", `{}`)
	if got := r.told(t); got.Data["event_type"] != "order.created" {
		t.Errorf("%+v", got)
	}
	within(t, "another event", func() { h.publish("other", `{}`) })
}

// One that comes back into the configuration is told of as its removal was.
func TestConfiguredSubscriptionsAreToldOf(t *testing.T) {
	h := open(t)
	there := []outbound.SubscriptionSpec{{Name: "crm", URL: newReceiver(t).URL, EventTypes: []string{"order.*"}}}
	for _, c := range []struct {
		specs []outbound.SubscriptionSpec
		want  string
	}{{there, ""}, {nil, outbound.SubscriptionDeactivated}, {there, outbound.SubscriptionActivated}} {
		h.settings.Subscriptions = c.specs
		if err := h.Apply(t.Context(), h.settings); err != nil {
			t.Fatal(err)
		}
		if c.want == "" {
			continue
		}
		if got := receive(t, h.changes, c.want); got.Type != c.want || got.Data["subscription_id"] != "sub_crm" {
			t.Errorf("told %+v, want %s", got, c.want)
		}
	}
	if len(h.changes) > 0 {
		t.Error("more is told")
	}
}

// What the store has is what holds, also when whoever stored it is gone.
func TestSchemaHoldsOnceItIsStored(t *testing.T) {
	h, f := openFailing(t)
	ctx, cancel := context.WithCancel(t.Context())
	f.cancel = cancel
	if _, err := h.PutEventType(ctx, outbound.EventType{Name: "order.created", Schema: []byte(`{"type":"object"}`)}); err != nil {
		t.Fatal(err)
	}
	var invalid *outbound.Invalid
	if _, err := h.Publish(t.Context(), &outbound.NewEvent{Type: "order.created", Payload: []byte("7")}); !errors.As(err, &invalid) {
		t.Errorf("%v", err)
	}
	if _, err := h.PutEventType(t.Context(), outbound.EventType{Name: outbound.DeliveryDead}); !errors.As(err, &invalid) {
		t.Errorf("a type of the engine's own: %v", err)
	}
}
