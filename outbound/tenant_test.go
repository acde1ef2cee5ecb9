package outbound_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/postgres/pgtest"
)

// publishOf publishes an event of a tenant.
func (h *harness) publishOf(tenant, eventType string) {
	h.t.Helper()
	must.Get(h.Publish(h.t.Context(), &outbound.NewEvent{Tenant: tenant, Type: eventType, ID: strings.ReplaceAll(eventType, ".", "-"), Payload: []byte(`{}`)}))(h.t)
}

// typesOf returns the types of a tenant's events, of all events for "".
func (h *harness) typesOf(tenant string) (types []string) {
	h.t.Helper()
	events := must.Get(h.Events(h.t.Context(), outbound.Query{Tenant: tenant, After: 1}))(h.t)
	for _, e := range events {
		types = append(types, e.Type)
	}
	return types
}

// deleteTenant deletes a tenant in the background.
func (h *harness) deleteTenant(tenant string) (done <-chan outbound.DeletedTenant) {
	c := make(chan outbound.DeletedTenant, 1)
	go func() {
		d, err := h.DeleteTenant(h.t.Context(), tenant)
		if err != nil {
			h.t.Error(err)
		}
		c <- d
	}()
	return c
}

// removePollInterval is how often DeleteTenant looks whether attempts have ended.
const removePollInterval = 100 * time.Millisecond

// Deleting a tenant removes its subscriptions, deliveries and events, also the
// operational ones about it that others got, and nothing else. Its event ids can be used
// again.
func TestDeleteTenant(t *testing.T) {
	h := open(t, retries())
	r := newReceiver(t)
	operator := h.subscribe(outbound.SubscriptionSpec{URL: r.URL + "/operator", EventTypes: []string{"webhooks.*", "*"}})
	rival := h.subscribe(outbound.SubscriptionSpec{URL: r.URL + "/rival", EventTypes: []string{"*"}, Tenant: "rival"})
	one := h.subscribe(outbound.SubscriptionSpec{URL: r.URL + "/one", EventTypes: []string{"*"}, Tenant: "acme"})
	two := h.subscribe(outbound.SubscriptionSpec{URL: r.URL + "/two", EventTypes: []string{"a.*"}, Tenant: "acme"})
	r.respond(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/two" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	for _, tenant := range []string{"acme", "rival", ""} {
		h.publishOf(tenant, "a.sent") // acme's becomes a dead letter, and so an operational event
	}
	for range 5 {
		h.awaitAttempt()
	}
	must.Get(h.Deactivate(t.Context(), two.ID, "for the test"))(t) // also an operational event
	h.publishOf("acme", "a.held")
	for range 2 {
		h.awaitAttemptEnd()
	}

	if _, err := h.DeleteTenant(t.Context(), ""); err == nil {
		t.Error("DeleteTenant of no tenant: got no error")
	}
	d, err := h.DeleteTenant(t.Context(), "acme")
	if err != nil || d != (outbound.DeletedTenant{Subscriptions: 2, Events: 4}) {
		t.Fatalf("DeleteTenant: got %+v, %v, want 2 subscriptions and 4 events", d, err)
	}
	for _, q := range []outbound.Query{{Tenant: "acme"}, {Subscription: one.ID}, {Subscription: two.ID}} {
		if got, err := h.Deliveries(t.Context(), q); err != nil || len(got) > 0 {
			t.Errorf("Deliveries of %+v: got %v, %v, want none", q, got, err)
		}
	}
	if types := h.typesOf(""); !slices.Equal(types, []string{"a.sent", "a.sent"}) {
		t.Errorf("got events %v, want a.sent of the two others", types)
	}
	if subs := h.Subscriptions("", 0, 9); len(subs) != 2 || subs[0].ID != operator.ID || subs[1].ID != rival.ID {
		t.Errorf("got subscriptions %v, want %s and %s", subs, operator.ID, rival.ID)
	}
	if s, err := h.Status(t.Context()); err != nil || s.Store.Pending+s.Store.Dead != 0 {
		t.Errorf("Status: got %+v, %v, want nothing pending or dead", s.Store, err)
	}
	if d, err := h.DeleteTenant(t.Context(), "acme"); err != nil || d != (outbound.DeletedTenant{}) {
		t.Errorf("DeleteTenant again: got %+v, %v, want nothing deleted", d, err)
	}
	h.restart()
	h.publishOf("acme", "a.sent") // its id is free, and no subscription matches
	if types := h.typesOf("acme"); !slices.Equal(types, []string{"a.sent"}) {
		t.Errorf("got events %v, want the new a.sent", types)
	}
	if got, err := h.Deliveries(t.Context(), outbound.Query{Tenant: "acme"}); err != nil || len(got) > 0 {
		t.Errorf("Deliveries: got %v, %v, want none", got, err)
	}
}

