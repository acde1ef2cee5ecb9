package sqlite_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/logged"
	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/sqlite"
)

// TestDamageFoundLate damages a file that is too large to be checked when it is opened.
// The first call that reads the damage finds it, and the same store delivers what is
// intact.
func TestDamageFoundLate(t *testing.T) {
	const events = 1200 // of 8 KiB
	tests := map[string]struct {
		table string // whose pages are damaged
		kept  int    // at least this many events
	}{
		"an event's page":    {"event", events - 16},
		"a delivery's page":  {"delivery", events},
		"the index's page":   {"delivery_pending", events},
		"an attempt's index": {"attempt_delivery", events},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(fastDir(t), "webhooks.db")
			sub := &store.Subscription{Key: 1, ID: "crm", URL: "https://crm.example.com", EventTypes: []string{"order.*"}, Active: true}
			fillStore(t, path, sub, events)
			breakPages(t, path, test.table)
			var log logged.Buffer
			s := openLogging(t, path, &log)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			delivered := map[store.ID]bool{}
			for more := true; more; {
				works(ctx, t, func() error {
					claimed, err := s.Claim(ctx, time.Now().Add(time.Hour), 1<<20, []store.Want{{Subscription: sub.Key, Limit: 100}})
					if err != nil {
						return err
					}
					more = len(claimed[0].Deliveries) > 0
					var b store.Batch
					for _, h := range claimed[0].Deliveries {
						delivered[h.Event.Key] = true
						b.Settlements = append(b.Settlements, settlement(store.NewDelivery{ID: h.Delivery.ID, Subscription: sub.Key}))
					}
					return s.Commit(ctx, &b)
				})
			}
			if len(delivered) < test.kept {
				t.Errorf("%d events delivered, want at least %d: %+v", len(delivered), test.kept, s.Salvages())
			}
			if test.table == "attempt_delivery" { // nothing has read it
				return
			}
			found := s.Salvages()
			if len(found) != 1 {
				t.Fatalf("%+v\n%s", found, log.String())
			}
			t.Logf("%+v", found[0])
			select {
			case <-s.Salvaged():
			default:
				t.Error("the salvage isn't reported")
			}
			if n := found[0].Lost.Events; int(n)+len(delivered) < events {
				t.Errorf("%d of %d events lost, but the report says %d", events-len(delivered), events, n)
			}
		})
	}
}

// TestDiskThatBreaksEachFile checks that no more files are set aside after several were,
// so that damaged files don't fill the disk.
func TestDiskThatBreaksEachFile(t *testing.T) {
	path := filepath.Join(fastDir(t), "webhooks.db")
	fillStore(t, path, &store.Subscription{Key: 1, ID: "crm", EventTypes: []string{"order.*"}}, 10)
	for n := range 32 {
		write(t, fmt.Sprintf("%s.damaged-20260314T1509%02d.535Z.json", path, n), "{}")
	}
	breakPages(t, path, "event")
	before := contents(t, filepath.Dir(path))
	s, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	if err == nil {
		s.Close()
	}
	if !errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), "32 damaged files have been set aside already") {
		t.Errorf("got %v, want store.ErrDamaged", err)
	}
	if after := contents(t, filepath.Dir(path)); len(after) != len(before) || after[path] != before[path] {
		t.Errorf("files %v, want %v", slices.Sorted(maps.Keys(after)), slices.Sorted(maps.Keys(before)))
	}
}

// fillStore creates a store with pending deliveries. The first one has failed twice.
func fillStore(t *testing.T, path string, sub *store.Subscription, events int) {
	t.Helper()
	s := open(t, path)
	must.Do(t, s.CreateSubscription(t.Context(), sub))
	ids := store.NewIDs(0, 0, time.Now)
	for i := range events {
		p := publication(ids, sub.Key)
		p.Deliveries[0].Hold = false
		p.Event.Payload = bytes.Repeat([]byte{'x'}, 8<<10)
		publish(t, s, p)
		for n := range 2 * max(0, 1-i) {
			failed := settlement(p.Deliveries[0])
			failed.State, failed.Due, failed.Attempt.Number = store.Pending, time.Now(), n+1
			failed.Attempt.ID = max(failed.Attempt.ID, ids.Next()*store.ID(n))
			commit(t, s, &store.Batch{Settlements: []*store.Settlement{failed}})
		}
	}
	must.Do(t, s.Close())
}

