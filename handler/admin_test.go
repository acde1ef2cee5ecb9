package handler

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

// After a config has failed to load, the admin endpoint's tail still follows the
// attempts of the config that goes on running.
func TestAdminTailAfterAFailedReload(t *testing.T) {
	runCaddy(t, unreached(t, ""), "")
	if refusal := loadCaddy(t, unreached(t, "sign nothing-known"), ""); !strings.Contains(refusal, "nothing-known") {
		t.Fatalf("the second config: %q", refusal)
	}
	ctx, cancel := context.WithTimeout(t.Context(), must.Patience)
	defer cancel()
	stream := ask(t, http.DefaultClient, must.Get(http.NewRequestWithContext(ctx, "GET", fmt.Sprintf("http://localhost:%d/webhooks/tail", adminPort()), nil))(t))
	defer stream.Body.Close()
	lines := bufio.NewScanner(stream.Body)
	if !lines.Scan() { // the tail has begun
		t.Fatalf("the stream ended before its first line: %v", lines.Err())
	}
	admin(t, "POST", "/webhooks/events", `{"event_type":"a","payload":1}`).want(t, http.StatusAccepted)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "event: attempt") {
			return
		}
	}
	t.Errorf("the stream ended before an attempt: %v", lines.Err())
}

// While Caddy stops, it has no config, but its admin endpoint still answers.
func TestContextWhileStopping(t *testing.T) {
	must.Do(t, caddy.Stop())
	if activeContext().Err() == nil {
		t.Error("the context isn't done")
	}
}

// While the store fails, events are refused and the status says why; afterwards it
// no longer does.
func TestStatusOfAFailingStore(t *testing.T) {
	path := storePath(t)
	runCaddy(t, fmt.Sprintf("webhooks {\n store sqlite %s\n}", path), "")
	expect := func(status int, want string) {
		t.Helper()
		admin(t, "POST", "/webhooks/events", `{"event_type":"a","payload":1}`).want(t, status)
		if got := admin(t, "GET", "/webhooks/status", "").body; !strings.Contains(got, want) {
			t.Errorf("got status %s, want %s in it", got, want)
		}
	}
	rename := func(from, to string) {
		t.Helper()
		must.Do(t, os.Rename(from, to))
	}
	expect(http.StatusAccepted, `"error":null`)
	rename(path, path+".away")
	expect(http.StatusServiceUnavailable, path+" was deleted, moved or replaced while it was in use")
	rename(path+".away", path)
	expect(http.StatusAccepted, `"error":null`)
}
