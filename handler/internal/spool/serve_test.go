package spool

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/handler/internal/room"
	"github.com/caddy-webhooks/caddy-webhooks/handler/internal/spool/spooltest"
	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

// served returns a request with a spooled body, as the next handler gets it.
func served(t *testing.T, body []byte) *http.Request {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/", io.MultiReader(bytes.NewReader(body))) // its length is unknown
	r.TransferEncoding = []string{"chunked"}
	r.Header.Set("Expect", "100-continue")
	s := New(room.New(1<<20), room.New(1<<30), 1<<20, -1)
	t.Cleanup(s.Release)
	must.Do(t, s.Fill(r.Body, 1<<20, io.Discard))
	s.Serve(r)
	return r
}

// attempt does what an HTTP transport does first.
func attempt(r *http.Request) { httptrace.ContextClientTrace(r.Context()).GetConn("app:80") }

func TestServedBodyHasItsLength(t *testing.T) {
	r := served(t, []byte("hello"))
	if r.ContentLength != 5 || r.Header.Get("Content-Length") != "5" || r.TransferEncoding != nil || r.Header.Get("Expect") != "" {
		t.Errorf("got length %d, headers %v", r.ContentLength, r.Header)
	}
	if r := served(t, nil); r.ContentLength != 0 || r.Body != http.NoBody {
		t.Errorf("an empty body: got %d, %v", r.ContentLength, r.Body)
	}
}

func TestServedBodyStartsOverOnEachAttempt(t *testing.T) {
	want := spooltest.Bytes(3*smallChunk + 1)
	r := served(t, want)
	for i := range 3 {
		attempt(r)
		io.CopyN(io.Discard, r.Body, int64(i*smallChunk))
		r.Body.Close()
	}
	attempt(r)
	if got, err := io.ReadAll(r.Body); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the last attempt read %d bytes, error %v", len(got), err)
	}
}

// Whatever an abandoned attempt still does, the next one gets the whole body or an error,
// never other bytes.
func TestServedBodyNeverMixesAttempts(t *testing.T) {
	want := spooltest.Bytes(2 * smallChunk)
	late := map[string]func(io.ReadCloser){
		"closes": func(b io.ReadCloser) { b.Close() },
		"reads":  func(b io.ReadCloser) { io.CopyN(io.Discard, b, 100) },
	}
	for name, act := range late {
		t.Run(name, func(t *testing.T) {
			r := served(t, want)
			attempt(r)
			io.CopyN(io.Discard, r.Body, 1000)
			attempt(r)
			first, _ := io.ReadAll(io.LimitReader(r.Body, 500))
			act(r.Body)
			rest, err := io.ReadAll(r.Body)
			got := append(first, rest...)
			if err == nil && len(got) >= len(want) && !bytes.Equal(got, want) {
				t.Error("got a body of the right length with other bytes")
			}
		})
	}
	t.Run("a body closed half-way doesn't go on without a new attempt", func(t *testing.T) {
		r := served(t, want)
		io.CopyN(io.Discard, r.Body, 1000)
		r.Body.Close()
		if n, err := r.Body.Read(make([]byte, 10)); n != 0 || !errors.Is(err, http.ErrBodyReadAfterClose) {
			t.Errorf("got %d bytes, error %v", n, err)
		}
	})
	t.Run("GetBody is apart", func(t *testing.T) {
		r := served(t, want)
		io.CopyN(io.Discard, r.Body, 1000)
		again := must.Get(r.GetBody())(t)
		r.Body.Close()
		if got, err := io.ReadAll(again); err != nil || !bytes.Equal(got, want) {
			t.Errorf("got %d bytes, error %v", len(got), err)
		}
	})
}

// deadConn is a connection that can be made to fail all writes.
type deadConn struct {
	net.Conn
	dead atomic.Bool
}

func (c *deadConn) Write(p []byte) (int, error) {
	if c.dead.Load() {
		return 0, net.ErrClosed
	}
	return c.Conn.Write(p)
}

// If a connection dies before anything of a request was sent, Go's transport repeats the
// request, and gets the body again.
func TestServedBodyOverAConnectionThatDied(t *testing.T) {
	var got []byte
	app := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got, _ = io.ReadAll(r.Body) }))
	defer app.Close()
	var conns []*deadConn
	transport := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		dead := &deadConn{Conn: c}
		conns = append(conns, dead)
		return dead, err
	}}
	defer transport.CloseIdleConnections()
	want := spooltest.Bytes(3 * smallChunk)
	for range 2 {
		r := served(t, want)
		r.RequestURI = ""
		r.URL = &url.URL{Scheme: "http", Host: app.Listener.Addr().String(), Path: "/"}
		res := must.Get(transport.RoundTrip(r))(t)
		res.Body.Close()
		if !bytes.Equal(got, want) {
			t.Errorf("the app got %d bytes, want the whole body", len(got))
		}
		conns[0].dead.Store(true)
	}
	if len(conns) != 2 {
		t.Errorf("got %d connections", len(conns))
	}
}

// A dry run passes on a body that is too large to be kept.
func TestServedRest(t *testing.T) {
	want := spooltest.Bytes(10 * smallChunk)
	r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(want))
	s := New(room.New(1<<20), room.New(1<<30), 1<<20, -1)
	defer s.Release()
	if err := s.Fill(r.Body, 1000, io.Discard); !errors.Is(err, room.ErrTooLarge) {
		t.Fatal(err)
	}
	s.Serve(r)
	if r.ContentLength != int64(len(want)) {
		t.Errorf("got length %d", r.ContentLength)
	}
	if got, err := io.ReadAll(r.Body); err != nil || !bytes.Equal(got, want) {
		t.Errorf("got %d bytes, error %v", len(got), err)
	}
}
