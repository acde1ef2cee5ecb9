//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// client publishes over connections that are kept open.
var client = &http.Client{
	Timeout:   time.Minute,
	Transport: &http.Transport{MaxIdleConns: 20_000, MaxIdleConnsPerHost: 20_000},
}

// stream is a sequence of events of one kind, published at a steady rate.
type stream struct {
	rate  float64 // events a second; 0: as fast as they are answered
	event func(i int) (eventType, tenant string)
	count bool // whether its latency is measured
	over  bool // whether the server may refuse it for publishing too fast
}

// streamWorkers limits the requests in flight of a stream.
const streamWorkers = 64

// received publishes streams for a span, and returns how long each counted
// event took from its POST to its receiver, in nanoseconds.
func (s *server) received(r *receiver, span time.Duration, streams ...stream) ([]int64, error) {
	const maxEvents = 1 << 17
	l := newLedger(maxEvents)
	r.ledger.Store(l)
	var next atomic.Int64 // numbers the events of all streams
	var failed atomic.Pointer[error]
	counted := make([]atomic.Bool, maxEvents)
	begin := time.Now()
	var all sync.WaitGroup
	for _, st := range streams {
		var turn atomic.Int64
		for range streamWorkers {
			all.Go(func() {
				for {
					i := int(turn.Add(1)) - 1
					due := begin
					if st.rate > 0 {
						due = begin.Add(time.Duration(float64(i) / st.rate * 1e9))
						time.Sleep(time.Until(due))
					}
					if time.Since(begin) > span || due.Sub(begin) > span {
						return
					}
					n := int(next.Add(1)) - 1
					if n >= maxEvents {
						return
					}
					counted[n].Store(st.count)
					eventType, tenant := st.event(i)
					body := event(eventType, tenant, payload(n, 1<<10))
					l.sent[n].Store(time.Now().UnixNano())
					if err := s.publish(body); err != nil && !(st.over && errors.Is(err, errLimited)) {
						failed.Store(&err)
						return
					}
				}
			})
		}
	}
	all.Wait()
	if err := failed.Load(); err != nil {
		return nil, *err
	}
	return l.wait(counted[:min(next.Load(), maxEvents)])
}

// wait returns the latencies of the counted events once all have been received.
func (l *ledger) wait(counted []atomic.Bool) ([]int64, error) {
	var took []int64
	end := time.Now().Add(20 * time.Second)
	for i := range counted {
		if !counted[i].Load() {
			continue
		}
		for l.received[i].Load() == 0 {
			if time.Now().After(end) {
				return nil, fmt.Errorf("event %d did not arrive", i)
			}
			time.Sleep(10 * time.Millisecond)
		}
		took = append(took, l.received[i].Load()-l.sent[i].Load())
	}
	return took, nil
}

// event returns the body that publishes an event.
func event(eventType, tenant string, payload []byte) []byte {
	head := fmt.Sprintf(`{"event_type":%q,`, eventType)
	if tenant != "" {
		head += fmt.Sprintf(`"tenant":%q,`, tenant)
	}
	return append(append([]byte(head+`"payload":`), payload...), '}')
}

var errLimited = errors.New("the tenant publishes too fast")

// publish publishes an event, and returns an error if it isn't accepted.
func (s *server) publish(body []byte) error {
	status, _, text, err := s.post(body)
	switch {
	case err != nil:
		return err
	case status == http.StatusTooManyRequests:
		return errLimited
	case status != http.StatusAccepted:
		return fmt.Errorf("publishing: %d: %s", status, text)
	}
	return nil
}

// post publishes an event, and returns the answer.
func (s *server) post(body []byte) (status int, header http.Header, text []byte, err error) {
	req, err := http.NewRequest(http.MethodPost, s.url+"/events", bytes.NewReader(body))
	if err != nil {
		return 0, nil, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, nil, err
	}
	defer resp.Body.Close()
	text, err = io.ReadAll(io.LimitReader(resp.Body, 4096))
	return resp.StatusCode, resp.Header, text, err
}
