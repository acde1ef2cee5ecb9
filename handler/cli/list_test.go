package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

func TestListsFollowCursors(t *testing.T) {
	s := start(t)
	const events = 2*maxPage + 7
	for i := range events {
		body := must.Get(envelope(map[string]string{"event_type": "a", "event_id": fmt.Sprint("e-", i)}, []byte("{}")))(t)
		c := must.Get(newAdminClient(admin{address: s.address}, defaultTimeout))(t)
		must.Do(t, c.do(t.Context(), http.MethodPost, "/events", nil, body, nil))
	}
	rows := func(r result) int { return strings.Count(r.out, "\n") - 1 }
	if r := s.run("", "events", "list", "--all").want(t, 0); rows(r) != events || r.err != "" {
		t.Errorf("--all: got %d rows and %q", rows(r), r.err)
	}
	if r := s.run("", "events", "list").want(t, 0); rows(r) != defaultLimit || !strings.Contains(r.err, "--cursor") {
		t.Errorf("got %d rows and %q", rows(r), r.err)
	}
	if r := s.run("", "events", "list", "--limit", fmt.Sprint(maxPage+1)).want(t, 0); rows(r) != maxPage+1 {
		t.Errorf("more than a page: got %d rows", rows(r))
	}

	// In JSON, all pages are one document, whose cursor continues the list.
	seen := map[string]bool{}
	cursor := ""
	for pages := 0; ; pages++ {
		args := []string{"events", "list", "--json", "--limit", "250"}
		if cursor != "" {
			args = append(args, "--cursor", cursor)
		}
		var p page
		must.Do(t, json.Unmarshal([]byte(s.run("", args...).want(t, 0).out), &p))
		for _, row := range p.Data {
			var e event
			must.Do(t, json.Unmarshal(row, &e))
			seen[e.ID] = true
		}
		if p.NextCursor == nil {
			if pages != 1 {
				t.Errorf("got %d more pages", pages)
			}
			break
		}
		cursor = *p.NextCursor
	}
	if len(seen) != events {
		t.Errorf("got %d events in all pages, want %d", len(seen), events)
	}
	golden(t, "events-list-json", s.run("", "events", "list", "--json", "--limit", "2").want(t, 0).out)
	golden(t, "events-list-json-empty", s.run("", "events", "list", "--json", "--tenant", "nobody").want(t, 0).out)
}

func TestListRefuses(t *testing.T) {
	for name, args := range map[string][]string{
		"no limit":        {"--limit", "0"},
		"two limits":      {"--limit", "5", "--all"},
		"a time":          {"--since", "yesterday"},
		"an unknown flag": {"--payload", "dead"},
		"an argument":     {"order.created"},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, "", append([]string{"events", "list"}, args...)...).want(t, 2)
		})
	}
	s := start(t)
	s.run("", "events", "list", "--cursor", "x").want(t, 2).says(t, "cursor")
	s.run("", "deliveries", "list", "--state", "lost").want(t, 2).says(t, "pending, delivered, dead or discarded")
}
