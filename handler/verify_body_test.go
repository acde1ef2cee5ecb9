package handler

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/handler/internal/room"
	"github.com/caddy-webhooks/caddy-webhooks/handler/internal/spool/spooltest"
	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

func TestBodyWithoutALength(t *testing.T) {
	s, app := githubSite(t, "", "")
	body := string(spooltest.Bytes(100 << 10))
	r := signGitHub(post(t, s.url, body), body)
	r.ContentLength = -1
	do(t, r).want(t, http.StatusOK)
	got := app.one(t)
	if string(got.body) != body || got.ContentLength != int64(len(body)) || len(got.TransferEncoding) != 0 {
		t.Errorf("the app got %d bytes, length %d, %v", len(got.body), got.ContentLength, got.TransferEncoding)
	}
}

func TestLengthLongerThanTheBody(t *testing.T) {
	s, app := githubSite(t, "", "")
	conn := dial(t, s.addr)
	io.WriteString(conn, head(mac(testSecret, "{}"), "Content-Length: 100")+"{}")
	conn.CloseWrite()
	answer, _ := io.ReadAll(conn)
	if !bytes.HasPrefix(answer, []byte("HTTP/1.1 400")) || !bytes.Contains(answer, []byte("unreadable_body|unreadable_body|")) {
		t.Errorf("got %s", answer)
	}
	app.none(t)
}

// What follows the declared length is the next request, and isn't verified with the
// first.
func TestLengthShorterThanTheBody(t *testing.T) {
	s, app := githubSite(t, "", "")
	answer := rawRequest(t, s.addr, head(mac(testSecret, "{}"), "Content-Length: 2", "Connection: close")+"{}evil")
	if !strings.HasPrefix(answer, "HTTP/1.1 200") {
		t.Errorf("got %s", answer)
	}
	if got := app.one(t); string(got.body) != "{}" {
		t.Errorf("the app got %q", got.body)
	}
	answer = rawRequest(t, s.addr, head(mac(testSecret, "{}evil"), "Content-Length: 2", "Connection: close")+"{}evil")
	if !strings.HasPrefix(answer, "HTTP/1.1 401") {
		t.Errorf("got %s", answer)
	}
	app.none(t)
}

func TestAbortedUpload(t *testing.T) {
	s, app := githubSite(t, "", "")
	for _, framing := range []string{"Content-Length: 1000000", "Transfer-Encoding: chunked"} {
		conn := dial(t, s.addr)
		io.WriteString(conn, head(mac(testSecret, ""), framing)+"10\r\n0123")
		conn.Close()
	}
	// The server still works, and has released everything.
	do(t, signGitHub(post(t, s.url, "{}"), "{}")).want(t, http.StatusOK)
	app.one(t)
	must.Eventually(t, "all bodies to be released", func() bool { return bodies.Taken() == 0 })
}

// A body over the limit is refused before it is read if its length is declared, and
// otherwise while it is read. None of it reaches the app.
func TestBodyOverTheLimit(t *testing.T) {
	s, app := githubSite(t, "", "max_body 1KiB")
	answer := rawRequest(t, s.addr, head(mac(testSecret, ""), "Content-Length: 1099511627776", "Expect: 100-continue"))
	if !strings.HasPrefix(answer, "HTTP/1.1 413") || !strings.Contains(answer, "Connection: close") {
		t.Errorf("got %s", answer)
	}
	body := strings.Repeat("x", 1024)
	do(t, signGitHub(post(t, s.url, body), body)).want(t, http.StatusOK)
	app.one(t)
	for _, chunked := range []bool{false, true} {
		body := strings.Repeat("x", 1025)
		r := signGitHub(post(t, s.url, body), body)
		if chunked {
			r.ContentLength = -1
		}
		do(t, r).want(t, http.StatusRequestEntityTooLarge)
		app.none(t)
	}
	if used := bodies.Taken(); used != 0 {
		t.Errorf("got %d bytes in use", used)
	}
}

