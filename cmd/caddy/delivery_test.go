package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestFanOut checks that each event goes to the subscriptions that match it and to no
// others, signed with the secret of each.
func TestFanOut(t *testing.T) {
	t.Parallel()
	s := startServer(t, withOptions(local))
	one := newReceiver(t)
	subscriptions := map[string][]string{
		"/exact":  {"order.created"},
		"/prefix": {"order.*"},
		"/two":    {"customer.created", "order.deleted"},
		"/all":    {"*"},
	}
	secrets := map[string]string{}
	for path, types := range subscriptions {
		_, secrets[path] = s.subscribe(object{"url": one.url(path), "event_types": types})
	}
	want := map[string][]string{ // by event type
		"order.created":      {"/all", "/exact", "/prefix"},
		"order.deleted":      {"/all", "/prefix", "/two"},
		"order.item.removed": {"/all", "/prefix"},
		"orders.created":     {"/all"},
		"customer.created":   {"/all", "/two"},
		"order":              {"/all"},
	}
	arrive := 0
	ids := map[string]string{}
	for eventType, paths := range want {
		ids[eventType] = s.publish(event{Type: eventType})
		arrive += len(paths)
	}
	got := map[string][]string{}
	for _, d := range one.wait(arrive) {
		d.signed(t, secrets[d.path])
		got[d.id()] = append(got[d.id()], d.path)
	}
	for eventType, paths := range want {
		slices.Sort(got[ids[eventType]])
		if !slices.Equal(got[ids[eventType]], paths) {
			t.Errorf("%s went to %v, want %v", eventType, got[ids[eventType]], paths)
		}
		shown := s.reader().get("/events/" + ids[eventType])
		if n := len(shown.list("deliveries")); n != len(paths) {
			t.Errorf("%s is shown with %d deliveries, want %d", eventType, n, len(paths))
		}
	}
	if got := one.all(); len(got) != arrive {
		t.Errorf("%d deliveries have arrived, want %d", len(got), arrive)
	}
}

// TestExactBytes checks that a payload is delivered exactly as it was published.
func TestExactBytes(t *testing.T) {
	t.Parallel()
	s := startServer(t, withOptions(local))
	r := newReceiver(t)
	_, secret := s.subscribe(object{"url": r.url("/?a=b"), "event_types": []string{"*"}, "headers": object{"X-Env": "production"}})
	for name, payload := range map[string]string{
		"spaces and order":      "{ \"b\" :\t1,\r\n \"a\":2 , \"a\": 3}",
		"numbers":               `[1.0, 1e3, 12345678901234567890, -0.0]`,
		"escapes":               `{"text":"\u00e4\/<>&\u2028"}`,
		"not ASCII":             `{"text":"ä€😀"}`,
		"null":                  `null`,
		"text":                  `"text"`,
		"as large as it may be": `"` + strings.Repeat("x", 256<<10-2) + `"`,
	} {
		id := s.publish(event{Type: "bytes", Payload: json.RawMessage(payload)})
		d := r.waitID(id)
		if string(d.body) != payload {
			t.Errorf("%s: %d bytes have arrived, of %d that were published: %.80q", name, len(d.body), len(payload), d.body)
		}
		if d.length != int64(len(payload)) || d.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: Content-Length %d, Content-Type %q", name, d.length, d.header.Get("Content-Type"))
		}
		if d.method != "POST" || d.path != "/?a=b" || d.header.Get("X-Env") != "production" {
			t.Errorf("%s: %s %s, X-Env %q", name, d.method, d.path, d.header.Get("X-Env"))
		}
		d.signed(t, secret)
	}
}

