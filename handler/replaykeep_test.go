package handler

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestReplayMemorySurvivesARestart: with a store, what was taken before is not
// taken again by a process that starts anew; without one it is.
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
			// A config without any of it ends all that outlives a reload, as a
			// restart does.
			runCaddy(t, "", ":0 {\n}")
			s = serveSite(t, c.options, route)
			do(t, signStripe(post(t, s.url, body), body, at)).want(t, c.status)
			app.take()
		})
	}
}

// TestReplayMemoryAfterAFailedReload: a config that didn't start, with another
// store, doesn't end the keeping in that of the config which goes on.
func TestReplayMemoryAfterAFailedReload(t *testing.T) {
	app := newApp(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	options := func() string {
		return "webhooks {\nstore sqlite " + storePath(t) + "\n}"
	}
	route := "webhook_verify stripe " + strconv.Quote(testSecret) + " {\nreplay reject\n}\nreverse_proxy " + app.addr
	ours := options()
	s := serveSite(t, ours, route)
	for range 5 { // apps start in any order
		if refusal := loadCaddy(t, options(), fmt.Sprintf("http://%s {\n}", taken.Addr())); !strings.Contains(refusal, "address already in use") {
			t.Fatalf("the second config: %q", refusal)
		}
	}
	client.CloseIdleConnections()
	body, at := strconv.Quote(t.Name()), time.Now()
	do(t, signStripe(post(t, s.url, body), body, at)).want(t, http.StatusOK)
	app.one(t)
	runCaddy(t, "", ":0 {\n}") // as a restart does
	s = serveSite(t, ours, route)
	do(t, signStripe(post(t, s.url, body), body, at)).want(t, http.StatusConflict)
	app.none(t)
}
