package outbound_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// check verifies a delivery's signature as a receiver would.
func check(t *testing.T, h *harness, a arrival, secrets ...string) *verify.Message {
	t.Helper()
	row, _ := verify.Lookup("standard-webhooks")
	v := must.Get(verify.New(row, verify.Options{Secrets: secrets, Now: h.clock.Now}))(t)
	r, _ := http.NewRequest(http.MethodPost, "http://receiver.example"+a.path, nil)
	r.Header = a.header
	m, err := v.Verify(r, a.body)
	if err != nil {
		t.Fatalf("verifying a delivery: %v", err)
	}
	return m
}

// An event goes once to each subscription of its tenant with a matching event type. The
// payload isn't changed by a byte, and the delivery verifies with the subscription's
// secret.
func TestFanOutToMatchingOnly(t *testing.T) {
	h := open(t)
	r := newReceiver(t)
	orders := h.subscribe(outbound.SubscriptionSpec{URL: r.URL + "/orders", EventTypes: []string{"order.*"}})
	all := h.subscribe(outbound.SubscriptionSpec{URL: r.URL + "/all", EventTypes: []string{"*", "order.created"}})
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL + "/invoices", EventTypes: []string{"invoice.paid"}})
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL + "/tenant", EventTypes: []string{"*"}, Tenant: "acme"})

	payload := "{ \"n\": 12345678901234567890.10,\n\t\"s\": \"\\u00e9 é\" }"
	p := h.publish("order.created", payload)
	if p.Deliveries != 2 {
		t.Fatalf("got %d deliveries, want 2", p.Deliveries)
	}
	secrets := map[string]string{"/orders": orders.Secrets[0].Value, "/all": all.Secrets[0].Value}
	for range 2 {
		a := r.next(t)
		if string(a.body) != payload {
			t.Errorf("got payload %s, want %s", a.body, payload)
		}
		if m := check(t, h, a, secrets[a.path]); m.ID != p.EventID {
			t.Errorf("got webhook-id %q, want the event's %q", m.ID, p.EventID)
		}
		for name, want := range map[string]string{"Content-Type": "application/json", "User-Agent": "caddy-webhooks", "Accept-Encoding": "identity"} {
			if got := a.header.Get(name); got != want {
				t.Errorf("got %s %q, want %s", name, got, want)
			}
		}
		delete(secrets, a.path)
		if d := h.awaitAttempt(); d.State != store.Delivered {
			t.Errorf("got state %v with error %q, want %v", d.State, d.Attempt.Error, store.Delivered)
		}
	}
	r.expectNone(t)
}

// A change of a subscription's event types takes effect at once.
func TestChangeOfEventTypes(t *testing.T) {
	h := open(t)
	s := h.subscribe(outbound.SubscriptionSpec{URL: newReceiver(t).URL, EventTypes: []string{"order.*"}})
	h.update(s.ID, func(s *outbound.SubscriptionSpec) { s.EventTypes = []string{"invoice.*"} })
	for eventType, want := range map[string]int{"order.created": 0, "invoice.paid": 1} {
		if got := h.publish(eventType, `{}`).Deliveries; got != want {
			t.Errorf("%s: got %d deliveries, want %d", eventType, got, want)
		}
	}
}

// Publishing an event again under its id is a duplicate that isn't delivered; the same
// id with another payload is an error.
func TestEventIDIsUnique(t *testing.T) {
	h := open(t)
	r, healthy := newReceiver(t), newReceiver(t)
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"order.*"}})
	publish := func(payload string) (outbound.Published, error) {
		return h.Publish(t.Context(), &outbound.NewEvent{ID: "order-1", Type: "order.created", Payload: []byte(payload)})
	}
	if p, err := publish(`{}`); err != nil || p.Duplicate || p.Deliveries != 1 || p.EventID != "order-1" {
		t.Fatalf("first: got %+v, %v, want order-1 with 1 delivery", p, err)
	}
	if p, err := publish(`{}`); err != nil || !p.Duplicate || p.Deliveries != 1 {
		t.Fatalf("again: got %+v, %v, want a duplicate with 1 delivery", p, err)
	}
	var reused *outbound.Reused
	if _, err := publish(`{"other":1}`); !errors.As(err, &reused) {
		t.Fatalf("with another payload: got %v, want a Reused error", err)
	}
	r.next(t)
	h.awaitAttempt()
	h.nudge(healthy)
	r.expectNone(t)
}

