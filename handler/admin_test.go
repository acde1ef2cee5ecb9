package handler

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// TestAdminTailAfterAFailedReload: whoever follows the attempts does so whether or
// not a config has failed to load before.
func TestAdminTailAfterAFailedReload(t *testing.T) {
	runCaddy(t, unreached(t, ""), "")
	if refusal := loadCaddy(t, unreached(t, "sign nothing-known"), ""); !strings.Contains(refusal, "nothing-known") {
		t.Fatalf("the second config: %q", refusal)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	stream := ask(t, http.DefaultClient, must(http.NewRequestWithContext(ctx, "GET", fmt.Sprintf("http://localhost:%d/webhooks/tail", adminPort()), nil)))
	defer stream.Body.Close()
	lines := bufio.NewScanner(stream.Body)
	if !lines.Scan() { // so that it has begun
		t.Fatal("the stream is empty")
	}
	admin(t, "POST", "/webhooks/events", `{"event_type":"a","payload":1}`).want(t, http.StatusAccepted)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "event: attempt") {
			return
		}
	}
	t.Errorf("the stream has ended: %v", lines.Err())
}

// TestAStoreThatFailsIsTold: an operator sees why events are refused, and that it is
// over.
func TestAStoreThatFailsIsTold(t *testing.T) {
	path := storePath(t)
	runCaddy(t, fmt.Sprintf("webhooks {\n store sqlite %s\n}", path), "")
	told := func(status int, want string) {
		t.Helper()
		admin(t, "POST", "/webhooks/events", `{"event_type":"a","payload":1}`).want(t, status)
		if got := admin(t, "GET", "/webhooks/status", "").body; !strings.Contains(got, want) {
			t.Errorf("the status is %s, without %s", got, want)
		}
	}
	rename := func(from, to string) {
		t.Helper()
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	told(http.StatusAccepted, `"error":null`)
	rename(path, path+".away")
	told(http.StatusServiceUnavailable, path+" was deleted, moved or replaced while it was in use")
	rename(path+".away", path)
	told(http.StatusAccepted, `"error":null`)
}
