package cli

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

func TestPublishedPayloadArrivesByteForByte(t *testing.T) {
	s := start(t)
	s.subscribe("*")
	for name, payload := range map[string]string{
		"an object":        `{"b":1,"a":2,"a":3}`,
		"spaces inside":    "{ \"a\" :\t[1 , 2] }",
		"HTML":             `{"html":"<b>&amp;</b>","esc":"\u003c\/"}`,
		"large numbers":    `[12345678901234567890,1.10,1e400,-0]`,
		"no ASCII":         `"ünïcode ☃ 🎉  "`,
		"null":             `null`,
		"a bare text":      `"},\"event_id\":\"x\""`,
		"a line separator": "\"\u2028\"",
	} {
		t.Run(name, func(t *testing.T) {
			for by, args := range map[string][]string{
				"payload":      {"--payload", payload},
				"payload-file": {"--payload-file", file(t, payload)},
				"stdin":        {},
			} {
				s.run(payload, append([]string{"events", "publish", "order.created"}, args...)...).want(t, 0)
				s.attempted()
				if got := <-s.bodies; got != payload {
					t.Errorf("%s: got payload %q, want %q", by, got, payload)
				}
			}
		})
	}
}

func TestPublishRefuses(t *testing.T) {
	s := start(t)
	large := filepath.Join(t.TempDir(), "large.json")
	must.Do(t, errors.Join(os.WriteFile(large, []byte("1"), 0o600), os.Truncate(large, maxInput+1)))
	for name, c := range map[string]struct {
		args    []string
		payload string
		code    int
		says    string
	}{
		"nothing":                         {[]string{"a"}, "", 2, "the payload is empty"},
		"no JSON":                         {[]string{"a"}, "hello", 1, "not JSON"},
		"JSON that goes on":               {[]string{"a"}, `1} {`, 1, "at byte 2"},
		"a payload that breaks out":       {[]string{"a"}, `1,"event_id":"x"`, 1, "not JSON"},
		"both ways of giving it":          {[]string{"a", "--payload", "1", "--payload-file", "x"}, "", 2, "together"},
		"more than is read":               {[]string{"a", "--payload-file", large}, "", 1, "larger than 64 MiB"},
		"an event type of the wrong form": {[]string{"order created"}, "{}", 1, "event_type is not an event type"},
		"an event id with a dot":          {[]string{"a", "--event-id", "a.b"}, "{}", 1, "event_id may only have"},
		"an empty event id":               {[]string{"a", "--event-id", ""}, "{}", 2, "--event-id is empty"},
		"an empty tenant":                 {[]string{"a", "--tenant="}, "{}", 2, "--tenant is empty"},
		"a header without a value":        {[]string{"a", "--header", "X-A"}, "{}", 2, "\"Name: value\""},
		"a reserved header":               {[]string{"a", "-H", "webhook-id: x"}, "{}", 1, "it belongs to the signature"},
		"two event types":                 {[]string{"a", "b"}, "{}", 2, "too many arguments"},
	} {
		t.Run(name, func(t *testing.T) {
			r := s.run(c.payload, append([]string{"events", "publish"}, c.args...)...)
			if r.code != c.code || !strings.Contains(r.err, c.says) || r.out != "" {
				t.Errorf("got exit code %d, stdout %q, stderr %q", r.code, r.out, r.err)
			}
		})
	}
	if r := s.run("", "events", "list").want(t, 0); r.out != "" || r.err != "There are none.\n" {
		t.Errorf("refused events were stored: %q, %q", r.out, r.err)
	}
}

func TestPublishWithHeaders(t *testing.T) {
	s := start(t)
	s.subscribe("*")
	s.publish("a", "{}", "--event-id", "one", "--header", `X-Env: a "test"`, "-H", "x-tag: 1", "-H", "X-Tag:2")
	h := (<-s.received).Header
	if env, tag := h.Get("X-Env"), h.Get("X-Tag"); env != `a "test"` || tag != "1, 2" {
		t.Errorf("got X-Env %q, X-Tag %q", env, tag)
	}
	r := s.run("", "events", "show", "one").want(t, 0)
	if shown := field(t, r.out, "Header"); shown != `X-Env: a "test"` {
		t.Errorf("got %q of %s", shown, r.out)
	}
}

func TestPublishTwice(t *testing.T) {
	s := start(t)
	s.subscribe("order.*")
	publish := func(payload string) result {
		return s.run(payload, "events", "publish", "order.created", "--event-id", "order-7")
	}
	publish(`{"a":1}`).want(t, 0).prints(t, "order-7 published to 1 subscription\n")
	publish(`{"a":1}`).want(t, 0).prints(t, "order-7 was published before, to 1 subscription: nothing was done\n")
	publish(`{"a":2}`).want(t, 1).says(t, `event_id "order-7" was used before`)
	r := s.run("{}", "events", "publish", "a", "--json").want(t, 0)
	var answer struct {
		Deliveries *int `json:"deliveries"`
	}
	if err := json.Unmarshal([]byte(r.out), &answer); err != nil || answer.Deliveries == nil || *answer.Deliveries != 0 {
		t.Errorf("got stdout %q", r.out)
	}
}

