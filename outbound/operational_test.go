package outbound_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// notification is an operational event as a receiver gets it.
type notification struct {
	Type      string
	Timestamp string
	Data      map[string]any
}

// nextNotification waits for the next request, which must be an operational event.
func (r *receiver) nextNotification(t *testing.T) notification {
	t.Helper()
	var v notification
	must.Do(t, json.Unmarshal(r.next(t).body, &v))
	return v
}

// subscribeFailing creates a subscription whose receiver answers every delivery with 400.
func (h *harness) subscribeFailing(tenant string, types ...string) *outbound.Subscription {
	h.t.Helper()
	r := newReceiver(h.t)
	r.respond(status(400))
	return h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: types, Tenant: tenant})
}

// A dead letter is published as an event to the subscriptions that name its type or a
// prefix, but not to those of all events, and reported to the observer.
func TestADeadLetterIsTold(t *testing.T) {
	h := open(t, retries())
	failing := h.subscribeFailing("", "*")
	ops, all := newReceiver(t), newReceiver(t)
	h.subscribe(outbound.SubscriptionSpec{URL: ops.URL, EventTypes: []string{"webhooks.*"}})
	h.subscribe(outbound.SubscriptionSpec{URL: all.URL, EventTypes: []string{"*"}})
	p := h.publish("order.created", `{}`)

	got := ops.nextNotification(t)
	if got.Type != outbound.DeliveryDead || got.Timestamp != "2026-03-01T12:00:00Z" {
		t.Errorf("got %+v, want %s at 2026-03-01T12:00:00Z", got, outbound.DeliveryDead)
	}
	for field, want := range map[string]any{
		"event_id": p.EventID, "event_type": "order.created", "subscription_id": failing.ID, "tenant": nil,
		"attempts": 1.0, "reason": "every attempt failed, the last one: the receiver answered 400 Bad Request",
	} {
		if got.Data[field] != want {
			t.Errorf("%s: got %v, want %v", field, got.Data[field], want)
		}
	}
	id, _ := got.Data["delivery_id"].(string)
	if d, err := h.Delivery(t.Context(), id); err != nil || d.State != store.Dead {
		t.Errorf("delivery %s: got %+v, %v, want a dead letter", id, d, err)
	}
	observed := must.Receive(t, h.dead, "the observer to hear of the dead letter")
	if observed.Type != got.Type || observed.Data["event_id"] != p.EventID {
		t.Errorf("observer: got %+v, want the same event", observed)
	}
	for range 3 { // the dead letter, the event of it to ops, and the event to all
		h.awaitAttempt()
	}
	if got := string(all.next(t).body); got != `{}` {
		t.Errorf("subscription to all events: got %s, want {}", got)
	}
	all.expectNone(t)
}

// buriedThen is an observer that calls then when deliveries have become dead letters.
type buriedThen struct {
	outbound.Observer
	then func()
}

func (o buriedThen) Buried(rs []*outbound.Record) {
	o.Observer.Buried(rs)
	o.then()
}

// The dead letter of a cancelled delivery is told of even if the caller is gone by then.
func TestADeadLetterIsToldWithoutItsCaller(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	h := open(t, retries(time.Hour), func(s *outbound.Settings) { s.Observer = buriedThen{s.Observer, leave} })
	h.subscribeFailing("", "order.*")
	ops := newReceiver(t)
	h.subscribe(outbound.SubscriptionSpec{URL: ops.URL, EventTypes: []string{"webhooks.*"}})
	h.publish("order.created", `{}`)
	must.Get(h.Cancel(ctx, h.awaitAttempt().Delivery.With(store.DeliveryPrefix)))(t)
	if got := ops.nextNotification(t); got.Type != outbound.DeliveryDead {
		t.Errorf("got %+v, want %s", got, outbound.DeliveryDead)
	}
}

// If the event about a dead letter becomes a dead letter itself, no event is published
// about that. Otherwise there would be no end to them.
func TestADeadLetterOfADeadLetterIsNotTold(t *testing.T) {
	h := open(t, retries())
	h.subscribeFailing("", "order.*", "webhooks.*")
	h.publish("order.created", `{}`)
	must.Receive(t, h.dead, "the dead letter")
	for range 2 {
		if a := h.awaitAttempt(); a.State != store.Dead {
			t.Fatalf("got state %v, want %v", a.State, store.Dead)
		}
	}
	if events, err := h.Events(t.Context(), outbound.Query{Limit: 10}); err != nil || len(events) != 2 {
		t.Errorf("got %d events, %v, want 2", len(events), err)
	}
	if len(h.dead) > 0 {
		t.Errorf("observer: got %d more dead letters, want 0", len(h.dead))
	}
}

