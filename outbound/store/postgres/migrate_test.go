package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/postgres"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/postgres/pgtest"
)

// versions is the number of versions of the tables.
func versions(t *testing.T) int {
	t.Helper()
	scripts := must.Get(filepath.Glob("schema*.sql"))(t)
	return len(scripts)
}

// formerly creates a database with the tables of a version, or with none.
func formerly(t *testing.T, version int) (dsn string) {
	t.Helper()
	dsn = pgtest.Database(t)
	if version > 0 {
		pgtest.Execute(t, dsn, fmt.Sprintf(`CREATE SCHEMA webhooks; CREATE TABLE webhooks.format AS SELECT %d AS version`, version))
	}
	for n := range version {
		script := must.Get(os.ReadFile(fmt.Sprintf("schema%d.sql", n+1)))(t)
		pgtest.Execute(t, dsn, string(script))
	}
	return dsn
}

const (
	oldURL = "https://old.example.com" // of attempts
	// oldRows are a subscription and, after it, a delivery in each state.
	oldRows = `
		INSERT INTO webhooks.subscription (key, id, tenant, url, description, event_types, headers, scheme, secrets, rate_limit, ordered, filter, from_config, active, reason, updated, failing_since)
			VALUES (%[1]d, '%[2]s', 'acme', 'https://crm.example.com', 'the CRM', '["order.*"]', '{"X-Env":"production"}', 'github', '[{"value":"whsec_1"}]', 50, true, 'true', false, true, '', 1700000000000, 1700000000001);
		CREATE TEMPORARY TABLE old AS SELECT %[1]d + 10 * n AS id, state, attempts FROM (VALUES (1, 0, 0), (2, 0, 2), (3, 1, 1), (4, 2, 2), (5, 3, 2)) AS old (n, state, attempts);
		INSERT INTO webhooks.event (id, deliveries, type, tenant, chosen, content_type, headers, payload)
			SELECT id, 1, 'order.created', 'acme', 'order_' || id, 'application/json', '{"X-Shop":"7"}', convert_to(id::text, 'UTF8') FROM old;
		INSERT INTO webhooks.chosen (id, tenant, event) SELECT 'order_' || id, 'acme', id FROM old;
		INSERT INTO webhooks.delivery (id, event, subscription, state, due, attempts, round, reason, at, latency, status, class, error)
			SELECT id, id, %[1]d, state, CASE state WHEN 0 THEN 1700000000000 END, attempts, 0, CASE WHEN state > 1 THEN 'every attempt failed' END, at, latency, status, class, error
			FROM old LEFT JOIN (VALUES (1700000000000, 12000, 503, 'status', 'it was busy')) AS first (at, latency, status, class, error) ON attempts > 0;
		INSERT INTO webhooks.attempt (id, delivery, number, at, latency, status, class, error)
			SELECT id + number - 1, id, number, 1700000000000, 12000, 500, 'status', 'it was broken' FROM old CROSS JOIN generate_series(2, attempts) AS number;`
)

// versionsRows are what was added to the rows in each version.
var versionsRows = map[int]string{
	2: `UPDATE webhooks.event SET payload = '', payload_removed = true WHERE id IN (SELECT id FROM old WHERE state = 1);`,
	4: `UPDATE webhooks.delivery SET unlogged = 1 WHERE id IN (SELECT id FROM old WHERE state = 2);`,
	5: `UPDATE webhooks.subscription SET oauth2 = '{"token_url":"https://id.example.com","client_id":"us","client_secret":"s3cret"}';`,
	6: `UPDATE webhooks.delivery SET url = '` + oldURL + `' WHERE at IS NOT NULL; UPDATE webhooks.attempt SET url = '` + oldURL + `';`,
	9: `UPDATE webhooks.subscription SET handshake = 'hooks.example.com';`,
}

