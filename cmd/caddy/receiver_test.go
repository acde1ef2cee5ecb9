package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/freeport"
	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

// receiver is a server that receives webhooks: a subscriber's, or an app behind Caddy.
type receiver struct {
	t *testing.T
	*inbox
}

// on returns the same receiver for a subtest.
func (r *receiver) on(t *testing.T) *receiver { return &receiver{t, r.inbox} }

// inbox records the requests that arrive.
type inbox struct {
	addr string
	tls  *tls.Config // of https

	mu      sync.Mutex
	arrived sync.Cond
	got     []*request
	respond func(http.ResponseWriter, *request) // 200 where it is nil
	server  *http.Server                        // nil while it is down
}

// request is a request that arrived.
type request struct {
	method, path string
	header       http.Header
	length       int64 // the Content-Length, -1 where there is none
	body         []byte
	at           time.Time
	gone         <-chan struct{} // closed when the client has disconnected
	proto        string
	tls          *tls.ConnectionState // nil without
}

// newReceiver starts a receiver.
func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := downReceiver(t)
	r.up()
	return r
}

// downReceiver returns a receiver that doesn't listen yet.
func downReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{t, &inbox{addr: freeport.Address()}}
	r.arrived.L = &r.mu
	t.Cleanup(r.down)
	return r
}

// up starts to listen.
func (r *receiver) up() {
	r.t.Helper()
	l := must.Get(net.Listen("tcp", r.addr))(r.t)
	r.server = &http.Server{Handler: r.inbox, TLSConfig: r.tls}
	if r.tls == nil {
		go r.server.Serve(l)
		return
	}
	r.server.ErrorLog = log.New(io.Discard, "", 0) // failed handshakes
	go r.server.ServeTLS(l, "", "")
}

// down stops listening, and closes all connections.
func (r *inbox) down() {
	if r.server != nil {
		r.server.Close()
		r.server = nil
	}
}

func (r *inbox) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // the connection was closed: the request didn't arrive
	}
	d := &request{
		method: req.Method, path: req.URL.RequestURI(), header: req.Header.Clone(), length: req.ContentLength,
		body: body, at: time.Now(), gone: req.Context().Done(), proto: req.Proto, tls: req.TLS,
	}
	r.mu.Lock()
	r.got = append(r.got, d)
	r.arrived.Broadcast()
	respond := r.respond
	r.mu.Unlock()
	if respond != nil {
		respond(w, d)
	}
}

// answer sets the handler from now on.
func (r *receiver) answer(f func(http.ResponseWriter, *request)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.respond = f
}

// answerStatus sets the status of responses from now on.
func (r *receiver) answerStatus(status int) {
	r.answer(func(w http.ResponseWriter, _ *request) { w.WriteHeader(status) })
}

func (r *receiver) url(path string) string { return "http://" + r.addr + path }

// all returns the requests that have arrived.
func (r *receiver) all() []*request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

// forget forgets the requests that have arrived.
func (r *receiver) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = nil
}

// wait waits until n requests have arrived.
func (r *receiver) wait(n int) []*request {
	r.t.Helper()
	return r.waitFor(fmt.Sprintf("%d requests", n), func(got []*request) bool { return len(got) >= n })
}

// waitID waits for a delivery of an event.
func (r *receiver) waitID(id string) *request {
	r.t.Helper()
	var found *request
	r.waitFor("event "+id, func(got []*request) bool {
		i := slices.IndexFunc(got, func(d *request) bool { return d.id() == id })
		if i >= 0 {
			found = got[i]
		}
		return i >= 0
	})
	return found
}

// waitFor waits until the requests that have arrived are enough.
func (r *receiver) waitFor(what string, enough func([]*request) bool) []*request {
	r.t.Helper()
	expired := false
	limit := time.AfterFunc(must.Patience, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		expired = true
		r.arrived.Broadcast()
	})
	defer limit.Stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	for !enough(r.got) {
		if expired {
			r.t.Fatalf("waited in vain for %s: %d requests have arrived", what, len(r.got))
		}
		r.arrived.Wait()
	}
	return slices.Clone(r.got)
}

// one returns the only request that has arrived, and forgets it.
func (r *receiver) one() *request {
	r.t.Helper()
	got := r.all()
	if len(got) != 1 {
		r.t.Fatalf("%d requests have arrived, want 1", len(got))
	}
	r.forget()
	return got[0]
}

// none fails the test if a request has arrived.
func (r *receiver) none() {
	r.t.Helper()
	if got := r.all(); len(got) > 0 {
		r.t.Fatalf("%d requests have arrived, want none; the first: %s %s %v", len(got), got[0].method, got[0].path, got[0].header)
	}
}

func (d *request) id() string { return d.header.Get("webhook-id") }
