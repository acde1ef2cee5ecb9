package handler

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/freeport"
	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/postgres/pgtest"
)

// The metrics that alerts are based on exist in every state.
func TestQueueMetrics(t *testing.T) {
	hang := make(chan struct{})
	busy := newApp(t)
	busy.respond(func(http.ResponseWriter, *http.Request) { <-hang })
	runCaddy(t, unreached(t, "subscription busy {\n url "+busy.URL+"\n event_types busy\n}"), "")
	t.Cleanup(func() {
		close(hang)
		runCaddy(t, "", "")
		if f := countQueue(); f.known {
			t.Errorf("without a store: got figures %+v, want none", f)
		}
	})
	scrape := func() string {
		t.Helper()
		forgetFigures() // on a slow machine, they are kept for a while
		return admin(t, "GET", "/metrics", "").body
	}
	admin(t, "POST", "/webhooks/events", `{"event_type":"unwanted","tenant":"nobody","payload":1}`)
	metrics := scrape()
	for _, want := range []string{
		"caddy_webhooks_deliveries_pending 0\n", "caddy_webhooks_deliveries_oldest_due_seconds 0\n", "caddy_webhooks_dead_letters 0\n", `caddy_webhooks_deliveries_settled_total{state="dead"} `, "caddy_webhooks_deliveries_unjudged_total ",
		`caddy_webhooks_events_published_total{result="unmatched"} `,
		`caddy_webhooks_subscriptions{health="ok"} 2` + "\n", `caddy_webhooks_subscriptions{health="down"} 0` + "\n",
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("before: there is no metric %s", want)
		}
	}
	published := regexp.MustCompile(`caddy_webhooks_publish_duration_seconds_count \d+`)
	admin(t, "POST", "/webhooks/events", `{"event_type":"","payload":1}`)
	if before, now := published.FindString(metrics), published.FindString(scrape()); before == "" || now != before {
		t.Errorf("a refused event was timed: got %s, want %s", now, before)
	}
	admin(t, "POST", "/webhooks/subscriptions/sub_crm/deactivate", "")
	if answer := admin(t, "POST", "/webhooks/events", `{"event_type":"a","payload":1}`).body; !strings.Contains(answer, `"deliveries":1`) {
		t.Fatalf("got %s, want one delivery", answer)
	}
	metrics = scrape()
	for _, want := range []string{
		"caddy_webhooks_deliveries_pending 1\n", "caddy_webhooks_deliveries_oldest_due_seconds 0\n",
		`caddy_webhooks_subscriptions{health="ok"} 1` + "\n", `caddy_webhooks_subscriptions{health="inactive"} 1` + "\n",
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("while it is held: there is no metric %s", want)
		}
	}
	admin(t, "POST", "/webhooks/events", `{"event_type":"busy","payload":1}`)
	must.Eventually(t, "the attempt in flight", func() bool { return strings.Contains(scrape(), "caddy_webhooks_delivery_attempts_in_flight 1\n") })
	must.Eventually(t, "the age of the delivery that is due", func() bool { return !strings.Contains(scrape(), "caddy_webhooks_deliveries_oldest_due_seconds 0\n") })
}

// A node that is not heard from is counted as lapsed, on which an alert is based.
func TestNodeMetrics(t *testing.T) {
	dsn := pgtest.Database(t)
	runCaddy(t, "webhooks {\nstore postgres "+dsn+"\n}", "")
	t.Cleanup(func() { runCaddy(t, "", "") }) // before the database is dropped
	must.Eventually(t, "the node that has lapsed", func() bool {
		pgtest.Execute(t, dsn, `INSERT INTO webhooks.node (number, session, until, host) VALUES (99, 1, now() - interval '1 second', 'gone')
			ON CONFLICT (number) DO UPDATE SET session = excluded.session`) // others end its session
		forgetFigures()
		metrics := admin(t, "GET", "/metrics", "").body
		return strings.Contains(metrics, `caddy_webhooks_store_nodes{state="lapsed"} 1`) && strings.Contains(metrics, `caddy_webhooks_store_nodes{state="live"} 1`)
	})
}

// unreached returns options with a subscription whose receiver doesn't exist.
func unreached(t *testing.T, more string) string {
	t.Helper()
	return fmt.Sprintf(`webhooks {
		store sqlite %s
		egress {
			allow 127.0.0.1
		}
		%s
		subscription crm {
			url http://127.0.0.1:%d
			event_types *
		}
	}`, storePath(t), more, freeport.Get())
}

func forgetFigures() {
	queueGauges.mu.Lock()
	defer queueGauges.mu.Unlock()
	queueGauges.last = queueFigures{}
}

// The figures are counted for each scrape, unless that takes long.
func TestQueueFiguresAreKept(t *testing.T) {
	for _, tt := range []struct {
		name      string
		took, age time.Duration
		failed    bool
		want      bool
	}{
		{"fast", slowFigures - 1, 0, false, false},
		{"slow", time.Second, keepFigures*time.Second - time.Second, false, true},
		{"slow, a while ago", time.Second, keepFigures*time.Second + time.Second, false, false},
		{"failed", scrapeTimeout, time.Second, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := &queueCollector{last: queueFigures{known: !tt.failed, dead: -1, at: time.Now(), took: tt.took}}
				time.Sleep(tt.age)
				if kept := q.figures().dead == -1; kept != tt.want {
					t.Errorf("got kept: %v, want %v", kept, tt.want)
				}
			})
		})
	}
}
