package sqlite

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// TestPlans checks that the queries that must be fast in a large store use their index,
// and don't sort.
func TestPlans(t *testing.T) {
	cs := must.Get(openFile(filepath.Join(t.TempDir(), "webhooks.db")))(t)
	defer cs.close()
	list := func(q store.Query) string {
		sql, _ := dialect.Deliveries(q, "d.id", "")
		return sql
	}
	events := func(q store.Query) string {
		sql, _ := dialect.Events(q, "e.id")
		return sql
	}
	const (
		pending  = "SEARCH delivery USING COVERING INDEX delivery_pending (subscription"
		byKey    = "SEARCH d USING INTEGER PRIMARY KEY"
		replayed = "SEARCH d USING INDEX delivery_replayed (event=?)"
	)
	now := time.Now()
	failed := store.Query{States: []store.State{store.Dead}, FailedSince: now, FailedUntil: now, Before: 1, Limit: 1}
	tests := []struct {
		name, sql, plan string
	}{
		{"claim", selectPending, pending + "=?)"},
		{"backlogs", selectBacklog, pending + ">?)"},
		{"claim ahead", selectBehind, pending + "=? AND due>?)"},
		{"what is to be buried", selectWaiting, pending + "=?)"},
		{"what is queued again", requeue, "SEARCH delivery USING INTEGER PRIMARY KEY (rowid=?)"},
		{"how many wait for each subscription", countPending, "SCAN delivery USING COVERING INDEX delivery_pending"},
		{"how many are dead", countDead, "SCAN delivery USING COVERING INDEX delivery_dead"},
		{"all deliveries", list(store.Query{}), "SCAN d"},
		{"a page", list(store.Query{Before: 1}), byKey + " (rowid<?)"},
		{"since", list(store.Query{Since: now}), byKey + " (rowid>?)"},
		{"a span", list(store.Query{Since: now, Until: now}), byKey + " (rowid>? AND rowid<?)"},
		{"of an event", list(store.Query{Event: 1}), byKey + " (rowid>? AND rowid<?)"},
		{"of an event, replayed", list(store.Query{Event: 1}), replayed},
		{"of an event id", list(store.Query{EventID: "x"}), "SEARCH e USING INTEGER PRIMARY KEY (rowid=?)"},
		{"one", list(store.Query{Delivery: 1}), byKey + " (rowid=?)"},
		{"dead", list(store.Query{States: []store.State{store.Dead}}), "SCAN d USING INDEX delivery_dead"},
		{"dead, a page", list(store.Query{States: []store.State{store.Dead}, Before: 1}), "SEARCH d USING INDEX delivery_dead (id<?)"},
		{"dead, the oldest first", list(store.Query{States: []store.State{store.Dead}, Until: now, After: 1}), "SEARCH d USING INDEX delivery_dead (id>? AND id<?)"},
		{"delivered, the oldest first", list(store.Query{States: []store.State{store.Delivered}, Until: now, After: 1}), byKey + " (rowid>? AND rowid<?)"},
		{"dead by their failure", list(failed), "SEARCH d USING INDEX delivery_dead (id<?)"},
		{"the failure of dead ones", list(failed), "SEARCH a USING INDEX attempt_delivery (delivery=? AND number=?)"},
		{"pending of a subscription", list(store.Query{States: []store.State{store.Pending}, Subscription: "x"}), "SEARCH d USING COVERING INDEX delivery_pending (subscription=?)"},
		{"pending of a tenant", list(store.Query{States: []store.State{store.Pending}, Within: "x"}), "SEARCH d USING INDEX delivery_pending (subscription=?)"},
		{"dead of a tenant", list(store.Query{States: []store.State{store.Dead}, Within: "x"}), "SCAN d USING INDEX delivery_dead"},
		{"all of a tenant", list(store.Query{Within: "x"}), "SCAN d"},
		{"pending", list(store.Query{States: []store.State{store.Pending}}), "SCAN d USING COVERING INDEX delivery_pending"},
		{"events", events(store.Query{}), "SCAN e"},
		{"a page of events", events(store.Query{Before: 1}), "SEARCH e USING INTEGER PRIMARY KEY (rowid<?)"},
		{"events of a subscription", events(store.Query{Subscription: "x"}), byKey + " (rowid>? AND rowid<?)"},
		{"events of a subscription, replayed", events(store.Query{Subscription: "x"}), replayed},
		{"the oldest events", events(store.Query{After: 1}), "SEARCH e USING INTEGER PRIMARY KEY (rowid>?)"},
		{"whether to replay one", replay, replayed},
		{"of a subscription", list(store.Query{Subscription: "x"}), "SEARCH subscription USING COVERING INDEX subscription_id (id=?)"},
		{"old events", selectOldest, "SEARCH event USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"},
		{"whether one is settled", selectStates, "SEARCH delivery USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"},
		{"its deliveries", deleteDeliveries, "SEARCH delivery USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"},
		{"whether a replayed one is settled", selectStates, "SEARCH delivery USING INDEX delivery_replayed (event=?)"},
		{"its attempts", deleteAttempts, "SEARCH attempt USING COVERING INDEX attempt_delivery (delivery=?)"},
		{"a chosen id", selectChosen, "SEARCH c USING PRIMARY KEY (id=? AND tenant=?)"},
	}
	mayBeSorted := map[string]bool{
		"how many are dead": true, "pending": true, "pending of a subscription": true, "pending of a tenant": true,
		"of an event": true, "of an event, replayed": true, "of an event id": true,
	}
	for _, test := range tests {
		var plan []string
		must.Do(t, cs.writer.conn.query("EXPLAIN QUERY PLAN "+test.sql, nil, func(row *stmt) error {
			row.readInt()
			row.readInt()
			row.readInt()
			plan = append(plan, row.readText())
			return nil
		}))
		got := strings.Join(plan, "\n\t")
		if !strings.Contains(got, test.plan) || strings.Contains(got, "TEMP B-TREE") && !mayBeSorted[test.name] {
			t.Errorf("%s: got the plan\n\t%s\nwant %s", test.name, got, test.plan)
		}
	}
}
