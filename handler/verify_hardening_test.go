package handler

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"

	"github.com/caddy-webhooks/caddy-webhooks/handler/internal/room"
	"github.com/caddy-webhooks/caddy-webhooks/handler/internal/spool/spooltest"
)

// Each test here is named after an attack or an accident that has broken
// verifiers before, and runs it against the real server.

// githubSite is a site with one verified route to an app.
func githubSite(t *testing.T, options, block string) (site, *app) {
	t.Helper()
	app := newApp(t)
	return serveSite(t, options, "webhook_verify github "+strconv.Quote(testSecret)+" {\n"+block+"\n}\nreverse_proxy "+app.addr), app
}

// head is the head of a signed request by hand.
func head(signature string, lines ...string) string {
	return "POST /github HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Hub-Signature-256: sha256=" + signature + "\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n"
}

// A header with more signatures than any provider sends costs one look.
func TestLongHeader(t *testing.T) {
	app := newApp(t)
	s := serveSite(t, "", "webhook_verify stripe "+strconv.Quote(testSecret)+"\nreverse_proxy "+app.addr)
	r := signStripe(post(t, s.url, "{}"), "{}", time.Now())
	good := r.Header.Get("Stripe-Signature")
	r.Header.Set("Stripe-Signature", strings.Repeat("v1="+mac("guess", "")+",", 130)+good)
	got := do(t, r).want(t, http.StatusUnauthorized)
	if !strings.HasPrefix(got.body, "malformed_signature|") {
		t.Errorf("got %q", got.body)
	}
	app.none(t)
}

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
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, head(mac(testSecret, "{}"), "Content-Length: 100")+"{}")
	conn.(*net.TCPConn).CloseWrite()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	answer, _ := io.ReadAll(conn)
	if bytes.Contains(answer, []byte(" 200 ")) {
		t.Errorf("got %s", answer)
	}
	app.none(t)
}

// What follows the length is the next request, and not verified with the first.
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
		conn, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(conn, head(mac(testSecret, ""), framing)+"10\r\n0123")
		conn.Close()
	}
	// the server is well, and holds nothing
	do(t, signGitHub(post(t, s.url, "{}"), "{}")).want(t, http.StatusOK)
	app.one(t)
	until(t, "the memory of all bodies", func() bool { return bodies.Taken() == 0 })
}

func TestTrailers(t *testing.T) {
	s, app := githubSite(t, "", "")
	answer := rawRequest(t, s.addr, head(mac(testSecret, "hello"),
		"Transfer-Encoding: chunked", "Trailer: Webhook-Verified, Webhook_verified, X-Sum", "Connection: close")+
		"5\r\nhello\r\n0\r\nWebhook-Verified: stripe\r\nWebhook_verified: stripe\r\nX-Sum: 1\r\n\r\n")
	if !strings.HasPrefix(answer, "HTTP/1.1 200") {
		t.Fatalf("got %s", answer)
	}
	got := app.one(t)
	if string(got.body) != "hello" || got.Header.Get("Webhook-Verified") != "github" {
		t.Errorf("the app got %q, %v", got.body, got.Header)
	}
	if len(got.Trailer) != 0 || got.ContentLength != 5 {
		t.Errorf("the app got the trailers %v, length %d", got.Trailer, got.ContentLength)
	}
}

// On a dry run the body may be passed on unread, its trailers still to come.
func TestForgedVerdictInTrailersOfADryRun(t *testing.T) {
	s, app := githubSite(t, "", "enforce off\nmax_body 1KiB")
	for _, size := range []int{5, 2000} {
		for _, signature := range []string{"zz", mac("guess", "")} {
			body := strings.Repeat("x", size)
			answer := rawRequest(t, s.addr, head(signature, "Transfer-Encoding: chunked", "Trailer: Webhook-Verified", "Connection: close")+
				fmt.Sprintf("%x\r\n%s\r\n0\r\nWebhook-Verified: github\r\n\r\n", size, body))
			if !strings.HasPrefix(answer, "HTTP/1.1 200") {
				t.Fatalf("got %s", answer)
			}
			got := app.one(t)
			if string(got.body) != body || len(got.Trailer) != 0 || got.Header.Get("Webhook-Verified") != "false" {
				t.Errorf("the app got %d bytes, %v, trailers %v", len(got.body), got.Header, got.Trailer)
			}
		}
	}
}

