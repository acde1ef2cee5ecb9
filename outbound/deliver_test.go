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

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// check verifies a delivery as a receiver would.
func check(t *testing.T, h *harness, a arrival, secrets ...string) *verify.Message {
	t.Helper()
	row, _ := verify.Lookup("standard-webhooks")
	v, err := verify.New(row, verify.Options{Secrets: secrets, Now: h.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	r, _ := http.NewRequest(http.MethodPost, "http://receiver.example"+a.path, nil)
	r.Header = a.header
	m, err := v.Verify(r, a.body)
	if err != nil {
		t.Fatalf("a delivery does not verify: %v", err)
	}
	return m
}

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
		t.Fatalf("%d deliveries, want 2", p.Deliveries)
	}
	secrets := map[string]string{"/orders": orders.Secrets[0].Value, "/all": all.Secrets[0].Value}
	for range 2 {
		a := r.next(t)
		if string(a.body) != payload {
			t.Errorf("the payload was changed: %s", a.body)
		}
		if m := check(t, h, a, secrets[a.path]); m.ID != p.EventID {
			t.Errorf("webhook-id %q, want the event's %q", m.ID, p.EventID)
		}
		if got := a.header.Get("Content-Type"); got != "application/json" {
			t.Errorf("content type %q", got)
		}
		delete(secrets, a.path)
		if d := h.awaitAttempt(); d.State != store.Delivered {
			t.Errorf("state %v: %s", d.State, d.Attempt.Error)
		}
	}
	r.expectNone(t)
}

func TestEventIDIsUnique(t *testing.T) {
	h := open(t)
	r, healthy := newReceiver(t), newReceiver(t)
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"order.*"}})
	publish := func(payload string) (outbound.Published, error) {
		return h.Publish(t.Context(), &outbound.NewEvent{ID: "order-1", Type: "order.created", Payload: []byte(payload)})
	}
	if p, err := publish(`{}`); err != nil || p.Duplicate || p.Deliveries != 1 || p.EventID != "order-1" {
		t.Fatalf("first: %+v, %v", p, err)
	}
	if p, err := publish(`{}`); err != nil || !p.Duplicate || p.Deliveries != 1 {
		t.Fatalf("again: %+v, %v", p, err)
	}
	var reused *outbound.Reused
	if _, err := publish(`{"other":1}`); !errors.As(err, &reused) {
		t.Fatalf("with another payload: %v", err)
	}
	r.next(t)
	h.awaitAttempt()
	h.nudge(healthy)
	r.expectNone(t)
}

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
			t.Fatalf("attempt %d: %+v", i+1, d.Attempt)
		}
		if want := []store.State{store.Pending, store.Pending, store.Dead}[i]; d.State != want {
			t.Fatalf("attempt %d: state %v, want %v", i+1, d.State, want)
		}
	}
	if len(ids) != 1 || !ids[p.EventID] {
		t.Errorf("the id is not the same on every attempt: %v", ids)
	}

	dead, err := h.Deliveries(t.Context(), outbound.Query{States: []store.State{store.Dead}, Limit: 10})
	if err != nil || len(dead) != 1 {
		t.Fatalf("dead letters: %v, %v", dead, err)
	}
	d := dead[0]
	if d.Attempts != 3 || d.EventType != "order.created" || d.URL != r.URL || d.Reason == "" || d.Last == nil ||
		!strings.Contains(d.Last.Error, "500") || string(d.Last.ResponseBody) != "no database" {
		t.Errorf("dead letter: %+v, last %+v", d, d.Last)
	}
	attempts, err := h.Attempts(t.Context(), d.Delivery.ID.With(store.DeliveryPrefix))
	if err != nil || len(attempts) != 3 || attempts[2].ID != d.Last.ID {
		t.Fatalf("attempts: %v, %v", attempts, err)
	}

	h.restart()
	r.respond(nil)
	id, err := h.DeliveryOf(t.Context(), d.Last.ID.With(store.AttemptPrefix))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Redeliver(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	r.next(t)
	if done := h.awaitAttempt(); done.State != store.Delivered || done.Attempt.Number != 4 {
		t.Errorf("redelivered: %+v", done)
	}
	if dead, _ := h.Deliveries(t.Context(), outbound.Query{States: []store.State{store.Dead}, Limit: 10}); len(dead) != 0 {
		t.Errorf("the dead letter is still there")
	}
}

