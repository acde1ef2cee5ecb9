package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

func TestDeadLettersLife(t *testing.T) {
	s := start(t)
	s.subscribe("order.*", "--tenant", "acme")
	s.answer.Store(500)
	id := s.publish("order.created", `{"order":7}`, "--event-id", "order-7", "--tenant", "acme")
	golden(t, "dead-letters-list", steady(s.run("", "dead-letters", "list").want(t, 0).out))
	golden(t, "dead-letters-show", steady(s.run("", "dead-letters", "show", id).want(t, 0).out))
	golden(t, "dead-letters-export", steady(s.run("", "dead-letters", "export").want(t, 0).out))
	golden(t, "deliveries-show-dead", steady(s.run("", "deliveries", "show", id).want(t, 0).out))

	s.answer.Store(200)
	s.run("", "dead-letters", "redeliver", id).want(t, 0).prints(t, id+" queued\n")
	s.attempted()
	s.run("", "dead-letters", "show", id).want(t, 1).says(t, "is no dead letter, it is delivered")
	s.run("", "dead-letters", "list").want(t, 0).prints(t, "")
}

func TestDeadLettersAreDeleted(t *testing.T) {
	s := start(t)
	s.subscribe("*")
	s.answer.Store(500)
	var ids []string
	for i := range 5 {
		ids = append(ids, s.publish(fmt.Sprint("type.", i%2), "1"))
	}
	s.run("", "dead-letters", "delete", ids[0], ids[1]).want(t, 0).prints(t, ids[0]+" deleted\n"+ids[1]+" deleted\n")
	s.run("", "dead-letters", "delete", ids[0], ids[2]).want(t, 1).prints(t, ids[2]+" deleted\n").says(t, "it is discarded", "1 of 2 were not deleted")
	s.run("", "dead-letters", "delete", "--all", "--event-type", "type.0", "--dry-run").want(t, 0).prints(t, "1 dead letter matches\n")
	s.run("", "dead-letters", "delete", "--all", "--dry-run", "--json").want(t, 0).prints(t, "{\n  \"matching\": 2\n}\n")
	s.run("", "dead-letters", "delete", "--all", "--event-type", "type.0").want(t, 0).prints(t, "1 dead letter deleted\n")
	s.run("", "dead-letters", "delete", "--all", "--json").want(t, 0).prints(t, "{\n  \"deleted\": 1\n}\n")
	if r := s.run("", "dead-letters", "delete", "--all").want(t, 0); r.out != "0 dead letters deleted\n" || strings.Contains(r.err, "subscriptions were deleted") {
		t.Errorf("got stdout %q, stderr %q", r.out, r.err)
	}
	if r := s.run("", "deliveries", "list", "--state", "discarded").want(t, 0); strings.Count(r.out, "discarded") != 5 {
		t.Errorf("got list %s", r.out)
	}
}

func TestDeadLettersInBulk(t *testing.T) {
	s := start(t)
	s.subscribe("*")
	s.answer.Store(500)
	const letters = 5
	for i := range letters {
		s.publish(fmt.Sprint("type.", i%2), "1")
	}
	for span, want := range map[string]int{"--failed-since": letters, "--failed-until": 0} {
		var list struct{ Data []deadLetter }
		r := s.run("", "dead-letters", "list", "--json", span, "1h").want(t, 0)
		if err := json.Unmarshal([]byte(r.out), &list); err != nil || len(list.Data) != want {
			t.Errorf("%s: %v, %d of %d", span, err, len(list.Data), want)
		}
		if r := s.run("", "dead-letters", "export", span, "2026-01-31 14:04").want(t, 0); strings.Count(r.out, "\n") != want {
			t.Errorf("%s: got %s", span, r.out)
		}
	}
	for how, want := range map[string]int{"--class=status": letters, "--class=dns": 0, "--status=500": letters, "--status=503": 0} {
		if r := s.run("", "dead-letters", "export", how).want(t, 0); strings.Count(r.out, "\n") != want {
			t.Errorf("%s: got %s", how, r.out)
		}
	}
	s.run("", "dead-letters", "redeliver", "--all", "--class", "dns", "--status", "503").want(t, 0).prints(t, "0 dead letters queued\n")
	s.run("", "dead-letters", "list", "--failed-since", "yesterday").want(t, 2)
	s.run("", "deliveries", "list", "--failed-since", "1h").want(t, 2)
	s.run("", "dead-letters", "redeliver", "--all", "--failed-until", "1h").want(t, 0).prints(t, "0 dead letters queued\n")
	s.answer.Store(200)
	s.run("", "dead-letters", "redeliver", "--all", "--failed-since", "1h", "--event-type", "type.0").want(t, 0).prints(t, "3 dead letters queued\n")
	s.run("", "dead-letters", "redeliver", "--all", "--json").want(t, 0).prints(t, "{\n  \"redelivered\": 2\n}\n")
	for range letters {
		s.attempted()
	}
	s.run("", "dead-letters", "redeliver", "--all").want(t, 0).prints(t, "0 dead letters queued\n").says(t, "subscriptions replay")
	if r := s.run("", "dead-letters", "list", "--event-type", "type.0").want(t, 0); r.out != "" || r.err != "None match.\n" {
		t.Errorf("got stdout %q, stderr %q", r.out, r.err)
	}
}

func TestExport(t *testing.T) {
	s := start(t)
	s.subscribe("*")
	s.answer.Store(500)
	payloads := []string{`{ "n" : 1 }`, `"☃"`, `[12345678901234567890]`}
	for _, p := range payloads {
		s.publish("a", p)
	}
	name := filepath.Join(t.TempDir(), "dead.ndjson")
	if r := s.run("", "dead-letters", "export", "--output", name).want(t, 0); r.out != "" || r.err != "3 dead letters exported\n" {
		t.Errorf("got stdout %q, stderr %q", r.out, r.err)
	}
	info, err := os.Stat(name)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	text := must.Get(os.ReadFile(name))(t)
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if len(lines) != 3 || !strings.Contains(lines[0], `12345678901234567890`) || !strings.Contains(lines[2], `{"n":1}`) {
		t.Errorf("got export %s", text)
	}
	s.run("", "dead-letters", "export", "--event-type", "b").want(t, 0).prints(t, "")
	s.run("", "dead-letters", "export", "--output", "/nonexistent/x").want(t, 1).says(t, "/nonexistent/x")
}

func TestBrokenExportFails(t *testing.T) {
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		answer(200, "application/x-ndjson", "{}\n{}\n{\"half")(w, r)
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	r := run(t, "", "dead-letters", "export", "--address", address).want(t, 1)
	if !strings.HasPrefix(r.out, "{}\n{}\n") || !strings.Contains(r.err, "after 2 of them") {
		t.Errorf("got stdout %q, stderr %q", r.out, r.err)
	}
}