// A delivery is retried on the schedule with the same webhook-id, then becomes a dead
// letter that tells why, and can be redelivered by the id of an attempt after a restart.
func TestRetriesThenDeadLetterThenRedeliver(t *testing.T) {
	h := open(t, retries(time.Minute, time.Hour))
	r := newReceiver(t)
	r.respond(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprint(w, "no database")
	})
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	p := h.publish("order.created", `{}`)

	ids := map[string]bool{}
	for i, wait := range []time.Duration{0, 2 * time.Minute, 2 * time.Hour} {
		h.clock.advance(wait)
		ids[r.next(t).header.Get("webhook-id")] = true
		d := h.awaitAttempt()
		if d.Attempt.Number != i+1 || d.Attempt.Status != 500 || d.Attempt.Class != outbound.ClassStatus {
			t.Fatalf("attempt %d: got %+v, want number %d with status 500", i+1, d.Attempt, i+1)
		}
		if want := []store.State{store.Pending, store.Pending, store.Dead}[i]; d.State != want {
			t.Fatalf("attempt %d: got state %v, want %v", i+1, d.State, want)
		}
		if i == 0 && d.Due.Sub(h.clock.Now()) == time.Minute {
			t.Error("got a retry after exactly a minute, want all of them spread")
		}
	}
	if len(ids) != 1 || !ids[p.EventID] {
		t.Errorf("got webhook-ids %v, want %s on every attempt", ids, p.EventID)
	}

	dead, err := h.Deliveries(t.Context(), outbound.Query{States: []store.State{store.Dead}, Limit: 10})
	if err != nil || len(dead) != 1 {
		t.Fatalf("got dead letters %v, %v, want 1", dead, err)
	}
	d := dead[0]
	if d.Attempts != 3 || d.EventType != "order.created" || d.URL != r.URL || d.Reason == "" || d.Last == nil ||
		!strings.Contains(d.Last.Error, "500") || string(d.Last.ResponseBody) != "no database" {
		t.Errorf("got dead letter %+v with last attempt %+v, want 3 attempts and the last answer", d, d.Last)
	}
	attempts, err := h.Attempts(t.Context(), d.Delivery.ID.With(store.DeliveryPrefix))
	if err != nil || len(attempts) != 3 || attempts[2].ID != d.Last.ID {
		t.Fatalf("got attempts %v, %v, want 3 that end with %v", attempts, err, d.Last.ID)
	}

	h.restart()
	r.respond(nil)
	id := must.Get(h.DeliveryOf(t.Context(), d.Last.ID.With(store.AttemptPrefix)))(t)
	must.Get(h.Redeliver(t.Context(), id))(t)
	r.next(t)
	if done := h.awaitAttempt(); done.State != store.Delivered || done.Attempt.Number != 4 {
		t.Errorf("redelivered: got %+v, want attempt 4 to be delivered", done)
	}
	if dead, _ := h.Deliveries(t.Context(), outbound.Query{States: []store.State{store.Dead}, Limit: 10}); len(dead) != 0 {
		t.Errorf("after the redelivery: got %d dead letters, want 0", len(dead))
	}
}

// A subscription's own retry schedule takes precedence over that of the settings, also
// after a change and a restart. An empty schedule means a single attempt; none at all,
// the settings' schedule.
func TestScheduleOfASubscription(t *testing.T) {
	for name, c := range map[string]struct {
		schedule outbound.Schedule
		waits    []time.Duration
	}{
		"its own":              {outbound.Schedule{time.Second, time.Second}, []time.Duration{0, 2 * time.Second, 2 * time.Second}},
		"none":                 {outbound.Schedule{}, []time.Duration{0}},
		"that of the settings": {nil, []time.Duration{0, 2 * time.Hour}},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, retries(time.Hour))
			r := newReceiver(t)
			r.respond(status(500))
			s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}, Retry: outbound.Schedule{time.Minute}})
			h.restart()
			h.update(s.ID, func(spec *outbound.SubscriptionSpec) { spec.Retry = c.schedule })
			h.restart()
			h.publish("a", `1`)
			for i, wait := range c.waits {
				h.clock.advance(wait)
				r.next(t)
				if d := h.awaitAttempt(); (d.State == store.Dead) != (i == len(c.waits)-1) {
					t.Fatalf("after attempt %d: got state %v, want dead after %d", i+1, d.State, len(c.waits))
				}
			}
		})
	}
}