// Nothing can be stored for a tenant that no path can name, and so nobody could delete.
func TestTenantsThatNoPathCanName(t *testing.T) {
	h := open(t)
	for tenant, ok := range map[string]bool{".": false, "..": false, "...": true, ".a": true} {
		_, created := h.CreateSubscription(t.Context(), outbound.SubscriptionSpec{URL: "http://127.0.0.1:9/", EventTypes: []string{"b"}, Tenant: tenant})
		_, published := h.Publish(t.Context(), &outbound.NewEvent{Type: "a", Payload: []byte("1"), Tenant: tenant})
		for what, err := range map[string]error{"subscription": created, "event": published} {
			if _, invalid := errors.AsType[*outbound.Invalid](err); invalid == ok || ok && err != nil {
				t.Errorf("%s of %s: got %v, want it accepted: %v", what, tenant, err, ok)
			}
		}
	}
}

// A tenant with a subscription in the configuration can't be deleted, and nothing of it
// is, until the subscription is removed there.
func TestDeleteTenantOfTheConfiguration(t *testing.T) {
	h := open(t)
	other := h.subscribe(outbound.SubscriptionSpec{URL: "http://127.0.0.1:9/", EventTypes: []string{"a"}, Tenant: "acme"})
	configured := func(subscriptions ...outbound.SubscriptionSpec) {
		t.Helper()
		h.settings.Subscriptions = subscriptions
		must.Do(t, h.Apply(t.Context(), h.settings))
	}
	configured(outbound.SubscriptionSpec{Name: "crm", URL: "http://127.0.0.1:9/", EventTypes: []string{"*"}, Tenant: "acme"})
	h.publishOf("acme", "b")
	h.awaitAttemptEnd()
	d, err := h.DeleteTenant(t.Context(), "acme")
	if !errors.Is(err, outbound.ErrConflict) || !strings.Contains(err.Error(), "sub_crm") || d != (outbound.DeletedTenant{}) {
		t.Errorf("DeleteTenant: got %+v, %v, want a conflict that names sub_crm", d, err)
	}
	if _, err := h.Subscription(other.ID); err != nil || len(h.typesOf("acme")) != 1 {
		t.Errorf("after the conflict: got error %v and %d events, want none and 1", err, len(h.typesOf("acme")))
	}
	configured()
	if d, err := h.DeleteTenant(t.Context(), "acme"); err != nil || d.Subscriptions != 2 {
		t.Errorf("once it isn't configured: got %+v, %v, want 2 subscriptions deleted", d, err)
	}
}

// Deleting a tenant waits for its attempts in flight, and also removes the operational
// events that they cause.
func TestDeleteTenantWaitsForAttempts(t *testing.T) {
	h := open(t, retries())
	r, operator := newReceiver(t), newReceiver(t)
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}, Tenant: "acme"})
	h.subscribe(outbound.SubscriptionSpec{URL: operator.URL, EventTypes: []string{"webhooks.*"}})
	unblock := r.block(t, http.StatusInternalServerError)
	h.publishOf("acme", "a")
	r.next(t)
	done := h.deleteTenant("acme")
	must.Eventually(t, "the deletion to wait", func() bool { return h.clock.hasTimer(removePollInterval) })
	if types := h.typesOf("acme"); len(types) != 1 {
		t.Errorf("during the attempt: got events %v, want 1", types)
	}
	unblock()
	if d := h.awaitAttempt(); d.State != store.Dead {
		t.Errorf("got state %v, want %v", d.State, store.Dead)
	}
	h.awaitAttempt() // the operational event to the operator
	h.clock.advance(removePollInterval)
	if d := must.Receive(t, done, "the end of the deletion"); d != (outbound.DeletedTenant{Subscriptions: 1, Events: 2}) {
		t.Errorf("got %+v, want 1 subscription and 2 events", d)
	}
	if types := h.typesOf("acme"); len(types) > 0 {
		t.Errorf("got events %v, want none", types)
	}
}