// TestEventID checks that an event that is published again is not stored twice, even after
// a restart.
func TestEventID(t *testing.T) {
	t.Parallel()
	s := startServer(t, withOptions(local))
	r := newReceiver(t)
	s.subscribe(object{"url": r.url("/"), "event_types": []string{"order.*"}})
	s.subscribe(object{"url": r.url("/acme"), "event_types": []string{"order.*"}, "tenant": "acme"})

	const first = `{"event_type":"order.created","event_id":"order-7-created","payload":{"order":7}}`
	again := func() {
		t.Helper()
		o := s.publisher().do("POST", "/events", first).want(http.StatusOK).object()
		if o["duplicate"] != true || o.text("event_id") != "order-7-created" {
			t.Errorf("the answer to the second is %v", o)
		}
	}
	o := s.publisher().do("POST", "/events", first).want(http.StatusAccepted).object()
	if o.text("event_id") != "order-7-created" || o.num("deliveries") != 1 || o["duplicate"] != false {
		t.Errorf("the answer is %v", o)
	}
	r.waitID("order-7-created")
	again()
	for _, other := range []string{
		`{"event_type":"order.created","event_id":"order-7-created","payload":{"order":8}}`,
		`{"event_type":"order.deleted","event_id":"order-7-created","payload":{"order":7}}`,
	} {
		s.publisher().do("POST", "/events", other).problem(http.StatusConflict, "event_id_reused", "order-7-created")
	}
	s.stop()
	s.start()
	again()
	s.publisher().do("POST", "/events", strings.Replace(first, `"payload"`, `"tenant":"acme","payload"`, 1)).want(http.StatusAccepted)
	s.publish(event{Type: "order.last"})
	got := r.waitFor("the last event", func(got []*request) bool { return len(got) >= 3 })
	if len(got) != 3 {
		t.Errorf("%d deliveries have arrived, want 3", len(got))
	}
	if n := len(s.reader().list("/events")); n != 3 {
		t.Errorf("%d events are stored, want 3", n)
	}
}

// TestRetryAfter checks that Retry-After pauses the whole endpoint, not only the delivery
// that got it.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	s := startServer(t, withOptions(local+"\t\tendpoint_concurrency 1"))
	const pause = 2 * time.Second
	for name, value := range map[string]func() string{
		"seconds": func() string { return "2" },
		// a date has whole seconds: this one is 2 to 3 s away
		"a date": func() string { return time.Now().Add(pause + time.Second).UTC().Format(http.TimeFormat) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, r := s.on(t), newReceiver(t)
			r.answer(func(w http.ResponseWriter, _ *request) {
				if len(r.all()) == 1 {
					w.Header().Set("Retry-After", value())
					w.WriteHeader(http.StatusServiceUnavailable)
				}
			})
			eventType := "retry." + strings.ReplaceAll(name, " ", "_")
			s.subscribe(object{"url": r.url("/"), "event_types": []string{eventType}})
			first := s.publish(event{Type: eventType})
			asked := r.wait(1)[0].at
			second := s.publish(event{Type: eventType})
			for _, d := range r.wait(3)[1:] {
				if waited := d.at.Sub(asked); waited < pause {
					t.Errorf("an attempt came %v after the receiver had asked for %v", waited, pause)
				}
			}
			ids := map[string]bool{}
			for _, d := range r.all()[1:] {
				ids[d.id()] = true
			}
			if !ids[first] || !ids[second] {
				t.Errorf("after the pause came %v", ids)
			}
		})
	}
}

// TestRedirect checks that a redirect isn't followed, and that the error names its target.
func TestRedirect(t *testing.T) {
	t.Parallel()
	s := startServer(t, withOptions(local))
	r, elsewhere := newReceiver(t), newReceiver(t)
	for _, status := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		r.answer(func(w http.ResponseWriter, _ *request) {
			w.Header().Set("Location", elsewhere.url("/?token=secret"))
			w.WriteHeader(status)
		})
		eventType := fmt.Sprintf("moved.%d", status)
		sub, _ := s.subscribe(object{"url": r.url("/"), "event_types": []string{eventType}})
		s.settled(s.publish(event{Type: eventType}), sub, "dead")
		l := s.reader().list("/dead-letters?subscription_id=" + sub)[0]
		if l.num("attempts") != 3 || !strings.Contains(l.text("error_message"), elsewhere.addr) || strings.Contains(l.text("error_message"), "token") {
			t.Errorf("%d: the dead letter is %v", status, l)
		}
	}
	elsewhere.none()
}

