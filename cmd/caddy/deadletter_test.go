package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

// TestDeadLetter checks that after three attempts, there is a dead letter that says what
// failed, where and why, and that it can be redelivered after a restart.
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
	line := must.Get(os.ReadFile(filepath.Join(s.dir, "logs", "dead.ndjson")))(t)
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

// TestRedeliverAttempt redelivers by the id of an attempt, although it succeeded.
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

// TestBulkRedelivery checks that the matching dead letters are requeued, and no others.
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
	must.Eventually(t, "one dead letter that is left", func() bool { return len(s.reader().list("/dead-letters")) == 1 })
	if l := s.reader().list("/dead-letters")[0]; l.text("event_type") != "customer.created" {
		t.Errorf("what is left is %v", l)
	}
}

// TestKillPartsNoDeadLetterFromItsNews checks that the event about a dead letter is stored
// together with it, however soon the server is killed.
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
		w.WriteHeader(http.StatusServiceUnavailable) // so that most of these events are delivered after the restart
	})
	s.publish(event{Type: "order.created"})
	failing.wait(subscriptions / 2)
	s.kill()
	pager.forget()
	pager.answer(nil)
	s.start()
	must.Eventually(t, "the dead letters", func() bool {
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

// TestDeadLetterLogHasAll checks that an attempt that ends after its config was replaced,
// or during a stop, is logged, even if the file was moved away.
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
	s := startServer(t, withOptions(options+"\t\ttimeout 9m\n"))
	r := newReceiver(t)
	answers := make(chan struct{})
	r.answer(func(w http.ResponseWriter, _ *request) {
		<-answers
		w.WriteHeader(http.StatusTeapot)
	})
	s.subscribe(object{"url": r.url("/"), "event_types": []string{"*"}})
	path := filepath.Join(s.dir, "dead.ndjson")
	logged := func() int {
		text := must.Get(os.ReadFile(path))(t)
		return strings.Count(string(text), "\n")
	}
	s.publish(event{Type: "a"})
	r.wait(1)
	s.reload(withOptions(options + "\t\ttimeout 10m\n"))
	answers <- struct{}{}
	must.Eventually(t, "the line of an attempt that began before a reload", func() bool { return logged() == 1 })
	must.Do(t, os.Rename(path, path+".1"))

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

// TestDeadLetterLogAfterACrash checks that what couldn't be logged before a crash is logged
// after the next start.
func TestDeadLetterLogAfterACrash(t *testing.T) {
	t.Parallel()
	config := withOptions(local + "\t\tdead_letter_log dead.ndjson\n")
	s := startServer(t, config)
	r := newReceiver(t)
	r.answer(func(w http.ResponseWriter, _ *request) { w.WriteHeader(http.StatusTeapot) })
	sub, _ := s.subscribe(object{"url": r.url("/"), "event_types": []string{"*"}})
	path := filepath.Join(s.dir, "dead.ndjson")
	must.Do(t, errors.Join(os.Remove(path), os.Mkdir(path, 0o700)))
	dead := s.settled(s.publish(event{Type: "a"}), sub, "dead")
	s.kill()
	must.Do(t, os.Remove(path))
	s.start()
	must.Eventually(t, "the line", func() bool {
		text, err := os.ReadFile(path)
		return err == nil && bytes.Contains(text, []byte(dead.text("delivery_id"))) && bytes.HasSuffix(text, []byte("\n"))
	})
}

// TestDeadLetterLogHasTheBuried checks that deliveries that died with their subscription
// are logged too, as the list shows them.
func TestDeadLetterLogHasTheBuried(t *testing.T) {
	t.Parallel()
	s := startServer(t, withOptions(strings.Replace(local, "100ms 100ms", "1h", 1)+"\t\tdead_letter_log dead.ndjson\n"))
	r := newReceiver(t)
	r.answer(func(w http.ResponseWriter, _ *request) { w.WriteHeader(http.StatusTeapot) })
	sub, _ := s.subscribe(object{"url": r.url("/"), "event_types": []string{"*"}})
	tried := s.publish(event{Type: "a"})
	must.Eventually(t, "an attempt", func() bool { return s.delivery(tried, sub).num("attempts") == 1 })
	s.manager().do("POST", "/subscriptions/"+sub+"/deactivate", nil).want(http.StatusOK)
	const count = 250 // more than are buried at once
	for range count - 1 {
		s.publish(event{Type: "a"})
	}
	s.manager().do("DELETE", "/subscriptions/"+sub, nil).want(http.StatusNoContent)
	lines := map[string]object{}
	must.Eventually(t, "a line for each", func() bool {
		text := must.Get(os.ReadFile(filepath.Join(s.dir, "dead.ndjson")))(t)
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
