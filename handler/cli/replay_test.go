package cli

import (
	"strings"
	"testing"
)

func TestReplay(t *testing.T) {
	s := start(t)
	for _, id := range []string{"first", "second"} {
		s.run(`{"a":1}`, "events", "publish", "order.paid", "--event-id", id).want(t, 0)
	}
	late := s.subscribe("order.*")
	if r := s.run("", "subscriptions", "replay", late, "--event-id", "first").want(t, 0); r.out != "1 event replayed\n" {
		t.Errorf("printed %q", r.out)
	}
	if r := s.run("", "subscriptions", "replay", late, "--since", "1h", "--json").want(t, 0); r.out != "{\n  \"replayed\": 1\n}\n" {
		t.Errorf("printed %q", r.out)
	}
	for range 2 {
		s.attempted()
	}
	if r := s.run("", "subscriptions", "replay", late, "--since", "1h", "--until", "1m").want(t, 0); r.out != "0 events replayed\n" || !strings.Contains(r.err, "already has a delivery for each") {
		t.Errorf("stdout %q, stderr %q", r.out, r.err)
	}
	if r := s.run("", "subscriptions", "replay", late, "--event-type", "order.paid").want(t, 2); !strings.Contains(r.err, "--since 24h") {
		t.Errorf("stderr %q", r.err)
	}
	if r := s.run("", "subscriptions", "replay", "sub_x", "--since", "1h").want(t, 1); !strings.Contains(r.err, "sub_x") {
		t.Errorf("stderr %q", r.err)
	}
}
