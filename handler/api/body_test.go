package api_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

func TestBodySize(t *testing.T) {
	s := start(t, func(s *outbound.Settings) { s.MaxPayload = 100_000 })
	payload := func(n int) string { return `"` + strings.Repeat("x", n-2) + `"` }
	event := func(p string) string { return `{"event_type":"a","payload":` + p + `}` }
	s.post("/events", event(payload(100_000))).want(t, 202)
	s.post("/events", event(payload(100_001))).refused(t, 413, "too_large").has(t, "field", "payload")
	s.post("/events", event(payload(200_000))).refused(t, 413, "too_large")
	s.post("/events", event("1")+strings.Repeat(" ", 200_000)).refused(t, 413, "too_large")

	// Without a Content-Length.
	for n, want := range map[int]int{100_000: 202, 200_000: 413} {
		r, _ := http.NewRequest("POST", s.URL+prefix+"/events", io.MultiReader(strings.NewReader(event(payload(n)))))
		r.Header.Set("Authorization", "Bearer "+publishToken)
		r.Header.Set("Content-Type", "application/json")
		resp := must.Get(s.Client().Do(r))(t)
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("chunked with %d bytes: got %d, want %d", n, resp.StatusCode, want)
		}
	}
}

// A declared length over the limit is refused before the body is read.
func TestTooLargeIsRefusedUnread(t *testing.T) {
	s := start(t)
	conn := must.Get(net.Dial("tcp", s.Listener.Addr().String()))(t)
	defer conn.Close()
	fmt.Fprintf(conn, "POST %s/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: 1000000000\r\n\r\n", prefix, publishToken)
	resp := must.Get(http.ReadResponse(bufio.NewReader(conn), nil))(t)
	resp.Body.Close()
	if resp.StatusCode != 413 {
		t.Errorf("%s", resp.Status)
	}
}

// A body that ends early is refused, even if the part that arrived is valid JSON.
func TestCutBodyIsNotPublished(t *testing.T) {
	s := start(t)
	for _, contentType := range []string{"application/json", "application/x-ndjson"} {
		conn := must.Get(net.Dial("tcp", s.Listener.Addr().String()))(t)
		fmt.Fprintf(conn, "POST %s/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\nContent-Length: 100\r\n\r\n{\"event_type\":\"a\",\"payload\":1}", prefix, publishToken, contentType)
		must.Do(t, conn.(*net.TCPConn).CloseWrite())
		resp := must.Get(http.ReadResponse(bufio.NewReader(conn), nil))(t)
		body, _ := io.ReadAll(resp.Body)
		if !strings.Contains(string(body), "ended before") {
			t.Errorf("%s: %s", contentType, body)
		}
		conn.Close()
	}
	if rows := s.get("/events").want(t, 200).rows(); len(rows) > 0 {
		t.Errorf("got events %v, want none", rows)
	}
}

// All bodies together use a limited amount of memory.
func TestBodiesAreBoundedTogether(t *testing.T) {
	s := start(t, func(s *outbound.Settings) { s.MaxPayload = 64 << 20 })
	event := func(size int) string {
		return `{"event_type":"a","payload":"` + strings.Repeat("x", size) + `"}`
	}
	first := event(50 << 20)
	conn := s.begin(publishToken, first)
	a := s.post("/events", event(40<<20))
	a.refused(t, 503, "unavailable")
	if a.Header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After: %q", a.Header.Get("Retry-After"))
	}
	s.post("/events", event(1<<10)).want(t, 202)
	must.Get(io.WriteString(conn, first[len(first)-1:]))(t)
	resp := must.Get(http.ReadResponse(bufio.NewReader(conn), nil))(t)
	resp.Body.Close()
	if resp.StatusCode != 202 {
		t.Errorf("the first: got %s", resp.Status)
	}
	s.post("/events", event(40<<20)).want(t, 202)
}

// The bodies of one tenant leave room for those of others.
func TestTenantsBodiesAreBounded(t *testing.T) {
	s := start(t, func(s *outbound.Settings) { s.MaxPayload = 64 << 20 })
	event := func(size int) string {
		return `{"event_type":"a","payload":"` + strings.Repeat("x", size) + `"}`
	}
	acme, globex := s.issue("acme", ""), s.issue("globex", "")
	s.begin(acme, event(20<<20))
	s.by(acme).post("/events", event(20<<20)).refused(t, 503, "unavailable")
	a := s.do(call{method: "POST", path: "/events", body: event(20 << 20), header: lines, token: acme})
	parse(t, a.body).has(t, "line", 1.).has(t, "status", 503.)
	s.by(globex).post("/events", event(20<<20)).want(t, 202)
}

// begin sends a request to publish an event, all but the last byte. What of it the server
// hasn't read is no more than fits into the sockets' buffers.
func (s *server) begin(token, event string) net.Conn {
	s.t.Helper()
	conn := must.Get(net.Dial("tcp", s.Listener.Addr().String()))(s.t)
	s.t.Cleanup(func() { conn.Close() })
	fmt.Fprintf(conn, "POST %s/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", prefix, token, len(event))
	must.Get(io.WriteString(conn, event[:len(event)-1]))(s.t)
	return conn
}
