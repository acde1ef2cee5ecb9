package handler

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestAFullDiskIsTold: an operator sees that a full disk is why events are
// refused, and that it is over.
func TestAFullDiskIsTold(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4m"); err != nil {
		t.Skipf("mounting a small disk needs the right to: %v", err)
	}
	t.Cleanup(func() {
		runCaddy(t, "", "") // so that nothing there is open
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
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
