package api_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/handler/api"
	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

// publishLines posts lines, and returns the answers.
func (s *server) publishLines(body string) (out []object) {
	s.t.Helper()
	a := s.do(call{method: "POST", path: "/events", body: body, header: lines, token: publishToken})
	if a.StatusCode != 200 {
		s.t.Fatalf("%d: %s", a.StatusCode, a.body)
	}
	for line := range strings.Lines(string(a.body)) {
		out = append(out, parse(s.t, []byte(line)))
	}
	return out
}

func TestLinesAreAnsweredInOrder(t *testing.T) {
	s := start(t)
	r := newReceiver(t, 200)
	s.post("/subscriptions", `{"url":"`+r.URL+`","event_types":["*"],"ordered":true}`).want(t, 201)
	const n = 1000
	var body strings.Builder
	for i := range n {
		fmt.Fprintf(&body, "{\"event_type\":\"a\",\"payload\":%d,\"event_id\":\"e%d\"}\n", i, i)
	}
	answers := s.publishLines(body.String())
	if len(answers) != n {
		t.Fatalf("got %d answers", len(answers))
	}
	for i, a := range answers {
		if a.text("event_id") != fmt.Sprintf("e%d", i) || fmt.Sprint(a["status"]) != "202" || fmt.Sprint(a["line"]) != fmt.Sprint(i+1) {
			t.Fatalf("answer %d: got %v", i, a)
		}
	}
	for i := range n {
		if got := string(r.next(t).body); got != fmt.Sprint(i) {
			t.Fatalf("delivery %d to an ordered subscription has payload %s", i, got)
		}
	}
}

func TestLinesAreIndependent(t *testing.T) {
	wide := func(size int) string { // an event with a small payload
		return fmt.Sprintf("%-*s}", size-1, `{"event_type":"a","payload":1`)
	}
	s := start(t, func(s *outbound.Settings) { s.MaxPayload = 1000 })
	body := strings.Join([]string{
		`{"event_type":"a","payload":{ "n" : 1 },"event_id":"one"}`,
		``,
		`{"event_type":"a","payload":`,
		`{"event_type":"a","payload":"` + strings.Repeat("x", 1000) + `"}`,
		`{"event_type":"a","payload":"` + strings.Repeat("x", 300_000) + `"}`,
		" \t\r",
		`{"event_type":"a","payload":{ "n" : 1 },"event_id":"one"}` + "\r",
		`{"event_type":"a","payload":2,"event_id":"one"}`,
		`{"event_type":"","payload":2}`,
		`{"event_type":"a","payload":2,"id":"x"}`,
		`[]`,
		"\xff",
		wide(1000 + 16<<10),
		wide(1000 + 16<<10 + 1),
		`{"event_type":"a","payload":null}`, // without a line break
	}, "\n")
	var got []string
	for _, a := range s.publishLines(body) {
		got = append(got, fmt.Sprintf("%v: %v %v%v", a["line"], a["status"], a.text("code"), a.text("event_id")[:min(3, len(a.text("event_id")))]))
	}
	want := []string{
		"1: 202 one",
		"3: 400 invalid_json",
		"4: 413 too_large",
		"5: 413 too_large",
		"7: 200 one",
		"8: 409 event_id_reused",
		"9: 422 missing_field",
		"10: 422 unknown_field",
		"11: 400 invalid_json",
		"12: 400 invalid_json",
		"13: 202 evt",
		"14: 413 too_large",
		"15: 202 evt",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
	if answers := s.publishLines("\n\n"); len(answers) != 0 {
		t.Errorf("no answer had %v", answers)
	}
}

// stream is a request whose lines are sent one by one, each after the answers to those
// before it.
type stream struct {
	t       *testing.T
	conn    net.Conn
	answers *bufio.Scanner
}

// stream begins a request to the server at an address, and publishes a first line.
func (s *server) stream(t *testing.T, at string) *stream {
	t.Helper()
	conn := must.Get(net.Dial("tcp", at))(t)
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(must.Patience))
	st := &stream{t: t, conn: conn}
	st.write("POST " + prefix + "/events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + publishToken + "\r\nContent-Type: application/x-ndjson\r\nContent-Length: 250000\r\n\r\n" + aLine)
	resp := must.Get(http.ReadResponse(bufio.NewReader(conn), nil))(t)
	st.answers = bufio.NewScanner(resp.Body)
	if got := st.next(); got != "202 " {
		t.Fatalf("the first line: got %s", got)
	}
	return st
}

func (st *stream) write(text string) {
	st.t.Helper()
	must.Get(io.WriteString(st.conn, text))(st.t)
}

// next reads an answer, and returns its status and code.
func (st *stream) next() string {
	st.t.Helper()
	if !st.answers.Scan() {
		st.t.Fatalf("no answer: %v", st.answers.Err())
	}
	a := parse(st.t, st.answers.Bytes())
	return fmt.Sprint(a["status"], " ", a.text("code"))
}

const aLine = `{"event_type":"a","payload":1}` + "\n"

// late is the answer to a line that doesn't arrive in time.
type late struct {
	http.ResponseWriter
	lines int
}

func (l *late) Unwrap() http.ResponseWriter { return l.ResponseWriter }

func (l *late) SetReadDeadline(at time.Time) error {
	if !at.IsZero() {
		if l.lines++; l.lines == 2 {
			at = time.Now()
		}
	}
	return http.NewResponseController(l.ResponseWriter).SetReadDeadline(at)
}

// If a caller stalls or disconnects in the middle of a line, that line is refused, and the
// lines before it stay published.
func TestLinesThatBreakOff(t *testing.T) {
	s := start(t)
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.Config.Handler.ServeHTTP(&late{ResponseWriter: w}, r)
	}))
	t.Cleanup(slow.Close)
	for want, c := range map[string]struct {
		server *httptest.Server
		end    func(net.Conn)
	}{
		"408 body_too_slow":   {slow, func(net.Conn) {}},
		"400 body_incomplete": {s.Server, func(c net.Conn) { _ = c.(*net.TCPConn).CloseWrite() }},
	} {
		t.Run(want, func(t *testing.T) {
			st := s.stream(t, c.server.Listener.Addr().String())
			st.write(`{"event_type":`)
			c.end(st.conn)
			if got := st.next(); got != want {
				t.Errorf("half a line: got %s", got)
			}
			if st.answers.Scan() {
				t.Errorf("got one more answer: %s", st.answers.Bytes())
			}
			if _, err := st.conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the connection was kept open: %v", err)
			}
		})
	}
	if events := s.get("/events").want(t, 200).rows(); len(events) != 2 {
		t.Errorf("got %d events, want 2", len(events))
	}
}

