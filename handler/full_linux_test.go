package handler

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// smallDisk is a disk of its own, by tmpfs's options.
func smallDisk(t *testing.T, options string) (dir string) {
	dir = t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("mounting a small disk needs the right to: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill uses all the room that is left on a disk, until makeRoom is called.
func fill(t *testing.T, dir string) (makeRoom func()) {
	t.Helper()
	var disk syscall.Statfs_t
	if err := syscall.Statfs(dir, &disk); err != nil {
		t.Fatal(err)
	}
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, int64(disk.Bavail)*int64(disk.Frsize)), 0o600); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
	}
}

// TestReplayMemoryOnAFullDisk: what was seen meanwhile is kept when there is room.
func TestReplayMemoryOnAFullDisk(t *testing.T) {
	dir := smallDisk(t, "size=4m")
	t.Cleanup(func() { runCaddy(t, "", "") }) // so that nothing there is open
	log := filepath.Join(t.TempDir(), "log")
	s := serveSite(t, fmt.Sprintf("log default {\noutput file %s\n}\nwebhooks {\nstore sqlite %s\n}", log, filepath.Join(dir, "webhooks.db")),
		"webhook_verify stripe "+strconv.Quote(testSecret)+" {\nreplay reject\n}")
	makeRoom := fill(t, dir)
	do(t, signStripe(post(t, s.url, t.Name()), t.Name(), time.Now())).want(t, http.StatusOK)
	until(t, "the word of it", func() bool {
		return strings.Contains(string(must(os.ReadFile(log))), "writing the replay memory to the store")
	})
	makeRoom()
	keeper := must(caddy.ActiveContext().App("webhooks")).(*App).replayKeeper()
	until(t, "the message in the store", func() bool {
		return len(must(keeper.memory.Remembered(t.Context(), time.Now(), 10))) == 1
	})
}

// TestAFullDiskIsTold: an operator sees that a full disk is why events are
// refused, and that it is over.
func TestAFullDiskIsTold(t *testing.T) {
	dir := smallDisk(t, "size=4m")
	t.Cleanup(func() { runCaddy(t, "", "") }) // so that nothing there is open
	runCaddy(t, fmt.Sprintf("webhooks {\n store sqlite %s\n}", filepath.Join(dir, "webhooks.db")), "")
	publish := func(want int) {
		t.Helper()
		if r := admin(t, "POST", "/webhooks/events", `{"event_type":"a","payload":"`+strings.Repeat("x", 100<<10)+`"}`); r.StatusCode != want {
			t.Fatalf("publishing: %d %s", r.StatusCode, r.body)
		}
	}
	told := func(metric, status string) {
		t.Helper()
		if got := admin(t, "GET", "/metrics", "").body; !strings.Contains(got, "caddy_webhooks_store_full "+metric+"\n") {
			t.Errorf("the metric isn't %s", metric)
		}
		if got := admin(t, "GET", "/webhooks/status", "").body; !strings.Contains(got, `"full":`+status) {
			t.Errorf("the status isn't %s: %s", status, got)
		}
	}
	publish(http.StatusAccepted)
	told("0", "false")
	makeRoom := fill(t, dir)
	publish(http.StatusServiceUnavailable)
	told("1", "true")
	makeRoom()
	publish(http.StatusAccepted)
	told("0", "false")
}

// TestDeadLetterLogOnAFullDisk: what didn't fit comes again when there is room, and
// a line that was cut short spoils none that comes after it.
func TestDeadLetterLogOnAFullDisk(t *testing.T) {
	dir := smallDisk(t, "size=8k")
	f := &deadFile{path: filepath.Join(dir, "dead.ndjson")}
	if err := f.open(); err != nil {
		t.Fatal(err)
	}
	defer f.close()
	letters := some(100) // more than there is room for
	n, err := f.append(letters)
	if err == nil || n == 0 || n >= len(letters) {
		t.Fatalf("%d of %d are written (%v)", n, len(letters), err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=1m"); err != nil {
		t.Fatal(err)
	}
	f.appends(t, letters[n:])
	whole := 0
	for line := range strings.Lines(string(must(os.ReadFile(f.path)))) {
		if !json.Valid([]byte(line)) {
			continue
		}
		if id := letters[whole].ID.With(store.DeliveryPrefix); !strings.Contains(line, id) {
			t.Fatalf("line %d is not that of %s: %s", whole, id, line)
		}
		whole++
	}
	if whole != len(letters) {
		t.Errorf("%d lines are whole, want %d", whole, len(letters))
	}
}