func TestEmptyBody(t *testing.T) {
	s, app := githubSite(t, "", "")
	do(t, signGitHub(post(t, s.url, ""), "")).want(t, http.StatusOK)
	if got := app.one(t); len(got.body) != 0 || got.ContentLength != 0 {
		t.Errorf("the app got %q, length %d", got.body, got.ContentLength)
	}
}

// A body over the limit is refused by its declared length, before a byte of it,
// and by its bytes where it declares none; nothing of it reaches the app.
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
		t.Errorf("%d bytes are held", used)
	}
}

// An endless chunked body is cut off at the limit.
func TestEndlessBody(t *testing.T) {
	s, app := githubSite(t, "", "max_body 64KiB")
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
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

// Many slow uploads at once stay within the memory of all bodies.
func TestSlowUploadsAreBounded(t *testing.T) {
	spooltest.TempDir(t)
	const limit = 4 << 20
	usual := bodies
	bodies = room.New(limit)
	t.Cleanup(func() { bodies = usual })
	s, app := githubSite(t, "", "")
	body := string(spooltest.Bytes(1 << 20))
	const uploads = 40
	conns := make([]net.Conn, uploads)
	for i := range conns {
		conn, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conns[i] = conn
		io.WriteString(conn, head(mac(testSecret, body), fmt.Sprintf("Content-Length: %d", len(body)), "Connection: close")+body[:len(body)-1])
	}
	if used := bodies.Taken(); used > limit {
		t.Errorf("%d bytes are held", used)
	}
	for i, conn := range conns {
		io.WriteString(conn, body[len(body)-1:])
		conn.SetDeadline(time.Now().Add(20 * time.Second))
		if res := readAnswer(t, bufio.NewReader(conn)); res.StatusCode != http.StatusOK {
			t.Fatalf("upload %d: %s %s", i, res.Status, res.body)
		}
	}
	for _, got := range app.take() {
		if string(got.body) != body {
			t.Fatalf("the app got %d bytes", len(got.body))
		}
	}
	if used := bodies.Taken(); used != 0 {
		t.Errorf("%d bytes are still held", used)
	}
}

// A disk that is full is no reason to pass a request, nor to blame it.
func TestNoRoomForABody(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir()+"/missing")
	s, app := githubSite(t, "", "")
	body := string(spooltest.Bytes(2 << 20))
	got := do(t, signGitHub(post(t, s.url, body), body)).want(t, http.StatusServiceUnavailable)
	if got.Header.Get("Retry-After") == "" || !strings.HasPrefix(got.body, "no_room|no_room|") {
		t.Errorf("got %q, %v", got.body, got.Header)
	}
	app.none(t)
	do(t, signGitHub(post(t, s.url, "{}"), "{}")).want(t, http.StatusOK)
	app.one(t)
}

// The bytes on the wire are what is signed; nobody unpacks them on the way.
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

// A client that waits for 100 Continue gets it only for a request that may be
// good.
func TestExpect100Continue(t *testing.T) {
	s, app := githubSite(t, "", "")
	for name, request := range map[string]string{
		"no signature":        "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n",
		"malformed signature": head("zz", "Content-Length: 2", "Expect: 100-continue"),
	} {
		conn, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(5 * time.Second))
		io.WriteString(conn, request)
		if got := readAnswer(t, bufio.NewReader(conn)); got.StatusCode != http.StatusUnauthorized || !got.Close {
			t.Errorf("%s: got %s, close %v", name, got.Status, got.Close)
		}
	}
	app.none(t)

	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
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
		t.Errorf("the app was asked again: %v", got.Header)
	}
}

