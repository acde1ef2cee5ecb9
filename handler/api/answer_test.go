package api_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/handler/api"
	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

// Large answers use a limited amount of memory while their callers don't read them, and
// those to one tenant leave room for those to others.
func TestAnswersAreBoundedTogether(t *testing.T) {
	s := start(t, func(s *outbound.Settings) { s.MaxPayload = 16 << 20 })
	api.SetAnswers(s.api, 30<<20)
	r := newReceiver(t, 500)
	payload := `"` + strings.Repeat("x", 10<<20) + `"`
	dead := func(tenant string) (*server, string) {
		of := s.by(s.issue(tenant, ""))
		of.subscribe(r.URL)
		return of, "/dead-letters/" + of.dead("a", payload)
	}
	acme, first := dead("acme")
	globex, other := dead("globex")

	conn := must.Get(net.Dial("tcp", s.Listener.Addr().String()))(t)
	defer conn.Close()
	must.Do(t, conn.(*net.TCPConn).SetReadBuffer(64<<10)) // with the server's, they hold less than the answer
	fmt.Fprintf(conn, "GET %s%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", prefix, first, acme.token)
	resp := must.Get(http.ReadResponse(bufio.NewReader(conn), nil))(t)
	defer resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Fatalf("got %s", resp.Status)
	}
	paths := map[string]http.Header{
		first:                         nil,
		"/dead-letters?payload=true":  nil,
		"/dead-letters?payload=true&": {"Accept": {"application/x-ndjson"}},
	}
	for path, header := range paths {
		a := acme.do(call{method: "GET", path: path, header: header})
		a.refused(t, 503, "unavailable")
		if a.Header.Get("Retry-After") != "1" {
			t.Errorf("%s: Retry-After: %q", path, a.Header.Get("Retry-After"))
		}
	}
	acme.get("/dead-letters").want(t, 200)
	globex.get(other).want(t, 200)
	must.Get(io.Copy(io.Discard, resp.Body))(t)
	must.Eventually(t, "the memory to be released", func() bool { return api.Taken(s.api) == 0 })
	for path, header := range paths {
		if a := acme.do(call{method: "GET", path: path, header: header}); a.StatusCode != 200 {
			t.Errorf("%s: got %s", path, a.Status)
		}
	}
}

// Only some large answers are made at a time. The others wait, for as long as their caller,
// but none waits for a search that it doesn't need.
func TestLargeAnswersTakeTurns(t *testing.T) {
	s := start(t)
	paths := map[string]http.Header{
		"/subscriptions": nil,
		"/dead-letters":  nil,
		"/dead-letters?": {"Accept": {"application/x-ndjson"}},
	}
	giveBackSearches := api.TakeSearches(s.api)
	s.get("/subscriptions").want(t, 200)
	giveBackTurns := api.TakeTurns(s.api)
	for path, header := range paths {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		r := must.Get(http.NewRequestWithContext(ctx, "GET", s.URL+prefix+path, nil))(t)
		r.Header = http.Header{"Authorization": {"Bearer " + readToken}, "Accept": header["Accept"]}
		if resp, err := s.Client().Do(r); err == nil {
			resp.Body.Close()
			t.Errorf("%s: got %s, want it to wait", path, resp.Status)
		}
		cancel()
	}
	giveBackTurns()
	giveBackSearches()
	for path, header := range paths {
		if a := s.do(call{method: "GET", path: path, header: header}); a.StatusCode != 200 {
			t.Errorf("%s: got %s", path, a.Status)
		}
	}
}