// What a subscription says of its attempts goes before what the settings say, until
// it says nothing of it any more.
func TestScheduleOfASubscription(t *testing.T) {
	for name, c := range map[string]struct {
		schedule outbound.Schedule
		waits    []time.Duration
	}{
		"its own":             {outbound.Schedule{time.Second, time.Second}, []time.Duration{0, 2 * time.Second, 2 * time.Second}},
		"none":                {outbound.Schedule{}, []time.Duration{0}},
		"that of the setting": {nil, []time.Duration{0, 2 * time.Hour}},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, retries(time.Hour))
			r := newReceiver(t)
			r.respond(status(500))
			s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}, Retry: outbound.Schedule{time.Minute}})
			h.restart()
			if _, err := h.UpdateSubscription(t.Context(), s.ID, func(spec *outbound.SubscriptionSpec) error {
				spec.Retry = c.schedule
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			h.restart()
			h.publish("a", `1`)
			for i, wait := range c.waits {
				h.clock.advance(wait)
				r.next(t)
				if d := h.awaitAttempt(); (d.State == store.Dead) != (i == len(c.waits)-1) {
					t.Fatalf("after attempt %d it is %v", i+1, d.State)
				}
			}
		})
	}
}

// A transform makes what is sent, and signed. An event that it isn't made for is a
// dead letter, which says nothing of the receiver, and can be sent once it is mended.
func TestTransformOfASubscription(t *testing.T) {
	var log journal
	h := open(t, logTo(&log), retries(time.Hour))
	r := newReceiver(t)
	s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}, Transform: `{"text": "Order " + payload.order}`})
	h.restart()
	if _, err := h.Publish(t.Context(), &outbound.NewEvent{Type: "a", ContentType: "application/cloudevents+json", Payload: []byte(`{"order": "7"}`)}); err != nil {
		t.Fatal(err)
	}
	a := r.next(t)
	if string(a.body) != `{"text":"Order 7"}` || a.header.Get("Content-Type") != "application/json" {
		t.Errorf("%v came with %s", a.header, a.body)
	}
	check(t, h, a, s.Secrets[0].Value)
	h.awaitAttempt()

	for range 12 {
		h.publish("a", `{"order": {"card": "4111-1111"}}`)
		d := h.awaitAttempt()
		if d.State != store.Dead || d.Attempt.Class != outbound.ClassTransform || strings.Contains(d.Attempt.Error, "4111") {
			t.Fatalf("%v: %+v", d.State, d.Attempt)
		}
	}
	r.expectNone(t)
	if got := h.sub(); got.Health != outbound.HealthOK || got.Failures != 0 {
		t.Errorf("the receiver is %+v", got)
	}
	if line := log.line("4111"); line != "" {
		t.Errorf("the payload is in the log: %s", line)
	}

	if _, err := h.UpdateSubscription(t.Context(), s.ID, func(spec *outbound.SubscriptionSpec) error {
		spec.Transform = "payload.order"
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if n, err := h.RedeliverDead(t.Context(), outbound.Query{Class: outbound.ClassTransform}); n != 12 || err != nil {
		t.Errorf("%d were redelivered, %v", n, err)
	}
	for range 12 {
		if a := r.next(t); string(a.body) != `{"card":"4111-1111"}` {
			t.Errorf("%s came", a.body)
		}
	}
}

// JSON that a transform makes may go by a name of its own; what was published keeps its.
func TestContentTypeOfATransform(t *testing.T) {
	h := open(t)
	r := newReceiver(t)
	s := h.subscribe(outbound.SubscriptionSpec{
		URL: r.URL, EventTypes: []string{"*"}, Filter: `created_at > timestamp("2020-01-01T00:00:00Z")`,
		Headers:   map[string]string{"content-type": "application/cloudevents+json"},
		Transform: `{"specversion": "1.0", "id": event_id, "source": "/orders", "type": event_type, "time": created_at, "data": payload}`,
	})
	p := h.publish("order.created", `{"id": 7}`)
	ev, err := h.Event(t.Context(), "", p.EventID)
	if err != nil {
		t.Fatal(err)
	}
	a := r.next(t)
	want := `{"data":{"id":7},"id":"` + ev.ID + `","source":"/orders","specversion":"1.0","time":"` + ev.Created().Format(time.RFC3339Nano) + `","type":"order.created"}`
	if got := a.header["Content-Type"]; string(a.body) != want || !slices.Equal(got, []string{"application/cloudevents+json"}) {
		t.Errorf("%s came as %q, not %s", a.body, got, want)
	}
	check(t, h, a, s.Secrets[0].Value)

	_, err = h.UpdateSubscription(t.Context(), s.ID, func(spec *outbound.SubscriptionSpec) error {
		spec.Transform = ""
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "cannot be set, because it comes with the event") {
		t.Errorf("without the transform: %v", err)
	}
}

func TestTimeoutOfASubscription(t *testing.T) {
	h := open(t, retries(), func(s *outbound.Settings) { s.Timeout = 10 * time.Minute })
	r := newReceiver(t)
	r.block(t, http.StatusOK)
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}, Timeout: 50 * time.Millisecond})
	h.publish("a", `1`)
	if d := h.awaitAttempt(); d.Attempt.Class != outbound.ClassTimeout {
		t.Errorf("the attempt ended with %q: %s", d.Attempt.Class, d.Attempt.Error)
	}
}

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
		t.Errorf("%+v", d.Attempt)
	}
}