// Other handlers may read or replace the body: before the verdict, what they
// left is judged; after it, they are the user's own.
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
		{"/replaced-before", 401, ""},
		{"/limited-before", 413, ""},
		{"/read-after", 200, body},
		{"/replaced-after", 200, "mine"},
		{"/twice", 200, body},
	}
	for _, tt := range tests {
		t.Run(tt.path[1:], func(t *testing.T) {
			do(t, signGitHub(post(t, s.url+tt.path, body), body)).want(t, tt.status)
			if tt.status != http.StatusOK {
				app.none(t)
				return
			}
			got := app.one(t)
			if string(got.body) != tt.got || got.ContentLength != int64(len(tt.got)) {
				t.Errorf("the app got %q, length %d", got.body, got.ContentLength)
			}
			if tt.path == "/read-after" && got.Header.Get("X-Seen") != body {
				t.Errorf("the placeholder saw %q", got.Header.Get("X-Seen"))
			}
		})
	}
}

// A scheme that signs fields of a form judges no other body by them.
func TestFormsAndContentTypes(t *testing.T) {
	app := newApp(t)
	s := serveSite(t, "", `
	webhook_verify twilio `+strconv.Quote(testSecret)+` {
		public_url https://hooks.example.com
	}
	reverse_proxy `+app.addr)
	form := "Body=hello&From=%2B15551234567"
	signed := base64.StdEncoding.EncodeToString(macSHA1(testSecret, "https://hooks.example.com/sms"+"Bodyhello"+"From+15551234567"))
	tests := []struct {
		name, contentType string
		verified          bool
	}{
		{"a form", "application/x-www-form-urlencoded", true},
		{"a form in capitals", "APPLICATION/X-WWW-FORM-URLENCODED; charset=UTF-8", true},
		{"no type", "", false},
		{"json", "application/json", false},
		{"multipart", "multipart/form-data; boundary=x", false},
		{"two types", "application/x-www-form-urlencoded, application/json", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := post(t, s.url+"/sms", form)
			r.Header.Set("X-Twilio-Signature", signed)
			r.Header["Content-Type"] = []string{tt.contentType}
			if tt.contentType == "" {
				r.Header["Content-Type"] = nil
			}
			got := do(t, r)
			if verified := got.StatusCode == http.StatusOK; verified != tt.verified {
				t.Errorf("got %s %s", got.Status, got.body)
			}
			app.take()
		})
	}
}

