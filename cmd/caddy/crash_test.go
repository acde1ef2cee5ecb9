package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

// load publishes events without a pause, across restarts and reloads of the server, and
// records which were accepted.
type load struct {
	s        *server
	client   *http.Client
	stopped  chan struct{}
	workers  sync.WaitGroup
	sent     atomic.Int64
	accepted sync.Map // event id → the number of deliveries in the response
	count    atomic.Int64
}

// startLoad starts a number of publishers.
func startLoad(s *server, publishers int) *load {
	l := &load{s: s, stopped: make(chan struct{}), client: &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: publishers},
		Timeout:   must.Patience,
	}}
	for i := range publishers {
		l.workers.Go(func() {
			for !l.ended() {
				n := l.sent.Add(1)
				body := fmt.Sprintf(`{"event_type":"order.created","payload":{"n":%d}`, n)
				if i%2 == 0 {
					l.publish(body + "}")
					continue
				}
				// An event with an id of its own is sent again until there is
				// a response.
				body += fmt.Sprintf(`,"event_id":"load-%d"}`, n)
				for !l.publish(body) && !l.ended() {
				}
			}
		})
	}
	return l
}

func (l *load) ended() bool {
	select {
	case <-l.stopped:
		return true
	default:
		return false
	}
}

// publish publishes one event, and reports whether it was accepted. Without a response, it
// was not.
func (l *load) publish(body string) bool {
	id, deliveries, err := l.post(body)
	if err != nil {
		time.Sleep(5 * time.Millisecond) // the server is down
		return false
	}
	l.accepted.Store(id, deliveries)
	l.count.Add(1)
	return true
}