// The result of a subscription's transform is what is sent and signed. An event for
// which it fails is a dead letter at once, doesn't count against the receiver, leaves no
// payload in the log or the error, and can be redelivered once the transform is fixed.
func TestTransformOfASubscription(t *testing.T) {
	var log journal
	h := open(t, logTo(&log), retries(time.Hour))
	r := newReceiver(t)
	s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}, Transform: `{"text": "Order " + payload.order}`})
	h.restart()
	must.Get(h.Publish(t.Context(), &outbound.NewEvent{
		Type: "a", ContentType: "application/cloudevents+json", Headers: map[string]string{"Content-Encoding": "identity"}, Payload: []byte(`{"order": "7"}`),
	}))(t)
	a := r.next(t)
	if string(a.body) != `{"text":"Order 7"}` || a.header.Get("Content-Type") != "application/json" || a.header.Get("Content-Encoding") != "" {
		t.Errorf("got header %v and body %s, want JSON with the order, without the payload's encoding", a.header, a.body)
	}
	check(t, h, a, s.Secrets[0].Value)
	h.awaitAttempt()

	for range 12 {
		h.publish("a", `{"order": {"card": "4111-1111"}}`)
		d := h.awaitAttempt()
		if d.State != store.Dead || d.Attempt.Class != outbound.ClassTransform || strings.Contains(d.Attempt.Error, "4111") {
			t.Fatalf("got state %v and attempt %+v, want a dead letter of class %s without the payload", d.State, d.Attempt, outbound.ClassTransform)
		}
	}
	r.expectNone(t)
	if got := h.sub(); got.Health != outbound.HealthOK || got.Failures != 0 {
		t.Errorf("got %+v, want a healthy receiver without failures", got)
	}
	if line := log.line("4111"); line != "" {
		t.Errorf("got the payload in the log: %s", line)
	}

	h.update(s.ID, func(spec *outbound.SubscriptionSpec) { spec.Transform = "payload.order" })
	if n, err := h.RedeliverDead(t.Context(), outbound.Query{Class: outbound.ClassTransform}); n != 12 || err != nil {
		t.Errorf("RedeliverDead: got %d, %v, want 12", n, err)
	}
	for range 12 {
		if a := r.next(t); string(a.body) != `{"card":"4111-1111"}` {
			t.Errorf("got body %s, want the transformed order", a.body)
		}
	}
}

// The error of a transform says what is wrong, in words of ours. Only one that took too
// long is tried again.
func TestTransformsThatFail(t *testing.T) {
	h := open(t, retries(time.Hour))
	r := newReceiver(t)
	s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	for _, c := range []struct {
		transform, payload, says string
		want                     store.State
	}{
		{"1.0 / payload.n", `{"n": 0.0}`, "gives a value that JSON doesn't have", store.Dead},
		{"payload + payload", `"` + strings.Repeat("x", 200<<10) + `"`, "gives more than max_payload", store.Dead},
		{"payload.n", `{}`, "asks for what the event doesn't have", store.Dead},
		{"payload.n + 1", `{"n": "secret"}`, "is of another kind than it expects", store.Dead},
		{"payload.all(a, payload.all(b, payload.all(c, true)))", "[" + strings.Repeat("1,", 30_000) + "1]", "takes too long", store.Pending},
	} {
		h.update(s.ID, func(s *outbound.SubscriptionSpec) { s.Transform = c.transform })
		h.publish("a", c.payload)
		if d := h.awaitAttempt(); d.State != c.want || d.Attempt.Class != outbound.ClassTransform || !strings.Contains(d.Attempt.Error, c.says) {
			t.Errorf("%s: got state %v, class %s and error %q, want %v, %s and %q", c.transform, d.State, d.Attempt.Class, d.Attempt.Error, c.want, outbound.ClassTransform, c.says)
		}
	}
	h.awaitAttemptEnd()
	if got := h.sub(); got.Health != outbound.HealthOK || !strings.Contains(got.LastError, "takes too long") {
		t.Errorf("got health %s with error %q, want %s with the last one", got.Health, got.LastError, outbound.HealthOK)
	}
	r.expectNone(t)
}

