package outbound_test

import (
	"bytes"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// An event whose bytes the disk has changed isn't sent but becomes a dead letter. The
// others are delivered.
func TestDamagedEventsAreNotSent(t *testing.T) {
	h := open(t, retries(time.Minute))
	r := newReceiver(t)
	r.respond(status(500))
	h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}})
	for i := range 3 {
		h.publish("a", fmt.Sprintf(`{"n":%d,"text":"some text"}`, i))
		h.awaitAttempt()
		r.next(t)
	}
	h.stop()
	b := must.Get(os.ReadFile(h.file()))(t)
	at := bytes.Index(b, []byte(`{"n":1,"text":`))
	b[at+20] ^= 1
	must.Do(t, os.WriteFile(h.file(), b, 0o600))
	r.respond(status(200))
	h.start()
	h.clock.advance(2 * time.Minute)
	delivered := 0
	for range 3 {
		switch d := h.awaitAttempt(); d.State {
		case store.Delivered:
			delivered++
		case store.Dead:
			if d.Attempt.Class != outbound.ClassDamaged || d.Attempt.Status != 0 {
				t.Errorf("got %+v, want class %s without a status", d.Attempt, outbound.ClassDamaged)
			}
		default:
			t.Errorf("got state %v, attempt %+v, want delivered or dead", d.State, d.Attempt)
		}
	}
	if delivered != 2 {
		t.Errorf("got %d delivered, want 2", delivered)
	}
	for range delivered {
		if body := string(r.next(t).body); body != `{"n":0,"text":"some text"}` && body != `{"n":2,"text":"some text"}` {
			t.Errorf("got body %s, want that of event 0 or 2", body)
		}
	}
}
