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

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

// smallDisk mounts a tmpfs with the given options, and returns its directory.
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

// fill uses up the space that is left on a disk, until makeRoom is called.
func fill(t *testing.T, dir string) (makeRoom func()) {
	t.Helper()
	var disk syscall.Statfs_t
	must.Do(t, syscall.Statfs(dir, &disk))
	ballast := filepath.Join(dir, "ballast")
	must.Do(t, os.WriteFile(ballast, make([]byte, int64(disk.Bavail)*int64(disk.Frsize)), 0o600))
	return func() {
		must.Do(t, os.Remove(ballast))
	}
}

// Messages that were seen while the disk was full are written once there is space.
func TestReplayMemoryOnAFullDisk(t *testing.T) {
	dir := smallDisk(t, "size=4m")
	t.Cleanup(func() { runCaddy(t, "", "") }) // to close the files on the disk
	log := filepath.Join(t.TempDir(), "log")
	s := serveSite(t, fmt.Sprintf("log default {\noutput file %s\n}\nwebhooks {\nstore sqlite %s\n}", log, filepath.Join(dir, "webhooks.db")),
		"webhook_verify stripe "+strconv.Quote(testSecret)+" {\nreplay reject\n}")
	keeper := must.Get(caddy.ActiveContext().App("webhooks"))(t).(*App).engine.Load().replays
	stored := func() int {
		return len(must.Get(keeper.memory.Remembered(t.Context(), time.Now(), replayCapacity))(t))
	}
	before := stored() // of the previous config, whose memory this one took over
	makeRoom := fill(t, dir)
	do(t, signStripe(post(t, s.url, t.Name()), t.Name(), time.Now())).want(t, http.StatusOK)
	must.Eventually(t, "the log to say so", func() bool {
		return strings.Contains(string(must.Get(os.ReadFile(log))(t)), "writing the replay memory to the store")
	})
	makeRoom()
	must.Eventually(t, "the message to be in the store", func() bool { return stored() == before+1 })
}

// While the disk is full, events are refused, and the status and a metric say why;
// afterwards they no longer do.
func TestStatusOnAFullDisk(t *testing.T) {
	dir := smallDisk(t, "size=4m")
	t.Cleanup(func() { runCaddy(t, "", "") }) // to close the files on the disk
	runCaddy(t, fmt.Sprintf("webhooks {\n store sqlite %s\n}", filepath.Join(dir, "webhooks.db")), "")
	publish := func(want int) {
		t.Helper()
		if r := admin(t, "POST", "/webhooks/events", `{"event_type":"a","payload":"`+strings.Repeat("x", 100<<10)+`"}`); r.StatusCode != want {
			t.Fatalf("publishing: got %d %s", r.StatusCode, r.body)
		}
	}
	expect := func(metric, status string) {
		t.Helper()
		if got := admin(t, "GET", "/metrics", "").body; !strings.Contains(got, "caddy_webhooks_store_full "+metric+"\n") {
			t.Errorf("there is no metric %s", metric)
		}
		if got := admin(t, "GET", "/webhooks/status", "").body; !strings.Contains(got, `"full":`+status) {
			t.Errorf("got no %s in the status %s", status, got)
		}
	}
	publish(http.StatusAccepted)
	expect("0", "false")
	makeRoom := fill(t, dir)
	publish(http.StatusServiceUnavailable)
	expect("1", "true")
	makeRoom()
	publish(http.StatusAccepted)
	expect("0", "false")
}

// Dead letters that didn't fit on the disk are written once there is space. A line that
// was cut short doesn't affect those after it.
func TestDeadLetterLogOnAFullDisk(t *testing.T) {
	dir := smallDisk(t, "size=8k")
	f := &deadFile{path: filepath.Join(dir, "dead.ndjson")}
	must.Do(t, f.open())
	defer f.close()
	letters := some(100) // more than fit
	n, err := f.append(letters)
	if err == nil || n == 0 || n >= len(letters) {
		t.Fatalf("wrote %d of %d dead letters (%v)", n, len(letters), err)
	}
	must.Do(t, syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=1m"))
	f.appends(t, letters[n:])
	whole := 0
	for line := range strings.Lines(string(must.Get(os.ReadFile(f.path))(t))) {
		if !json.Valid([]byte(line)) {
			continue
		}
		if id := letters[whole].ID.With(store.DeliveryPrefix); !strings.Contains(line, id) {
			t.Fatalf("got in line %d, for %s: %s", whole, id, line)
		}
		whole++
	}
	if whole != len(letters) {
		t.Errorf("got %d complete lines, want %d", whole, len(letters))
	}
}