// storeOld stores rows like a node of a version, and returns their subscription.
func storeOld(t *testing.T, dsn string, version int, key store.ID) *store.Subscription {
	t.Helper()
	sub := &store.Subscription{
		Key: key, ID: key.With(store.SubscriptionPrefix), Tenant: "acme", URL: "https://crm.example.com", Description: "the CRM",
		EventTypes: []string{"order.*"}, Headers: map[string]string{"X-Env": "production"}, Scheme: "github",
		Secrets: []store.Secret{{Value: "whsec_1"}}, RateLimit: 50, Ordered: true, Filter: "true", Active: true,
		Updated: time.UnixMilli(1700000000000), FailingSince: time.UnixMilli(1700000000001),
	}
	if version >= 5 {
		sub.OAuth2 = store.OAuth2{TokenURL: "https://id.example.com", ClientID: "us", ClientSecret: "s3cret"}
	}
	if version >= 9 {
		sub.Handshake = "hooks.example.com"
	}
	sql := fmt.Sprintf(oldRows, key, sub.ID)
	for v := range version {
		sql += versionsRows[v+1]
	}
	pgtest.Execute(t, dsn, sql)
	return sub
}

// TestEachVersionIsUpgraded checks that the rows of each version are kept by an upgrade,
// and that a running node of that version continues to work.
func TestEachVersionIsUpgraded(t *testing.T) {
	for version := 1; version <= versions(t); version++ {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			dsn := formerly(t, version)
			ids := store.NewIDs(0, 0, time.Now)
			before := storeOld(t, dsn, version, ids.Next())
			s := open(t, postgres.Config{DSN: dsn})
			if got := pgtest.Count(t, dsn, `SELECT version FROM webhooks.format`); got != versions(t) {
				t.Fatalf("got version %d", got)
			}
			shown := map[string]int{"events": 5, "subscriptions": 1, "deliveries": 5, "attempts": 7, "dead_letters": 1, "nodes": 1}
			for view, want := range shown {
				if got := pgtest.Count(t, dsn, `SELECT count(v::text) FROM webhooks.`+view+` v`); got != want {
					t.Errorf("%s has %d rows, want %d", view, got, want)
				}
			}
			oldIsThere(t, s, version, before)
			oldIsWorkedOn(t, s, version, before)
			after := storeOld(t, dsn, version, ids.Next())
			oldIsThere(t, s, version, after)
			oldIsWorkedOn(t, s, version, after)
		})
	}
}

// oldIsThere checks that what storeOld has stored is there.
func oldIsThere(t *testing.T, s *postgres.Store, version int, sub *store.Subscription) {
	t.Helper()
	subs, err := s.Subscriptions(t.Context())
	if err != nil || !reflect.DeepEqual(subs[len(subs)-1], sub) {
		t.Errorf("subscription %+v, error %v, want %+v", subs[len(subs)-1], err, sub)
	}
	url, payloads := "", 5
	if version >= 6 {
		url = oldURL
	}
	if version >= 2 {
		payloads = 4
	}
	records := must.Get(s.Deliveries(t.Context(), store.Query{Subscription: sub.ID, Payload: true}))(t)
	var got []string
	for _, r := range records {
		words := []string{r.State.String(), r.Reason}
		attempts := must.Get(s.Attempts(t.Context(), r.ID))(t)
		for _, a := range attempts {
			words = append(words, a.Error)
			if a.URL != url {
				t.Errorf("attempt with URL %q, want %q", a.URL, url)
			}
		}
		got = append(got, strings.Join(words, ", "))
		if string(r.Payload) == fmt.Sprint(int64(r.Event)) {
			payloads--
		}
	}
	want := []string{
		"discarded, every attempt failed, it was busy, it was broken", "dead, every attempt failed, it was busy, it was broken",
		"delivered, , it was busy", "pending, , it was busy, it was broken", "pending, ",
	}
	if !slices.Equal(got, want) || payloads != 0 {
		t.Errorf("deliveries %q, %d payloads missing", got, payloads)
	}
}

