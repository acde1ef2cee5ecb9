package handler

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

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

// TestAFullDiskIsTold: an operator sees that a full disk is why events are
// refused, and that it is over.
func TestAFullDiskIsTold(t *testing.T) {
	dir := smallDisk(t, "size=4m")
	t.Cleanup(func() { runCaddy(t, "", "") }) // so that nothing there is open
	runCaddy(t, fmt.Sprintf("webhooks {\n store sqlite %s\n}", filepath.Join(dir, "webhooks.db")), "")
	ask := func(method, path, body string) answered {
		t.Helper()
		r := must(http.NewRequest(method, fmt.Sprintf("http://localhost:%d%s", adminPort(), path), strings.NewReader(body)))
		r.Header.Set("Content-Type", "application/json")
		return do(t, r)
	}
	publish := func(want int) {
		t.Helper()
		if r := ask("POST", "/webhooks/events", `{"event_type":"a","payload":"`+strings.Repeat("x", 100<<10)+`"}`); r.StatusCode != want {
			t.Fatalf("publishing: %d %s", r.StatusCode, r.body)
		}
	}
	told := func(metric, status string) {
		t.Helper()
		if got := ask("GET", "/metrics", "").body; !strings.Contains(got, "caddy_webhooks_store_full "+metric+"\n") {
			t.Errorf("the metric isn't %s", metric)
		}
		if got := ask("GET", "/webhooks/status", "").body; !strings.Contains(got, `"full":`+status) {
			t.Errorf("the status isn't %s: %s", status, got)
		}
	}
	publish(http.StatusAccepted)
	told("0", "false")
	var disk syscall.Statfs_t
	if err := syscall.Statfs(dir, &disk); err != nil {
		t.Fatal(err)
	}
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, int64(disk.Bavail)*disk.Frsize), 0o600); err != nil {
		t.Fatal(err)
	}
	publish(http.StatusServiceUnavailable)
	told("1", "true")
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	publish(http.StatusAccepted)
	told("0", "false")
}

// TestDeadLetterLogOnAFullDisk: the line that didn't fit spoils none that comes
// after it, and those that are missing are counted.
func TestDeadLetterLogOnAFullDisk(t *testing.T) {
	dir := smallDisk(t, "size=8k")
	d := newDeaths()
	d.file = newDeadFile(filepath.Join(dir, "dead.ndjson"), slog.New(slog.NewTextHandler(d, nil)))
	if err := d.file.start(); err != nil {
		t.Fatal(err)
	}
	const n = 100 // more than there is room for
	for range n {
		d.file.write(d.death(1).Record())
	}
	until(t, "the disk to be full", func() bool { return len(d.file.lines) == 0 && d.file.lastErr.Load() != nil })
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=1m"); err != nil {
		t.Fatal(err)
	}
	last := d.death(1).Record()
	d.file.write(last)
	d.file.stop()
	var told, missing, whole int
	for line := range strings.Lines(d.written()) {
		if _, after, ok := strings.Cut(line, "dead_letters="); ok {
			told++
			var some int
			if _, err := fmt.Sscan(after, &some); err != nil {
				t.Fatal(err)
			}
			missing += some
		}
	}
	var line string
	for line = range strings.Lines(string(must(os.ReadFile(d.file.path)))) {
		if json.Valid([]byte(line)) {
			whole++
		}
	}
	if told == 0 || whole+missing != n+1 {
		t.Errorf("%d lines are whole and %d are told to be missing, of %d", whole, missing, n+1)
	}
	if !json.Valid([]byte(line)) || !strings.Contains(line, last.ID.With(store.DeliveryPrefix)) {
		t.Errorf("the last line is %s", line)
	}
}
