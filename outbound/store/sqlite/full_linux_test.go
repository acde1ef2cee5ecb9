package sqlite_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// TestFullDisk fills a small disk. What was acknowledged is there, and the
// store goes on by itself when there is room.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4m"); err != nil {
		t.Skipf("mounting a small disk needs the right to (%v): only simulated in TestFull and TestEveryFault", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
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
			t.Fatal("the disk is never full")
		}
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		p := publication(ids, 1)
		publish(t, s, p)
		acknowledged = append(acknowledged, p)
	}
	for _, when := range []string{"before", "after"} {
		events, err := s.Events(t.Context(), store.Query{})
		if err != nil || len(events) != len(acknowledged) {
			t.Errorf("%s it is closed: %d events, want %d: %v", when, len(events), len(acknowledged), err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, path)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
