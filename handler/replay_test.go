package handler

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-webhooks/caddy-webhooks/internal/freeport"
	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

// What happens to a message that is sent twice depends on the replay option.
func TestReplayModes(t *testing.T) {
	tests := []struct {
		name, provider, option string
		second                 int
		reaches                bool
	}{
		{"a signed time: ack by default", "stripe", "", 200, false},
		{"ack", "stripe", "replay ack", 200, false},
		{"reject", "stripe", "replay reject", 409, false},
		{"off", "stripe", "replay off", 200, true},
		{"no signed time: off by default", "github", "", 200, true},
		{"no signed time: ack with a life", "github", "replay ack 24h", 200, false},
		{"no signed time: reject with a life", "github", "replay reject 24h", 409, false},
		{"a time that is not enforced: off by default", "stripe", "tolerance off", 200, true},
		{"no limit in the past: off by default", "stripe", "tolerance off 5m", 200, true},
		{"no limit in the future: off by default", "stripe", "tolerance 5m off", 200, true},
		{"dry run", "stripe", "enforce off", 200, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			app := newApp(t)
			app.respond(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "from the app") })
			// Each test signs another body, since the replay memory outlives the configs.
			s := serveSite(t, "", "webhook_verify "+tt.provider+" "+strconv.Quote(testSecret)+" {\n"+tt.option+"\n}\nreverse_proxy "+app.addr)
			body := fmt.Sprintf("%-10000q", t.Name())
			at := time.Now()
			message := func() *http.Request {
				if tt.provider == "github" {
					return signGitHub(post(t, s.url, body), body)
				}
				return signStripe(post(t, s.url, body), body, at)
			}
			if got := do(t, message()).want(t, http.StatusOK); got.body != "from the app" {
				t.Fatalf("the first request got %q", got.body)
			}
			app.one(t)
			got := do(t, message()).want(t, tt.second)
			must.Eventually(t, "all bodies to be released", func() bool { return bodies.Taken() == 0 })
			if !tt.reaches {
				app.none(t)
				if tt.second == http.StatusConflict && !strings.HasPrefix(got.body, "replayed|replayed|") {
					t.Errorf("got %q, want the reason replayed", got.body)
				}
				return
			}
			second := app.one(t)
			want := tt.provider
			if tt.name == "dry run" {
				want = "false"
			}
			if v := second.Header.Get("Webhook-Verified"); v != want {
				t.Errorf("got Webhook-Verified: %q, want %q", v, want)
			}
		})
	}
}

// If no handler writes a response, it counts as the 200 that Caddy sends.
func TestReplayWithoutAResponse(t *testing.T) {
	s := serveSite(t, "", "webhook_verify stripe "+strconv.Quote(testSecret)+" {\nreplay reject\n}")
	body, at := fmt.Sprintf("%q", t.Name()), time.Now()
	for _, status := range []int{http.StatusOK, http.StatusConflict} {
		do(t, signStripe(post(t, s.url, body), body, at)).want(t, status)
	}
}

// Messages that can't be told apart, or have no timestamp that limits how long to
// remember them, reach the app each time.
func TestMessagesThatAreNoReplays(t *testing.T) {
	app := newApp(t)
	now := strconv.FormatInt(time.Now().Unix(), 10)
	twice := func(provider string, message func(url, body string) *http.Request, reaches bool) {
		t.Helper()
		s := serveSite(t, "", "webhook_verify "+provider+" "+strconv.Quote(testSecret)+"\nreverse_proxy "+app.addr)
		do(t, message(s.url, `{"n":1}`)).want(t, http.StatusOK)
		app.one(t)
		do(t, message(s.url, `{"n":1}`)).want(t, http.StatusOK)
		if reaches {
			app.one(t)
		} else {
			app.none(t)
		}
	}
	mercadoPago := func(request string) func(url, body string) *http.Request {
		return func(url, body string) *http.Request {
			r := post(t, url, body)
			manifest := "ts:" + now + ";"
			if request != "" {
				r.Header.Set("X-Request-Id", request)
				manifest = "request-id:" + request + ";" + manifest
			}
			r.Header.Set("X-Signature", "ts="+now+",v1="+mac(testSecret, manifest))
			return r
		}
	}
	twice("mercado-pago", mercadoPago("r-1"), false)
	twice("mercado-pago", mercadoPago(""), true)
	primer := func(url, body string) *http.Request {
		r := post(t, url, body)
		signature, _ := hex.DecodeString(mac(testSecret, body))
		r.Header.Set("X-Signature-Primary", base64.StdEncoding.EncodeToString(signature))
		return r
	}
	twice("primer", primer, true)
}

// replaySite runs a site with a replay memory.
func replaySite(t *testing.T, addr string) site {
	return serveSite(t, "", "webhook_verify stripe "+strconv.Quote(testSecret)+" {\nreplay reject\n}\nreverse_proxy "+addr)
}

