package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// withOptions is a Caddyfile with the API, a store, and options of webhooks.
func withOptions(options string) string {
	return "{" + head + "\twebhooks {\n\t\tstore sqlite {$DB}\n" + options + "\n\t}\n}\n" + apiSite
}

// local lets deliveries go to this machine, and tries again soon.
const local = `
		retry 100ms 100ms
		egress {
			allow 127.0.0.1
		}
`

// TestFanOut: each event goes to the subscriptions that ask for it and to no
// other, signed with the secret of each.
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

// TestExactBytes: a payload is delivered to the byte as it was published.
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

// TestEventID: an event that is published again is no second one, also after a
// restart.
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

// TestRotation: while the old secret is valid, deliveries carry the signatures
// of both, and afterwards that of the new one.
func TestRotation(t *testing.T) {
	t.Parallel()
	s := startServer(t, withOptions(local+"\t\tsecret_grace 1h"))
	r := newReceiver(t)
	id, old := s.subscribe(object{"url": r.url("/"), "event_types": []string{"*"}})
	r.waitID(s.publish(event{Type: "a"})).signed(t, old)

	rotated := s.manager().do("POST", "/subscriptions/"+id+"/rotate-secret", nil).want(http.StatusOK).object()
	secret := rotated.text("secret")
	expires := parseTime(t, rotated.text("previous_secret_expires"))
	if in := time.Until(expires); in < 30*time.Minute || in > time.Hour {
		t.Errorf("the old secret expires in %v, want an hour", in)
	}
	if got := s.manager().get("/subscriptions/" + id + "/secret").text("secret"); got != secret || secret == old {
		t.Errorf("the secret is %q, was %q, and %q was answered", got, old, secret)
	}
	r.waitID(s.publish(event{Type: "a"})).signed(t, secret, old)
	s.stop()
	s.start()
	r.waitID(s.publish(event{Type: "a"})).signed(t, secret, old)
}

func TestRotationEnds(t *testing.T) {
	t.Parallel()
	s := startServer(t, withOptions(local+"\t\tsecret_grace 100ms"))
	r := newReceiver(t)
	id, old := s.subscribe(object{"url": r.url("/"), "event_types": []string{"*"}})
	rotated := s.manager().do("POST", "/subscriptions/"+id+"/rotate-secret", nil).want(http.StatusOK).object()
	eventually(t, "the end of the old secret", func() bool {
		return time.Now().After(parseTime(t, rotated.text("previous_secret_expires")))
	})
	d := r.waitID(s.publish(event{Type: "a"}))
	d.signed(t, rotated.text("secret"))
	if old == rotated.text("secret") {
		t.Error("the secret is the old one")
	}
}

// TestDeadLetterLogHasAll: an attempt that outlives the config it began with, or
// that a stop waits for, has its line all the same; and so it has where the file
// was moved away.
func TestDeadLetterLogHasAll(t *testing.T) {
	t.Parallel()
	const options = `
		retry exponential {
			attempts 1
		}
		egress {
			allow 127.0.0.1
		}
		dead_letter_log dead.ndjson
`
	s := startServer(t, withOptions(options))
	r := newReceiver(t)
	answers := make(chan struct{})
	r.answer(func(w http.ResponseWriter, _ *request) {
		<-answers
		w.WriteHeader(http.StatusTeapot)
	})
	s.subscribe(object{"url": r.url("/"), "event_types": []string{"*"}})
	path := filepath.Join(s.dir, "dead.ndjson")
	logged := func() int {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(text), "\n")
	}
	s.publish(event{Type: "a"})
	r.wait(1)
	s.reload(withOptions(options + "\t\ttimeout 14s\n"))
	answers <- struct{}{}
	eventually(t, "the line of an attempt that began before a reload", func() bool { return logged() == 1 })
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}

	for range 10 {
		s.publish(event{Type: "a"})
	}
	r.wait(11)
	s.signal(syscall.SIGTERM)
	close(answers)
	s.exited()
	if n := logged(); n != 10 {
		t.Errorf("%d lines are in the new file, want 10", n)
	}
}