// A receiver may answer 401 although no token is sent.
func TestUnauthorizedWithoutToken(t *testing.T) {
	h := open(t, retries())
	r := newReceiver(t)
	r.respond(status(http.StatusUnauthorized))
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	h.publish("a", `1`)
	if d := h.awaitAttempt(); d.Attempt.Class != outbound.ClassStatus || d.Attempt.Status != http.StatusUnauthorized {
		t.Errorf("got %+v, want a failure with status 401", d.Attempt)
	}
}

// A subscription with a transform can set the content type of what that makes. Without
// one it can't, since the content type is that of the event.
func TestContentTypeOfATransform(t *testing.T) {
	h := open(t)
	r := newReceiver(t)
	s := h.subscribe(outbound.SubscriptionSpec{
		URL: r.URL, EventTypes: []string{"*"}, Filter: `created_at > timestamp("2020-01-01T00:00:00Z")`,
		Headers:   map[string]string{"content-type": "application/cloudevents+json"},
		Transform: `{"specversion": "1.0", "id": event_id, "source": "/orders", "type": event_type, "time": created_at, "data": payload}`,
	})
	p := h.publish("order.created", `{"id": 7}`)
	ev := must.Get(h.Event(t.Context(), "", p.EventID))(t)
	a := r.next(t)
	want := `{"data":{"id":7},"id":"` + ev.ID + `","source":"/orders","specversion":"1.0","time":"` + ev.Created().Format(time.RFC3339Nano) + `","type":"order.created"}`
	if got := a.header["Content-Type"]; string(a.body) != want || !slices.Equal(got, []string{"application/cloudevents+json"}) {
		t.Errorf("got %s as %q, want %s as application/cloudevents+json", a.body, got, want)
	}
	check(t, h, a, s.Secrets[0].Value)

	_, err := h.UpdateSubscription(t.Context(), s.ID, func(spec *outbound.SubscriptionSpec) error {
		spec.Transform = ""
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "cannot be set, because it comes with the event") {
		t.Errorf("removing the transform: got %v, want an error about the content type", err)
	}
}

// A subscription's own timeout takes precedence over that of the settings.
func TestTimeoutOfASubscription(t *testing.T) {
	h := open(t, retries(), func(s *outbound.Settings) { s.Timeout = 10 * time.Minute })
	r := newReceiver(t)
	r.block(t, http.StatusOK)
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}, Timeout: 50 * time.Millisecond})
	h.publish("a", `1`)
	if d := h.awaitAttempt(); d.Attempt.Class != outbound.ClassTimeout {
		t.Errorf("got class %q with error %q, want %s", d.Attempt.Class, d.Attempt.Error, outbound.ClassTimeout)
	}
}

// A redirect isn't followed. The error names the host that it points to, without
// credentials, path or query, which may be secret.
func TestRedirectsAreNotFollowed(t *testing.T) {
	h := open(t, retries())
	r := newReceiver(t)
	r.respond(func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, "https://user:pw@elsewhere.example/path?token=x", http.StatusTemporaryRedirect)
	})
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	h.publish("a", `1`)
	d := h.awaitAttempt()
	if d.State != store.Dead || d.Attempt.Class != outbound.ClassRedirect || !strings.Contains(d.Attempt.Error, "https://elsewhere.example)") ||
		strings.Contains(d.Attempt.Error, "token") {
		t.Errorf("got state %v and attempt %+v, want a dead letter of class %s", d.State, d.Attempt, outbound.ClassRedirect)
	}
}

// A delivery to an address that the egress policy denies is a dead letter at once, since
// retrying can't help. The address is in the operator's log but not in the error, which
// tenants see.
func TestDeniedAddressIsDeadAtOnce(t *testing.T) {
	var log journal
	h := open(t, logTo(&log))
	r := newReceiver(t)
	spec := outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}}
	h.subscribe(spec)
	h.settings.Policy = nil
	must.Do(t, h.Apply(t.Context(), h.settings))
	if _, err := h.CreateSubscription(t.Context(), spec); err == nil {
		t.Error("CreateSubscription with a denied address: got no error")
	}
	h.publish("a", `1`)
	d := h.awaitAttempt()
	if d.State != store.Dead || d.Attempt.Class != outbound.ClassEgressDenied {
		t.Errorf("got state %v, class %s, error %q, want a dead letter of class %s", d.State, d.Attempt.Class, d.Attempt.Error, outbound.ClassEgressDenied)
	}
	if strings.Contains(d.Attempt.Error, "127.") {
		t.Errorf("got error %q, want one without the address", d.Attempt.Error)
	}
	r.expectNone(t)
	must.Eventually(t, "the log line with the address", func() bool {
		return strings.Contains(log.line("got no connection"), "127.0.0.1: loopback")
	})
}