func TestDeniedAddressIsDeadAtOnce(t *testing.T) {
	var log journal
	h := open(t, logTo(&log))
	r := newReceiver(t)
	spec := outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}}
	h.subscribe(spec)
	h.settings.Policy = nil
	if err := h.Apply(t.Context(), h.settings); err != nil {
		t.Fatal(err)
	}
	if _, err := h.CreateSubscription(t.Context(), spec); err == nil {
		t.Error("a literal address that is denied was accepted")
	}
	h.publish("a", `1`)
	d := h.awaitAttempt()
	if d.State != store.Dead || d.Attempt.Class != outbound.ClassEgressDenied {
		t.Errorf("state %v, class %s: %s", d.State, d.Attempt.Class, d.Attempt.Error)
	}
	if strings.Contains(d.Attempt.Error, "127.") {
		t.Errorf("the error tells the address: %s", d.Attempt.Error)
	}
	r.expectNone(t)
	h.eventually("the operator's word", func() bool {
		return strings.Contains(log.line("got no connection"), "127.0.0.1: loopback")
	})
}

// A URL that the policy no longer allows is no reason to refuse another change.
func TestChangeOfWhatElseIsSaid(t *testing.T) {
	h := open(t)
	s := h.subscribe(outbound.SubscriptionSpec{URL: newReceiver(t).URL, EventTypes: []string{"*"}})
	h.settings.Policy = nil
	if err := h.Apply(t.Context(), h.settings); err != nil {
		t.Fatal(err)
	}
	change := func(edit func(*outbound.SubscriptionSpec)) error {
		_, err := h.UpdateSubscription(t.Context(), s.ID, func(spec *outbound.SubscriptionSpec) error { edit(spec); return nil })
		return err
	}
	if err := change(func(spec *outbound.SubscriptionSpec) { spec.Description = "x" }); err != nil {
		t.Error(err)
	}
	if err := change(func(spec *outbound.SubscriptionSpec) { spec.URL += "/other" }); err == nil || !strings.Contains(err.Error(), "url is refused") {
		t.Errorf("another URL that is denied: %v", err)
	}
}

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
		t.Errorf("state %v, %d bytes kept: %s", d.State, len(d.Attempt.ResponseBody), d.Attempt.Error)
	}
}

func TestDeletedSubscriptionLeavesDeadLetters(t *testing.T) {
	h := open(t, retries(time.Hour))
	r := newReceiver(t)
	r.respond(status(500))
	s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	for i := range 5 {
		h.publish("a", fmt.Sprint(i))
		h.awaitAttempt()
	}
	if err := h.DeleteSubscription(t.Context(), s.ID); err != nil {
		t.Fatal(err)
	}
	var dead []*outbound.Record
	h.eventually("five dead letters", func() bool {
		dead, _ = h.Deliveries(t.Context(), outbound.Query{States: []store.State{store.Dead}, Limit: 10})
		return len(dead) == 5
	})
	if got, want := receive(t, h.buried, "their number"), s.ID+" 5"; got != want {
		t.Errorf("buried: %s, want %s", got, want)
	}
	if dead[0].Reason != outbound.ReasonDeleted || dead[0].URL != r.URL || dead[0].SubscriptionID != s.ID {
		t.Errorf("%+v", dead[0])
	}
	if _, err := h.Redeliver(t.Context(), dead[0].Delivery.ID.With(store.DeliveryPrefix)); !errors.Is(err, outbound.ErrConflict) {
		t.Errorf("redelivery to a deleted subscription: %v", err)
	}
}

