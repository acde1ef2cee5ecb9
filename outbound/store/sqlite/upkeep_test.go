package sqlite_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/sqlite"
)

// TestUpkeepOfAStoreInUse checks and copies a file while another process writes to it. The
// copy has what was stored before, and no incomplete transaction.
func TestUpkeepOfAStoreInUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "webhooks.db")
	c := startChild(t, "publish", path)
	acknowledged := 0
	for acknowledged < 500 && c.out.Scan() {
		if strings.HasPrefix(c.out.Text(), "published") {
			acknowledged++
		}
	}
	go func() {
		for c.out.Scan() { // so that the child doesn't block
		}
	}()
	found, err := sqlite.Check(t.Context(), path)
	if err != nil || !found.Sound() || found.Events < int64(acknowledged/2) {
		t.Errorf("check while another process writes: %+v, error %v", found, err)
	}
	to := filepath.Join(t.TempDir(), "backup.db")
	must.Do(t, sqlite.Backup(t.Context(), path, to))
	if err := sqlite.Compact(t.Context(), path); !errors.Is(err, store.ErrInUse) {
		t.Errorf("compacting while another process writes: got error %v", err)
	}
	c.kill()

	if info, err := os.Stat(to); err != nil || info.Mode() != 0o600 {
		t.Errorf("the backup: %v, error %v", info, err)
	}
	before, _ := os.ReadFile(to)
	if err := sqlite.Backup(t.Context(), path, to); !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), "give the path of a new file") {
		t.Errorf("backup to an existing file: got error %v", err)
	}
	if after, _ := os.ReadFile(to); !bytes.Equal(before, after) {
		t.Error("the existing file was changed")
	}
	found, err = sqlite.Check(t.Context(), to)
	if err != nil || !found.Sound() || found.Events < int64(acknowledged/2) {
		t.Errorf("check of the backup: %+v, error %v", found, err)
	}
	s := open(t, to)
	records, err := s.Deliveries(t.Context(), store.Query{})
	if err != nil || int64(len(records)) != 2*found.Events {
		t.Errorf("the backup has %d deliveries and %d events, error %v", len(records), found.Events, err)
	}
}

func TestCheckFindsDamage(t *testing.T) {
	path := filepath.Join(fastDir(t), "webhooks.db")
	sub := &store.Subscription{Key: 1, ID: "crm", URL: "https://crm.example.com", EventTypes: []string{"order.*"}, Active: true}
	fillStore(t, path, sub, 30)
	sound := must.Get(os.ReadFile(path))(t)
	check := func(change func(b []byte) []byte) *sqlite.Checkup {
		t.Helper()
		changed := change(bytes.Clone(sound))
		must.Do(t, os.WriteFile(path, changed, 0o600))
		found := must.Get(sqlite.Check(t.Context(), path))(t)
		if after, _ := os.ReadFile(path); !bytes.Equal(after, changed) {
			t.Error("the check changed the file")
		}
		return found
	}
	if found := check(func(b []byte) []byte { return b }); !found.Sound() || found.Events != 30 {
		t.Errorf("an intact file: found %+v", found)
	}
	if found := check(func(b []byte) []byte {
		at := len(b) / 2
		b[at+bytes.Index(b[at:], bytes.Repeat([]byte{'x'}, 100))+50] ^= 1
		return b
	}); found.DamagedEvents != 1 || len(found.Damaged) != 1 || !strings.HasPrefix(found.Damaged[0], "evt_") || len(found.Problems) > 0 {
		t.Errorf("a changed bit in a payload: found %+v", found)
	}
	if found := check(func(b []byte) []byte {
		for i := 5 * 4096; i < 9*4096; i++ {
			b[i] = 0xa5
		}
		return b
	}); found.Sound() {
		t.Errorf("overwritten pages: found %+v", found)
	}
	if found := check(func(b []byte) []byte { return b[:len(b)/2] }); found.Sound() {
		t.Errorf("half of the file: found %+v", found)
	}
	if found := check(func(b []byte) []byte { return b[:8000] }); found.Sound() || strings.Contains(found.Problems[0], "format") {
		t.Errorf("one and a half pages: found %+v", found)
	}
}

func TestCompact(t *testing.T) {
	path := filepath.Join(fastDir(t), "webhooks.db")
	sub := &store.Subscription{Key: 1, ID: "crm", URL: "https://crm.example.com", EventTypes: []string{"order.*"}, Active: true}
	fillStore(t, path, sub, 300)
	s := open(t, path)
	claimed := must.Get(s.Claim(t.Context(), time.Now().Add(time.Hour), 1<<30, []store.Want{{Subscription: sub.Key, Limit: 300}}))(t)
	var b store.Batch
	for _, h := range claimed[0].Deliveries[:290] {
		d := settlement(store.NewDelivery{ID: h.Delivery.ID, Subscription: sub.Key})
		d.Attempt.Number = h.Attempts + 1
		if h.Attempts > 0 {
			d.Attempt.ID += 1 << 20
		}
		b.Settlements = append(b.Settlements, d)
	}
	commit(t, s, &b)
	removed := 0
	for more, from := true, store.ID(0); more; {
		f := must.Get(s.Forget(t.Context(), store.Forget{Before: time.Now().Add(time.Hour), From: from, Limit: 1000}))(t)
		removed, more, from = removed+f.Events, f.Next != 0, f.Next
	}
	left, err := s.Deliveries(t.Context(), store.Query{})
	if err != nil || removed != 290 || len(left) != 10 {
		t.Fatalf("%d events removed, %d deliveries left, error %v", removed, len(left), err)
	}
	if err := sqlite.Compact(t.Context(), path); !errors.Is(err, store.ErrInUse) {
		t.Errorf("compacting an open store: got error %v", err)
	}
	must.Do(t, s.Close())
	before := must.Get(os.Stat(path))(t)
	must.Do(t, sqlite.Compact(t.Context(), path))
	after, err := os.Stat(path)
	if err != nil || after.Size() > before.Size()/2 {
		t.Errorf("%d bytes before, %d after, error %v", before.Size(), after.Size(), err)
	}
	s = open(t, path)
	again, err := s.Deliveries(t.Context(), store.Query{})
	if err != nil || len(again) != len(left) {
		t.Fatalf("got %d deliveries, error %v, want %d", len(again), err, len(left))
	}
	for i := range again {
		if again[i].ID != left[i].ID || again[i].State != left[i].State || again[i].EventID != left[i].EventID {
			t.Errorf("got %+v, want %+v", again[i], left[i])
		}
	}
}

func TestUpkeepRefuses(t *testing.T) {
	dir := t.TempDir()
	missing, foreign, to := filepath.Join(dir, "missing.db"), filepath.Join(dir, "notes.txt"), filepath.Join(dir, "to.db")
	must.Do(t, os.WriteFile(foreign, []byte(strings.Repeat("notes ", 100)), 0o600))
	for path, want := range map[string]string{missing: "there is no store at", foreign: "not a SQLite database"} {
		_, err := sqlite.Check(t.Context(), path)
		for doing, err := range map[string]error{"check": err, "backup": sqlite.Backup(t.Context(), path, to), "compact": sqlite.Compact(t.Context(), path)} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s of %s: got error %v", doing, filepath.Base(path), err)
			}
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 1 {
		t.Errorf("files left behind: %v", left)
	}
}
