package handler

import (
	"net/http"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// TestReplayMemorySurvivesARestart: with a store, what was taken before is not
// taken again by a process that starts anew; without one it is.
func TestReplayMemorySurvivesARestart(t *testing.T) {
	app := newApp(t)
	for name, c := range map[string]struct {
		options string
		status  int
	}{
		"with a store":    {"webhooks {\nstore sqlite " + filepath.Join(t.TempDir(), "webhooks.db") + "\n}", http.StatusConflict},
		"without a store": {"", http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			route := "webhook_verify stripe " + strconv.Quote(testSecret) + " {\nreplay reject\n}\nreverse_proxy " + app.addr
			body, at := strconv.Quote(t.Name()), time.Now()
			s := serveSite(t, c.options, route)
			do(t, signStripe(post(t, s.url, body), body, at)).want(t, http.StatusOK)
			app.one(t)
			// A config without any of it ends all that outlives a reload, as a
			// restart does.
			runCaddy(t, "", ":0 {\n}")
			s = serveSite(t, c.options, route)
			do(t, signStripe(post(t, s.url, body), body, at)).want(t, c.status)
			app.take()
		})
	}
}