// If the app failed to handle a message, the provider's retry isn't a replay.
func TestRetryAfterAFailureOfTheAppPasses(t *testing.T) {
	for _, status := range []int{500, 503, 404, 300, 410} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			app := newApp(t)
			s := replaySite(t, app.addr)
			body, at := fmt.Sprintf("%q", t.Name()), time.Now()
			app.respond(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
			for range 2 {
				do(t, signStripe(post(t, s.url, body), body, at)).want(t, status)
				app.one(t)
			}
			app.respond(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
			do(t, signStripe(post(t, s.url, body), body, at)).want(t, 204)
			app.one(t)
			do(t, signStripe(post(t, s.url, body), body, at)).want(t, 409)
			app.none(t)
		})
	}
	t.Run("unreachable", func(t *testing.T) {
		app := newApp(t)
		s := replaySite(t, app.addr)
		body, at := fmt.Sprintf("%q", t.Name()), time.Now()
		app.CloseClientConnections()
		app.Listener.Close()
		for range 2 {
			do(t, signStripe(post(t, s.url, body), body, at)).want(t, http.StatusBadGateway)
		}
	})
	t.Run("panic", func(t *testing.T) {
		app := newApp(t)
		s := replaySite(t, app.addr)
		body, at := fmt.Sprintf("%q", t.Name()), time.Now()
		app.respond(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		for range 2 {
			do(t, signStripe(post(t, s.url, body), body, at)).want(t, http.StatusBadGateway)
			app.one(t)
		}
	})
}

// While the app is handling the first copy, a second one is refused with Retry-After.
func TestSecondCopyInFlight(t *testing.T) {
	for _, mode := range []string{"ack", "reject"} {
		t.Run(mode, func(t *testing.T) {
			app := newApp(t)
			s := serveSite(t, "", "webhook_verify stripe "+strconv.Quote(testSecret)+" {\nreplay "+mode+"\n}\nreverse_proxy "+app.addr)
			arrived, goOn := make(chan struct{}), make(chan struct{})
			app.respond(func(http.ResponseWriter, *http.Request) { close(arrived); <-goOn })
			body, at := fmt.Sprintf("%q", t.Name()), time.Now()
			var first sync.WaitGroup
			first.Go(func() { do(t, signStripe(post(t, s.url, body), body, at)).want(t, http.StatusOK) })
			<-arrived
			got := do(t, signStripe(post(t, s.url, body), body, at)).want(t, http.StatusConflict)
			if got.Header.Get("Retry-After") == "" || !strings.HasPrefix(got.body, "in_flight|") {
				t.Errorf("got %q, %v", got.body, got.Header)
			}
			close(goOn)
			first.Wait()
			app.one(t)
		})
	}
}

// A message with the same signature in another spelling, or with other unsigned headers,
// is still a replay.
func TestReplayWithOtherUnsignedParts(t *testing.T) {
	app := newApp(t)
	s := serveSite(t, "", "webhook_verify github "+strconv.Quote(testSecret)+" {\nreplay reject 1h\n}\nreverse_proxy "+app.addr)
	body := fmt.Sprintf("%q", t.Name())
	do(t, signGitHub(post(t, s.url, body), body)).want(t, http.StatusOK)
	app.one(t)
	for name, change := range map[string]func(*http.Request){
		"another delivery id": func(r *http.Request) { r.Header.Set("X-GitHub-Delivery", "another") },
		"upper-case hex": func(r *http.Request) {
			r.Header.Set("X-Hub-Signature-256", "sha256="+strings.ToUpper(strings.TrimPrefix(r.Header.Get("X-Hub-Signature-256"), "sha256=")))
		},
		"another path":  func(r *http.Request) { r.URL.Path = "/other" },
		"another query": func(r *http.Request) { r.URL.RawQuery = "x=1" },
	} {
		r := signGitHub(post(t, s.url, body), body)
		change(r)
		if got := do(t, r); got.StatusCode != http.StatusConflict {
			t.Errorf("%s: got %s", name, got.Status)
		}
		app.none(t)
	}
}

// A message that one route has accepted isn't a replay on another one, even if provider
// and secret are the same.
func TestReplayMemoryOfEachRoute(t *testing.T) {
	app := newApp(t)
	t.Setenv("VERIFY_TEST_SECRET", testSecret)
	block := func(path, secrets string) string {
		return "handle " + path + " {\nwebhook_verify stripe " + secrets + " {\nreplay reject\n}\nreverse_proxy " + app.addr + "\n}\n"
	}
	quoted := strconv.Quote(testSecret)
	s := serveSite(t, "", block("/a", quoted)+block("/same", quoted)+block("/more", quoted+" old")+block("/placeholder", "{env.VERIFY_TEST_SECRET}"))
	body, at := fmt.Sprintf("%q", t.Name()), time.Now()
	for _, path := range []string{"/a", "/same", "/more", "/placeholder"} {
		do(t, signStripe(post(t, s.url+path, body), body, at)).want(t, http.StatusOK)
		app.one(t)
		do(t, signStripe(post(t, s.url+path, body), body, at)).want(t, http.StatusConflict)
		app.none(t)
	}
}

