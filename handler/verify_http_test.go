package handler

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/handler/internal/spool/spooltest"
	"github.com/caddy-webhooks/caddy-webhooks/internal/freeport"
	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/quic-go/quic-go/http3"
)

// The method that counts is the one that was sent, whatever a rewrite has made of it.
func TestRewrittenMethod(t *testing.T) {
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
	}`)
	r := signGitHub(post(t, s.url+"/made-post", ""), "")
	r.Method = http.MethodGet
	do(t, r).want(t, http.StatusMethodNotAllowed)
	app.none(t)
	do(t, signGitHub(post(t, s.url+"/made-get", ""), "")).want(t, http.StatusOK)
	app.one(t)
}

// A request to upgrade the connection is verified like any other.
func TestUpgrade(t *testing.T) {
	s, app := githubSite(t, "", "")
	for _, upgrade := range []string{"websocket", "h2c"} {
		conn := dial(t, s.addr)
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: "+upgrade+"\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nX-Hub-Signature-256: sha256="+mac(testSecret, "")+"\r\n\r\n")
		if got := readAnswer(t, bufio.NewReader(conn)); got.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s: got %s", upgrade, got.Status)
		}
		app.none(t)
	}
}

// A request with two contradicting lengths is refused before its body is verified.
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

// h2c returns a client for HTTP/2 without TLS.
func h2c() *http.Client {
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	return &http.Client{Transport: transport, Timeout: must.Patience}
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
			return 0, fmt.Errorf("got a response over %s", res.Proto)
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
					t.Errorf("stream %d: got %d, %v", i, status, err)
				}
			})
		}
		streams.Wait()
		for _, got := range app.take() {
			if sum := mac(testSecret, string(got.body)); got.Header.Get("X-Hub-Signature-256") != "sha256="+sum {
				t.Error("the app got another stream's body")
			}
			if got.ContentLength != int64(len(got.body)) {
				t.Errorf("got length %d, want %d", got.ContentLength, len(got.body))
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

// waitForTLS waits until the server has issued its certificate.
func waitForTLS(t *testing.T, addr string, config *tls.Config) {
	t.Helper()
	must.Eventually(t, "the certificate of "+addr, func() bool {
		conn, err := tls.Dial("tcp", addr, config)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

func TestHTTP2AndHTTP3OverTLS(t *testing.T) {
	app := newApp(t)
	port := freeport.Get()
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
			c := &http.Client{Transport: transport, Timeout: must.Patience}
			send := func(size int, change func(*http.Request)) *http.Response {
				t.Helper()
				body := string(spooltest.Bytes(size))
				r := signGitHub(post(t, fmt.Sprintf("https://localhost:%d/", port), body), body)
				if change != nil {
					change(r)
				}
				res := must.Get(c.Do(r))(t)
				res.Body.Close()
				if res.ProtoMajor != major {
					t.Fatalf("got a response over %s", res.Proto)
				}
				return res
			}
			for _, size := range []int{0, 100, 1 << 20} {
				if res := send(size, nil); res.StatusCode != http.StatusOK {
					t.Fatalf("%d bytes: got %s", size, res.Status)
				}
				if got := app.one(t); !bytes.Equal(got.body, spooltest.Bytes(size)) || got.ContentLength != int64(size) {
					t.Errorf("the app got %d bytes of %d, length %d", len(got.body), size, got.ContentLength)
				}
			}
			if res := send(100, func(r *http.Request) { r.Header.Set("X-Hub-Signature-256", "sha256="+mac("guess", "")) }); res.StatusCode != http.StatusUnauthorized {
				t.Errorf("forged: got %s", res.Status)
			}
			if res := send(1<<20+1, nil); res.StatusCode != http.StatusRequestEntityTooLarge {
				t.Errorf("too large: got %s", res.Status)
			}
			app.none(t)
		})
	}
}

// A body that stalls is refused in each version of HTTP. In HTTP/1.1, the connection is
// closed too; later versions don't allow the Connection header.
func TestStalledBodyByEachHTTP(t *testing.T) {
	port := freeport.Get()
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
				res := must.Get(transport.RoundTrip(r))(t)
				res.Body.Close()
				if res.ProtoMajor != major || res.StatusCode != http.StatusRequestTimeout || res.Close != (major == 1) {
					t.Errorf("got %s %s, closed %t", res.Proto, res.Status, res.Close)
				}
			})
		}
	}
}
