package handler

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/handler/internal/spool/spooltest"
	"github.com/caddy-webhooks/caddy-webhooks/internal/freeport"
	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

// proxySizes are sizes of bodies that are kept in memory, and of larger ones.
var proxySizes = map[string]int{
	"empty":     0,
	"small":     100,
	"in memory": 300 << 10,
	"in a file": 3 << 20,
}

// After a dial error, the proxy's next upstream gets the whole body, even without
// request_buffers.
func TestProxyRetriesAfterDialError(t *testing.T) {
	spooltest.TempDir(t)
	app := newApp(t)
	s := serveSite(t, "", fmt.Sprintf(`
	webhook_verify github %q
	reverse_proxy 127.0.0.1:%d 127.0.0.1:%d %s {
		lb_policy first
		lb_retries 3
		fail_duration 10s
	}`, testSecret, freeport.Get(), freeport.Get(), app.addr))
	for name, size := range proxySizes {
		t.Run(name, func(t *testing.T) {
			body := string(spooltest.Bytes(size))
			do(t, signGitHub(post(t, s.url, body), body)).want(t, http.StatusOK)
			if got := app.one(t); string(got.body) != body || got.ContentLength != int64(size) {
				t.Errorf("the app got %d bytes of %d, length %d", len(got.body), size, got.ContentLength)
			}
		})
	}
}

// brokenApp reads the head and a part of the body of each request, then calls act.
func brokenApp(t *testing.T, some int64, act func(net.Conn)) (addr string, calls *atomic.Int64) {
	t.Helper()
	l := must.Get(net.Listen("tcp", "127.0.0.1:0"))(t)
	t.Cleanup(func() { l.Close() })
	calls = new(atomic.Int64)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				r, err := http.ReadRequest(bufio.NewReader(conn))
				if err != nil {
					return
				}
				calls.Add(1)
				io.CopyN(io.Discard, r.Body, some)
				act(conn)
			}()
		}
	}()
	return l.Addr().String(), calls
}

// If an upstream breaks off in the middle of a body, the next one gets the whole body.
func TestProxyRetriesAfterTheBodyWasRead(t *testing.T) {
	spooltest.TempDir(t)
	app := newApp(t)
	broken, calls := brokenApp(t, 50, func(net.Conn) {})
	s := serveSite(t, "", fmt.Sprintf(`
	webhook_verify github %q
	reverse_proxy %s %s {
		lb_policy first
		lb_retries 2
		lb_retry_match {
			method POST
		}
		fail_duration 10s
		max_fails 1
	}`, testSecret, broken, app.addr))
	for name, size := range proxySizes {
		t.Run(name, func(t *testing.T) {
			body := string(spooltest.Bytes(size))
			do(t, signGitHub(post(t, s.url, body), body)).want(t, http.StatusOK)
			if got := app.one(t); string(got.body) != body {
				t.Errorf("the app got %d bytes of %d", len(got.body), size)
			}
		})
	}
	if calls.Load() == 0 {
		t.Error("the broken app got no request")
	}
}

// If an upstream responds before it has read the body, the transport may still write the
// body, and close it at any time. The next upstream gets the whole body or none of it.
func TestProxyRetriesOnAStatus(t *testing.T) {
	spooltest.TempDir(t)
	app := newApp(t)
	busy, calls := brokenApp(t, 0, func(c net.Conn) {
		io.WriteString(c, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
		io.CopyN(io.Discard, c, 200<<10)
	})
	s := serveSite(t, "", fmt.Sprintf(`
	webhook_verify github %q
	reverse_proxy %s %s {
		lb_policy round_robin
		lb_retries 3
		lb_retry_match {
			expression "{rp.status_code} == 503"
		}
	}`, testSecret, busy, app.addr))
	body := string(spooltest.Bytes(2 << 20))
	for range 20 {
		do(t, signGitHub(post(t, s.url, body), body))
		for _, got := range app.take() {
			if got.err == nil && string(got.body) != body {
				t.Fatalf("the app got %d bytes other than the signed ones", len(got.body))
			}
		}
	}
	if calls.Load() == 0 {
		t.Error("the busy app got no request")
	}
}

// The upstream may use HTTP/2.
func TestProxyToH2C(t *testing.T) {
	app := newApp(t, func(s *http.Server) {
		s.Protocols = new(http.Protocols)
		s.Protocols.SetUnencryptedHTTP2(true)
	})
	s := serveSite(t, "", fmt.Sprintf("webhook_verify github %q\nreverse_proxy h2c://127.0.0.1:%d h2c://%s {\nlb_policy first\nlb_retries 2\nfail_duration 10s\n}", testSecret, freeport.Get(), app.addr))
	for name, size := range proxySizes {
		t.Run(name, func(t *testing.T) {
			body := string(spooltest.Bytes(size))
			do(t, signGitHub(post(t, s.url, body), body)).want(t, http.StatusOK)
			if got := app.one(t); string(got.body) != body || got.ProtoMajor != 2 {
				t.Errorf("the app got %d bytes of %d by %s", len(got.body), size, got.Proto)
			}
		})
	}
}