func (l *load) post(body string) (id string, deliveries int, err error) {
	req, err := http.NewRequest("POST", l.s.url("/webhooks/events"), strings.NewReader(body))
	if err != nil {
		return "", 0, err
	}
	req.GetBody = nil // no retry by the client
	req.Header.Set("Authorization", "Bearer "+publishToken)
	req.Header.Set("Content-Type", "application/json")
	res, err := l.client.Do(req)
	if err != nil {
		return "", 0, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return "", 0, err
	}
	if res.StatusCode != http.StatusAccepted && res.StatusCode != http.StatusOK {
		return "", 0, fmt.Errorf("status %d", res.StatusCode)
	}
	var answer struct {
		ID         string `json:"event_id"`
		Deliveries int    `json:"deliveries"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return "", 0, err
	}
	return answer.ID, answer.Deliveries, nil
}

// stop stops the publishers.
func (l *load) stop() {
	close(l.stopped)
	l.workers.Wait()
	l.client.CloseIdleConnections()
}

// arrived waits until every accepted event has arrived at a receiver, and returns how
// often events arrived again.
func (l *load) arrived(r *receiver) (repeats int) {
	r.t.Helper()
	return l.arrivedWith(r, 1)
}

// arrivedWith is arrived for the events that have a number of deliveries or
// more.
func (l *load) arrivedWith(r *receiver, deliveries int) (repeats int) {
	r.t.Helper()
	var lost []any
	fewest, expired := math.MaxInt, time.Time{}
	for {
		times := map[string]int{}
		for _, d := range r.all() {
			times[d.id()]++
		}
		lost = lost[:0]
		l.accepted.Range(func(id, n any) bool {
			if n.(int) >= deliveries && times[id.(string)] == 0 {
				lost = append(lost, id)
			}
			return true
		})
		if len(lost) == 0 {
			for _, n := range times {
				repeats += n - 1
			}
			return repeats
		}
		if len(lost) < fewest {
			fewest, expired = len(lost), time.Now().Add(must.Patience)
		}
		if time.Now().After(expired) {
			r.t.Fatalf("%d of %d accepted events are lost, as %v", len(lost), l.count.Load(), lost[0])
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// sameBytes checks that events that arrived again had the same bytes, and returns the
// number of events that arrived.
func (r *receiver) sameBytes() int {
	r.t.Helper()
	bodies := map[string]string{}
	for _, d := range r.all() {
		if before, again := bodies[d.id()]; again && before != string(d.body) {
			r.t.Errorf("event %s came with %q and with %q", d.id(), before, d.body)
		}
		bodies[d.id()] = string(d.body)
	}
	return len(bodies)
}

// failFirst fails the first attempt of every tenth event, so that there are retries, and
// counts them.
func failFirst() (respond func(http.ResponseWriter, *request), failures *atomic.Int64) {
	var failed sync.Map
	failures = new(atomic.Int64)
	return func(w http.ResponseWriter, d *request) {
		h := fnv.New32a()
		io.WriteString(h, d.id())
		if h.Sum32()%10 != 0 {
			return
		}
		if _, again := failed.LoadOrStore(d.id(), true); !again {
			failures.Add(1)
			w.WriteHeader(http.StatusInternalServerError)
		}
	}, failures
}

// often returns how often a test with random parts is repeated: a fifth under -short, and
// with the race detector, which makes everything slow.
func often(n int) int {
	if testing.Short() || underRace() {
		return n / 5
	}
	return n
}

// TestCrashes kills the server at random moments under load. Every accepted event arrives.
// Those that arrive again have the same webhook-id and bytes.
func TestCrashes(t *testing.T) {
	kills, between := often(50), 200
	s := startServer(t, withOptions(`
		retry 50ms 100ms 200ms 400ms 800ms
		egress {
			allow 127.0.0.1
		}
`))
	r := newReceiver(t)
	respond, failures := failFirst()
	r.answer(respond)
	_, secret := s.subscribe(object{"url": r.url("/"), "event_types": []string{"order.*"}})

	l := startLoad(s, 8)
	for range kills {
		// at a random moment under load
		mark := l.count.Load()
		must.Eventually(t, "accepted events", func() bool { return l.count.Load() >= mark+int64(between) })
		time.Sleep(time.Duration(rand.IntN(50)) * time.Millisecond)
		s.kill()
		s.start()
	}
	l.stop()
	repeats := l.arrived(r)
	if n := l.count.Load(); n < int64(kills*between) {
		t.Errorf("%d events were accepted, want %d", n, kills*between)
	}

	r.sameBytes()
	for _, d := range r.all()[:100] {
		d.signed(t, secret)
	}
	if n := len(s.reader().list("/dead-letters")); n != 0 {
		t.Errorf("there are %d dead letters", n)
	}
	t.Logf("%d × kill -9: %d events were accepted, 0 lost, %d deliveries came again", kills, l.count.Load(), int64(repeats)-failures.Load())
}

// ended waits for a process that got SIGTERM. It exits with status 0 or, if Caddy didn't
// handle signals yet, is killed by the signal.
func (s *server) ended() {
	s.t.Helper()
	err := s.gone()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGTERM {
			return
		}
	}
	if err != nil {
		s.t.Fatalf("caddy did not stop well: %v", err)
	}
}

// span is a little more than the time that a start takes. The next tests end one at a
// moment within it.
func (s *server) span() time.Duration {
	s.t.Helper()
	began := time.Now()
	s.start()
	return time.Since(began) * 5 / 4
}

// endStart begins a start, and ends it after a time.
func (s *server) endStart(after time.Duration, kill bool) {
	s.t.Helper()
	s.launch()
	time.Sleep(after)
	if kill {
		s.kill()
		return
	}
	s.signal(syscall.SIGTERM)
	s.ended()
}

// TestEndsDuringRecovery kills the server under load, and ends the following start at a
// random moment, with SIGTERM or SIGKILL. What was accepted is there after the next start.
func TestEndsDuringRecovery(t *testing.T) {
	t.Parallel()
	s := startServer(t, withOptions(`
		retry exponential {
			base 100ms
			factor 1.5
			max 2s
			attempts 90
		}
		egress {
			allow 127.0.0.1
		}
`))
	r := downReceiver(t)
	s.subscribe(object{"url": r.url("/"), "event_types": []string{"order.*"}})
	s.kill()
	span := s.span()
	l := startLoad(s, 8)
	moments := often(25)
	for i := range moments {
		mark := l.count.Load()
		must.Eventually(t, "accepted events", func() bool { return l.count.Load() >= mark+50 })
		s.kill()
		s.endStart(span*time.Duration(i)/time.Duration(moments), i%5 == 4)
		s.start()
	}
	l.stop()
	r.up()
	l.arrived(r)
	if n := len(s.reader().list("/dead-letters")); n != 0 {
		t.Errorf("there are %d dead letters", n)
	}
	t.Logf("%d events were accepted", l.count.Load())
}

// TestEndsDuringFirstStart ends the start that creates the store at a random moment. The
// next start completes it.
func TestEndsDuringFirstStart(t *testing.T) {
	t.Parallel()
	s := startServer(t, withOptions(local))
	r := newReceiver(t)
	s.stop()
	span := s.span()
	s.stop()
	moments := often(15)
	for i := range moments {
		for _, file := range []string{s.db, s.db + "-wal", s.db + "-shm", s.db + "-journal"} {
			os.Remove(file)
		}
		s.endStart(span*time.Duration(i)/time.Duration(moments), i%5 == 4)
		s.start()
		s.subscribe(object{"url": r.url("/"), "event_types": []string{"*"}})
		r.waitID(s.publish(event{Type: "a"}))
		s.stop()
	}
}
