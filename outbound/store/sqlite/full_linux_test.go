package sqlite_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/logged"
	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/sqlite"

	sqlite3 "modernc.org/sqlite/lib"
)

// smallDisk mounts a disk of 8 MiB with a file that can be removed to make room.
func smallDisk(t *testing.T) (dir, ballast string) {
	t.Helper()
	dir = t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=8m"); err != nil {
		t.Skipf("mounting a small disk needs the right to (%v): only simulated in TestFull and TestEveryFault", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	ballast = filepath.Join(dir, "ballast")
	must.Do(t, os.WriteFile(ballast, make([]byte, 3<<20), 0o600))
	return dir, ballast
}

// TestFullDisk fills a small disk. What was acknowledged is there, and the store recovers
// by itself when there is room.
func TestFullDisk(t *testing.T) {
	dir, ballast := smallDisk(t)
	path := filepath.Join(dir, "webhooks.db")
	s := open(t, path)
	ids := store.NewIDs(0, 0, time.Now)
	var acknowledged []*store.Publication
	refused := 0
	for i := 0; refused < 20; i++ {
		p := publication(ids, 1)
		switch err := s.Commit(t.Context(), &store.Batch{Publications: []*store.Publication{p}}); {
		case err == nil:
			acknowledged = append(acknowledged, p)
		case errors.Is(err, store.ErrFull):
			if refused == 0 {
				t.Log(err)
			}
			refused++
		default:
			t.Fatal(err)
		}
		if i > 10_000 {
			t.Fatal("the disk didn't become full")
		}
	}
	must.Do(t, os.Remove(ballast))
	for range 20 {
		p := publication(ids, 1)
		publish(t, s, p)
		acknowledged = append(acknowledged, p)
	}
	for _, when := range []string{"before", "after"} {
		events, err := s.Events(t.Context(), store.Query{})
		if err != nil || len(events) != len(acknowledged) {
			t.Errorf("%s the store is closed: got %d events, error %v, want %d", when, len(events), err, len(acknowledged))
		}
		must.Do(t, s.Close())
		s = open(t, path)
	}
	must.Do(t, s.Close())
}

// TestReserve fills a small disk to the last byte. Attempts in progress are settled with
// the reserve, while events are refused, even after a restart. When there is room, both
// work again.
func TestReserve(t *testing.T) {
	dir, ballast := smallDisk(t)
	path := filepath.Join(dir, "webhooks.db")
	var log logged.Buffer
	s := openLogging(t, path, &log)
	ids := store.NewIDs(0, 0, time.Now)
	refuses := func(when string) {
		t.Helper()
		err := s.Commit(t.Context(), &store.Batch{Publications: []*store.Publication{publication(ids, 1)}})
		if !errors.Is(err, store.ErrFull) {
			t.Fatalf("publishing %s: got %v, want store.ErrFull", when, err)
		}
	}
	settle := func(d store.NewDelivery) error {
		return s.Commit(t.Context(), &store.Batch{Settlements: []*store.Settlement{settlement(d)}})
	}

	var waiting []store.NewDelivery
	for {
		p := publication(ids, 1)
		err := s.Commit(t.Context(), &store.Batch{Publications: []*store.Publication{p}})
		if errors.Is(err, store.ErrFull) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		waiting = append(waiting, p.Deliveries...)
	}
	refuses("once it's full")
	acknowledged := len(waiting)
	var settled []store.NewDelivery
	for len(waiting) > 0 {
		refuses("while there is a reserve")
		if err := settle(waiting[0]); errors.Is(err, store.ErrFull) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		settled, waiting = append(settled, waiting[0]), waiting[1:]
	}
	t.Logf("%d of %d deliveries were settled on a full disk", len(settled), acknowledged)
	if len(settled) < 100 {
		t.Error("settling failed: the reserve is too small, or wasn't used")
	}
	if n := strings.Count(log.String(), "the disk is full"); n != 1 {
		t.Errorf("it is logged %d times that the disk is full: %s", n, log.String())
	}

	must.Do(t, s.Close()) // this makes room, since it copies the log into the file
	fillUp(t, filepath.Join(dir, "others"))
	s = open(t, path)
	events, err := s.Events(t.Context(), store.Query{})
	if err != nil || len(events) != acknowledged {
		t.Errorf("after a start on a full disk: got %d events, error %v, want %d", len(events), err, acknowledged)
	}
	for _, d := range settled {
		if r, err := s.Delivery(t.Context(), d.ID); err != nil || r.State != store.Delivered {
			t.Fatalf("a settlement is lost: %v", err)
		}
	}
	refuses("after a start")

	os.Remove(ballast)
	publish(t, s, publication(ids, 1))
	for _, d := range waiting {
		must.Do(t, settle(d))
	}
}

// TestSettlesWithoutTheReserve settles on a disk where others have taken the room of the
// reserve too, except what the file grows by. The log has room for a few outcomes, and
// for more once these are copied into the file.
func TestSettlesWithoutTheReserve(t *testing.T) {
	dir, _ := smallDisk(t)
	path := filepath.Join(dir, "webhooks.db")
	s := open(t, path)
	ids := store.NewIDs(0, 0, time.Now)
	var waiting []store.NewDelivery
	for range 300 {
		p := publication(ids, 1)
		publish(t, s, p)
		waiting = append(waiting, p.Deliveries...)
	}
	must.Do(t, s.Close())
	s = open(t, path)
	settle := func(d store.NewDelivery) error {
		return s.Commit(t.Context(), &store.Batch{Settlements: []*store.Settlement{settlement(d)}})
	}
	for _, d := range waiting[:20] {
		must.Do(t, settle(d))
	}
	waiting = waiting[20:]
	little := filepath.Join(dir, "little")
	must.Do(t, os.WriteFile(little, make([]byte, 128<<10), 0o600))
	for _, others := range []string{"others", "more", "yet more"} { // they take what the store releases
		fillUp(t, filepath.Join(dir, others))
		for len(waiting) > 100 && settle(waiting[0]) == nil {
			waiting = waiting[1:]
		}
	}
	os.Remove(little)
	for _, d := range waiting {
		err := settle(d)
		if errors.Is(err, store.ErrFull) {
			err = settle(d)
		}
		if err != nil {
			t.Fatalf("%d deliveries are not settled, error %v", len(waiting), err)
		}
	}
}

// TestOpenOnNearlyFullDisk opens a store where there is room for its reserve, but not for
// twice as much. Events are accepted if the reserve already exists.
func TestOpenOnNearlyFullDisk(t *testing.T) {
	dir, ballast := smallDisk(t)
	path, others := filepath.Join(dir, "webhooks.db"), filepath.Join(dir, "others")
	nearlyFill := func() {
		t.Helper()
		os.Remove(others)
		fillUp(t, others)
		info := must.Get(os.Stat(others))(t)
		must.Do(t, os.Truncate(others, info.Size()-1500<<10))
	}
	ids := store.NewIDs(0, 0, time.Now)
	must.Do(t, open(t, path).Close())
	nearlyFill()
	s := open(t, path)
	publish(t, s, publication(ids, 1))
	must.Do(t, s.Close())

	os.Remove(path + ".reserve")
	nearlyFill()
	var log logged.Buffer
	s = openLogging(t, path, &log)
	if !s.Full() {
		t.Error("Full: got false before the first event is refused, want true")
	}
	err := s.Commit(t.Context(), &store.Batch{Publications: []*store.Publication{publication(ids, 1)}})
	if !errors.Is(err, store.ErrFull) || !strings.Contains(err.Error(), "2.0 MiB") || !strings.Contains(log.String(), "nearly full") {
		t.Errorf("got %v, want store.ErrFull; logged %s", err, log.String())
	}
	os.Remove(ballast)
	for range 2 {
		publish(t, s, publication(ids, 1))
	}
	if n := strings.Count(log.String(), "there is room on the disk again"); n != 1 {
		t.Errorf("it is logged %d times that there is room: %s", n, log.String())
	}
}

// fillUp writes a file until the disk is full to the last byte.
func fillUp(t *testing.T, path string) {
	t.Helper()
	var s syscall.Statfs_t
	must.Do(t, syscall.Statfs(filepath.Dir(path), &s))
	err := os.WriteFile(path, make([]byte, int64(s.Bavail)*int64(s.Frsize)), 0o600)
	if err != nil && !errors.Is(err, syscall.ENOSPC) { // if others take some of it at the same time
		t.Fatal(err)
	}
}

// TestReviveOnFullDisk checks that a store whose disk fails while it is full is reopened
// with the room of the reserve.
func TestReviveOnFullDisk(t *testing.T) {
	installFaults()
	dir, ballast := smallDisk(t)
	s := open(t, filepath.Join(dir, "webhooks.db"))
	ids := store.NewIDs(0, 0, time.Now)
	p := publication(ids, 1)
	publish(t, s, p)
	fillUp(t, filepath.Join(dir, "others"))
	settle := func() error {
		return s.Commit(t.Context(), &store.Batch{Settlements: []*store.Settlement{settlement(p.Deliveries[0])}})
	}
	stop := fail(func(c faultCall) int32 {
		if c.name == "write" {
			return sqlite3.SQLITE_IOERR_WRITE
		}
		return 0
	})
	defer stop()
	if err := settle(); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %v, want store.ErrUnavailable", err)
	}
	stop()
	must.Succeed(t, "the store to work again", settle)
	if err := s.Commit(t.Context(), &store.Batch{Publications: []*store.Publication{publication(ids, 1)}}); !errors.Is(err, store.ErrFull) {
		t.Errorf("publishing on the full disk: got %v, want store.ErrFull", err)
	}
	os.Remove(ballast)
	publish(t, s, publication(ids, 1))
}

// TestBackupToAFullDisk checks that the error names the full disk, and that nothing is
// left there.
func TestBackupToAFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "webhooks.db")
	sub := &store.Subscription{Key: 1, ID: "crm", URL: "https://crm.example.com", EventTypes: []string{"order.*"}, Active: true}
	fillStore(t, path, sub, 600)
	dir, ballast := smallDisk(t)
	to := filepath.Join(dir, "backup.db")
	if err := sqlite.Backup(t.Context(), path, to); err == nil || !strings.Contains(err.Error(), "no room for "+to) {
		t.Errorf("got error %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || !slices.Equal(left, []string{ballast}) {
		t.Errorf("files left: %q, error %v", left, err)
	}
}