// breakPages overwrites a page in the middle of a table or an index with an invalid one.
func breakPages(t *testing.T, path, table string) {
	t.Helper()
	var page int64
	query(t, path, "SELECT pageno FROM (SELECT pageno, row_number() OVER () AS n, count(*) OVER () AS total FROM dbstat WHERE name = '"+table+"' AND pagetype = 'leaf') WHERE n = (total + 1) / 2", &page)
	f := must.Get(os.OpenFile(path, os.O_RDWR, 0))(t)
	defer f.Close()
	must.Get(f.WriteAt(bytes.Repeat([]byte{0x5a}, 300), (page-1)*blockSize))(t)
}

// TestSalvageInterrupted opens what a crash at each step of salvaging leaves.
func TestSalvageInterrupted(t *testing.T) {
	im := crashed(t)
	damaged := bytes.Clone(im.files[""])
	copy(damaged[2*blockSize:], bytes.Repeat([]byte{0x5a}, 300))
	done := salvagedFiles(t, im, damaged)
	aside := ".damaged-20260314T150926.535Z"
	var report []byte
	for name, b := range done {
		if strings.HasSuffix(name, ".json") {
			report = b
		}
	}
	tests := map[string]map[string][]byte{
		"while the new file is made":      {"": damaged, "-wal": im.files["-wal"], ".salvaging": []byte("half")},
		"when the new file is whole":      {"": damaged, "-wal": im.files["-wal"], ".salvaging": done[""], aside + ".json": report},
		"before the old one is set aside": {"": damaged, "-wal": im.files["-wal"], ".salvaged": done[""], aside + ".json": report},
		"when its log is set aside":       {"": damaged, aside + "-wal": im.files["-wal"], ".salvaged": done[""], aside + ".json": report},
		"when the old one is set aside":   {aside: damaged, aside + "-wal": im.files["-wal"], ".salvaged": done[""], aside + ".json": report},
	}
	for name, files := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(fastDir(t), "webhooks.db")
			files[".lock"] = nil
			for suffix, b := range files {
				write(t, path+suffix, string(b))
			}
			s := open(t, path)
			defer s.Close()
			events, err := s.Events(t.Context(), store.Query{})
			if err != nil || len(events) < damagedEvents-10 {
				t.Errorf("got %d events, error %v", len(events), err)
			}
			for _, suffix := range []string{".salvaging", ".salvaged"} {
				if _, err := os.Stat(path + suffix); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s still exists: %v", suffix, err)
				}
			}
			if len(s.Salvages()) == 0 {
				t.Error("the salvage isn't reported")
			}
		})
	}
}

// TestDamagedFileThatCannotBeSetAside checks that a damaged file that can't be renamed
// isn't replaced by the new one, since it would be lost.
func TestDamagedFileThatCannotBeSetAside(t *testing.T) {
	const aside = ".damaged-20260314T150926.535Z"
	for _, suffix := range []string{"-wal", ""} {
		path := filepath.Join(fastDir(t), "webhooks.db")
		for name, text := range map[string]string{"": "damaged", "-wal": "its log", ".salvaged": "new", ".lock": "", aside + ".json": "{}"} {
			write(t, path+name, text)
		}
		must.Do(t, os.MkdirAll(path+aside+suffix+"/in the way", 0o700))
		if s, err := sqlite.Open(t.Context(), sqlite.Config{Path: path}); err == nil {
			s.Close()
			t.Error("Open succeeded, want an error")
		}
		if b, err := os.ReadFile(path); err != nil || string(b) != "damaged" {
			t.Errorf("with %q in the way, the file is %q, error %v", suffix, b, err)
		}
	}
}

