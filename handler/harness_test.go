package handler

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddytest"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-webhooks/caddy-webhooks/internal/freeport"
	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

// TestMain keeps what Caddy writes (its CA, its saved config) out of the
// user's directories.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "caddy-webhooks-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Setenv("XDG_DATA_HOME", dir)
	os.Setenv("XDG_CONFIG_HOME", dir)
	caddy.DefaultStorage.Path = dir // it was set from the environment when the program started
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// adminPort is the port of the admin API of this process's only Caddy. It is a free
// one, so that packages can be tested at the same time.
var adminPort = sync.OnceValue(freeport.Get)

// runCaddy loads a config into the real Caddy of this process, in place of the previous
// one. It consists of global options, which may be empty, and of sites. Parallel tests
// can't use it.
func runCaddy(t *testing.T, options, sites string) {
	t.Helper()
	if testing.Short() {
		t.Skip("caddytest starts no Caddy under -short")
	}
	startCaddy.Do(func() {
		caddytest.NewTester(t).WithDefaultOverrides(caddytest.Config{AdminPort: adminPort()}).InitServer(caddyfileWith("", ""), "caddyfile")
	})
	if refusal := loadCaddy(t, options, sites); refusal != "" {
		t.Fatalf("the config doesn't load: %s", refusal)
	}
}

// storePath returns a path for a test's store, which is closed before its directory is
// removed.
func storePath(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "webhooks.db")
	t.Cleanup(func() {
		if !t.Skipped() {
			runCaddy(t, "", "")
		}
	})
	return path
}

// startCaddy ensures that the Caddy of this process is started once.
var startCaddy sync.Once

// caddyfileWith returns a complete Caddyfile with these options and sites.
func caddyfileWith(options, sites string) string {
	return fmt.Sprintf("{\n\tadmin localhost:%d\n\tauto_https disable_redirects\n\tskip_install_trust\n\tpersist_config off\n\t%s\n}\n%s\n", adminPort(), options, sites)
}

// loadCaddy loads a config into the running Caddy, and returns the error that a user
// would see, or "".
func loadCaddy(t *testing.T, options, sites string) string {
	t.Helper()
	res := postLoad(t, "text/caddyfile", caddyfileWith(options, sites))
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	if res.StatusCode == http.StatusOK {
		return ""
	}
	return string(body)
}

// postLoad loads a config through the admin API.
func postLoad(t *testing.T, contentType, config string) *http.Response {
	t.Helper()
	req := must.Get(http.NewRequest(http.MethodPost, fmt.Sprintf("http://localhost:%d/load", adminPort()), strings.NewReader(config)))(t)
	req.Header.Set("Content-Type", contentType)
	req.Close = true // each load replaces the admin server, and closes its connections
	return ask(t, http.DefaultClient, req)
}

// admin makes a request to the admin endpoint.
func admin(t testing.TB, method, path, body string) answered {
	t.Helper()
	r := must.Get(http.NewRequest(method, fmt.Sprintf("http://localhost:%d%s", adminPort(), path), strings.NewReader(body)))(t)
	r.Header.Set("Content-Type", "application/json")
	return do(t, r)
}

// ask makes a request. Each config has listeners of its own, and a request to one that
// is just being closed is lost unread, so it is made again.
func ask(t testing.TB, c *http.Client, r *http.Request) *http.Response {
	t.Helper()
	for end := time.Now().Add(must.Patience); ; time.Sleep(10 * time.Millisecond) {
		res, err := c.Do(r)
		if err == nil {
			return res
		}
		unread := errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.ECONNREFUSED)
		if !unread || time.Now().After(end) || r.Body != nil && r.GetBody == nil {
			t.Fatal(err)
		}
		if r.GetBody != nil {
			r.Body = must.Get(r.GetBody())(t)
		}
	}
}

// received is a request that an app got.
type received struct {
	*http.Request
	body []byte
	err  error // from reading the body
}

// app is a server behind Caddy that records the requests it gets.
type app struct {
	*httptest.Server
	addr string

	mu     sync.Mutex
	got    []received
	answer http.HandlerFunc // if nil, it is 200; called once the body is read
}

func newApp(t *testing.T, configure ...func(*http.Server)) *app {
	t.Helper()
	a := &app{}
	a.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		a.mu.Lock()
		a.got = append(a.got, received{r, body, err})
		answer := a.answer
		a.mu.Unlock()
		if answer != nil {
			answer(w, r)
		}
	}))
	for _, c := range configure {
		c(a.Config)
	}
	a.Start()
	a.addr = a.Listener.Addr().String()
	t.Cleanup(a.Close)
	return a
}

// respond sets how the app responds from now on.
func (a *app) respond(h http.HandlerFunc) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer = h
}

// take returns the requests since the last call.
func (a *app) take() []received {
	a.mu.Lock()
	defer a.mu.Unlock()
	got := a.got
	a.got = nil
	return got
}

// one returns the only request since the last call.
func (a *app) one(t *testing.T) received {
	t.Helper()
	got := a.take()
	if len(got) != 1 {
		t.Fatalf("the app got %d requests, want 1", len(got))
	}
	if got[0].err != nil {
		t.Fatalf("the app could not read the body: %v", got[0].err)
	}
	return got[0]
}

// none fails the test if the app got a request.
func (a *app) none(t *testing.T) {
	t.Helper()
	if got := a.take(); len(got) != 0 {
		t.Fatalf("the app got %d requests, want none", len(got))
	}
}

// site is a Caddy site on a port of its own.
type site struct {
	url  string
	addr string
}

// serveSite runs a site with these directives. If a request is refused, the reason is
// in the body of the response.
func serveSite(t *testing.T, options, directives string) site {
	t.Helper()
	port := freeport.Get()
	runCaddy(t, options, fmt.Sprintf(`http://127.0.0.1:%d {
	%s
	handle_errors {
		respond "{http.webhook.error}|{http.error.message}|{http.webhook.provider}|{http.webhook.verified}"
	}
}`, port, directives))
	client.CloseIdleConnections()
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	return site{url: "http://" + addr, addr: addr}
}

// githubSite runs a site that verifies requests and proxies them to an app.
func githubSite(t *testing.T, options, block string) (site, *app) {
	t.Helper()
	app := newApp(t)
	return serveSite(t, options, "webhook_verify github "+strconv.Quote(testSecret)+" {\n"+block+"\n}\nreverse_proxy "+app.addr), app
}

// provisioned provisions a handler as Caddy would, without a server.
func provisioned(t testing.TB, h *Verify) *Verify {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	must.Do(t, h.Provision(ctx))
	t.Cleanup(func() { h.Cleanup() })
	return h
}

// prepared returns a request as Caddy's server passes it to handlers.
func prepared(r *http.Request) *http.Request {
	r.Body = http.MaxBytesReader(nil, r.Body, 1<<30)
	return caddyhttp.PrepareRequest(r, caddy.NewReplacer(), httptest.NewRecorder(), nil)
}