// oldIsWorkedOn delivers the pending and dead deliveries, and removes everything.
func oldIsWorkedOn(t *testing.T, s *postgres.Store, version int, sub *store.Subscription) {
	t.Helper()
	deliver := func(n int, state store.State) {
		t.Helper()
		claimed, err := s.Claim(t.Context(), time.Now(), 1<<20, []store.Want{{Subscription: sub.Key, Limit: 9}})
		if err != nil || len(claimed[0].Deliveries) != n {
			t.Fatalf("claimed %+v, error %v, want %d", claimed, err, n)
		}
		b := &store.Batch{Log: true}
		for _, h := range claimed[0].Deliveries {
			if string(h.Payload) != fmt.Sprint(int64(h.Key)) || h.Headers["X-Shop"] != "7" {
				t.Errorf("claimed the event %+v", h.Event)
			}
			a := &store.Attempt{ID: h.Delivery.ID + store.ID(h.Attempts), Number: h.Attempts + 1, At: time.Now(), URL: sub.URL}
			b.Settlements = append(b.Settlements, &store.Settlement{Delivery: h.Delivery.ID, Attempt: a, State: state})
		}
		must.Do(t, s.Commit(t.Context(), b))
	}
	deliver(2, store.Dead)
	want := 2
	if version >= 4 {
		want++
	}
	unlogged, err := s.Unlogged(t.Context(), 9)
	if err := errors.Join(err, s.Logged(t.Context(), unlogged)); err != nil || len(unlogged) != want {
		t.Errorf("%d dead letters to be logged, error %v, want %d", len(unlogged), err, want)
	}
	if done, err := s.Requeue(t.Context(), store.Query{Subscription: sub.ID, States: []store.State{store.Dead}, Limit: 9}, time.Now()); err != nil || done.Count != 3 {
		t.Fatalf("%d dead letters requeued, error %v, want 3", done.Count, err)
	}
	deliver(3, store.Delivered)
	if done, err := s.Forget(t.Context(), store.Forget{Before: time.Now().Add(time.Hour), Limit: 99}); err != nil || done.Events != 5 {
		t.Errorf("%d events removed, error %v, want 5", done.Events, err)
	}
}

// TestUpgradeByTwoAtOnce checks that of nodes that start at the same time, one creates or
// upgrades the tables.
func TestUpgradeByTwoAtOnce(t *testing.T) {
	for version := range 2 {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			dsn := formerly(t, version)
			var old *store.Subscription
			lock := `CREATE SCHEMA webhooks`
			if version > 0 {
				lock, old = `LOCK TABLE webhooks.format IN SHARE MODE`, storeOld(t, dsn, version, store.NewIDs(0, 0, time.Now).Next())
			}
			conn := begin(t, dsn, lock)
			opened := make(chan *postgres.Store, 2)
			for range 2 {
				go func() {
					s, err := postgres.Open(context.Background(), postgres.Config{DSN: dsn})
					if err != nil {
						t.Error(err)
					}
					opened <- s
				}()
			}
			blocked(t, dsn, 2)
			if _, err := conn.Exec(t.Context(), `ROLLBACK`); err != nil {
				t.Error(err)
			}
			for range 2 {
				if s := <-opened; s != nil {
					defer s.Close()
					if old != nil {
						oldIsThere(t, s, version, old)
					}
				}
			}
		})
	}
}

// TestUpgradeThatIsTriedAgain checks that an upgrade is retried after the server has
// aborted it because of a deadlock with a running node.
func TestUpgradeThatIsTriedAgain(t *testing.T) {
	dsn := formerly(t, 1)
	pgtest.Execute(t, dsn, `CREATE SEQUENCE tries;
		CREATE FUNCTION broken() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
			IF nextval('tries') = 1 THEN RAISE EXCEPTION 'broken off' USING ERRCODE = 'deadlock_detected'; END IF; END $$;
		CREATE EVENT TRIGGER broken ON ddl_command_start EXECUTE FUNCTION broken()`)
	open(t, postgres.Config{DSN: dsn})
}

// begin begins a transaction that ends with the test.
func begin(t *testing.T, dsn, sql string) *pgx.Conn {
	t.Helper()
	conn := must.Get(pgx.Connect(t.Context(), dsn))(t)
	t.Cleanup(func() { conn.Close(context.Background()) })
	must.Get(conn.Exec(t.Context(), `BEGIN; `+sql))(t)
	return conn
}

// blocked waits until n connections wait for a lock.
func blocked(t *testing.T, dsn string, n int) {
	t.Helper()
	must.Eventually(t, "transactions that wait for a lock", func() bool {
		return pgtest.Count(t, dsn, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) >= n
	})
}