// The signed URL is the one that the provider called: not what a rewrite made of
// it, and not what a header claims.
func TestSignedURL(t *testing.T) {
	app := newApp(t)
	block := func(extra string) string {
		return "webhook_verify hmac " + strconv.Quote(testSecret) + " {\nsignature header X-Signature\ncontent \"{url}|{body}\"\n" + extra + "\n}\nreverse_proxy " + app.addr
	}
	forwarded := map[string]string{"X-Forwarded-Host": "hooks.example.com", "X-Forwarded-Proto": "https"}
	tests := []struct {
		name, options, directives string
		request                   string // path and query
		headers                   map[string]string
		signed                    string // %s is the server's own address
		verified                  bool
	}{
		{"as it came", "", block(""), "/a?b=c", nil, "http://%s/a?b=c", true},
		{"escapes and order are kept", "", block(""), "/a%2Fb/%7Ec?z=1&a=%20x+y&z", nil, "http://%s/a%2Fb/%7Ec?z=1&a=%20x+y&z", true},
		{"double slash", "", block(""), "//a/", nil, "http://%s//a/", true},
		{"rewritten before", "", "rewrite * /inner?x=1\n" + block(""), "/outer?q=1", nil, "http://%s/outer?q=1", true},
		{"prefix stripped before", "", "handle_path /outer/* {\n" + block("") + "\n}", "/outer/in", nil, "http://%s/outer/in", true},
		{"public_url", "", block("public_url https://hooks.example.com"), "/a?b=c", nil, "https://hooks.example.com/a?b=c", true},
		{"public_url from a placeholder", "", block("public_url https://{env.VERIFY_TEST_HOST}"), "/a", nil, "https://hooks.example.com/a", true},
		{"public_url and no other", "", block("public_url https://hooks.example.com"), "/a", nil, "http://%s/a", false},
		{"forwarded by a stranger", "", block(""), "/a", forwarded, "https://hooks.example.com/a", false},
		{"forwarded by a stranger, ignored", "", block(""), "/a", forwarded, "http://%s/a", true},
		{"forwarded by a trusted proxy", "servers {\ntrusted_proxies static 127.0.0.1/32\n}", block(""), "/a", forwarded, "https://hooks.example.com/a", true},
		{"the nearest proxy's word counts", "servers {\ntrusted_proxies static 127.0.0.1/32\n}", block(""), "/a",
			map[string]string{"X-Forwarded-Host": "evil.example.com, hooks.example.com", "X-Forwarded-Proto": "http, https"}, "https://hooks.example.com/a", true},
		{"nonsense from a trusted proxy", "servers {\ntrusted_proxies static 127.0.0.1/32\n}", block(""), "/a",
			map[string]string{"X-Forwarded-Proto": "javascript"}, "http://%s/a", true},
		{"a path in the forwarded host", "servers {\ntrusted_proxies static 127.0.0.1/32\n}", block(""), "/b",
			map[string]string{"X-Forwarded-Host": "hooks.example.com/a"}, "http://hooks.example.com/a/b", false},
		{"original URL in a header", "", block(""), "/a", map[string]string{"X-Original-URL": "/b", "X-Rewrite-URL": "/b", "Forwarded": "host=b;proto=https"}, "http://%s/a", true},
	}
	t.Setenv("VERIFY_TEST_HOST", "hooks.example.com")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := serveSite(t, tt.options, tt.directives)
			signed := tt.signed
			if strings.Contains(signed, "://%s/") {
				signed = strings.Replace(signed, "%s", s.addr, 1)
			}
			request := "POST " + tt.request + " HTTP/1.1\r\nHost: " + s.addr + "\r\nConnection: close\r\nContent-Length: 2\r\nX-Signature: " + mac(testSecret, signed+"|{}") + "\r\n"
			for name, value := range tt.headers {
				request += name + ": " + value + "\r\n"
			}
			answer := rawRequest(t, s.addr, request+"\r\n{}")
			if verified := strings.HasPrefix(answer, "HTTP/1.1 200"); verified != tt.verified {
				t.Errorf("got %s", answer)
			}
			app.take()
		})
	}
	t.Run("user and host in the request line", func(t *testing.T) {
		s := serveSite(t, "", block(""))
		answer := rawRequest(t, s.addr, "POST http://user:pass@"+s.addr+"/a HTTP/1.1\r\nHost: evil.example.com\r\nConnection: close\r\nContent-Length: 2\r\nX-Signature: "+mac(testSecret, "http://"+s.addr+"/a|{}")+"\r\n\r\n{}")
		if !strings.HasPrefix(answer, "HTTP/1.1 200") {
			t.Errorf("got %s", answer)
		}
	})
}

// A true signature of an empty body opens no other method.
func TestOtherMethods(t *testing.T) {
	app := newApp(t)
	quoted := strconv.Quote(testSecret)
	s := serveSite(t, "", `
	handle /made-post {
		method POST
		webhook_verify github `+quoted+`
		reverse_proxy `+app.addr+`
	}
	handle /made-get {
		method GET
		webhook_verify github `+quoted+`
		reverse_proxy `+app.addr+`
	}
	handle {
		webhook_verify github `+quoted+`
		reverse_proxy `+app.addr+`
	}`)
	for _, method := range []string{"GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "post", "POSTX"} {
		r := signGitHub(post(t, s.url+"/", ""), "")
		r.Method = method
		r.Header.Set("X-HTTP-Method-Override", "POST")
		if got := do(t, r); got.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s: got %s", method, got.Status)
		}
		app.none(t)
	}
	r := signGitHub(post(t, s.url+"/made-post", ""), "")
	r.Method = "GET"
	do(t, r).want(t, http.StatusMethodNotAllowed)
	app.none(t)
	do(t, signGitHub(post(t, s.url+"/made-get", ""), "")).want(t, http.StatusOK)
	app.one(t)
}