// salvagedFiles returns the files of a salvaged store after it was closed, by suffix.
func salvagedFiles(t *testing.T, im *image, damaged []byte) map[string][]byte {
	t.Helper()
	path := filepath.Join(fastDir(t), "webhooks.db")
	for suffix, b := range im.files {
		write(t, path+suffix, string(b))
	}
	write(t, path, string(damaged))
	must.Do(t, open(t, path).Close())
	files := map[string][]byte{}
	for name, b := range contents(t, filepath.Dir(path)) {
		files[strings.TrimPrefix(name, path)] = []byte(b)
	}
	return files
}

// TestOnceOurs checks that a damaged store is told apart from a foreign file in its place.
func TestOnceOurs(t *testing.T) {
	ours := crashed(t).files[""]
	without := func(from, to int) string {
		b := bytes.Clone(ours)
		clear(b[from:to])
		return string(b)
	}
	tests := map[string]struct {
		make  func(path string)
		taken bool
	}{
		"text":                         {func(p string) { write(t, p, "a letter to my aunt") }, true},
		"zeros":                        {func(p string) { write(t, p, strings.Repeat("\x00", 8192)) }, true},
		"no header":                    {func(p string) { write(t, p, without(0, 100)) }, true},
		"no first page":                {func(p string) { write(t, p, without(0, 4096)) }, true},
		"no application id":            {func(p string) { write(t, p, without(68, 72)) }, true},
		"no version":                   {func(p string) { write(t, p, without(60, 64)) }, true},
		"another program's database":   {func(p string) { execute(t, p, "CREATE TABLE event (id INTEGER PRIMARY KEY)") }, false},
		"a database of a newer format": {func(p string) { write(t, p, string(ours)); execute(t, p, "PRAGMA user_version = 1000") }, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "webhooks.db")
			test.make(path)
			write(t, path+".lock", "")
			s, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
			if err == nil {
				defer s.Close()
			}
			if taken := err == nil && len(s.Salvages()) == 1; taken != test.taken {
				t.Fatalf("set aside: %t, want %t; error %v", taken, test.taken, err)
			}
			if err != nil && !errors.Is(err, store.ErrForeign) {
				t.Errorf("got %v, want store.ErrForeign", err)
			}
			if strings.HasPrefix(name, "no ") {
				if events, err := s.Events(t.Context(), store.Query{}); err != nil || len(events) < damagedEvents/3 {
					t.Errorf("got %d events, error %v", len(events), err)
				}
			}
		})
	}
}

// query reads a number without the store.
func query(t testing.TB, path, sql string, into *int64) {
	t.Helper()
	if err := queryNumber(path, sql, into); err != nil {
		t.Fatal(fmt.Errorf("%s: %w", sql, err))
	}
}

// TestRemovedPayloadIsNotRepeated checks that a lost delivery isn't created again if the
// payload of its event was removed: it was settled, and there is nothing to send.
func TestRemovedPayloadIsNotRepeated(t *testing.T) {
	path := filepath.Join(fastDir(t), "webhooks.db")
	s := open(t, path)
	ids := store.NewIDs(0, 0, time.Now)
	sub := &store.Subscription{Key: 1, ID: "sub_1", URL: "https://crm.example.com", EventTypes: []string{"*"}, Active: true}
	must.Do(t, s.CreateSubscription(t.Context(), sub))
	for range 100 {
		p := publication(ids, sub.Key)
		p.Event.Payload = bytes.Repeat([]byte("x"), 2*store.PayloadUnit)
		publish(t, s, p)
		commit(t, s, &store.Batch{Settlements: []*store.Settlement{settlement(p.Deliveries[0])}})
	}
	f := store.Forget{Before: time.Now().Add(time.Hour), PayloadsOnly: true, Limit: 10_000}
	if done, err := s.Forget(t.Context(), f); err != nil || done.Events != 100 {
		t.Fatalf("removed %+v, error %v", done, err)
	}
	must.Do(t, s.Close())
	breakPages(t, path, "delivery")
	s = open(t, path)
	pending := waiting(t.Context(), t, s)
	left, err := s.Deliveries(t.Context(), store.Query{})
	if err != nil || len(s.Salvages()) != 1 {
		t.Fatalf("error %v, salvages %+v", err, s.Salvages())
	}
	found := s.Salvages()[0]
	if len(left) == 0 || len(pending) != 0 || found.Kept.Subscriptions != 1 || found.Repeated != 0 || found.Lost.Deliveries != int64(100-len(left)) || len(left) == 100 {
		t.Errorf("%d deliveries left, %d of them pending: %+v", len(left), len(pending), found)
	}
}