func TestEventsAreShown(t *testing.T) {
	s := start(t)
	s.subscribe("order.*", "--tenant", "acme")
	s.publish("order.created", `{"order":7,"note":"a\nb"}`, "--event-id", "order-7", "--tenant", "acme")
	s.run("{}", "events", "publish", "customer.created", "--event-id", "c-1").want(t, 0)

	golden(t, "events-list", s.run("", "events", "list").want(t, 0).out)
	golden(t, "events-show", steady(s.run("", "events", "show", "order-7", "--tenant", "acme").want(t, 0).out))
	golden(t, "events-show-unmatched", s.run("", "events", "show", "c-1").want(t, 0).out)
	s.run("", "events", "show", "order-7").want(t, 1).says(t, "`caddy webhooks events list --address "+s.address+"`")
	s.run("", "events", "show", "c-1?x").want(t, 1).says(t, `there is no event "c-1?x"`)
	if r := s.run("", "events", "list", "--event-type", "order.*", "--since", "1h").want(t, 0); strings.Contains(r.out, "c-1") || !strings.Contains(r.out, "order-7") {
		t.Errorf("filtered: got %q", r.out)
	}
	for filter, want := range map[string]string{"--state=delivered": "order-7", "--event-id=c-1": "c-1", "--state=dead": ""} {
		r := s.run("", "events", "list", filter, "--json").want(t, 0)
		if found := strings.Count(r.out, `"event_id"`); found != min(len(want), 1) || !strings.Contains(r.out, want) {
			t.Errorf("%s: %q", filter, r.out)
		}
	}
	s.run("", "events", "list", "--until", "1h").want(t, 0).prints(t, "")
	shown := s.run("", "events", "show", "order-7", "--tenant", "acme", "--json").want(t, 0)
	var e event
	if err := json.Unmarshal([]byte(shown.out), &e); err != nil || len(e.Deliveries) != 1 {
		t.Errorf("as JSON: got %v: %s", err, shown.out)
	}
}

func TestDeleteEvent(t *testing.T) {
	s := start(t)
	s.run(`1`, "events", "publish", "a", "--event-id", "mine", "--tenant", "acme").want(t, 0)
	s.run("", "events", "delete", "mine").want(t, 1).says(t, "tenant")
	s.run("", "events", "delete", "mine", "--tenant", "acme").want(t, 0).prints(t, "mine deleted\n")
	s.run("", "events", "show", "mine", "--tenant", "acme").want(t, 1)
}

func TestEventsAreDeletedInBulk(t *testing.T) {
	s := start(t)
	held := s.subscribe("held")
	s.run("", "subscriptions", "deactivate", held).want(t, 0)
	for _, id := range []string{"one", "two", "three", "four"} {
		s.run(`{"of":"`+id+`"}`, "events", "publish", "a."+id[:1], "--event-id", id, "--tenant", "acme").want(t, 0)
	}
	for _, id := range []string{"one", "other"} {
		s.run(`1`, "events", "publish", "held", "--event-id", id).want(t, 0)
	}
	for _, args := range [][]string{
		{}, {"--tenant", "acme"}, {"one", "--event-type", "a.o"}, {"one", "--tenant", "acme", "--event-type", "a.o"}, {"--all", "one"}, {"one", "--dry-run"},
		{"--all", "--filter", "payload.of ="}, {"--all", "--tenant", ""}, {"--all", "--class", "dns"},
	} {
		s.run("", append([]string{"events", "delete"}, args...)...).want(t, 2)
	}
	s.run("", "events", "delete", "one", "two", "--tenant", "acme").want(t, 0).prints(t, "one deleted\ntwo deleted\n")
	s.run("", "events", "delete", "--all", "--filter", `payload.of == "three"`, "--dry-run").want(t, 0).prints(t, "1 event matches\n")
	if r := s.run("", "events", "delete", "--all", "--filter", `payload.of == "three"`).want(t, 0); r.out != "1 event deleted\n" || strings.Contains(r.err, "pending") {
		t.Errorf("got stdout %q, stderr %q", r.out, r.err)
	}
	s.run("", "events", "delete", "--all").want(t, 0).prints(t, "1 event deleted\n").says(t, "2 events were not deleted, since a delivery is pending")
	s.run("", "events", "delete", "--all", "--json").want(t, 0).prints(t, "{\n  \"deleted\": 0,\n  \"pending\": 2\n}\n")
}

func TestFindEvents(t *testing.T) {
	s := start(t)
	for _, customer := range []string{"cus_7", "cus_8"} {
		s.run(`{"customer":"`+customer+`"}`, "events", "publish", "order.paid", "--event-id", "of_"+customer).want(t, 0)
	}
	if r := s.run("", "events", "list", "--since", "1h", "--filter", `payload.customer == "cus_7"`).want(t, 0); !strings.Contains(r.out, "of_cus_7") || strings.Contains(r.out, "of_cus_8") {
		t.Errorf("got stdout %q", r.out)
	}
	s.run("", "events", "list", "--filter", "payload.customer =").want(t, 2).says(t, "CEL")
}
