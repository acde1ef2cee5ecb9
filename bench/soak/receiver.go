package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"
)

// subscriptions is the number of subscriptions, each with a receiver.
const subscriptions = 5

// wanted returns the subscriptions that an event of a kind goes to.
func wanted(kind int) []int { return []int{kind, (kind + 1) % subscriptions} }

// mood is how a receiver behaves.
type mood string

const (
	well     mood = "well"
	failing  mood = "failing"  // every other answer is 500
	limiting mood = "limiting" // every other answer is 429 with Retry-After
	breaking mood = "breaking" // every other connection is reset
	slow     mood = "slow"     // answers take up to a second
	hanging  mood = "hanging"  // every other request gets no answer at all
	dead     mood = "dead"     // nobody listens
)

// course are the moods that each receiver goes through, each for moodSpan.
var course = []mood{well, failing, slow, dead, well, limiting, breaking, hanging}

const moodSpan = 45 * time.Second

// receiver takes the deliveries of one subscription.
type receiver struct {
	index  int
	addr   string
	ledger *ledger

	mu     sync.Mutex
	mood   mood
	server *http.Server // nil while it is dead
}

// subscribers starts the receivers and subscribes them.
func subscribers(s *server, l *ledger) ([]*receiver, error) {
	var all []*receiver
	for i := range subscriptions {
		r := &receiver{index: i, addr: freeAddress(), ledger: l}
		if err := r.become(well); err != nil {
			return nil, err
		}
		var types []string
		for kind := range subscriptions {
			for _, sub := range wanted(kind) {
				if sub == i {
					types = append(types, fmt.Sprintf("soak.%d", kind))
				}
			}
		}
		if err := s.subscribe(fmt.Sprintf("http://%s/%d", r.addr, i), types); err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

// become changes the receiver's mood.
func (r *receiver) become(m mood) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mood = m
	if m == dead {
		if r.server != nil {
			_ = r.server.Close()
			r.server = nil
		}
		return nil
	}
	if r.server != nil {
		return nil
	}
	listener, err := net.Listen("tcp", r.addr)
	if err != nil {
		return err
	}
	r.server = &http.Server{Handler: r}
	go func(s *http.Server) { _ = s.Serve(listener) }(r.server)
	return nil
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if _, err := io.Copy(io.Discard, req.Body); err != nil {
		return
	}
	d := delivery{number(req.Header.Get("webhook-id")), r.index}
	r.mu.Lock()
	mood := r.mood
	r.mu.Unlock()
	odd := rand.IntN(2) == 0
	switch {
	case poisoned(d.event):
		w.WriteHeader(http.StatusUnprocessableEntity)
	case mood == failing && odd:
		w.WriteHeader(http.StatusInternalServerError)
	case mood == limiting && odd:
		w.Header().Set("Retry-After", "2")
		w.WriteHeader(http.StatusTooManyRequests)
	case mood == breaking && odd:
		reset(w)
	case mood == hanging && odd:
		<-req.Context().Done()
	case mood == slow:
		select {
		case <-time.After(rand.N(time.Second)):
			r.ledger.take(d)
		case <-req.Context().Done():
		}
	default:
		r.ledger.take(d)
	}
}

// reset resets the connection, as when a process crashes.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	conn.Close()
}