func TestRestartDeliversWhatWaits(t *testing.T) {
	h := open(t)
	r := newReceiver(t)
	s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	if _, err := h.Deactivate(t.Context(), s.ID, outbound.ReasonByHand); err != nil {
		t.Fatal(err)
	}
	const n = 3000 // more than a lane holds
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
	if _, err := h.Activate(t.Context(), s.ID); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for range n {
		seen[string(r.next(t).body)] = true
	}
	if len(seen) != n {
		t.Errorf("%d different events arrived, want %d", len(seen), n)
	}
}

func TestDrainWaitsAndBrokenOffAttemptsAreRepeated(t *testing.T) {
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
		t.Fatalf("got %s", got)
	}
	if d := h.awaitAttempt(); d.Attempt.Number != 1 || d.State != store.Delivered {
		t.Errorf("a broken-off attempt counts: %+v", d)
	}
}

// TestFilters: of the events of its types, a subscription gets those that its
// filter wants.
func TestFilters(t *testing.T) {
	h := open(t)
	r := newReceiver(t)
	all := h.subscribe(outbound.SubscriptionSpec{URL: r.URL + "/all", EventTypes: []string{"order.*"}})
	large := h.subscribe(outbound.SubscriptionSpec{URL: r.URL + "/large", EventTypes: []string{"order.*"}, Filter: "payload.total > 100"})
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL + "/other", EventTypes: []string{"*"}, Filter: `event_type == "user.left"`})
	expect := func(payload string, paths ...string) {
		t.Helper()
		if p := h.publish("order.created", payload); p.Deliveries != len(paths) {
			t.Errorf("%s: %d deliveries, want %d", payload, p.Deliveries, len(paths))
		}
		var got []string
		for range paths {
			got = append(got, r.next(t).path)
			h.awaitAttempt()
		}
		slices.Sort(got)
		if !slices.Equal(got, paths) {
			t.Errorf("%s: %v, want %v", payload, got, paths)
		}
	}
	expect(`{"total": 150}`, "/all", "/large")
	expect(`{"total": 50}`, "/all")
	expect(`"no order"`, "/all")

	if _, err := h.UpdateSubscription(t.Context(), large.ID, func(s *outbound.SubscriptionSpec) error { s.Filter = "payload.total > 10"; return nil }); err != nil {
		t.Fatal(err)
	}
	expect(`{"total": 50}`, "/all", "/large")
	if _, err := h.UpdateSubscription(t.Context(), all.ID, func(s *outbound.SubscriptionSpec) error { s.Filter = "payload.total >"; return nil }); err == nil || !strings.Contains(err.Error(), "filter") {
		t.Errorf("a filter that is none: %v", err)
	}
	h.restart()
	if s, err := h.Subscription(large.ID); err != nil || s.Filter != "payload.total > 10" {
		t.Errorf("after a restart: %v, %v", s, err)
	}
	expect(`{"total": 20}`, "/all", "/large")
	expect(`{"total": 5}`, "/all")
	r.expectNone(t)
}

// TestEventsThatTakeTooLongToJudgeAreDelivered: at least once, whatever a filter
// has no time to say.
func TestEventsThatTakeTooLongToJudgeAreDelivered(t *testing.T) {
	h := open(t)
	r := newReceiver(t)
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}, Filter: "payload.all(a, payload.all(b, payload.all(c, true)))"})
	if p := h.publish("order.created", "["+strings.Repeat("1,", 30_000)+"1]"); p.Deliveries != 1 {
		t.Errorf("%d deliveries", p.Deliveries)
	}
	r.next(t)
	if n := h.unjudged.Load(); n != 1 {
		t.Errorf("%d of them are told", n)
	}
}