// Whoever sends our verdict himself sends nothing.
func TestForgedVerdictHeaders(t *testing.T) {
	app := newApp(t)
	site := func(options string) string {
		port := freePort()
		runCaddy(t, options, fmt.Sprintf(`http://127.0.0.1:%d {
	webhook_verify github %q
	reverse_proxy %s
	handle_errors {
		reverse_proxy %s
	}
}`, port, testSecret, app.addr, app.addr))
		return fmt.Sprintf("http://127.0.0.1:%d/", port)
	}
	for _, options := range []string{
		"",
		"servers {\nexpected_underscore_headers webhook_verified*\n}",
		"servers {\nexpected_dot_headers webhook.verified*\n}",
	} {
		url := site(options)
		for _, name := range []string{"Webhook-Verified", "webhook-verified", "WEBHOOK-VERIFIED", "Webhook_Verified", "Webhook.Verified", "webhook_Verified", "Webhook-Verified-By", "Webhook-Verified_At", "Webhook-Verifiedx"} {
			for _, valid := range []bool{true, false} {
				r := signGitHub(post(t, url, "{}"), "{}")
				if !valid {
					r.Header.Del("X-Hub-Signature-256")
				}
				r.Header[name] = []string{"stripe"}
				if strings.EqualFold(name, "webhook-verified") {
					r.Header[name] = []string{"stripe", "slack"}
				}
				do(t, r)
				for got, values := range app.one(t).Header {
					if isClaim(got) && (!valid || got != "Webhook-Verified" || len(values) != 1 || values[0] != "github") {
						t.Errorf("%s (signed: %v): the app got %s: %q", name, valid, got, values)
					}
				}
			}
		}
	}
	url := site("")
	// A proxy drops what Connection names, and must not drop our verdict.
	for _, names := range []string{"Webhook-Verified", "close, webhook-verified", "X-A , Webhook_Verified,X-B"} {
		r := signGitHub(post(t, url, "{}"), "{}")
		r.Header.Set("Connection", names)
		r.Header.Set("X-B", "hop by hop")
		do(t, r)
		got := app.one(t)
		if v := got.Header.Get("Webhook-Verified"); v != "github" {
			t.Errorf("Connection: %s: the app got Webhook-Verified: %q", names, v)
		}
		if strings.Contains(names, "X-B") && got.Header.Get("X-B") != "" {
			t.Errorf("Connection: %s: X-B is passed on", names)
		}
	}
	// Nor what was signed: it is judged without that.
	for _, name := range []string{"X-Hub-Signature-256", "close, x-hub-signature-256 ,X-A"} {
		r := signGitHub(post(t, url, "{}"), "{}")
		r.Header.Set("Connection", name)
		do(t, r).want(t, http.StatusOK) // by handle_errors
		if v, ok := app.one(t).Header["Webhook-Verified"]; ok {
			t.Errorf("Connection: %s: the app got Webhook-Verified: %q", name, v)
		}
	}
	for _, name := range []string{"Webhook-Signature", "Webhook-Id", "X-Webhook-Verified", "Webhook", "Verified"} {
		r := signGitHub(post(t, url, "{}"), "{}")
		r.Header.Set(name, "kept")
		do(t, r)
		if got := app.one(t); got.Header.Get(name) != "kept" {
			t.Errorf("%s was removed", name)
		}
	}
}