// TestReplayedIsSalvaged checks that replayed deliveries still belong to their event after
// the file was salvaged.
func TestReplayedIsSalvaged(t *testing.T) {
	path := filepath.Join(fastDir(t), "webhooks.db")
	s := open(t, path)
	ids := store.NewIDs(0, 0, time.Now)
	replay := store.Replay{Subscription: 1, Due: time.Now()}
	for range 100 {
		p := publication(ids)
		publish(t, s, p)
		replay.Events = append(replay.Events, p.Event.Key)
	}
	sub := &store.Subscription{Key: 1, ID: "sub_1", URL: "https://crm.example.com", EventTypes: []string{"*"}, Active: true}
	must.Do(t, s.CreateSubscription(t.Context(), sub))
	for range replay.Events {
		replay.Deliveries = append(replay.Deliveries, ids.Next())
	}
	if n, err := s.Replay(t.Context(), replay); err != nil || n != 100 {
		t.Fatalf("replayed %d, error %v", n, err)
	}
	must.Do(t, s.Close())
	breakPages(t, path, "delivery_pending")
	s = open(t, path)
	if got := waiting(t.Context(), t, s); len(got) != 100 || len(s.Salvages()) != 1 || s.Salvages()[0].Repeated != 0 {
		t.Errorf("%d deliveries pending: %+v", len(got), s.Salvages())
	}
	if rs, err := s.Deliveries(t.Context(), store.Query{Event: replay.Events[0]}); err != nil || len(rs) != 1 {
		t.Errorf("the event has %d deliveries, error %v", len(rs), err)
	}
	if n, err := s.Replay(t.Context(), replay); err != nil || n != 0 {
		t.Errorf("replayed %d again, error %v", n, err)
	}
}

// TestUnknownState checks that an unknown state is found as damage, and doesn't panic.
func TestUnknownState(t *testing.T) {
	path := filepath.Join(fastDir(t), "webhooks.db")
	s := open(t, path)
	ids := store.NewIDs(0, 0, time.Now)
	sub := &store.Subscription{Key: 1, ID: "sub_1", URL: "https://crm.example.com", EventTypes: []string{"*"}, Active: true}
	must.Do(t, s.CreateSubscription(t.Context(), sub))
	p := publication(ids, sub.Key)
	publish(t, s, p)
	must.Do(t, s.Close())
	execute(t, path, "UPDATE delivery SET state = 18")
	s = open(t, path)
	works(t.Context(), t, func() error {
		records, err := s.Deliveries(t.Context(), store.Query{})
		for _, r := range records {
			_ = r.State.String()
		}
		return err
	})
	if found := s.Salvages(); len(found) != 1 || found[0].Repeated != 1 {
		t.Errorf("found %+v", found)
	}
}

// TestSubscriptionIsSalvaged checks that a subscription is salvaged with all of its fields.
func TestSubscriptionIsSalvaged(t *testing.T) {
	path := filepath.Join(fastDir(t), "webhooks.db")
	s := open(t, path)
	sub := &store.Subscription{
		Key: 1, ID: "sub_1", Tenant: "acme", URL: "https://crm.example.com", EventTypes: []string{"*"}, Headers: map[string]string{"A": "b"},
		Secrets: []store.Secret{{Value: "whsec_1"}}, OAuth2: store.OAuth2{TokenURL: "https://login.example.com", ClientSecret: "hunter2"},
		Handshake: "hooks.example.com", Active: true, Updated: time.UnixMilli(1), FailingSince: time.UnixMilli(2),
	}
	must.Do(t, s.CreateSubscription(t.Context(), sub))
	ids := store.NewIDs(0, 0, time.Now)
	for range 100 {
		publish(t, s, publication(ids, sub.Key))
	}
	must.Do(t, s.Close())
	breakPages(t, path, "delivery_pending")
	s = open(t, path)
	if len(waiting(t.Context(), t, s)) != 100 || len(s.Salvages()) != 1 {
		t.Fatalf("salvages %+v", s.Salvages())
	}
	if got, err := s.Subscriptions(t.Context()); err != nil || len(got) != 1 || !reflect.DeepEqual(got[0], sub) {
		t.Errorf("got %+v, error %v", got, err)
	}
}

