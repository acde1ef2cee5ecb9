package handler

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

// With a store, messages are still recognized as replays after a restart; without one,
// they aren't.
func TestReplayMemorySurvivesARestart(t *testing.T) {
	app := newApp(t)
	for name, c := range map[string]struct {
		before, options string
		status          int
	}{
		"with a store":            {"", "webhooks {\nstore sqlite " + storePath(t) + "\n}", http.StatusConflict},
		"with another one before": {"webhooks {\nstore sqlite " + storePath(t) + "\n}", "webhooks {\nstore sqlite " + storePath(t) + "\n}", http.StatusConflict},
		"without a store":         {"", "", http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			route := "webhook_verify stripe " + strconv.Quote(testSecret) + " {\nreplay reject\n}\nreverse_proxy " + app.addr
			body, at := strconv.Quote(t.Name()), time.Now()
			s := serveSite(t, c.before, route)
			do(t, signStripe(post(t, s.url, body), body, at)).want(t, http.StatusOK)
			app.one(t)
			s = serveSite(t, c.options, route)
			do(t, signStripe(post(t, s.url, body), body, at)).want(t, http.StatusConflict)
			// Like a restart, a config without the module ends everything that outlives
			// a reload.
			runCaddy(t, "", ":0 {\n}")
			s = serveSite(t, c.options, route)
			do(t, signStripe(post(t, s.url, body), body, at)).want(t, c.status)
			app.take()
		})
	}
}

// After a config with another store has failed to start, the replay memory is still
// written to the store of the config that goes on running.
func TestReplayMemoryAfterAFailedReload(t *testing.T) {
	app := newApp(t)
	taken := must.Get(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer taken.Close()
	options := func() string {
		return "webhooks {\nstore sqlite " + storePath(t) + "\n}"
	}
	route := "webhook_verify stripe " + strconv.Quote(testSecret) + " {\nreplay reject\n}\nreverse_proxy " + app.addr
	ours := options()
	s := serveSite(t, ours, route)
	for range 5 { // apps start in random order
		if refusal := loadCaddy(t, options(), fmt.Sprintf("http://%s {\n}", taken.Addr())); !strings.Contains(refusal, "address already in use") {
			t.Fatalf("the second config: %q", refusal)
		}
	}
	client.CloseIdleConnections()
	body, at := strconv.Quote(t.Name()), time.Now()
	do(t, signStripe(post(t, s.url, body), body, at)).want(t, http.StatusOK)
	app.one(t)
	runCaddy(t, "", ":0 {\n}") // like a restart
	s = serveSite(t, ours, route)
	do(t, signStripe(post(t, s.url, body), body, at)).want(t, http.StatusConflict)
	app.none(t)
}