// No spelling of the path reaches the app beside the verifier.
func TestPathConfusion(t *testing.T) {
	app := newApp(t)
	s := serveSite(t, "", `
	handle /in/* {
		webhook_verify github `+strconv.Quote(testSecret)+`
		reverse_proxy `+app.addr+`
	}
	handle {
		respond "outside" 404
	}`)
	for _, path := range []string{"/in/", "//in/", "/in//", "/IN/", "/%69n/", "/in%2f", "/in/..;/", "/in/../in/", "/./in/", "/x/../in/", "/in/%2e%2e/in/", "/in/x%00", `/in\x`, "/in/;a=b"} {
		answer := rawRequest(t, s.addr, "POST "+path+" HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")
		if strings.HasPrefix(answer, "HTTP/1.1 200") {
			t.Errorf("%s: got %s", path, answer)
		}
		app.none(t)
	}
}

// h2c makes a client that speaks HTTP/2 without TLS.
func h2c() *http.Client {
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}
}

func TestHTTP2Cleartext(t *testing.T) {
	spooltest.TempDir(t)
	s, app := githubSite(t, "servers {\nprotocols h1 h2c\n}", "max_body 3MiB")
	c := h2c()
	defer c.CloseIdleConnections()
	send := func(r *http.Request) (int, error) {
		res, err := c.Do(r)
		if err != nil {
			return 0, err
		}
		defer res.Body.Close()
		io.Copy(io.Discard, res.Body)
		if res.ProtoMajor != 2 {
			return 0, fmt.Errorf("answered by %s", res.Proto)
		}
		return res.StatusCode, nil
	}
	t.Run("many streams", func(t *testing.T) {
		var streams sync.WaitGroup
		for i := range 50 {
			streams.Go(func() {
				body := string(spooltest.Bytes(40<<10 + i))
				r := signGitHub(post(t, s.url, body), body)
				if i%2 == 0 {
					r.ContentLength = -1
				}
				if status, err := send(r); err != nil || status != http.StatusOK {
					t.Errorf("stream %d: %d, %v", i, status, err)
				}
			})
		}
		streams.Wait()
		for _, got := range app.take() {
			if sum := mac(testSecret, string(got.body)); got.Header.Get("X-Hub-Signature-256") != "sha256="+sum {
				t.Error("the app got another stream's body")
			}
			if got.ContentLength != int64(len(got.body)) {
				t.Errorf("length %d of %d", got.ContentLength, len(got.body))
			}
		}
	})
	t.Run("too large", func(t *testing.T) {
		body := string(spooltest.Bytes(4 << 20))
		r := signGitHub(post(t, s.url, body), body)
		r.ContentLength = -1
		if status, err := send(r); err == nil && status != http.StatusRequestEntityTooLarge {
			t.Errorf("got %d", status)
		}
		app.none(t)
	})
	t.Run("trailers", func(t *testing.T) {
		body := "hello"
		r := signGitHub(post(t, s.url, body), body)
		r.ContentLength = -1
		r.Trailer = http.Header{"Webhook-Verified": {"stripe"}}
		if status, err := send(r); err != nil || status != http.StatusOK {
			t.Errorf("got %d, %v", status, err)
		}
		if got := app.one(t); len(got.Trailer) != 0 {
			t.Errorf("the app got the trailers %v", got.Trailer)
		}
	})
	t.Run("reset in the body", func(t *testing.T) {
		reader, writer := io.Pipe()
		r := signGitHub(post(t, s.url, ""), "")
		r.Body, r.ContentLength = reader, -1
		go func() {
			writer.Write(make([]byte, 10))
			writer.CloseWithError(io.ErrUnexpectedEOF) // resets the stream
		}()
		if status, err := send(r); err == nil && status == http.StatusOK {
			t.Errorf("got %d", status)
		}
		app.none(t)
	})
}

// An upgrade is no way past the verifier.
func TestUpgrade(t *testing.T) {
	s, app := githubSite(t, "", "")
	for _, upgrade := range []string{"websocket", "h2c"} {
		conn, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(5 * time.Second))
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: "+upgrade+"\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nX-Hub-Signature-256: sha256="+mac(testSecret, "")+"\r\n\r\n")
		if got := readAnswer(t, bufio.NewReader(conn)); got.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s: got %s", upgrade, got.Status)
		}
		app.none(t)
	}
}