// TestLostDeliveriesAreRecreated checks that lost deliveries are only created again
// for subscriptions of the event's tenant that match it, and for none a second time.
func TestLostDeliveriesAreRecreated(t *testing.T) {
	path := filepath.Join(fastDir(t), "webhooks.db")
	s := open(t, path)
	ids := store.NewIDs(0, 0, time.Now)
	subs := []*store.Subscription{
		{ID: "sub_pattern", Tenant: "acme", EventTypes: []string{"user.*", "order.*"}},
		{ID: "sub_name", Tenant: "acme", EventTypes: []string{"order.created"}},
		{ID: "sub_all", Tenant: "acme", EventTypes: []string{"*"}},
		{ID: "sub_operator", EventTypes: []string{"webhooks.*"}},
		{ID: "sub_other_type", Tenant: "acme", EventTypes: []string{"user.*", "order"}},
		{ID: "sub_rival", Tenant: "rival", EventTypes: []string{"order.*", "webhooks.*"}},
		{ID: "sub_nobody", EventTypes: []string{"*", "order.*"}},
		{ID: "sub_filter", Tenant: "acme", EventTypes: []string{"order.*"}, Filter: "payload.total > 100"},
		{ID: "sub_deleted", Tenant: "acme", EventTypes: []string{"order.*"}},
		{ID: "sub_later", Tenant: "acme", EventTypes: []string{"order.*", "webhooks.*"}},
	}
	create := func(sub *store.Subscription) {
		sub.Key, sub.URL, sub.Active = ids.Next(), "https://example.com", true
		must.Do(t, s.CreateSubscription(t.Context(), sub))
	}
	for _, sub := range subs[:9] {
		create(sub)
	}
	published := func(eventType string, to ...*store.Subscription) *store.Publication {
		p := publication(ids)
		p.Event.Type, p.Event.Tenant = eventType, "acme"
		for _, sub := range to {
			p.Deliveries = append(p.Deliveries, store.NewDelivery{ID: ids.Next(), Subscription: sub.Key, Due: time.Now()})
		}
		publish(t, s, p)
		return p
	}
	order := published("order.created", subs[0], subs[1], subs[2])
	told := published("webhooks.delivery.dead", subs[3])
	must.Do(t, s.DeleteSubscription(t.Context(), subs[8].ID))
	create(subs[9])
	must.Do(t, s.Close())
	execute(t, path, fmt.Sprintf("DELETE FROM delivery WHERE id IN (%d, %d, %d)", order.Deliveries[1].ID, order.Deliveries[2].ID, told.Deliveries[0].ID))
	breakPages(t, path, "delivery_pending")
	s = open(t, path)
	deliveries := must.Get(s.Deliveries(t.Context(), store.Query{}))(t)
	var got []string
	for _, d := range deliveries {
		got = append(got, d.EventType+" to "+d.SubscriptionID)
	}
	slices.Sort(got)
	want := []string{"order.created to sub_all", "order.created to sub_name", "order.created to sub_pattern", "webhooks.delivery.dead to sub_operator"}
	if !slices.Equal(got, want) {
		t.Errorf("got the deliveries\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if found := s.Salvages(); len(found) != 1 || found[0].Repeated != 3 || found[0].Lost.Deliveries != 0 {
		t.Errorf("found %+v", found)
	}
}
