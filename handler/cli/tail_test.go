package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

// following is a running `tail`.
type following struct {
	t        *testing.T
	out, err chan string // lines
	ended    chan error
	stop     func()
}

func (s *server) follow(args ...string) *following {
	s.t.Helper()
	root := commandTree(func() time.Time { return now })
	root.SetArgs(append([]string{"webhooks", "tail", "--address", s.address}, args...))
	ctx, cancel := context.WithCancel(s.t.Context())
	f := &following{t: s.t, out: make(chan string, 1000), err: make(chan string, 1000), ended: make(chan error, 1), stop: cancel}
	pipe := func(to chan string) io.WriteCloser {
		r, w := io.Pipe()
		go func() {
			defer close(to)
			for lines := bufio.NewScanner(r); lines.Scan(); {
				to <- lines.Text()
			}
		}()
		return w
	}
	out, errs := pipe(f.out), pipe(f.err)
	root.SetOut(out)
	root.SetErr(errs)
	go func() {
		f.ended <- root.ExecuteContext(ctx)
		out.Close()
		errs.Close()
	}()
	s.t.Cleanup(func() {
		cancel()
		<-f.ended
	})
	return f
}

func (f *following) next(lines chan string) string {
	f.t.Helper()
	return must.Receive(f.t, lines, "a line")
}

// steadily replaces what differs from run to run in a line.
func steadily(line string) string {
	words := strings.Fields(line)
	for i, w := range words {
		switch {
		case strings.HasPrefix(w, "dlv_"):
			words[i] = "<delivery>"
		case strings.HasPrefix(w, "sub_"):
			words[i] = "<subscription>"
		case i > 0 && w == "ms":
			words[i-1] = "<n>"
		}
	}
	return strings.Join(words, " ")
}

func TestTail(t *testing.T) {
	s := start(t)
	s.subscribe("*")
	const long = "sub_acme.an-id-that-is-long"
	s.subscribe("*", "--id", long, "--tenant", "acme")
	f := s.follow()
	if got := f.next(f.out); steadily(got) != "AT STATE # STATUS TOOK EVENT TYPE SUBSCRIPTION TENANT DELIVERY ID ERROR" {
		t.Errorf("head: got %s", got)
	}
	s.publish("order.created", "{}")
	if got := f.next(f.out); steadily(got) != "15:04:05 delivered 1 200 <n> ms order.created <subscription> - <delivery>" || got != strings.TrimRight(got, " ") {
		t.Errorf("a success: got %q", got)
	}
	s.answer.Store(503)
	s.publish("order.created", "{}")
	if got := f.next(f.out); steadily(got) != "15:04:05 dead 1 503 <n> ms order.created <subscription> - <delivery> the receiver answered 503 Service Unavailable" {
		t.Errorf("a failure: got %q", got)
	}
	s.publish("order.created", "{}", "--tenant", "acme")
	if got := f.next(f.out); !strings.Contains(got, long+"  acme ") {
		t.Errorf("a tenant's: got %q", got)
	}

	s.reload()
	if got := f.next(f.err); !strings.Contains(got, "reconnecting") {
		t.Errorf("at a reload: got %s", got)
	}
	s.answer.Store(200)
	if got := s.publishUntil(f, "order.updated"); !strings.Contains(got, "order.updated") {
		t.Errorf("after a reload: got %s", got)
	}
}

// publishUntil publishes until an attempt is shown: those before the connection is made
// aren't.
func (s *server) publishUntil(f *following, eventType string) string {
	s.t.Helper()
	for range 2000 {
		s.publish(eventType, "{}")
		select {
		case got := <-f.out:
			return got
		case <-time.After(10 * time.Millisecond):
		}
	}
	s.t.Fatal("got no line about an attempt")
	return ""
}

func TestTailForPrograms(t *testing.T) {
	s := start(t)
	s.subscribe("*")
	f := s.follow("--json", "--event-type", "order.*", "--state", "delivered")
	var d delivery
	if err := json.Unmarshal([]byte(s.publishUntil(f, "order.created")), &d); err != nil || d.EventType != "order.created" || d.Last.Status != 200 {
		t.Errorf("%v: %+v", err, d)
	}
}

func TestTailRefused(t *testing.T) {
	s := start(t)
	if r := s.run("", "tail", "--state", "lost").want(t, 2); !strings.Contains(r.err, "state must be") {
		t.Error(r.err)
	}
	if r := run(t, "", "tail", "--address", "127.0.0.1:1").want(t, 1); !strings.Contains(r.err, "can't be reached") {
		t.Error(r.err)
	}
}