// TestDeadLetterLogAfterACrash: what can't be written before a crash is written after
// the next start.
func TestDeadLetterLogAfterACrash(t *testing.T) {
	t.Parallel()
	config := withOptions(local + "\t\tdead_letter_log dead.ndjson\n")
	s := startServer(t, config)
	r := newReceiver(t)
	r.answer(func(w http.ResponseWriter, _ *request) { w.WriteHeader(http.StatusTeapot) })
	sub, _ := s.subscribe(object{"url": r.url("/"), "event_types": []string{"*"}})
	path := filepath.Join(s.dir, "dead.ndjson")
	if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
		t.Fatal(err)
	}
	dead := s.settled(s.publish(event{Type: "a"}), sub, "dead")
	s.kill()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	s.start()
	eventually(t, "the line", func() bool {
		text, err := os.ReadFile(path)
		return err == nil && bytes.Contains(text, []byte(dead.text("delivery_id"))) && bytes.HasSuffix(text, []byte("\n"))
	})
}

// TestDeadLetterLogHasTheBuried: what died with its subscription has a line too, as
// the list shows it.
func TestDeadLetterLogHasTheBuried(t *testing.T) {
	t.Parallel()
	s := startServer(t, withOptions(strings.Replace(local, "100ms 100ms", "1h", 1)+"\t\tdead_letter_log dead.ndjson\n"))
	r := newReceiver(t)
	r.answer(func(w http.ResponseWriter, _ *request) { w.WriteHeader(http.StatusTeapot) })
	sub, _ := s.subscribe(object{"url": r.url("/"), "event_types": []string{"*"}})
	tried := s.publish(event{Type: "a"})
	eventually(t, "an attempt", func() bool { return s.delivery(tried, sub).num("attempts") == 1 })
	s.manager().do("POST", "/subscriptions/"+sub+"/deactivate", nil).want(http.StatusOK)
	const count = 250 // more than are buried at once
	for range count - 1 {
		s.publish(event{Type: "a"})
	}
	s.manager().do("DELETE", "/subscriptions/"+sub, nil).want(http.StatusNoContent)
	lines := map[string]object{}
	eventually(t, "a line for each", func() bool {
		text, err := os.ReadFile(filepath.Join(s.dir, "dead.ndjson"))
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(text) {
			if bytes.HasSuffix(line, []byte("\n")) {
				o := decode(t, line)
				lines[o.text("delivery_id")] = o
			}
		}
		return len(lines) == count
	})
	for _, listed := range s.reader().list("/dead-letters?limit=200") {
		if line := lines[listed.text("delivery_id")]; !reflect.DeepEqual(line, listed) {
			t.Errorf("the line %v, and the list has %v", line, listed)
		}
	}
}

