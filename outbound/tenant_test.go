package outbound_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/postgres/pgtest"
)

// publishOf publishes an event of a tenant.
func (h *harness) publishOf(tenant, eventType string) {
	h.t.Helper()
	if _, err := h.Publish(h.t.Context(), &outbound.NewEvent{Tenant: tenant, Type: eventType, ID: strings.ReplaceAll(eventType, ".", "-"), Payload: []byte(`{}`)}); err != nil {
		h.t.Fatal(err)
	}
}

// typesOf are those of a tenant's events, or of all.
func (h *harness) typesOf(tenant string) (types []string) {
	h.t.Helper()
	events, err := h.Events(h.t.Context(), outbound.Query{Tenant: tenant, After: 1})
	if err != nil {
		h.t.Fatal(err)
	}
	for _, e := range events {
		types = append(types, e.Type)
	}
	return types
}

// deleteTenant deletes one in the background.
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

const removePollInterval = 100 * time.Millisecond

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
		h.publishOf(tenant, "a.sent") // of acme's dead letter, the operator is told
	}
	for range 5 {
		h.awaitAttempt()
	}
	if _, err := h.Deactivate(t.Context(), two.ID, "for the test"); err != nil { // of which too
		t.Fatal(err)
	}
	h.publishOf("acme", "a.held")
	for range 2 {
		h.awaitAttemptEnd()
	}

	if _, err := h.DeleteTenant(t.Context(), ""); err == nil {
		t.Error("everybody's was deleted")
	}
	d, err := h.DeleteTenant(t.Context(), "acme")
	if err != nil || d != (outbound.DeletedTenant{Subscriptions: 2, Events: 4}) {
		t.Fatalf("%+v, %v", d, err)
	}
	for _, q := range []outbound.Query{{Tenant: "acme"}, {Subscription: one.ID}, {Subscription: two.ID}} {
		if got, err := h.Deliveries(t.Context(), q); err != nil || len(got) > 0 {
			t.Errorf("%+v finds %v, %v", q, got, err)
		}
	}
	if types := h.typesOf(""); !slices.Equal(types, []string{"a.sent", "a.sent"}) {
		t.Errorf("there are %v", types)
	}
	if subs := h.Subscriptions("", 0, 9); len(subs) != 2 || subs[0].ID != operator.ID || subs[1].ID != rival.ID {
		t.Errorf("left are %v", subs)
	}
	if s, err := h.Status(t.Context()); err != nil || s.Store.Pending+s.Store.Dead != 0 {
		t.Errorf("the status is %+v, %v", s.Store, err)
	}
	if d, err := h.DeleteTenant(t.Context(), "acme"); err != nil || d != (outbound.DeletedTenant{}) {
		t.Errorf("again: %+v, %v", d, err)
	}
	h.restart()
	h.publishOf("acme", "a.sent") // its id is free, and nobody wants it
	if types := h.typesOf("acme"); !slices.Equal(types, []string{"a.sent"}) {
		t.Errorf("there are %v", types)
	}
	if got, err := h.Deliveries(t.Context(), outbound.Query{Tenant: "acme"}); err != nil || len(got) > 0 {
		t.Errorf("it has %v, %v", got, err)
	}
}

// What the configuration says of a tenant, the API doesn't change.
func TestDeleteTenantOfTheConfiguration(t *testing.T) {
	h := open(t)
	other := h.subscribe(outbound.SubscriptionSpec{URL: "http://127.0.0.1:9/", EventTypes: []string{"a"}, Tenant: "acme"})
	configured := func(subscriptions ...outbound.SubscriptionSpec) {
		t.Helper()
		h.settings.Subscriptions = subscriptions
		if err := h.Apply(t.Context(), h.settings); err != nil {
			t.Fatal(err)
		}
	}
	configured(outbound.SubscriptionSpec{Name: "crm", URL: "http://127.0.0.1:9/", EventTypes: []string{"*"}, Tenant: "acme"})
	h.publishOf("acme", "b")
	h.awaitAttemptEnd()
	d, err := h.DeleteTenant(t.Context(), "acme")
	if !errors.Is(err, outbound.ErrConflict) || !strings.Contains(err.Error(), "sub_crm") || d != (outbound.DeletedTenant{}) {
		t.Errorf("%+v, %v", d, err)
	}
	if _, err := h.Subscription(other.ID); err != nil || len(h.typesOf("acme")) != 1 {
		t.Errorf("something was deleted: %v", err)
	}
	configured()
	if d, err := h.DeleteTenant(t.Context(), "acme"); err != nil || d.Subscriptions != 2 {
		t.Errorf("once it isn't there: %+v, %v", d, err)
	}
}