// Lines use the same memory as all other bodies, and release it.
func TestLinesShareTheMemoryOfBodies(t *testing.T) {
	s := start(t)
	api.SetRoom(s.api, 164<<10) // the buffers of two streams take 128 KiB
	at := s.Listener.Addr().String()
	s.stream(t, at)
	st := s.stream(t, at)
	line := func(size int) string {
		return `{"event_type":"a","payload":"` + strings.Repeat("x", size) + `"}` + "\n"
	}
	for range 3 {
		for size, want := range map[int]string{30 << 10: "202 ", 40 << 10: "503 unavailable"} {
			st.write(line(size))
			if got := st.next(); got != want {
				t.Errorf("a line of %d bytes: got %s", size, got)
			}
		}
	}
	s.do(call{method: "POST", path: "/events", body: aLine, header: lines}).refused(t, 503, "unavailable")
	st.conn.Close()
	// The server releases it once it has seen the end of the stream.
	must.Eventually(t, "the memory of the stream to be released", func() bool {
		return s.do(call{method: "POST", path: "/events", body: aLine, header: lines}).StatusCode == 200
	})
}

// A tenant's line that takes more than its half of the memory is stored if the tenant
// sends nothing else, as it is in a request of its own.
func TestLineAsLargeAsABody(t *testing.T) {
	s := start(t)
	api.SetRoom(s.api, 200<<10)
	body := fmt.Sprintf("{\"event_type\":\"a\",\"payload\":1}\n{\"event_type\":\"a\",\"payload\":%q}\n", strings.Repeat("x", 120<<10))
	a := s.by(s.issue("acme", "")).do(call{method: "POST", path: "/events", body: body + body, header: lines})
	if got := strings.Count(string(a.body), `"status":202`); got != 4 {
		t.Errorf("got %d events stored, want 4: %s", got, a.body)
	}
}

// A caller may wait for the answer to a line before it sends the next one.
func TestLinesAreAnsweredAsTheyCome(t *testing.T) {
	s := start(t)
	in, out := io.Pipe()
	r := must.Get(http.NewRequestWithContext(t.Context(), "POST", s.URL+prefix+"/events", in))(t)
	r.Header = http.Header{"Content-Type": {"application/x-ndjson"}, "Authorization": {"Bearer " + publishToken}}
	first := make(chan error, 1)
	go func() {
		_, err := io.WriteString(out, "{\"event_type\":\"a\",\"payload\":0,\"event_id\":\"e0\"}\n")
		first <- err
	}()
	resp := must.Get(s.Client().Do(r))(t)
	defer resp.Body.Close()
	must.Do(t, <-first)
	answers := bufio.NewScanner(resp.Body)
	for i := range 5 {
		if !answers.Scan() {
			t.Fatalf("no answer to line %d: %v", i+1, answers.Err())
		}
		if a := parse(t, answers.Bytes()); a.text("event_id") != fmt.Sprintf("e%d", i) {
			t.Fatalf("line %d: got %v", i+1, a)
		}
		if i < 4 {
			fmt.Fprintf(out, "{\"event_type\":\"a\",\"payload\":0,\"event_id\":\"e%d\"}\n", i+1)
		}
	}
	out.Close()
	if answers.Scan() {
		t.Errorf("got one more answer: %s", answers.Bytes())
	}
}

// publishALine publishes a line, and leaves the request open for more: answer returns the
// answer to the next one.
func (s *server) publishALine(t *testing.T) (lines *io.PipeWriter, answer func() object) {
	t.Helper()
	in, lines := io.Pipe()
	t.Cleanup(func() { lines.Close() })
	r := must.Get(http.NewRequest("POST", s.URL+prefix+"/events", io.MultiReader(strings.NewReader(aLine), in)))(t)
	r.Header = http.Header{"Content-Type": {"application/x-ndjson"}, "Authorization": {"Bearer " + s.token}}
	resp := must.Get(s.Client().Do(r))(t)
	t.Cleanup(func() { resp.Body.Close() })
	answers := bufio.NewScanner(resp.Body)
	answer = func() object {
		t.Helper()
		if !answers.Scan() {
			t.Fatal(answers.Err())
		}
		return parse(t, answers.Bytes())
	}
	answer().has(t, "status", 202)
	return lines, answer
}

// Lines aren't published under a config that has been replaced: the token may have been
// removed.
func TestLinesAfterAReload(t *testing.T) {
	s := start(t)
	reload := s.follow()
	lines, answer := s.by(publishToken).publishALine(t)
	reload()
	s.follow() // what the new config allows is no matter
	fmt.Fprint(lines, aLine)
	answer().has(t, "line", 2).has(t, "status", 503).has(t, "code", "unavailable")
	lines.Close()
	if n := len(s.get("/events").want(t, 200).rows()); n != 1 {
		t.Errorf("got %d events, want 1", n)
	}
}