// The replay memory survives successful and failed reloads, also one in the middle of a
// request.
func TestReplayMemorySurvivesReloads(t *testing.T) {
	app := newApp(t)
	port := freeport.Get()
	sites := func(option, upstream string) string {
		return fmt.Sprintf("http://127.0.0.1:%d {\nwebhook_verify stripe %q {\nreplay reject\n%s\n}\nreverse_proxy %s\n}", port, testSecret, option, upstream)
	}
	url := fmt.Sprintf("http://127.0.0.1:%d/", port)
	reload := func(option string) {
		t.Helper()
		if err := loadCaddy(t, "", sites(option, app.addr)); err != "" {
			t.Fatal(err)
		}
		client.CloseIdleConnections() // the old server may close them at any moment
	}
	runCaddy(t, "", sites("", app.addr))
	client.CloseIdleConnections()
	at := time.Now()
	message := func(body string) *http.Request { return signStripe(post(t, url, body), body, at) }

	do(t, message("one")).want(t, http.StatusOK)
	app.one(t)
	reload("max_body 1MiB")
	do(t, message("one")).want(t, http.StatusConflict)
	app.none(t)

	if err := loadCaddy(t, "", sites("secret {env.VERIFY_TEST_NONE}", app.addr)); err == "" {
		t.Fatal("a config without a secret was loaded")
	}
	client.CloseIdleConnections()
	do(t, message("one")).want(t, http.StatusConflict)
	app.none(t)

	arrived, goOn := make(chan struct{}), make(chan struct{})
	app.respond(func(http.ResponseWriter, *http.Request) { close(arrived); <-goOn })
	var first sync.WaitGroup
	first.Go(func() { do(t, message("two")).want(t, http.StatusOK) })
	<-arrived
	reload("tolerance 4m")
	if got := do(t, message("two")).want(t, http.StatusConflict); got.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After for a copy in flight since before the reload")
	}
	close(goOn)
	first.Wait()
	app.respond(nil)
	app.one(t)
	do(t, message("two")).want(t, http.StatusConflict)
	app.none(t)
}

// A config releases each reference to the replay memory that it has taken, also if it
// fails to load halfway.
func TestReplayPoolIsBalanced(t *testing.T) {
	runCaddy(t, "", "")
	count := func() int { n, _ := replayPool.References(replayPoolKey); return n }
	if n := count(); n != 0 {
		t.Fatalf("before: got %d references, want 0", n)
	}
	one := fmt.Sprintf("http://127.0.0.1:%d {\nwebhook_verify stripe s\n}\n", freeport.Get())
	two := fmt.Sprintf("http://127.0.0.1:%d {\nroute {\nwebhook_verify stripe s\nwebhook_verify github s\nwebhook_verify slack s\n}\n}\n", freeport.Get())
	bad := fmt.Sprintf("http://127.0.0.1:%d {\nroute {\nwebhook_verify stripe s\nwebhook_verify github s {\nreplay ack\n}\n}\n}\n", freeport.Get())
	for _, step := range []struct {
		sites string
		want  int
	}{{one, 1}, {two, 2}, {bad, 2}, {two, 2}, {one, 1}, {"", 0}, {bad, 0}} {
		loadCaddy(t, "", step.sites)
		if n := count(); n != step.want {
			t.Fatalf("got %d references, want %d, after loading\n%s", n, step.want, step.sites)
		}
	}
}

// A body that is written without a status counts as a 200, whatever the handler returns
// afterwards.
func TestStatusOfABody(t *testing.T) {
	w := caddyhttp.NewResponseRecorder(httptest.NewRecorder(), nil, nil)
	if succeeded(w, false) {
		t.Error("an error without a response counts as success")
	}
	if _, err := w.Write([]byte("done")); err != nil || !succeeded(w, false) {
		t.Errorf("a body without a status doesn't count as success (%v)", err)
	}
}

// A message that is forgotten early, since the memory is full, is counted.
func TestEvictionsAreCounted(t *testing.T) {
	runCaddy(t, "", "") // or the memory would have messages of another test
	replays := must.Get(acquireReplays())(t)
	t.Cleanup(func() { must.Do(t, releaseReplays()) })
	before := counted(t, verifyMetrics.evictions)
	for i := range uint32(replayCapacity + 3) {
		var key [32]byte
		binary.BigEndian.PutUint32(key[:], i)
		replays.Begin(key, time.Hour)
		replays.Commit(key)
	}
	for name, n := range counted(t, verifyMetrics.evictions) {
		if got := n - before[name]; got != 3 {
			t.Errorf("got %v more, want 3", got)
		}
	}
}
