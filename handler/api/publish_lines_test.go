package api_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

// publishLines posts lines and returns the answers.
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
		t.Fatalf("%d answers", len(answers))
	}
	for i, a := range answers {
		if a.text("event_id") != fmt.Sprintf("e%d", i) || fmt.Sprint(a["status"]) != "202" || fmt.Sprint(a["line"]) != fmt.Sprint(i+1) {
			t.Fatalf("answer %d: %v", i, a)
		}
	}
	for i := range n {
		if got := string(r.next(t).body); got != fmt.Sprint(i) {
			t.Fatalf("delivery %d to an ordered subscription has payload %s", i, got)
		}
	}
}

func TestEachLineIsJudgedByItself(t *testing.T) {
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
		`{"event_type":"a","payload":null}`, // without a line's end
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
		"9: 422 invalid_field",
		"10: 422 unknown_field",
		"11: 400 invalid_json",
		"12: 400 invalid_json",
		"13: 202 evt",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
	if answers := s.publishLines("\n\n"); len(answers) != 0 {
		t.Errorf("nothing was answered with %v", answers)
	}
}

// A caller may wait for the answer to a line before it sends the next.
func TestLinesAreAnsweredAsTheyCome(t *testing.T) {
	s := start(t)
	in, out := io.Pipe()
	r, err := http.NewRequestWithContext(t.Context(), "POST", s.URL+prefix+"/events", in)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"Content-Type": {"application/x-ndjson"}, "Authorization": {"Bearer " + publishToken}}
	first := make(chan error, 1)
	go func() {
		_, err := io.WriteString(out, "{\"event_type\":\"a\",\"payload\":0,\"event_id\":\"e0\"}\n")
		first <- err
	}()
	resp, err := s.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewScanner(resp.Body)
	for i := range 5 {
		if !answers.Scan() {
			t.Fatalf("no answer to line %d: %v", i+1, answers.Err())
		}
		if a := parse(t, answers.Bytes()); a.text("event_id") != fmt.Sprintf("e%d", i) {
			t.Fatalf("line %d: %v", i+1, a)
		}
		if i < 4 {
			fmt.Fprintf(out, "{\"event_type\":\"a\",\"payload\":0,\"event_id\":\"e%d\"}\n", i+1)
		}
	}
	out.Close()
	if answers.Scan() {
		t.Errorf("one more answer: %s", answers.Bytes())
	}
}