// A subscription whose URL the egress policy no longer allows can still be changed in
// other ways; a change of the URL is checked.
func TestChangeBesideADeniedURL(t *testing.T) {
	h := open(t)
	s := h.subscribe(outbound.SubscriptionSpec{URL: newReceiver(t).URL, EventTypes: []string{"*"}})
	h.settings.Policy = nil
	must.Do(t, h.Apply(t.Context(), h.settings))
	change := func(edit func(*outbound.SubscriptionSpec)) error {
		_, err := h.UpdateSubscription(t.Context(), s.ID, func(spec *outbound.SubscriptionSpec) error { edit(spec); return nil })
		return err
	}
	if err := change(func(spec *outbound.SubscriptionSpec) { spec.Description = "x" }); err != nil {
		t.Errorf("changing the description: %v", err)
	}
	if err := change(func(spec *outbound.SubscriptionSpec) { spec.URL += "/other" }); err == nil || !strings.Contains(err.Error(), "url is refused") {
		t.Errorf("changing to another denied URL: got %v, want an error", err)
	}
}

// A 2xx status makes an attempt a success even if the body never ends. Only its first
// 4 KiB are kept.
func TestStatusDecidesWhateverTheBody(t *testing.T) {
	h := open(t)
	r := newReceiver(t)
	stop := make(chan struct{})
	defer close(stop)
	r.respond(func(w http.ResponseWriter, req *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	h.publish("a", `1`)
	if d := h.awaitAttempt(); d.State != store.Delivered || len(d.Attempt.ResponseBody) != 4<<10 {
		t.Errorf("got state %v, %d bytes of body, error %q, want delivered and 4096 bytes", d.State, len(d.Attempt.ResponseBody), d.Attempt.Error)
	}
}

// As much is kept of a body as the settings say, also after a change; -1 is nothing.
func TestHowMuchIsKeptOfABody(t *testing.T) {
	h := open(t)
	r := newReceiver(t)
	r.respond(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "thanks") })
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	for _, c := range []struct {
		limit int64
		want  string
	}{{4, "than"}, {6, "thanks"}, {7, "thanks"}, {-1, ""}} {
		h.settings.ResponseBody = c.limit
		must.Do(t, h.Apply(t.Context(), h.settings))
		h.publish("a", `1`)
		if d := h.awaitAttempt(); d.State != store.Delivered || string(d.Attempt.ResponseBody) != c.want {
			t.Errorf("limit %d: got state %v and body %q, want delivered and %q", c.limit, d.State, d.Attempt.ResponseBody, c.want)
		}
	}
}

// Deleting a subscription makes dead letters of its pending deliveries. They can't be
// redelivered.
func TestDeletedSubscriptionLeavesDeadLetters(t *testing.T) {
	h := open(t, retries(time.Hour))
	r := newReceiver(t)
	r.respond(status(500))
	s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	for i := range 5 {
		h.publish("a", fmt.Sprint(i))
		h.awaitAttempt()
	}
	must.Do(t, h.DeleteSubscription(t.Context(), s.ID))
	var dead []*outbound.Record
	must.Eventually(t, "five dead letters", func() bool {
		dead, _ = h.Deliveries(t.Context(), outbound.Query{States: []store.State{store.Dead}, Limit: 10})
		return len(dead) == 5
	})
	if got, want := must.Receive(t, h.buried, "the report of dead letters"), s.ID+" 5"; got != want {
		t.Errorf("got dead letters reported as %q, want %q", got, want)
	}
	if dead[0].Reason != outbound.ReasonDeleted || dead[0].URL != r.URL || dead[0].SubscriptionID != s.ID {
		t.Errorf("got dead letter %+v, want reason %q and the subscription's id and URL", dead[0], outbound.ReasonDeleted)
	}
	if _, err := h.Redeliver(t.Context(), dead[0].Delivery.ID.With(store.DeliveryPrefix)); !errors.Is(err, outbound.ErrConflict) {
		t.Errorf("Redeliver: got %v, want %v", err, outbound.ErrConflict)
	}
}