// TestDeadLetter: three attempts, then a dead letter that says what failed,
// where and why, and that can be sent again after a restart.
func TestDeadLetter(t *testing.T) {
	t.Parallel()
	s := startServer(t, withOptions(local+"\t\tdead_letter_log logs/dead.ndjson\n"))
	r := newReceiver(t)
	r.answer(func(w http.ResponseWriter, _ *request) {
		w.Header().Set("X-Request-Id", "r-1")
		w.WriteHeader(http.StatusTeapot)
		w.Write([]byte("I'm short and stout"))
	})
	sub, secret := s.subscribe(object{"url": r.url("/tea"), "event_types": []string{"*"}})
	id := s.publish(event{Type: "tea.wanted", Payload: json.RawMessage(`{"cups": 2}`)})
	dead := s.settled(id, sub, "dead")

	got := r.all()
	if len(got) != 3 {
		t.Fatalf("%d attempts have arrived, want 3", len(got))
	}
	for i, d := range got {
		d.signed(t, secret)
		if d.id() != id || string(d.body) != `{"cups": 2}` {
			t.Errorf("attempt %d: webhook-id %q, body %q", i+1, d.id(), d.body)
		}
	}
	attempts := s.attempts(dead)
	if len(attempts) != 3 {
		t.Fatalf("%d attempts are recorded, want 3", len(attempts))
	}
	for i, a := range attempts {
		if a.num("number") != float64(i+1) || a.num("status") != http.StatusTeapot || a.text("class") != "status" ||
			a.text("response_body") != "I'm short and stout" || a.text("error_message") == "" {
			t.Errorf("attempt %d is recorded as %v", i+1, a)
		}
	}
	letters := s.reader().list("/dead-letters")
	if len(letters) != 1 {
		t.Fatalf("there are %d dead letters, want 1", len(letters))
	}
	l := letters[0]
	for field, want := range map[string]any{
		"event_id": id, "event_type": "tea.wanted", "url": r.url("/tea"), "subscription_id": sub,
		"attempt_id": attempts[2].text("attempt_id"), "attempts": 3.0, "delivery_id": dead.text("delivery_id"),
	} {
		if l[field] != want {
			t.Errorf("the dead letter's %s is %v, want %v", field, l[field], want)
		}
	}
	if !strings.Contains(l.text("error_message"), "418") {
		t.Errorf("the dead letter's error_message is %q", l.text("error_message"))
	}
	if l["payload"] != nil {
		t.Error("the payload is listed, though nobody asked for it")
	}
	if p := s.reader().list("/dead-letters?payload=true")[0].object("payload"); p.num("cups") != 2 {
		t.Errorf("with ?payload=true, the payload is %v", p)
	}

	s.stop()
	line, err := os.ReadFile(filepath.Join(s.dir, "logs", "dead.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	if logged := decode(t, line); !reflect.DeepEqual(logged, l) {
		t.Errorf("the log of dead letters has %v, want %v", logged, l)
	}
	r.answer(nil)
	r.forget()
	s.start()
	if n := len(s.reader().list("/dead-letters")); n != 1 {
		t.Fatalf("after a restart there are %d dead letters, want 1", n)
	}
	s.manager().do("POST", "/deliveries/"+dead.text("delivery_id")+"/redeliver", nil).want(http.StatusAccepted)
	s.settled(id, sub, "delivered")
	d := r.one()
	d.signed(t, secret)
	if d.id() != id || string(d.body) != `{"cups": 2}` {
		t.Errorf("the redelivery: webhook-id %q, body %q", d.id(), d.body)
	}
	if n := len(s.reader().list("/dead-letters")); n != 0 {
		t.Errorf("after the redelivery there are %d dead letters, want none", n)
	}
	if n := len(s.attempts(dead)); n != 4 {
		t.Errorf("after the redelivery %d attempts are recorded, want 4", n)
	}
}

// TestRedeliverAttempt: by the id of an attempt, though the delivery went well.
func TestRedeliverAttempt(t *testing.T) {
	t.Parallel()
	s := startServer(t, withOptions(local))
	r := newReceiver(t)
	sub, _ := s.subscribe(object{"url": r.url("/"), "event_types": []string{"*"}})
	id := s.publish(event{Type: "a"})
	attempt := s.attempts(s.settled(id, sub, "delivered"))[0].text("attempt_id")
	s.manager().do("POST", "/attempts/"+attempt+"/redeliver", nil).want(http.StatusAccepted)
	if again := r.wait(2)[1]; again.id() != id {
		t.Errorf("webhook-id %q, want %q", again.id(), id)
	}
}

// TestBulkRedelivery: the dead letters that match are queued, and no others.
func TestBulkRedelivery(t *testing.T) {
	t.Parallel()
	s := startServer(t, withOptions("\t\tretry exponential {\n\t\t\tbase 10ms\n\t\t\tattempts 1\n\t\t}\n\t\tegress {\n\t\t\tallow 127.0.0.1\n\t\t}"))
	r := newReceiver(t)
	r.answerStatus(http.StatusInternalServerError)
	sub, _ := s.subscribe(object{"url": r.url("/"), "event_types": []string{"*"}})
	for _, eventType := range []string{"order.created", "order.deleted", "customer.created"} {
		s.settled(s.publish(event{Type: eventType}), sub, "dead")
	}
	r.forget()
	r.answer(nil)
	o := s.manager().do("POST", "/dead-letters/redeliver", object{"event_type": "order.*"}).want(http.StatusOK).object()
	if o.num("redelivered") != 2 {
		t.Errorf("the answer is %v, want 2", o)
	}
	r.wait(2)
	eventually(t, "one dead letter that is left", func() bool { return len(s.reader().list("/dead-letters")) == 1 })
	if l := s.reader().list("/dead-letters")[0]; l.text("event_type") != "customer.created" {
		t.Errorf("what is left is %v", l)
	}
}

// TestDeactivation: deliveries are held, new ones too, over a restart, and
// resume on activate.
func TestDeactivation(t *testing.T) {
	t.Parallel()
	s := startServer(t, withOptions(local))
	held, other := newReceiver(t), newReceiver(t)
	sub, _ := s.subscribe(object{"url": held.url("/"), "event_types": []string{"*"}})
	s.subscribe(object{"url": other.url("/"), "event_types": []string{"*"}})

	o := s.manager().do("POST", "/subscriptions/"+sub+"/deactivate", nil).want(http.StatusOK).object()
	if o["active"] != false {
		t.Errorf("the answer is %v", o)
	}
	first := s.publish(event{Type: "a"})
	other.waitID(first)
	s.stop()
	s.start()
	second := s.publish(event{Type: "a"})
	other.waitID(second)
	held.none()
	for _, id := range []string{first, second} {
		if d := s.delivery(id, sub); d.text("state") != "pending" || d.num("attempts") != 0 {
			t.Errorf("a held delivery is %v", d)
		}
	}
	s.manager().do("POST", "/subscriptions/"+sub+"/activate", nil).want(http.StatusOK)
	held.waitID(first)
	held.waitID(second)
	s.settled(first, sub, "delivered")
	s.settled(second, sub, "delivered")
}

// TestGone: 410 deactivates the subscription, and what waits is held.
func TestGone(t *testing.T) {
	t.Parallel()
	s := startServer(t, withOptions(local))
	r := newReceiver(t)
	r.answerStatus(http.StatusGone)
	sub, _ := s.subscribe(object{"url": r.url("/"), "event_types": []string{"*"}})
	id := s.publish(event{Type: "a"})
	var o object
	eventually(t, "the end of the subscription", func() bool {
		o = s.reader().get("/subscriptions/" + sub)
		return o["active"] == false
	})
	if !strings.Contains(o.text("reason"), "410") {
		t.Errorf("the reason is %q", o.text("reason"))
	}
	r.forget()
	r.answer(nil)
	later := s.publish(event{Type: "a"})
	if d := s.delivery(later, sub); d.text("state") != "pending" {
		t.Errorf("a delivery after that is %v", d)
	}
	r.none()
	s.manager().do("POST", "/subscriptions/"+sub+"/activate", nil).want(http.StatusOK)
	r.waitID(id)
	r.waitID(later)
}

// TestToldOfFailures: the server publishes what becomes of subscriptions, to who
// names these events and to nobody else.
func TestToldOfFailures(t *testing.T) {
	t.Parallel()
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	pager := newReceiver(t)
	s := startServer(t, withOptions(local+`
		subscription pager {
			url `+pager.url("/pager")+`
			event_types webhooks.*
			secret `+secret+`
		}
		subscription all {
			url `+pager.url("/all")+`
			event_types *
		}
`))
	failing := newReceiver(t)
	failing.answerStatus(http.StatusGone)
	gone, _ := s.subscribe(object{"url": failing.url("/"), "event_types": []string{"order.*"}, "tenant": "acme"})
	s.manager().do("POST", "/events", object{"event_type": "webhooks.delivery.dead", "payload": 1}).problem(http.StatusUnprocessableEntity, "reserved")
	s.publish(event{Type: "order.created", Tenant: "acme"})
	d := pager.wait(1)[0]
	d.signed(t, secret)
	told := decode(t, d.body)
	data := told.object("data")
	if d.path != "/pager" || told.text("type") != "webhooks.subscription.deactivated" || data.text("subscription_id") != gone || data.text("tenant") != "acme" || !strings.Contains(data.text("reason"), "410") {
		t.Errorf("%s is told %v", d.path, told)
	}
	parseTime(t, told.text("timestamp"))
}

// TestKillPartsNoDeadLetterFromItsNews: what tells of a dead letter is stored
// with it, however soon after that the server is killed.
func TestKillPartsNoDeadLetterFromItsNews(t *testing.T) {
	t.Parallel()
	const subscriptions = 40
	pager, failing := newReceiver(t), newReceiver(t)
	failing.answerStatus(http.StatusInternalServerError)
	s := startServer(t, withOptions(`
		retry exponential {
			attempts 1
		}
		egress {
			allow 127.0.0.1
		}
		subscription pager {
			url `+pager.url("/")+`
			event_types webhooks.delivery.dead
		}
`))
	for range subscriptions {
		s.subscribe(object{"url": failing.url("/"), "event_types": []string{"order.*"}})
	}
	pager.answer(func(w http.ResponseWriter, _ *request) {
		w.WriteHeader(http.StatusServiceUnavailable) // so that most are told after the restart
	})
	s.publish(event{Type: "order.created"})
	failing.wait(subscriptions / 2)
	s.kill()
	pager.forget()
	pager.answer(nil)
	s.start()
	eventually(t, "the dead letters", func() bool {
		return len(s.reader().list("/dead-letters?event_type=order.created&limit=100")) == subscriptions
	})
	dead := s.reader().list("/dead-letters?event_type=order.created&limit=100")
	told := map[string]bool{}
	for _, ev := range s.reader().list("/events?event_type=webhooks.delivery.dead&limit=100") {
		payload := s.reader().get("/events/" + ev.text("event_id")).object("payload")
		told[payload.object("data").text("delivery_id")] = true
	}
	for _, d := range dead {
		if !told[d.text("delivery_id")] {
			t.Errorf("nothing tells of the dead letter %s", d.text("delivery_id"))
		}
	}
}

// TestRetryAfter: it is honoured, and pauses the endpoint and not only the
// delivery that was answered so.
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

// TestRedirect: it isn't followed, and the error says where it pointed.
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

// TestEgress: addresses that are not public are refused when a subscription is
// made, if they are written out, and when a connection is made.
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

// TestTimeout: what doesn't answer in time has failed, whatever it does.
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

// TestCaddyfileSubscription: subscriptions in the Caddyfile, with a scheme that
// a receiver knows, follow what it says at each reload.
func TestCaddyfileSubscription(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	const subscription = `
		subscription crm {
			url http://{$RECEIVER}/crm
			event_types order.* customer.created
			secret {env.CRM_SECRET}
			header X-Env production
		}
		subscription gh {
			url http://{$RECEIVER}/gh
			event_types order.created
			secret gh-secret
			scheme github
		}
`
	crm := whsec("crm")
	s := startServer(t, withOptions(local+subscription), "RECEIVER="+r.addr, "CRM_SECRET="+crm)
	id := s.publish(event{Type: "order.created", Payload: json.RawMessage(`{"n":1}`)})
	for _, d := range r.wait(2) {
		switch d.path {
		case "/crm":
			d.signed(t, crm)
			if d.id() != id || d.header.Get("X-Env") != "production" {
				t.Errorf("to crm came %v", d.header)
			}
		case "/gh":
			if got, want := d.header.Get("X-Hub-Signature-256"), "sha256="+hexSHA256("gh-secret", `{"n":1}`); got != want {
				t.Errorf("to gh: X-Hub-Signature-256 is %q, want %q", got, want)
			}
		}
	}
	for _, sub := range []string{"sub_crm", "sub_gh"} {
		s.settled(id, sub, "delivered")
		s.manager().do("DELETE", "/subscriptions/"+sub, nil).problem(http.StatusConflict, "configuration")
		s.manager().do("PATCH", "/subscriptions/"+sub, object{"url": r.url("/x")}).problem(http.StatusConflict, "configuration")
	}

	r.forget()
	s.reload(withOptions(local + strings.Replace(subscription, "/crm", "/crm2", 1)))
	s.publish(event{Type: "customer.created"})
	if d := r.wait(1)[0]; d.path != "/crm2" {
		t.Errorf("after the reload it came to %s", d.path)
	}
	s.reload(withOptions(local)) // taken out, perhaps by mistake
	id = s.publish(event{Type: "order.created"})
	if d := s.delivery(id, "sub_crm"); d.text("state") != "pending" {
		t.Errorf("taken out, its delivery is %v", d)
	}
	s.reload(withOptions(local + subscription))
	s.settled(id, "sub_crm", "delivered")
}

// TestInbox: a webhook is verified, stored and answered while the app is down,
// and delivered when it is up.
func TestInbox(t *testing.T) {
	t.Parallel()
	app := downReceiver(t)
	s := startServer(t, `{`+head+`
	webhooks {
		store sqlite {$DB}
		retry exponential {
			base 100ms
			factor 1
			attempts 100
		}
		egress {
			allow 127.0.0.1
		}
		subscription app {
			url http://{$APP}/hooks
			event_types github.*
			secret {env.APP_SECRET}
		}
	}
}

http://:{$PORT} {
	handle /github {
		webhook_verify github {env.GITHUB_WEBHOOK_SECRET}
		webhook_publish github.{http.webhook.event_type} {
			event_id {http.webhook.id}
			forward_headers X-GitHub-*
		}
	}
	handle_path /webhooks/* {
		webhook_api {
			token {env.READ_TOKEN} read
		}
	}
}
`, "APP="+app.addr, "APP_SECRET="+whsec("app"), "GITHUB_WEBHOOK_SECRET="+githubSecret)

	body := []byte("{ \"ref\":\t\"refs/heads/main\" }\r\n")
	h := githubHeaders(githubSecret, "72d3162e-cc78-11e3", "push", body)
	h.Set("Content-Type", "application/json; charset=utf-8")
	o := s.post("/github", body, h).want(http.StatusAccepted).object()
	if o.num("deliveries") != 1 || o.text("event_id") != "72d3162e-cc78-11e3" {
		t.Errorf("the answer is %v", o)
	}
	again := s.post("/github", body, h).want(http.StatusOK).object()
	if again["duplicate"] != true {
		t.Errorf("the answer to the provider's retry is %v", again)
	}
	forged := bytes.Clone(body)
	forged[3] ^= 1
	s.post("/github", forged, h).want(http.StatusUnauthorized)

	eventually(t, "attempts while the app is down", func() bool {
		return s.delivery("72d3162e-cc78-11e3", "sub_app").num("attempts") >= 2
	})
	s.stop()
	s.start()
	app.up()
	d := app.wait(1)[0]
	d.signed(t, whsec("app"))
	if !bytes.Equal(d.body, body) || d.header.Get("Content-Type") != "application/json; charset=utf-8" {
		t.Errorf("the app got %q, %q", d.body, d.header.Get("Content-Type"))
	}
	if d.header.Get("X-GitHub-Event") != "push" || d.header.Get("X-GitHub-Delivery") != "72d3162e-cc78-11e3" {
		t.Errorf("the headers were not forwarded: %v", d.header)
	}
	got := s.settled("72d3162e-cc78-11e3", "sub_app", "delivered")
	if got.text("event_type") != "github.push" {
		t.Errorf("the event type is %q", got.text("event_type"))
	}
	if events := s.reader().list("/events"); len(events) != 1 {
		t.Errorf("%d events are stored, want 1", len(events))
	}
}

// TestInboxKeepsTheBody: whatever a provider sends is delivered to the byte,
// with its content type; its signed id is the event's.
func TestInboxKeepsTheBody(t *testing.T) {
	t.Parallel()
	app := newReceiver(t)
	s := startServer(t, `{`+head+`
	webhooks {
		store sqlite {$DB}
		max_payload 64KiB
		egress {
			allow 127.0.0.1
		}
		subscription app {
			url http://{$APP}/
			event_types standard.*
			secret {env.APP_SECRET}
		}
	}
}

http://:{$PORT} {
	webhook_verify standard-webhooks {env.STANDARD_SECRET}
	webhook_publish standard.{header.X-Kind}
}
`, "APP="+app.addr, "APP_SECRET="+whsec("app"), "STANDARD_SECRET="+standardSecret)
	binary := sized(64 << 10)
	for _, c := range []struct {
		id, kind, contentType string
		body                  []byte
	}{
		{"msg_form", "form", "application/x-www-form-urlencoded", []byte("a=1&b=%20&a=2")},
		{"msg_text", "text", "text/plain; charset=iso-8859-1", []byte("\xe4\r\n")},
		{"msg_json", "json", "application/json", []byte("{ \"type\" : \"a\" }\n")},
		{"msg_binary", "binary", "application/octet-stream", binary},
	} {
		h := standardHeaders(t, standardSecret, c.id, time.Now(), c.body)
		h.Set("Content-Type", c.contentType)
		h.Set("X-Kind", c.kind)
		o := s.post("/", c.body, h).want(http.StatusAccepted).object()
		if o.text("event_id") != c.id {
			t.Errorf("%s: the event's id is %q", c.id, o.text("event_id"))
		}
		d := app.waitID(c.id)
		d.signed(t, whsec("app"))
		if !bytes.Equal(d.body, c.body) || d.header.Get("Content-Type") != c.contentType {
			t.Errorf("%s: %d bytes of %d have arrived, as %q", c.id, len(d.body), len(c.body), d.header.Get("Content-Type"))
		}
	}
	large := sized(64<<10 + 1)
	s.post("/", large, standardHeaders(t, standardSecret, "msg_large", time.Now(), large)).want(http.StatusRequestEntityTooLarge)
	eventually(t, "the word of what is too large", func() bool { return strings.Contains(s.log(), "raise max_payload") })

	// The provider's retry after a restart, signed anew, is no second event.
	s.stop()
	s.start()
	again := standardHeaders(t, standardSecret, "msg_binary", time.Now().Add(time.Second), binary)
	again.Set("Content-Type", "application/octet-stream")
	again.Set("X-Kind", "binary")
	if o := s.post("/", binary, again).want(http.StatusOK).object(); o["duplicate"] != true {
		t.Errorf("the answer to the retry is %v", o)
	}
	if n := len(app.all()); n != 4 {
		t.Errorf("%d deliveries have arrived, want 4", n)
	}
}

// TestTenantRate: who publishes faster than its tenant may is told when to come
// again, by the API and by the inbox.
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

// TestDrain: a stop waits for what is under way, and stores its outcome.
func TestDrain(t *testing.T) {
	t.Parallel()
	s := startServer(t, withOptions(local))
	r := newReceiver(t)
	release := make(chan struct{})
	r.answer(func(http.ResponseWriter, *request) { <-release })
	sub, _ := s.subscribe(object{"url": r.url("/"), "event_types": []string{"*"}})
	id := s.publish(event{Type: "a"})
	r.wait(1)
	mark := s.out.len()
	s.signal(syscall.SIGTERM)
	eventually(t, "the word of what is waited for", func() bool { return strings.Contains(s.out.after(mark), "waiting for those under way") })
	if !s.running() {
		t.Error("caddy did not wait for the attempt")
	}
	if status := s.webhooks("status"); !strings.Contains(status, "Stopping:") {
		t.Errorf("the status doesn't say that it stops: %s", status)
	}
	close(release)
	s.exited()
	r.answer(nil)
	s.start()
	d := s.delivery(id, sub)
	if d.text("state") != "delivered" || d.num("attempts") != 1 {
		t.Errorf("after the restart the delivery is %v", d)
	}
	fence := s.publish(event{Type: "a"})
	r.waitID(fence)
	if got := r.all(); len(got) != 2 {
		t.Errorf("%d deliveries have arrived, want 2: what was drained came again", len(got))
	}
}

// TestDrainEnds: what is still under way after the grace period is repeated
// after the start.
func TestDrainEnds(t *testing.T) {
	t.Parallel()
	caddyfile := strings.Replace(withOptions(local), "webhooks {", "grace_period 200ms\n\twebhooks {", 1)
	s := startServer(t, caddyfile)
	r := newReceiver(t)
	r.answer(func(_ http.ResponseWriter, d *request) { <-d.gone })
	sub, secret := s.subscribe(object{"url": r.url("/"), "event_types": []string{"*"}})
	id := s.publish(event{Type: "a"})
	r.wait(1)
	s.stop()
	r.answer(nil)
	r.forget()
	s.start()
	d := r.waitID(id)
	d.signed(t, secret)
	s.settled(id, sub, "delivered")
}

// TestStoreFile: it is the owner's alone.
func TestStoreFile(t *testing.T) {
	t.Parallel()
	s := startServer(t, withOptions(local))
	s.publish(event{Type: "a"})
	for _, file := range []string{s.db, s.db + "-wal"} {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("%s has the mode %v, want 0600", file, mode)
		}
	}
}