// Operational events about a tenant's subscription go to that tenant's subscriptions and
// to those of no tenant, which get the events of all.
func TestTenantsAreToldOfTheirOwn(t *testing.T) {
	h := open(t, retries())
	mine, others, all := newReceiver(t), newReceiver(t), newReceiver(t)
	for tenant, r := range map[string]*receiver{"acme": mine, "other": others, "": all} {
		h.subscribe(outbound.SubscriptionSpec{URL: r.URL, Tenant: tenant, EventTypes: []string{"webhooks.subscription.*"}})
	}
	s := h.subscribeFailing("acme", "order.*")
	must.Get(h.Deactivate(t.Context(), s.ID, "by its owner"))(t)
	for _, r := range []*receiver{mine, all} {
		got := r.nextNotification(t)
		if got.Type != outbound.SubscriptionDeactivated || got.Data["subscription_id"] != s.ID || got.Data["tenant"] != "acme" || got.Data["reason"] != "by its owner" {
			t.Errorf("got %+v, want %s of %s", got, outbound.SubscriptionDeactivated, s.ID)
		}
	}
	must.Get(h.Activate(t.Context(), s.ID))(t)
	for _, r := range []*receiver{mine, all} {
		if got := r.nextNotification(t); got.Type != outbound.SubscriptionActivated {
			t.Errorf("got %+v, want %s", got, outbound.SubscriptionActivated)
		}
	}
	for range 4 {
		h.awaitAttempt()
	}
	others.expectNone(t)
}

// Filters apply to operational events too.
func TestOperationalEventsAreFiltered(t *testing.T) {
	h := open(t, retries())
	h.subscribeFailing("", "order.*")
	r := newReceiver(t)
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{outbound.DeliveryDead}, Filter: `payload.data.event_type == "order.paid"`})
	h.publish("order.created", `{}`)
	h.awaitAttempt()
	h.publish("order.paid", `{}`)
	if got := r.nextNotification(t); got.Data["event_type"] != "order.paid" {
		t.Errorf("got %+v, want the event about order.paid", got)
	}
	h.awaitAttempt()
	h.awaitAttempt()
	r.expectNone(t)
}

// Publishing under an event type of the engine's own is an error.
func TestOperationalTypesAreReserved(t *testing.T) {
	h := open(t)
	var invalid *outbound.Invalid
	if _, err := h.Publish(t.Context(), &outbound.NewEvent{Type: outbound.DeliveryDead}); !errors.As(err, &invalid) || invalid.Field != "event_type" {
		t.Errorf("got %v, want an Invalid error of event_type", err)
	}
	h.publish("webhooks", `{}`) // allowed, since only the prefix "webhooks." is reserved
	h.publish("webhooksx.y", `{}`)
}

// While the disk only has room for outcomes, dead letters are stored, but not the events
// about them, for which the lanes then keep no room. Once the disk has room, new ones are.
func TestAFullDiskKeepsDeadLetters(t *testing.T) {
	h, f := openFailing(t, retries())
	defer h.clock.run(t)()
	h.subscribeFailing("", "order.*")
	r := newReceiver(t)
	ops := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{outbound.DeliveryDead}, Ordered: true})
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
		t.Fatalf("got state %v, want %v", a.State, store.Dead)
	}
	must.Receive(t, h.dead, "the observer to hear of the dead letter")
	if !h.Full() {
		t.Error("Full: got false on a full disk, want true")
	}
	f.full.Store(false)
	must.Get(h.Deactivate(t.Context(), ops.ID, ""))(t) // so that its lane has to claim what comes
	h.publish("order.created", `{}`)
	if h.Full() {
		t.Error("Full: got true once the disk has room, want false")
	}
	h.awaitAttempt()
	must.Get(h.Activate(t.Context(), ops.ID))(t)
	if got := r.nextNotification(t); got.Data["event_type"] != "order.created" {
		t.Errorf("got %+v, want the event about order.created", got)
	}
	h.awaitAttempt()
	r.expectNone(t)
}