// An endless chunked body is cut off at the limit.
func TestEndlessBody(t *testing.T) {
	s, app := githubSite(t, "", "max_body 64KiB")
	conn := dial(t, s.addr)
	io.WriteString(conn, head(mac(testSecret, ""), "Transfer-Encoding: chunked"))
	block := fmt.Sprintf("%x\r\n%s\r\n", 32<<10, strings.Repeat("x", 32<<10))
	go func() {
		for {
			if _, err := io.WriteString(conn, block); err != nil {
				return
			}
		}
	}()
	res := readAnswer(t, bufio.NewReader(conn))
	if res.StatusCode != http.StatusRequestEntityTooLarge || !res.Close {
		t.Errorf("got %s, close %v", res.Status, res.Close)
	}
	app.none(t)
}

// Many slow uploads at once stay within the memory limit of all bodies.
func TestSlowUploadsAreBounded(t *testing.T) {
	spooltest.TempDir(t)
	const limit = 4 << 20
	usual := bodies
	bodies = room.New(limit)
	t.Cleanup(func() { bodies = usual })
	s, app := githubSite(t, "", "")
	body := string(spooltest.Bytes(1 << 20))
	const uploads = 40
	conns := make([]*net.TCPConn, uploads)
	for i := range conns {
		conn := dial(t, s.addr)
		conns[i] = conn
		io.WriteString(conn, head(mac(testSecret, body), fmt.Sprintf("Content-Length: %d", len(body)), "Connection: close")+body[:len(body)-1])
	}
	if used := bodies.Taken(); used > limit {
		t.Errorf("got %d bytes in use", used)
	}
	for i, conn := range conns {
		io.WriteString(conn, body[len(body)-1:])
		conn.SetDeadline(time.Now().Add(must.Patience))
		if res := readAnswer(t, bufio.NewReader(conn)); res.StatusCode != http.StatusOK {
			t.Fatalf("upload %d: got %s %s", i, res.Status, res.body)
		}
	}
	for _, got := range app.take() {
		if string(got.body) != body {
			t.Fatalf("the app got %d bytes", len(got.body))
		}
	}
	if used := bodies.Taken(); used != 0 {
		t.Errorf("got %d bytes still in use, want 0", used)
	}
}

// If a body can't be kept, the request is refused with 503, even in a dry run.
func TestNoRoomForABody(t *testing.T) {
	noRoom := map[string]func(*testing.T){
		"no folder": func(t *testing.T) { t.Setenv("TMPDIR", t.TempDir()+"/missing") },
		"files full": func(t *testing.T) {
			others := bodyFiles.Part()
			others.Grow(1 << 30)
			t.Cleanup(others.Release)
		},
	}
	for name, fill := range noRoom {
		for _, option := range []string{"", "enforce off"} {
			t.Run(name+"/"+option, func(t *testing.T) {
				s, app := githubSite(t, "", option)
				fill(t)
				body := string(spooltest.Bytes(2 << 20))
				got := do(t, signGitHub(post(t, s.url, body), body)).want(t, http.StatusServiceUnavailable)
				if got.Header.Get("Retry-After") == "" || !strings.HasPrefix(got.body, "no_room|no_room|") {
					t.Errorf("got %q, %v", got.body, got.Header)
				}
				app.none(t)
				do(t, signGitHub(post(t, s.url, "{}"), "{}")).want(t, http.StatusOK)
				app.one(t)
			})
		}
	}
}

// A compressed body is verified and passed on as it was sent.
func TestContentEncoding(t *testing.T) {
	s, app := githubSite(t, "", "")
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	io.WriteString(z, strings.Repeat("{}", 1000))
	z.Close()
	r := signGitHub(post(t, s.url, packed.String()), packed.String())
	r.Header.Set("Content-Encoding", "gzip")
	do(t, r).want(t, http.StatusOK)
	if got := app.one(t); !bytes.Equal(got.body, packed.Bytes()) || got.Header.Get("Content-Encoding") != "gzip" {
		t.Errorf("the app got %d bytes, %v", len(got.body), got.Header)
	}
	r = signGitHub(post(t, s.url, packed.String()), strings.Repeat("{}", 1000))
	r.Header.Set("Content-Encoding", "gzip")
	do(t, r).want(t, http.StatusUnauthorized)
	app.none(t)
}

