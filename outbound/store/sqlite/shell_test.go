package sqlite_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// TestShell reads the views with the sqlite3 shell while the store is open.
func TestShell(t *testing.T) {
	shell, err := exec.LookPath("sqlite3")
	if err != nil {
		t.Skip("sqlite3 isn't installed: the views are not read by it")
	}
	path := filepath.Join(t.TempDir(), "webhooks.db")
	s := open(t, path)
	at := time.Date(2026, 3, 14, 15, 9, 26, 535e6, time.UTC)
	ids := store.NewIDs(0, 0, func() time.Time { return at })
	sub := &store.Subscription{
		Key: ids.Next(), ID: "crm", URL: "https://crm.example.com/hooks", EventTypes: []string{"order.*"},
		Secrets: []store.Secret{{Value: "whsec_hidden"}}, Headers: map[string]string{"Authorization": "Bearer hidden"}, Active: true,
	}
	must.Do(t, s.CreateSubscription(t.Context(), sub))
	once, twice := publication(ids, sub.Key), publication(ids, sub.Key)
	once.Event.ID, once.Chosen, once.Event.Payload = "order-17", true, []byte(`{"total":1}`)
	publish(t, s, once, twice)
	dead := func(d store.NewDelivery, number int, state store.State) *store.Settlement {
		t := settlement(d)
		t.State, t.Due = state, at.Add(time.Minute)
		t.Attempt.Number, t.Attempt.At, t.Attempt.Status, t.Attempt.Class, t.Attempt.Error = number, at, 503, "status", "answered 503"
		if state == store.Dead {
			t.Due, t.Reason = time.Time{}, "every attempt failed"
		}
		if number > 1 {
			t.Attempt.ID = ids.Next()
			t.Attempt.Status, t.Attempt.Class, t.Attempt.Error = 0, "timeout", "no answer within 15s"
		}
		return t
	}
	last := dead(twice.Deliveries[0], 2, store.Dead)
	for _, b := range [][]*store.Settlement{
		{dead(once.Deliveries[0], 1, store.Dead), dead(twice.Deliveries[0], 1, store.Pending)}, {last},
	} {
		must.Do(t, s.Commit(t.Context(), &store.Batch{Settlements: b}))
	}
	const when = "2026-03-14T15:09:26.535Z"
	first := once.Deliveries[0].ID
	tests := []struct{ sql, want string }{
		{"SELECT delivery_id, event_id, event_type, subscription_id, url, reason, attempts, attempt_id, failed_at, status, class, error_message, payload FROM dead_letters WHERE event_id = 'order-17'",
			strings.Join([]string{first.With("dlv_"), "order-17", "order.created", "crm", sub.URL, "every attempt failed", "1", first.With("att_"), when, "503", "status", "answered 503", `{"total":1}`}, "|")},
		{"SELECT attempts, attempt_id, status, class, error_message FROM dead_letters WHERE event_id <> 'order-17'",
			"2|" + last.Attempt.ID.With("att_") + "||timeout|no answer within 15s"},
		{"SELECT event_id, event_type, created_at, deliveries, payload FROM events WHERE event_id = 'order-17'",
			"order-17|order.created|" + when + `|1|{"total":1}`},
		{"SELECT event_id FROM events WHERE event_id <> 'order-17'", twice.Event.Key.With("evt_")},
		{"SELECT subscription_id, url, event_types, state FROM subscriptions", "crm|" + sub.URL + `|["order.*"]|active`},
		{"SELECT delivery_id, event_id, state, attempts FROM deliveries WHERE event_id = 'order-17'", first.With("dlv_") + "|order-17|dead|1"},
		{"SELECT count(*) FROM attempts", "3"},
		{"SELECT number, latency_ms, status, class, url FROM attempts WHERE delivery_id = '" + first.With("dlv_") + "'", "1|12.0|503|status|" + sub.URL},
		{"PRAGMA integrity_check", "ok"},
	}
	for _, test := range tests {
		out, err := exec.Command(shell, "-readonly", path, test.sql).CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != test.want {
			t.Errorf("%s\n got %s, error %v\nwant %s", test.sql, got, err, test.want)
		}
	}
	must.Get(s.Discard(t.Context(), store.Query{States: []store.State{store.Dead}, Event: once.Event.Key}))(t)
	out, err := exec.Command(shell, "-readonly", path, "SELECT state, count(*) FROM deliveries GROUP BY state ORDER BY state").CombinedOutput()
	if got := strings.TrimSpace(string(out)); err != nil || got != "dead|1\ndiscarded|1" {
		t.Errorf("after one was discarded: deliveries %q, error %v", got, err)
	}
	for _, view := range []string{"events", "subscriptions", "deliveries", "attempts", "dead_letters"} {
		out, err := exec.Command(shell, "-readonly", "-header", path, "SELECT * FROM "+view).CombinedOutput()
		if err != nil || strings.Contains(string(out), "hidden") {
			t.Errorf("%s: %v\n%s", view, err, out)
		}
	}
}