// Deliveries that are held for an inactive subscription survive a restart, and all are
// sent once it is activated.
func TestRestartDeliversWhatIsHeld(t *testing.T) {
	h := open(t)
	r := newReceiver(t)
	s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	must.Get(h.Deactivate(t.Context(), s.ID, outbound.ReasonByHand))(t)
	const n = 5010 // more than a lane holds at once
	var wg sync.WaitGroup
	for w := range 30 {
		wg.Go(func() {
			for i := range n / 30 {
				if _, err := h.Publish(t.Context(), &outbound.NewEvent{Type: "a", Payload: fmt.Append(nil, w*1000+i)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	h.restart()
	must.Get(h.Activate(t.Context(), s.ID))(t)
	seen := map[string]bool{}
	for range n {
		seen[string(r.next(t).body)] = true
	}
	if len(seen) != n {
		t.Errorf("got %d different events, want %d", len(seen), n)
	}
}

// An attempt that closing the engine breaks off is made again after the start and doesn't
// count.
func TestAttemptsBrokenOffAreRepeated(t *testing.T) {
	h := open(t)
	r := newReceiver(t)
	release := make(chan struct{})
	r.respond(func(_ http.ResponseWriter, req *http.Request) {
		select {
		case <-release:
		case <-req.Context().Done():
		}
	})
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	h.publish("a", `1`)
	r.next(t)
	h.stop() // breaks the attempt off
	close(release)
	h.start()
	if got := string(r.next(t).body); got != "1" {
		t.Fatalf("got payload %s, want 1", got)
	}
	if d := h.awaitAttempt(); d.Attempt.Number != 1 || d.State != store.Delivered {
		t.Errorf("got state %v after attempt %d, want delivered after 1", d.State, d.Attempt.Number)
	}
}

// A subscription with a filter only gets those events of its types that the filter
// accepts. A filter that fails on an event rejects it; one that doesn't compile is
// refused. A change of the filter takes effect at once, and survives a restart.
func TestFilters(t *testing.T) {
	h := open(t)
	r := newReceiver(t)
	all := h.subscribe(outbound.SubscriptionSpec{URL: r.URL + "/all", EventTypes: []string{"order.*"}})
	large := h.subscribe(outbound.SubscriptionSpec{URL: r.URL + "/large", EventTypes: []string{"order.*"}, Filter: "payload.total > 100"})
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL + "/other", EventTypes: []string{"*"}, Filter: `event_type == "user.left"`})
	expect := func(payload string, paths ...string) {
		t.Helper()
		if p := h.publish("order.created", payload); p.Deliveries != len(paths) {
			t.Errorf("%s: got %d deliveries, want %d", payload, p.Deliveries, len(paths))
		}
		var got []string
		for range paths {
			got = append(got, r.next(t).path)
			h.awaitAttempt()
		}
		slices.Sort(got)
		if !slices.Equal(got, paths) {
			t.Errorf("%s: got deliveries to %v, want %v", payload, got, paths)
		}
	}
	expect(`{"total": 150}`, "/all", "/large")
	expect(`{"total": 50}`, "/all")
	expect(`"no order"`, "/all")

	h.update(large.ID, func(s *outbound.SubscriptionSpec) { s.Filter = "payload.total > 10" })
	expect(`{"total": 50}`, "/all", "/large")
	if _, err := h.UpdateSubscription(t.Context(), all.ID, func(s *outbound.SubscriptionSpec) error { s.Filter = "payload.total >"; return nil }); err == nil || !strings.Contains(err.Error(), "filter") {
		t.Errorf("an invalid filter: got %v, want an error about the filter", err)
	}
	h.restart()
	if s, err := h.Subscription(large.ID); err != nil || s.Filter != "payload.total > 10" {
		t.Errorf("after a restart: got %+v, %v, want the changed filter", s, err)
	}
	expect(`{"total": 20}`, "/all", "/large")
	expect(`{"total": 5}`, "/all")
	r.expectNone(t)
}

// An event on which a filter takes too long is delivered, since the subscription may
// want it, and reported to the observer.
func TestEventsThatTakeTooLongToJudgeAreDelivered(t *testing.T) {
	h := open(t)
	r := newReceiver(t)
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}, Filter: "payload.all(a, payload.all(b, payload.all(c, true)))"})
	if p := h.publish("order.created", "["+strings.Repeat("1,", 30_000)+"1]"); p.Deliveries != 1 {
		t.Errorf("got %d deliveries, want 1", p.Deliveries)
	}
	r.next(t)
	if n := h.unjudged.Load(); n != 1 {
		t.Errorf("got %d events reported, want 1", n)
	}
}
