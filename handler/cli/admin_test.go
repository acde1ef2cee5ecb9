package cli

import (
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-webhooks/caddy-webhooks/internal/freeport"
	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

// Commands work with the admin endpoint of a real Caddy, which checks Host and Origin.
func TestByTheAdminEndpoint(t *testing.T) {
	s := start(t)
	mounted.Store(&s.handler)
	t.Cleanup(func() { mounted.Store(nil) })
	s.address = runCaddy(t)
	s.subscribe("*")
	id := s.publish("a", "{}")
	if r := s.run("", "deliveries", "show", id).want(t, 0); field(t, r.out, "State") != "delivered" {
		t.Errorf("printed %q", r.out)
	}
	s.run("", "status").want(t, 0)
	s.run("", "events", "show", "nothing").want(t, 1).says(t, `there is no event "nothing"`)
}

func TestSocketAddress(t *testing.T) {
	for _, suffix := range []string{"", "|0220"} {
		socket := filepath.Join(t.TempDir(), "s")
		l := must.Get(net.Listen("unix", socket))(t)
		var origin, host string
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			origin, host = r.Header.Get("Origin"), r.Host
			answer(200, "application/json", `{"data":[],"next_cursor":null}`)(w, r)
		})}
		go server.Serve(l)
		t.Cleanup(func() { server.Close() })
		run(t, "", "events", "list", "--address", "unix/"+socket+suffix).want(t, 0)
		if origin != "" || host != "127.0.0.1" {
			t.Errorf("got Origin %q, Host %q", origin, host)
		}
	}
}

// runCaddy runs Caddy with nothing but its admin endpoint, which enforces the origin, and
// returns the endpoint's address.
func runCaddy(t *testing.T) string {
	t.Helper()
	address := freeport.Address()
	no := false
	quiet := &caddy.Logging{Logs: map[string]*caddy.CustomLog{"default": {BaseLog: caddy.BaseLog{Level: "ERROR"}}}}
	admin := &caddy.AdminConfig{Listen: address, EnforceOrigin: true, Config: &caddy.ConfigSettings{Persist: &no}}
	must.Do(t, caddy.Run(&caddy.Config{Admin: admin, Logging: quiet}))
	t.Cleanup(func() {
		// Stop doesn't stop the admin endpoint, which runs until the process ends.
		off := &caddy.AdminConfig{Disabled: true, Config: &caddy.ConfigSettings{Persist: &no}}
		if err := errors.Join(caddy.Run(&caddy.Config{Admin: off, Logging: quiet}), caddy.Stop()); err != nil {
			t.Error(err)
		}
	})
	return address
}

func TestPlainCaddy(t *testing.T) {
	r := run(t, "", "status", "--address", runCaddy(t)).want(t, 1)
	if !strings.Contains(r.err, "has no webhooks API") {
		t.Errorf("stderr %q", r.err)
	}
}

func TestAddressFromConfig(t *testing.T) {
	address := serve(t, answer(200, "application/json", `{"data":[],"next_cursor":null}`))
	config := file(t, `{"admin":{"listen":"`+address+`"}}`)
	run(t, "", "events", "list", "--config", config).want(t, 0)
	off := run(t, "", "events", "list", "--config", file(t, `{"admin":{"disabled":true}}`)).want(t, 1)
	if !strings.Contains(off.err, "disabled (`admin off`)") {
		t.Errorf("without an admin endpoint: got %s", off.err)
	}
	r := run(t, "", "events", "list", "--config", "/nonexistent").want(t, 1)
	if !strings.Contains(r.err, "/nonexistent") {
		t.Errorf("stderr %q", r.err)
	}
}

// adminAPI mounts a server on a real admin endpoint, like package handler.
type adminAPI struct{}

var mounted atomic.Pointer[http.Handler]

func init() { caddy.RegisterModule(adminAPI{}) }

func (adminAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.webhooks", New: func() caddy.Module { return adminAPI{} }}
}

func (adminAPI) Routes() []caddy.AdminRoute {
	h := mounted.Load()
	if h == nil {
		return nil
	}
	return []caddy.AdminRoute{{Pattern: mount + "/", Handler: caddy.AdminHandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		(*h).ServeHTTP(w, r)
		return nil
	})}}
}