// TestEgress checks that non-public addresses are refused when a subscription is created
// with one, and when a connection is opened.
func TestEgress(t *testing.T) {
	t.Parallel()
	s := startServer(t, withOptions(local))
	for _, host := range []string{
		"127.0.0.2", "10.0.0.1", "192.168.1.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
		"[::1]", "[::ffff:127.0.0.2]", "[::ffff:10.0.0.1]", "[64:ff9b::10.0.0.1]", "[2002:a00:1::]", "[fe80::1]", "[fd00::1]",
		"2130706434", "0x7f000002", "0177.0.0.2", "127.2", "localhost",
	} {
		for _, scheme := range []string{"http", "https"} {
			s.manager().do("POST", "/subscriptions", object{"url": scheme + "://" + host + "/hooks", "event_types": []string{"*"}}).
				problem(http.StatusUnprocessableEntity, "url")
		}
	}
	if n := len(s.reader().list("/subscriptions")); n != 0 {
		t.Fatalf("%d subscriptions were made", n)
	}

	r := newReceiver(t)
	sub, _ := s.subscribe(object{"url": r.url("/"), "event_types": []string{"*"}})
	s.settled(s.publish(event{Type: "a"}), sub, "delivered")
	r.forget()
	s.reload(withOptions("\t\tretry 100ms 100ms"))
	d := s.settled(s.publish(event{Type: "a"}), sub, "dead")
	r.none()
	attempts := s.attempts(d)
	if len(attempts) != 1 || attempts[0].text("class") != "egress_denied" {
		t.Errorf("the attempts are %v, want one that was denied", attempts)
	}
	if words := attempts[0].text("error_message"); words == "" || strings.Contains(words, "127.0.0.1") {
		t.Errorf("the tenant is told %q", words)
	}
}

// TestTimeout checks that an attempt without a response in time fails.
func TestTimeout(t *testing.T) {
	t.Parallel()
	s := startServer(t, withOptions(local+"\t\ttimeout 300ms"))
	r := newReceiver(t)
	r.answer(func(_ http.ResponseWriter, d *request) { <-d.gone })
	sub, _ := s.subscribe(object{"url": r.url("/"), "event_types": []string{"*"}})
	d := s.settled(s.publish(event{Type: "a"}), sub, "dead")
	for _, a := range s.attempts(d) {
		if a.text("class") != "timeout" {
			t.Errorf("an attempt is %v, want a timeout", a)
		}
	}
}

// TestTenantRate checks that a tenant over its rate gets Retry-After, from the API and from
// webhook_publish.
func TestTenantRate(t *testing.T) {
	t.Parallel()
	s := startServer(t, `{`+head+`
	webhooks {
		store sqlite {$DB}
		tenant_rate_limit 60/h
	}
}

http://:{$PORT} {
	handle /in {
		webhook_publish order.received {
			tenant {header.X-Tenant}
		}
	}
	handle_path /webhooks/* {
		webhook_api {
			token {env.MANAGE_TOKEN} manage
		}
	}
}
`)
	in := func(tenant string) answer {
		return s.post("/in", []byte("{}"), http.Header{"X-Tenant": {tenant}})
	}
	in("acme").want(http.StatusAccepted)
	after := in("acme").want(http.StatusTooManyRequests).header.Get("Retry-After")
	if n, err := strconv.Atoi(after); err != nil || n < 1 || n > 60 {
		t.Errorf("the inbox says to come again in %q s", after)
	}
	in("other").want(http.StatusAccepted)
	a := s.manager().do("POST", "/events", object{"event_type": "a", "tenant": "acme", "payload": 1})
	if a.problem(http.StatusTooManyRequests, "tenant_rate_limit"); a.header.Get("Retry-After") == "" {
		t.Errorf("the API doesn't say when to come again: %v", a.header)
	}
}