// notify makes the engine publish an operational event about each of the tenants to the
// operator, who gets the first before the others are published.
func (h *harness) notify(operator *receiver, ordered bool, tenants ...string) {
	h.t.Helper()
	h.subscribe(outbound.SubscriptionSpec{URL: operator.URL, EventTypes: []string{"webhooks.*"}, Ordered: ordered})
	for i, tenant := range tenants {
		s := h.subscribe(outbound.SubscriptionSpec{URL: operator.URL, EventTypes: []string{"*"}, Tenant: tenant})
		must.Get(h.Deactivate(h.t.Context(), s.ID, "for the test"))(h.t)
		if i == 0 {
			operator.next(h.t)
		}
	}
}

// Deleting a tenant removes pending operational events about it, even the one that is
// next in a lane's queue.
func TestDeleteTenantWithPendingOperationalEvents(t *testing.T) {
	h := open(t, func(s *outbound.Settings) { s.EndpointConcurrency = 1 })
	operator := newReceiver(t)
	unblock := operator.block(t, http.StatusOK)
	h.notify(operator, false, "rival", "acme")
	done := h.deleteTenant("acme")
	must.Eventually(t, "the deletion to wait", func() bool { return h.clock.hasTimer(removePollInterval) })
	h.clock.advance(removePollInterval)
	if d := must.Receive(t, done, "the end of the deletion"); d != (outbound.DeletedTenant{Subscriptions: 1, Events: 1}) {
		t.Errorf("got %+v, want 1 subscription and 1 event", d)
	}
	unblock()
	if d := h.awaitAttemptEnd(); d.Event.Tenant != "rival" {
		t.Errorf("got an event about %s, want rival", d.Event.Tenant)
	}
	h.awaitSettled()
	operator.expectNone(t)
}

// If the first delivery of an ordered subscription, which waits for a retry, is about a
// deleted tenant, the ones behind it are sent at once.
func TestDeleteTenantUnblocksAnOrderedSubscription(t *testing.T) {
	h := open(t, retries(time.Hour))
	operator := newReceiver(t)
	operator.respond(status(http.StatusServiceUnavailable))
	h.notify(operator, true, "acme", "rival")
	h.awaitAttemptEnd()
	operator.respond(nil)
	if d, err := h.DeleteTenant(t.Context(), "acme"); err != nil || d.Events != 1 {
		t.Errorf("DeleteTenant: got %+v, %v, want 1 event", d, err)
	}
	if d := h.awaitAttempt(); d.Event.Tenant != "rival" || d.State != store.Delivered {
		t.Errorf("got state %v for %s, want %v for rival", d.State, d.Event.Tenant, store.Delivered)
	}
}

// Deleting a tenant makes other nodes stop delivering to it, and waits for their attempts
// in flight.
func TestDeleteTenantOnAllNodes(t *testing.T) {
	dsn := pgtest.Database(t)
	var nodes []*harness
	for range 2 {
		h := newHarness(t, postgresStore(dsn, longLease), retries(time.Hour))
		h.clock = newClock()
		h.start()
		nodes = append(nodes, h)
	}
	one, two := nodes[0], nodes[1]
	r := newReceiver(t)
	s := one.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}, Tenant: "acme"})
	two.awaitSubscription(s.ID, true)
	unblock := r.block(t, http.StatusServiceUnavailable)
	two.publishOf("acme", "a")
	r.next(t)
	done := one.deleteTenant("acme")
	two.awaitSubscription(s.ID, false)
	must.Eventually(t, "the deletion to wait", func() bool { return one.clock.hasTimer(removePollInterval) })
	unblock()
	two.awaitAttemptEnd()
	one.clock.advance(removePollInterval)
	if d := must.Receive(t, done, "the end of the deletion"); d != (outbound.DeletedTenant{Subscriptions: 1, Events: 1}) {
		t.Errorf("got %+v, want 1 subscription and 1 event", d)
	}
	if types := two.typesOf("acme"); len(types) > 0 {
		t.Errorf("got events %v, want none", types)
	}
	two.awaitSettled()
	r.expectNone(t)
}
