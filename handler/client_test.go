package handler

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

const testSecret = "It's a Secret to Everybody"

// mac returns an HMAC-SHA256 in hexadecimal, made without package verify.
func mac(secret, content string) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(content))
	return hex.EncodeToString(h.Sum(nil))
}

// signGitHub signs a request like GitHub.
func signGitHub(r *http.Request, body string) *http.Request {
	r.Header.Set("X-Hub-Signature-256", "sha256="+mac(testSecret, body))
	r.Header.Set("X-GitHub-Event", "push")
	r.Header.Set("X-GitHub-Delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958")
	return r
}

// signStripe signs a request like Stripe.
func signStripe(r *http.Request, body string, at time.Time) *http.Request {
	t := strconv.FormatInt(at.Unix(), 10)
	r.Header.Set("Stripe-Signature", "t="+t+",v1="+mac(testSecret, t+"."+body))
	return r
}

func post(t testing.TB, url, body string) *http.Request {
	t.Helper()
	r := must.Get(http.NewRequest(http.MethodPost, url, strings.NewReader(body)))(t)
	r.Header.Set("Content-Type", "application/json")
	return r
}

// answered is a response whose body has been read.
type answered struct {
	*http.Response
	body string
}

// client connects to Caddy directly, without a proxy, and follows no redirects.
var client = &http.Client{
	Timeout:       must.Patience,
	Transport:     &http.Transport{DisableCompression: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func do(t testing.TB, r *http.Request) answered {
	t.Helper()
	res := ask(t, client, r)
	defer res.Body.Close()
	body := must.Get(io.ReadAll(res.Body))(t)
	return answered{res, string(body)}
}

// want fails the test unless the response has the status.
func (a answered) want(t testing.TB, status int) answered {
	t.Helper()
	if a.StatusCode != status {
		t.Fatalf("got %s %q, want %d", a.Status, a.body, status)
	}
	return a
}

// dial connects to a server until the end of the test.
func dial(t *testing.T, addr string) *net.TCPConn {
	t.Helper()
	conn := must.Get(net.Dial("tcp", addr))(t)
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(must.Patience))
	return conn.(*net.TCPConn)
}

// rawRequest writes bytes to a server, and returns what it sends until it closes the
// connection.
func rawRequest(t *testing.T, addr, request string) string {
	t.Helper()
	conn := dial(t, addr)
	must.Get(io.WriteString(conn, request))(t)
	answer, _ := io.ReadAll(conn)
	return string(answer)
}

// readAnswer reads one response from a connection.
func readAnswer(t *testing.T, r *bufio.Reader) answered {
	t.Helper()
	res := must.Get(http.ReadResponse(r, nil))(t)
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	return answered{res, string(body)}
}

// head returns the head of a signed request, with more lines.
func head(signature string, lines ...string) string {
	return "POST /github HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Hub-Signature-256: sha256=" + signature + "\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n"
}