// Two framings in one request are refused before anyone judges a body.
func TestRequestSmuggling(t *testing.T) {
	s, app := githubSite(t, "", "")
	for name, framing := range map[string]string{
		"two lengths":             "Content-Length: 2\r\nContent-Length: 6",
		"length and chunks":       "Content-Length: 2\r\nTransfer-Encoding: chunked",
		"chunks in disguise":      "Transfer-Encoding: xchunked",
		"length with a plus sign": "Content-Length: +2",
	} {
		answer := rawRequest(t, s.addr, head(mac(testSecret, "{}"), framing, "Connection: close")+"2\r\n{}\r\n0\r\n\r\n")
		for _, got := range app.take() {
			if string(got.body) != "{}" {
				t.Errorf("%s: the app got %q; answer %s", name, got.body, answer)
			}
		}
	}
}

// waitForTLS waits until the server has made its certificate.
func waitForTLS(t *testing.T, addr string, config *tls.Config) {
	t.Helper()
	until(t, "the certificate of "+addr, func() bool {
		conn, err := tls.Dial("tcp", addr, config)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

func TestHTTP2AndHTTP3OverTLS(t *testing.T) {
	app := newApp(t)
	port := freePort()
	runCaddy(t, "", fmt.Sprintf(`https://localhost:%d {
	tls internal
	webhook_verify github %q {
		max_body 1MiB
	}
	reverse_proxy %s
}`, port, testSecret, app.addr))
	insecure := &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"}
	waitForTLS(t, fmt.Sprintf("localhost:%d", port), insecure)
	h2 := &http.Transport{TLSClientConfig: insecure, ForceAttemptHTTP2: true}
	h3 := &http3.Transport{TLSClientConfig: insecure.Clone()}
	defer h2.CloseIdleConnections()
	defer h3.Close()
	for major, transport := range map[int]http.RoundTripper{2: h2, 3: h3} {
		t.Run(fmt.Sprintf("HTTP/%d", major), func(t *testing.T) {
			c := &http.Client{Transport: transport, Timeout: 10 * time.Second}
			send := func(size int, change func(*http.Request)) *http.Response {
				t.Helper()
				body := string(spooltest.Bytes(size))
				r := signGitHub(post(t, fmt.Sprintf("https://localhost:%d/", port), body), body)
				if change != nil {
					change(r)
				}
				res, err := c.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				res.Body.Close()
				if res.ProtoMajor != major {
					t.Fatalf("answered by %s", res.Proto)
				}
				return res
			}
			for _, size := range []int{0, 100, 1 << 20} {
				if res := send(size, nil); res.StatusCode != http.StatusOK {
					t.Fatalf("%d bytes: %s", size, res.Status)
				}
				if got := app.one(t); !bytes.Equal(got.body, spooltest.Bytes(size)) || got.ContentLength != int64(size) {
					t.Errorf("the app got %d bytes of %d, length %d", len(got.body), size, got.ContentLength)
				}
			}
			if res := send(100, func(r *http.Request) { r.Header.Set("X-Hub-Signature-256", "sha256="+mac("guess", "")) }); res.StatusCode != http.StatusUnauthorized {
				t.Errorf("forged: %s", res.Status)
			}
			if res := send(1<<20+1, nil); res.StatusCode != http.StatusRequestEntityTooLarge {
				t.Errorf("too large: %s", res.Status)
			}
			app.none(t)
		})
	}
}

// A body that stalls is told so by each version of HTTP. The first one's
// connection ends then; an answer of a later one may not even say so.
func TestStalledBodyByEachHTTP(t *testing.T) {
	port := freePort()
	runCaddy(t, fmt.Sprintf("servers {\ntimeouts {\nread_body_idle 100ms\n}\n}\nwebhooks {\nstore sqlite %s\n}", storePath(t)), fmt.Sprintf(`https://localhost:%d {
	tls internal
	handle /verify {
		webhook_verify github %q
	}
	handle /publish {
		webhook_publish a
	}
	handle_path /api/* {
		webhook_api {
			auth none
		}
	}
}`, port, testSecret))
	insecure := &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"}
	waitForTLS(t, fmt.Sprintf("localhost:%d", port), insecure)
	h1 := &http.Transport{TLSClientConfig: insecure.Clone()}
	h2 := &http.Transport{TLSClientConfig: insecure.Clone(), ForceAttemptHTTP2: true}
	h3 := &http3.Transport{TLSClientConfig: insecure.Clone()}
	defer h1.CloseIdleConnections()
	defer h2.CloseIdleConnections()
	defer h3.Close()
	for major, transport := range map[int]http.RoundTripper{1: h1, 2: h2, 3: h3} {
		for _, path := range []string{"/verify", "/publish", "/api/events"} {
			t.Run(fmt.Sprintf("HTTP %d%s", major, path), func(t *testing.T) {
				r := signGitHub(post(t, fmt.Sprintf("https://localhost:%d%s", port, path), ""), "")
				body, client := io.Pipe()
				go client.Write([]byte("{"))
				r.Body, r.ContentLength = body, 2
				res, err := transport.RoundTrip(r)
				if err != nil {
					t.Fatal(err)
				}
				res.Body.Close()
				if res.ProtoMajor != major || res.StatusCode != http.StatusRequestTimeout || res.Close != (major == 1) {
					t.Errorf("got %s %s, closed %t", res.Proto, res.Status, res.Close)
				}
			})
		}
	}
}

// Beside a route that verifies, another one may lead to the same app, which may
// take its path for the same: what the docs remove there doesn't get through.
func TestForgedVerdictBesideTheRoute(t *testing.T) {
	app := newApp(t)
	s := serveSite(t, "", fmt.Sprintf(`request_header -Webhook-Verified*
	handle /github {
		webhook_verify github %q
		reverse_proxy %[2]s
	}
	handle {
		reverse_proxy %[2]s
	}`, testSecret, app.addr))
	for path, want := range map[string]string{"/github": "github", "/github/": "", "/github%20": ""} {
		r := signGitHub(post(t, "http://"+s.addr+path, "{}"), "{}")
		r.Header.Set("Webhook-Verified", "stripe")
		r.Header.Set("Webhook-Verified-By", "stripe")
		do(t, r).want(t, http.StatusOK)
		got := app.one(t).Header
		if v := got.Get("Webhook-Verified"); v != want || got.Get("Webhook-Verified-By") != "" {
			t.Errorf("%s: the app got %v", path, got)
		}
	}
}

// From outside, all wrong signatures look alike.
func TestOneAnswerOutside(t *testing.T) {
	app := newApp(t)
	port := freePort()
	runCaddy(t, "", fmt.Sprintf("http://127.0.0.1:%d {\nwebhook_verify stripe one two\nreverse_proxy %s\n}", port, app.addr))
	now := strconv.FormatInt(time.Now().Unix(), 10)
	for name, signature := range map[string]string{
		"missing":     "",
		"malformed":   "t=" + now + ",v1=zz",
		"wrong":       "t=" + now + ",v1=" + mac("guess", ""),
		"no time":     "v1=" + mac("one", ".{}"),
		"stale":       "t=1000000000,v1=" + mac("one", "1000000000.{}"),
		"weak scheme": "t=" + now + ",v0=" + mac("one", now+".{}"),
	} {
		r := post(t, fmt.Sprintf("http://127.0.0.1:%d/", port), "{}")
		if signature != "" {
			r.Header.Set("Stripe-Signature", signature)
		}
		got := do(t, r)
		got.Header.Del("Date")
		if got.StatusCode != http.StatusUnauthorized || got.body != "" || len(got.Header) != 2 { // Server, Content-Length
			t.Errorf("%s: got %s %q %v", name, got.Status, got.body, got.Header)
		}
	}
	app.none(t)
}