// An engine that starts on a full disk says so before it has refused an event.
func TestAFullDiskIsKnownAtTheStart(t *testing.T) {
	f := &failing{}
	f.full.Store(true)
	h := f.open(t)
	if !h.Full() {
		t.Error("Full: got false on a full disk, want true")
	}
	f.full.Store(false)
	h.publish("order.created", `{}`)
	if h.Full() {
		t.Error("Full: got true once the disk has room, want false")
	}
}

// A full disk is known to be full until an event has been stored: an outcome may have used
// the room that is kept for outcomes, and another error says nothing about room.
func TestAFullDiskIsFullUntilAnEventIsStored(t *testing.T) {
	h, f := openFailing(t)
	r := newReceiver(t)
	unblock := r.block(t, http.StatusOK)
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}})
	h.publish("a", `1`)
	r.next(t)
	f.full.Store(true)
	expect := func(after string, want error) {
		t.Helper()
		if _, err := h.Publish(t.Context(), &outbound.NewEvent{Type: "a", Payload: []byte("2")}); !errors.Is(err, want) {
			t.Errorf("after %s: Publish: got %v, want %v", after, err, want)
		}
		if full := h.Full(); full != (want != nil) {
			t.Errorf("after %s: Full: got %v, want %v", after, full, want != nil)
		}
	}
	expect("the disk filled up", outbound.ErrFull)
	unblock()
	if h.awaitAttempt(); !h.Full() {
		t.Error("after an outcome was stored: Full: got false, want true")
	}
	f.fail(store.ErrUnavailable)
	expect("another error", outbound.ErrUnavailable)
	f.fail(nil)
	f.full.Store(false)
	expect("there was room again", nil)
}

// If the store reports an error although it has stored a commit with operational events,
// these and later events are still delivered.
func TestOperationalEventsAreStoredAfterAnError(t *testing.T) {
	h, f := openFailing(t, retries())
	defer h.clock.run(t)()
	h.subscribeFailing("", "order.*")
	r := newReceiver(t)
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"webhooks.*"}})
	f.after.Store(true)
	h.publish("order.created", `{}`)
	if got := r.nextNotification(t); got.Data["event_type"] != "order.created" {
		t.Errorf("got %+v, want the event about order.created", got)
	}
	within(t, "another event", func() { h.publish("other", `{}`) })
}

// Removing a subscription from the configuration publishes its deactivation, and putting
// it back its activation.
func TestConfiguredSubscriptionsAreToldOf(t *testing.T) {
	h := open(t)
	configured := []outbound.SubscriptionSpec{{Name: "crm", URL: newReceiver(t).URL, EventTypes: []string{"order.*"}}}
	for _, c := range []struct {
		specs []outbound.SubscriptionSpec
		want  string
	}{{configured, ""}, {nil, outbound.SubscriptionDeactivated}, {configured, outbound.SubscriptionActivated}} {
		h.settings.Subscriptions = c.specs
		must.Do(t, h.Apply(t.Context(), h.settings))
		if c.want == "" {
			continue
		}
		if got := must.Receive(t, h.changes, c.want); got.Type != c.want || got.Data["subscription_id"] != "sub_crm" {
			t.Errorf("got %+v, want %s of sub_crm", got, c.want)
		}
	}
	if len(h.changes) > 0 {
		t.Errorf("got %d more events, want 0", len(h.changes))
	}
}

// A schema takes effect once it is stored, even if the request that stored it is
// cancelled just then.
func TestSchemaHoldsOnceItIsStored(t *testing.T) {
	h, f := openFailing(t)
	ctx, cancel := context.WithCancel(t.Context())
	f.cancel = cancel
	must.Get(h.PutEventType(ctx, outbound.EventType{Name: "order.created", Schema: []byte(`{"type":"object"}`)}))(t)
	var invalid *outbound.Invalid
	if _, err := h.Publish(t.Context(), &outbound.NewEvent{Type: "order.created", Payload: []byte("7")}); !errors.As(err, &invalid) {
		t.Errorf("Publish against the schema: got %v, want an Invalid error", err)
	}
	if _, err := h.PutEventType(t.Context(), outbound.EventType{Name: outbound.DeliveryDead}); !errors.As(err, &invalid) {
		t.Errorf("PutEventType of the engine's own type: got %v, want an Invalid error", err)
	}
}