// An attempt that is under way ends first, and what it brings forth goes too.
func TestDeleteTenantWaitsForAttempts(t *testing.T) {
	h := open(t, retries())
	r, operator := newReceiver(t), newReceiver(t)
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}, Tenant: "acme"})
	h.subscribe(outbound.SubscriptionSpec{URL: operator.URL, EventTypes: []string{"webhooks.*"}})
	unblock := r.block(t, http.StatusInternalServerError)
	h.publishOf("acme", "a")
	r.next(t)
	done := h.deleteTenant("acme")
	h.eventually("the wait", func() bool { return h.clock.hasTimer(removePollInterval) })
	if types := h.typesOf("acme"); len(types) != 1 {
		t.Errorf("there are %v", types)
	}
	unblock()
	if d := h.awaitAttempt(); d.State != store.Dead {
		t.Errorf("it is %v", d.State)
	}
	h.awaitAttempt() // of what the operator is told
	h.clock.advance(removePollInterval)
	if d := receive(t, done, "the end"); d != (outbound.DeletedTenant{Subscriptions: 1, Events: 2}) {
		t.Errorf("%+v", d)
	}
	if types := h.typesOf("acme"); len(types) > 0 {
		t.Errorf("there are %v", types)
	}
}

// tells has an operator told of two tenants, one after the other, and nobody else.
func (h *harness) tells(operator *receiver, ordered bool, tenants ...string) {
	h.t.Helper()
	h.subscribe(outbound.SubscriptionSpec{URL: operator.URL, EventTypes: []string{"webhooks.*"}, Ordered: ordered})
	for i, tenant := range tenants {
		s := h.subscribe(outbound.SubscriptionSpec{URL: operator.URL, EventTypes: []string{"*"}, Tenant: tenant})
		if _, err := h.Deactivate(h.t.Context(), s.ID, "for the test"); err != nil {
			h.t.Fatal(err)
		}
		if i == 0 {
			operator.next(h.t)
		}
	}
}

// What others are still to be told of a tenant goes too, also where it is next in line.
func TestDeleteTenantThatOthersAreToldOf(t *testing.T) {
	h := open(t, func(s *outbound.Settings) { s.EndpointConcurrency = 1 })
	operator := newReceiver(t)
	unblock := operator.block(t, http.StatusOK)
	h.tells(operator, false, "rival", "acme")
	done := h.deleteTenant("acme")
	h.eventually("the wait", func() bool { return h.clock.hasTimer(removePollInterval) })
	h.clock.advance(removePollInterval)
	if d := receive(t, done, "the end"); d != (outbound.DeletedTenant{Subscriptions: 1, Events: 1}) {
		t.Errorf("%+v", d)
	}
	unblock()
	if d := h.awaitAttemptEnd(); d.Event.Tenant != "rival" {
		t.Errorf("it is told of %s", d.Event.Tenant)
	}
	h.awaitSettled()
	operator.expectNone(t)
}

// Who is told in order is told at once of what came behind it.
func TestDeleteTenantIsHeldUpByNone(t *testing.T) {
	h := open(t, retries(time.Hour))
	operator := newReceiver(t)
	operator.respond(status(http.StatusServiceUnavailable))
	h.tells(operator, true, "acme", "rival")
	h.awaitAttemptEnd()
	operator.respond(nil)
	if d, err := h.DeleteTenant(t.Context(), "acme"); err != nil || d.Events != 1 {
		t.Errorf("%+v, %v", d, err)
	}
	if d := h.awaitAttempt(); d.Event.Tenant != "rival" || d.State != store.Delivered {
		t.Errorf("the next one is of %s: %v", d.Event.Tenant, d.State)
	}
}

// Other nodes deliver to the tenant no more, and what they attempt is waited for.
func TestDeleteTenantOnAllNodes(t *testing.T) {
	dsn := pgtest.Database(t)
	var nodes []*harness
	for range 2 {
		h := newHarness(t, postgresStore(dsn, lease), retries(time.Hour))
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
	one.eventually("the wait", func() bool { return one.clock.hasTimer(removePollInterval) })
	unblock()
	two.awaitAttemptEnd()
	one.clock.advance(removePollInterval)
	if d := receive(t, done, "the end"); d != (outbound.DeletedTenant{Subscriptions: 1, Events: 1}) {
		t.Errorf("%+v", d)
	}
	if types := two.typesOf("acme"); len(types) > 0 {
		t.Errorf("there are %v", types)
	}
	two.awaitSettled()
	r.expectNone(t)
}