// A client that waits for 100 Continue gets it only if the request may be valid.
func TestExpect100Continue(t *testing.T) {
	s, app := githubSite(t, "", "")
	for name, request := range map[string]string{
		"no signature":        "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n",
		"malformed signature": head("zz", "Content-Length: 2", "Expect: 100-continue"),
	} {
		conn := dial(t, s.addr)
		io.WriteString(conn, request)
		if got := readAnswer(t, bufio.NewReader(conn)); got.StatusCode != http.StatusUnauthorized || !got.Close {
			t.Errorf("%s: got %s, close %v", name, got.Status, got.Close)
		}
	}
	app.none(t)

	conn := dial(t, s.addr)
	answers := bufio.NewReader(conn)
	io.WriteString(conn, head(mac(testSecret, "{}"), "Content-Length: 2", "Expect: 100-continue"))
	line, _ := answers.ReadString('\n')
	if line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("got %q", line)
	}
	answers.ReadString('\n')
	io.WriteString(conn, "{}")
	if res := readAnswer(t, answers); res.StatusCode != http.StatusOK {
		t.Errorf("got %s", res.Status)
	}
	if got := app.one(t); got.Header.Get("Expect") != "" {
		t.Errorf("the app got Expect again: %v", got.Header)
	}
}

// A handshake that needs no body is answered without waiting for one.
func TestExpect100ContinueInAHandshake(t *testing.T) {
	s := serveSite(t, "", "webhook_verify microsoft-graph "+strconv.Quote(testSecret))
	conn := dial(t, s.addr)
	io.WriteString(conn, "POST /?validationToken=abc HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
	if got := readAnswer(t, bufio.NewReader(conn)); got.StatusCode != http.StatusOK || got.body != "abc" || !got.Close {
		t.Errorf("got %s, %q, close %v", got.Status, got.body, got.Close)
	}
}

// If another handler has replaced the body before, what it left is verified. Handlers
// after the verification may change anything.
func TestBodyTouchedByOtherHandlers(t *testing.T) {
	app := newApp(t)
	quoted := strconv.Quote(testSecret)
	s := serveSite(t, "", `
	handle /read-before {
		vars seen {http.request.body}
		webhook_verify github `+quoted+`
		reverse_proxy `+app.addr+`
	}
	handle /replaced-before {
		request_body {
			set "evil"
		}
		webhook_verify github `+quoted+`
		reverse_proxy `+app.addr+`
	}
	handle /limited-before {
		request_body {
			max_size 10
		}
		webhook_verify github `+quoted+`
		reverse_proxy `+app.addr+`
	}
	handle /read-after {
		route {
			webhook_verify github `+quoted+`
			vars seen {http.request.body}
			reverse_proxy `+app.addr+` {
				header_up X-Seen {http.vars.seen}
			}
		}
	}
	handle /replaced-after {
		route {
			webhook_verify github `+quoted+`
			request_body {
				set "mine"
			}
			reverse_proxy `+app.addr+`
		}
	}
	handle /twice {
		route {
			webhook_verify github `+quoted+`
			webhook_verify github `+quoted+`
			reverse_proxy `+app.addr+`
		}
	}`)
	body := `{"hello":"world"}`
	tests := []struct {
		path   string
		status int
		got    string
	}{
		{"/read-before", 200, body},
		{"/replaced-before", 401, "bad_signature"},
		{"/limited-before", 413, "body_too_large"},
		{"/read-after", 200, body},
		{"/replaced-after", 200, "mine"},
		{"/twice", 200, body},
	}
	for _, tt := range tests {
		t.Run(tt.path[1:], func(t *testing.T) {
			r := signGitHub(post(t, s.url+tt.path, body), body)
			if tt.path == "/limited-before" {
				r.ContentLength = -1 // with a length, request_body would refuse it
			}
			got := do(t, r).want(t, tt.status)
			if tt.status != http.StatusOK {
				if !strings.HasPrefix(got.body, tt.got+"|") {
					t.Errorf("got %q", got.body)
				}
				app.none(t)
				return
			}
			seen := app.one(t)
			if string(seen.body) != tt.got || seen.ContentLength != int64(len(tt.got)) {
				t.Errorf("the app got %q, length %d", seen.body, seen.ContentLength)
			}
			if tt.path == "/read-after" && seen.Header.Get("X-Seen") != body {
				t.Errorf("got %q from the placeholder", seen.Header.Get("X-Seen"))
			}
		})
	}
}
