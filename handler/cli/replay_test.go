package cli

import (
	"testing"
)

func TestReplay(t *testing.T) {
	s := start(t)
	for _, id := range []string{"first", "second"} {
		s.run(`{"a":1}`, "events", "publish", "order.paid", "--event-id", id).want(t, 0)
	}
	late := s.subscribe("order.*")
	s.run("", "subscriptions", "replay", late, "--event-id", "first").want(t, 0).prints(t, "1 event replayed\n")
	s.run("", "subscriptions", "replay", late, "--since", "1h", "--json").want(t, 0).prints(t, "{\n  \"replayed\": 1\n}\n")
	for range 2 {
		s.attempted()
	}
	s.run("", "subscriptions", "replay", late, "--since", "1h", "--until", "1m").want(t, 0).prints(t, "0 events replayed\n").says(t, "already has a delivery for each")
	s.run("", "subscriptions", "replay", late, "--event-type", "order.paid").want(t, 2).says(t, "--since 24h")
	s.run("", "subscriptions", "replay", "sub_x", "--since", "1h").want(t, 1).says(t, "sub_x")
}
