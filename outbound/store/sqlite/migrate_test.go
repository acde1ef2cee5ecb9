package sqlite_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/logged"
	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/sqlite"

	sqlite3 "modernc.org/sqlite/lib"
	driver "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

const oldEvents = 40

// formerly creates a file of a format with events that wait for their third attempt, and
// returns their payloads.
func formerly(t *testing.T, path string, format int) map[store.ID][]byte {
	t.Helper()
	execute(t, path, "PRAGMA journal_mode = WAL; PRAGMA application_id = 0x77686b73")
	c := must.Get(driver.OpenConn(path, driver.OpenReadWrite))(t)
	for n := range format {
		schema := must.Get(os.ReadFile(fmt.Sprintf("schema%d.sql", n+1)))(t)
		must.Do(t, sqlitex.ExecuteScript(c, fmt.Sprintf("%s; PRAGMA user_version = %d", schema, n+1), nil))
	}
	must.Do(t, c.Close())
	execute(t, path, `INSERT INTO subscription (key, id, tenant, url, description, event_types, scheme, rate_limit, ordered, filter, from_config, active, reason, updated)
		VALUES (1, 'sub_1', '', 'https://crm.example.com', '', '["order.*"]', '', 0, 0, '', 0, 1, '', 0)`)
	ids := store.NewIDs(0, 0, time.Now)
	payloads := map[store.ID][]byte{}
	for i := range oldEvents {
		event, delivery := ids.Next(), ids.Next()
		payload := bytes.Repeat([]byte{byte('a' + i%26)}, 1000)
		execute(t, path, fmt.Sprintf(`INSERT INTO event (id, last, deliveries, type, content_type, payload) VALUES (%d, %d, 1, 'order.created', 'text/plain', '%s');
			INSERT INTO delivery (id, event, subscription, state, due, attempts, round, at, latency) VALUES (%[2]d, %[1]d, 1, 0, 0, 2, 0, 0, 0);
			INSERT INTO attempt (id, delivery, number, at, latency) VALUES (%d, %[2]d, 2, 0, 0)`, event, delivery, payload, ids.Next()))
		payloads[event] = payload
	}
	return payloads
}

// waiting claims the pending deliveries of formerly.
func waiting(ctx context.Context, t *testing.T, s *sqlite.Store) map[store.ID][]byte {
	t.Helper()
	found := map[store.ID][]byte{}
	works(ctx, t, func() error {
		claimed, err := s.Claim(ctx, time.Now(), 1<<30, []store.Want{{Subscription: 1, Limit: 1000}})
		if err != nil {
			return err
		}
		for _, h := range claimed[0].Deliveries {
			found[h.Event.Key] = h.Event.Payload
		}
		return nil
	})
	return found
}

// attemptsOfOld checks that the attempts of formerly are there.
func attemptsOfOld(t *testing.T, s *sqlite.Store) {
	t.Helper()
	records, err := s.Deliveries(t.Context(), store.Query{})
	if err != nil || len(records) < oldEvents {
		t.Fatalf("got %d deliveries, error %v", len(records), err)
	}
	for _, r := range records {
		if attempts, err := s.Attempts(t.Context(), r.ID); err != nil || len(attempts) != 2 || attempts[0].URL != "" || r.Last.Number != 2 {
			t.Errorf("%v: attempts %+v, error %v", r.ID, attempts, err)
		}
	}
}

// TestEachFormatIsUpgraded checks that what a file of each format has is kept by an
// upgrade, and that the file can then be used.
func TestEachFormatIsUpgraded(t *testing.T) {
	current := len(must.Get(filepath.Glob("schema*.sql"))(t))
	for format := 1; format < current; format++ {
		t.Run(fmt.Sprint(format), func(t *testing.T) {
			path := filepath.Join(fastDir(t), "webhooks.db")
			want := formerly(t, path, format)
			var log logged.Buffer
			s := openLogging(t, path, &log)
			if !strings.Contains(log.String(), "upgraded the file") {
				t.Errorf("the upgrade isn't logged: %s", log.String())
			}
			got := waiting(t.Context(), t, s)
			for id, payload := range want {
				if !bytes.Equal(got[id], payload) {
					t.Errorf("%v: payload %.40q, want %.40q", id, got[id], payload)
				}
			}
			attemptsOfOld(t, s)
			publish(t, s, publication(store.NewIDs(0, 0, time.Now), 1))
			must.Do(t, s.Close())
			var version, with int64
			query(t, path, "PRAGMA user_version", &version)
			query(t, path, "SELECT count(*) FROM event WHERE digest IS NOT NULL", &with)
			if version != int64(current) || with != 1 {
				t.Errorf("format %d; %d events have a digest, want 1", version, with)
			}
		})
	}
}

func TestDamagedFileOfFormatOne(t *testing.T) {
	path := filepath.Join(fastDir(t), "webhooks.db")
	want := formerly(t, path, 1)
	must.Do(t, os.WriteFile(path+".lock", nil, 0o600))
	breakPages(t, path, "delivery_pending")
	s := open(t, path)
	if got := waiting(t.Context(), t, s); len(got) != len(want) {
		t.Errorf("got %d events, want %d: %+v", len(got), len(want), s.Salvages())
	}
	attemptsOfOld(t, s)
	if len(s.Salvages()) != 1 {
		t.Errorf("salvages %+v", s.Salvages())
	}
}

// TestUpgradeInterrupted ends an upgrade at each of its disk calls, as if the process was
// killed, and opens what is left.
func TestUpgradeInterrupted(t *testing.T) {
	dir := fastDir(t)
	want := formerly(t, filepath.Join(dir, "old"), 1)
	old := must.Get(os.ReadFile(filepath.Join(dir, "old")))(t)
	installFaults()
	brokenOff := 0
	for n, reached := 1, true; reached; n++ {
		path := filepath.Join(fastDir(t), "webhooks.db")
		must.Do(t, os.WriteFile(path, old, 0o600))
		calls := 0
		stop := fail(func(faultCall) int32 {
			if calls++; calls >= n {
				return sqlite3.SQLITE_IOERR
			}
			return 0
		})
		s, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
		reached = calls >= n
		if err == nil {
			_ = s.Close()
		} else {
			brokenOff++
		}
		stop()
		s = open(t, path)
		if got := waiting(t.Context(), t, s); len(got) != len(want) || len(s.Salvages()) > 0 {
			t.Errorf("after call %d: got %d events, want %d: %+v", n, len(got), len(want), s.Salvages())
		}
		if err := s.Close(); err != nil {
			t.Errorf("after call %d: got error %v", n, err)
		}
	}
	t.Logf("%d upgrades were broken off", brokenOff)
	if brokenOff < 5 {
		t.Error("no upgrade was interrupted")
	}
}
