package outbound_test

import (
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/logged"
	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

// journal is the engine's log.
type journal struct{ logged.Buffer }

// line returns the first line that contains a message, "" if there is none.
func (j *journal) line(message string) string {
	for line := range strings.Lines(j.String()) {
		if strings.Contains(line, message) {
			return line
		}
	}
	return ""
}

// count returns how often the log contains a message.
func (j *journal) count(message string) int {
	return strings.Count(j.String(), message)
}

// logTo makes the engine log to j.
func logTo(j *journal) setting {
	return func(s *outbound.Settings) { s.Logger = slog.New(slog.NewTextHandler(j, nil)) }
}

// The log says which receiver is down and when it has recovered, without the path and
// query of its URL, which may be secret.
func TestLogOfAReceiverThatWasDown(t *testing.T) {
	var log journal
	h := open(t, retries(time.Hour), logTo(&log), func(s *outbound.Settings) { s.EndpointConcurrency = 1 })
	r := newReceiver(t)
	r.respond(status(503))
	s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL + "/hush?key=hush", EventTypes: []string{"*"}, Tenant: "acme"})
	publish := func(payload string) {
		must.Get(h.Publish(t.Context(), &outbound.NewEvent{Type: "a", Tenant: "acme", Payload: []byte(payload)}))(t)
	}
	for i := range 10 { // until it is down
		publish(fmt.Sprint(i))
		h.probe(r)
		h.awaitAttempt()
	}
	must.Eventually(t, "the log line that it is down", func() bool { return log.line("a receiver is down") != "" })
	at := must.Get(url.Parse(r.URL))(t)
	named := fmt.Sprintf("subscription_id=%s tenant=acme host=%s ", s.ID, at.Host)
	if line := log.line("a receiver is down"); !strings.Contains(line, "level=WARN") || !strings.Contains(line, named+`class=status error="the receiver answered 503 Service Unavailable"`) {
		t.Errorf("down: got %q, want a warning with %s", line, named)
	}
	r.respond(nil)
	h.clock.advance(25 * time.Minute) // its probe is due
	publish(`"probe"`)
	h.probe(r)
	h.awaitAttempt()
	must.Eventually(t, "the log line that it is back", func() bool { return log.line("a receiver is back") != "" })
	if line := log.line("a receiver is back"); !strings.Contains(line, "level=INFO") || !strings.Contains(line, named+"failed_for=25m") {
		t.Errorf("back: got %q, want an info with %s and failed_for=25m", line, named)
	}
	for _, not := range []string{"hush", "no connection"} {
		if line := log.line(not); line != "" {
			t.Errorf("got %q in the log: %s", not, line)
		}
	}
}

// At the start, the log says how many subscriptions have pending deliveries.
func TestLogOfWhatWaitsAtTheStart(t *testing.T) {
	var log journal
	h := open(t, logTo(&log))
	r := newReceiver(t)
	for _, types := range []string{"a", "*", "b"} {
		s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{types}})
		must.Get(h.Deactivate(t.Context(), s.ID, outbound.ReasonByHand))(t)
	}
	began := h.clock.Now()
	h.publish("a", "1")
	h.clock.advance(time.Minute)
	h.publish("a", "2")
	if line := log.line("there are pending deliveries"); line != "" {
		t.Errorf("before a restart: got %q, want no line", line)
	}
	h.restart()
	want := fmt.Sprintf("subscriptions=2 oldest_due=%s\n", began.Local().Format("2006-01-02T15:04:05.000Z07:00"))
	if line := log.line("there are pending deliveries"); !strings.Contains(line, "level=INFO") || !strings.HasSuffix(line, want) {
		t.Errorf("got %q, want it to end with %q", line, want)
	}
}
