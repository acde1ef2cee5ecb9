package main

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// load publishes events without a pause, over restarts and reloads of the
// server, and remembers which were accepted.
type load struct {
	s        *server
	client   *http.Client
	stopped  chan struct{}
	workers  sync.WaitGroup
	sent     atomic.Int64
	accepted sync.Map // event id → true
	count    atomic.Int64
}

// startLoad starts a number of publishers.
func startLoad(s *server, publishers int, eventType string) *load {
	l := &load{s: s, stopped: make(chan struct{}), client: &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: publishers},
		Timeout:   patience,
	}}
	for i := range publishers {
		l.workers.Go(func() {
			for !l.ended() {
				n := l.sent.Add(1)
				body := fmt.Sprintf(`{"event_type":%q,"payload":{"n":%d}`, eventType, n)
				if i%2 == 0 {
					l.publish(body + "}")
					continue
				}
				// With an id of its own, an event is sent again until there is
				// an answer.
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

// publish publishes one event, and reports whether it was accepted. An event
// without an answer was not.
func (l *load) publish(body string) bool {
	answer, err := l.post(body)
	if err != nil {
		time.Sleep(5 * time.Millisecond) // it is down for the moment
		return false
	}
	l.accepted.Store(answer, true)
	l.count.Add(1)
	return true
}

func (l *load) post(body string) (id string, err error) {
	req, err := http.NewRequest("POST", l.s.url("/webhooks/events"), strings.NewReader(body))
	if err != nil {
		return "", err
	}
	req.GetBody = nil // no second try that nobody sees
	req.Header.Set("Authorization", "Bearer "+publishToken)
	req.Header.Set("Content-Type", "application/json")
	res, err := l.client.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return "", err
	}
	if res.StatusCode != http.StatusAccepted && res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("status %d", res.StatusCode)
	}
	var answer struct {
		ID string `json:"event_id"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return "", err
	}
	return answer.ID, nil
}

// stop ends the publishers.
func (l *load) stop() {
	close(l.stopped)
	l.workers.Wait()
	l.client.CloseIdleConnections()
}

// arrived waits until all that was accepted has arrived at a receiver, and
// tells how often events came again.
func (l *load) arrived(r *receiver) (repeats int) {
	r.t.Helper()
	var lost []any
	expired := time.Now().Add(patience)
	for {
		times := map[string]int{}
		for _, d := range r.all() {
			times[d.id()]++
		}
		lost = lost[:0]
		l.accepted.Range(func(id, _ any) bool {
			if times[id.(string)] == 0 {
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
		if time.Now().After(expired) {
			r.t.Fatalf("%d of %d accepted events are lost, as %v", len(lost), l.count.Load(), lost[0])
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// failFirst fails the first attempt of each tenth event, so that there are
// retries too, and counts these.
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

// TestCrashes kills the server at random moments under load. All that was
// accepted arrives; what comes again has the same webhook-id and bytes.
func TestCrashes(t *testing.T) {
	const kills = 20
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

	l := startLoad(s, 8, "order.created")
	for range kills {
		// under load, and somewhere in the midst of it
		mark := l.count.Load()
		eventually(t, "accepted events", func() bool { return l.count.Load() >= mark+200 })
		time.Sleep(time.Duration(rand.IntN(50)) * time.Millisecond)
		s.kill()
		s.start()
	}
	l.stop()
	repeats := l.arrived(r)

	bodies := map[string]string{}
	for _, d := range r.all() {
		if before, again := bodies[d.id()]; again && before != string(d.body) {
			t.Errorf("event %s came with %q and with %q", d.id(), before, d.body)
		}
		bodies[d.id()] = string(d.body)
	}
	for _, d := range r.all()[:100] {
		d.signed(t, secret)
	}
	if n := len(s.reader().list("/dead-letters")); n != 0 {
		t.Errorf("there are %d dead letters", n)
	}
	t.Logf("%d × kill -9: %d events were accepted, 0 lost, %d deliveries came again", kills, l.count.Load(), int64(repeats)-failures.Load())
}

// TestStopsUnderLoad stops the server gently under load: all that was accepted
// arrives, once each.
func TestStopsUnderLoad(t *testing.T) {
	s := startServer(t, withOptions(local))
	r := newReceiver(t)
	s.subscribe(object{"url": r.url("/"), "event_types": []string{"order.*"}})
	l := startLoad(s, 8, "order.created")
	for range 5 {
		mark := l.count.Load()
		eventually(t, "accepted events", func() bool { return l.count.Load() >= mark+100 })
		s.stop()
		s.start()
	}
	l.stop()
	if repeats := l.arrived(r); repeats > 0 {
		t.Errorf("%d deliveries came again, though each stop was gentle", repeats)
	}
	t.Logf("%d events were accepted", l.count.Load())
}

// TestEndsDuringStart ends the server at any moment of its start, gently and
// not: the next start has all that was accepted.
func TestEndsDuringStart(t *testing.T) {
	t.Parallel()
	s := startServer(t, withOptions(local))
	r := newReceiver(t)
	sub, _ := s.subscribe(object{"url": r.url("/"), "event_types": []string{"*"}})
	s.manager().do("POST", "/subscriptions/"+sub+"/deactivate", nil).want(http.StatusOK)
	const events = 50
	for range events {
		s.publish(event{Type: "a"})
	}
	s.kill()
	for i := range 20 {
		s.launch()
		time.Sleep(time.Duration(rand.IntN(80)) * time.Millisecond)
		if i%2 == 0 {
			s.kill()
			continue
		}
		s.signal(syscall.SIGTERM)
		_ = s.gone() // before Caddy listens to signals, one ends it like any process
	}
	s.start()
	if o := s.reader().get("/status"); o.num("pending") != events {
		t.Errorf("of %d deliveries that were held, %v are left", events, o.num("pending"))
	}
	s.manager().do("POST", "/subscriptions/"+sub+"/activate", nil).want(http.StatusOK)
	r.wait(events)
}
