package outbound

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/egress"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/sqlite"
)

// TestStress publishes, delivers and changes subscriptions concurrently, over real sockets
// and a real store, with restarts in between. In the end each accepted event is delivered
// or a dead letter for each of its subscriptions, and the lanes and the count of held bytes
// are empty.
func TestStress(t *testing.T) {
	t.Parallel() // it mostly waits
	s := newStress(t)
	for range 2 {
		s.open()
		s.live(s.close)
	}
	s.open()
	s.live(func() {}) // what is forgotten now, no restart brings back
	s.settle()
	s.check()
	s.close()
}

const (
	stressPatience = 60 * time.Second
	stressOutage   = 350 // milliseconds of each second, long enough for the breaker
)

// stress is an engine, with what its publishers and receivers have seen.
type stress struct {
	t        *testing.T
	path     string
	settings Settings
	receiver *httptest.Server
	*Engine
	store *sqlite.Store

	mu       sync.Mutex
	healthy  bool                   // all receivers answer well
	accepted map[string]int         // deliveries by event
	subs     []string               // subscriptions that can be changed
	number   int                    // of the last event for the ordered one
	arrived  map[int]bool           // what the ordered one has accepted
	latest   int                    // the greatest of that
	ended    map[store.ID]time.Time // when the last attempt at a delivery was over
	wrong    []string
}

func newStress(t *testing.T) *stress {
	loopback := must.Get(egress.NewPolicy([]string{"127.0.0.0/8"}, nil))(t)
	s := &stress{
		t: t, path: filepath.Join(t.TempDir(), "webhooks.db"),
		accepted: map[string]int{}, arrived: map[int]bool{}, ended: map[store.ID]time.Time{},
	}
	s.settings = Settings{
		Policy: loopback, Logger: slog.New(slog.DiscardHandler), Timeout: 100 * time.Millisecond,
		Retry: Schedule{5 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond, 50 * time.Millisecond, 50 * time.Millisecond, 50 * time.Millisecond},
		Subscriptions: []SubscriptionSpec{
			{Name: "configured", EventTypes: []string{"*"}},
			// No attempt at the ordered one is given up while its receiver may still record it.
			{Name: "ordered", EventTypes: []string{"*"}, Tenant: "ordered", Ordered: true, Timeout: stressPatience},
		},
		Observer: s,
	}
	s.receiver = httptest.NewServer(http.HandlerFunc(s.receive))
	t.Cleanup(s.receiver.Close)
	s.settings.Subscriptions[0].URL = s.receiver.URL + "/mixed"
	s.settings.Subscriptions[1].URL = s.receiver.URL + "/ordered"
	return s
}

func (s *stress) open() {
	s.t.Helper()
	s.store = must.Get(sqlite.Open(s.t.Context(), sqlite.Config{Path: s.path, Logger: s.settings.Logger}))(s.t)
	s.Engine = must.Get(Open(s.t.Context(), s.store, s.settings))(s.t)
}

// close drains and closes the engine as Caddy does, every other time without a grace
// period.
func (s *stress) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rand.IntN(2))*time.Second)
	defer cancel()
	s.Drain(ctx)
	s.Engine.Close()
	if err := s.store.Close(); err != nil {
		s.t.Error(err)
	}
}

func (s *stress) note(format string, args ...any) {
	s.wrong = append(s.wrong, fmt.Sprintf(format, args...))
}

func (s *stress) PublishDone(string, time.Duration) {}
func (s *stress) Buried([]*Record)                  {}
func (s *stress) Unjudged()                         {}
func (s *stress) Operational(*OperationalEvent)     {}

// AttemptDone checks that no delivery is attempted twice at once.
func (s *stress) AttemptDone(a *AttemptDone) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.Attempt.At.Before(s.ended[a.Delivery]) {
		s.note("delivery %d: attempt %d began before the one before was over", a.Delivery, a.Attempt.Number)
	}
	s.ended[a.Delivery] = a.Attempt.At.Add(a.Attempt.Latency)
}

// receive answers as the request's path says.
func (s *stress) receive(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	healthy := s.healthy
	s.mu.Unlock()
	if (healthy || answerBadly(w, r)) && r.URL.Path == "/ordered" {
		s.inOrder(string(body))
	}
}

// answerBadly answers in one of several bad ways, or reports true to leave a good answer to
// the caller.
func answerBadly(w http.ResponseWriter, r *http.Request) bool {
	n := rand.IntN(100)
	ordered := r.URL.Path == "/ordered"
	switch {
	case r.URL.Path == "/down", n < 15, ordered && time.Now().UnixMilli()%1000 < stressOutage:
		w.WriteHeader(http.StatusInternalServerError)
	case ordered:
		return true
	case n < 17:
		w.Header().Set("Retry-After", strconv.Itoa(rand.IntN(2)))
		w.WriteHeader(http.StatusTooManyRequests)
	case n == 17 && r.URL.Path == "/slow":
		w.WriteHeader(http.StatusGone)
	case n == 18:
		panic(http.ErrAbortHandler)
	case n == 19:
		<-r.Context().Done() // until the client gives up
	case r.URL.Path == "/slow":
		time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
		return true
	default:
		return true
	}
	return false
}

// inOrder checks the order of what the ordered subscription has accepted. A number may come
// again after a restart, and one that became a dead letter is missing, but none may come
// for the first time after a later one.
func (s *stress) inOrder(body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := strconv.Atoi(body)
	if err != nil {
		s.note("the ordered subscription got %q", body)
	}
	if n < s.latest && !s.arrived[n] {
		s.note("%d came after %d", n, s.latest)
	}
	s.arrived[n], s.latest = true, max(s.latest, n)
}

// live runs publishers and other actions concurrently for a while. Publishers go on while
// end closes the engine.
func (s *stress) live(end func()) {
	stop := time.Now().Add(time.Second)
	var people, publishers sync.WaitGroup
	for range 4 {
		people.Go(func() {
			for time.Now().Before(stop) {
				s.act()
				time.Sleep(time.Duration(rand.IntN(4)) * time.Millisecond)
			}
		})
	}
	over := make(chan struct{})
	for i := range 3 {
		publishers.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
					s.publish(i == 0)
					time.Sleep(time.Duration(rand.IntN(10)) * time.Millisecond) // ordered lanes must keep up
				}
			}
		})
	}
	people.Wait()
	end()
	close(over)
	publishers.Wait()
}

func (s *stress) publish(ordered bool) {
	batch := make([]*NewEvent, 1+rand.IntN(20))
	for i := range batch {
		batch[i] = &NewEvent{Type: []string{"a", "b", "c.d"}[rand.IntN(3)], Payload: make([]byte, rand.IntN(5000))}
		if ordered {
			s.number++
			batch[i].Tenant, batch[i].Payload = "ordered", []byte(strconv.Itoa(s.number))
		}
	}
	answers := s.PublishAll(context.Background(), batch)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range answers {
		switch {
		case a.Err == nil:
			s.accepted[a.EventID] = a.Deliveries
		case !errors.Is(a.Err, ErrUnavailable):
			s.note("publishing: %v", a.Err)
		}
	}
}

// act performs a random action of an operator.
func (s *stress) act() {
	ctx := context.Background()
	s.mu.Lock()
	id := "sub_ordered"
	if n := len(s.subs); n > 0 && rand.IntN(4) > 0 {
		id = s.subs[rand.IntN(n)]
	} else if rand.IntN(2) == 0 {
		id = "sub_configured"
	}
	few := len(s.subs) < 12
	settings := s.settings
	s.mu.Unlock()
	var err error
	switch rand.IntN(9) {
	case 0, 1:
		if !few {
			return
		}
		var sub *Subscription
		sub, err = s.CreateSubscription(ctx, SubscriptionSpec{
			URL:        s.receiver.URL + []string{"/down", "/slow", "/mixed"}[rand.IntN(3)],
			EventTypes: []string{[]string{"*", "a", "b", "c.*"}[rand.IntN(4)]},
			RateLimit:  []float64{0, 0, 1000}[rand.IntN(3)], Ordered: rand.IntN(4) == 0,
		})
		if err == nil {
			s.mu.Lock()
			s.subs = append(s.subs, sub.ID)
			s.mu.Unlock()
		}
	case 2:
		_, err = s.Deactivate(ctx, id, ReasonByHand)
	case 3:
		_, err = s.Activate(ctx, id)
	case 4:
		_, err = s.UpdateSubscription(ctx, id, func(spec *SubscriptionSpec) error {
			spec.Ordered, spec.EventTypes = !spec.Ordered, []string{"*"}
			return nil
		})
	case 5:
		_, err = s.RotateSecret(ctx, id, "")
	case 6:
		err = s.DeleteSubscription(ctx, id)
	case 7:
		settings.Concurrency, settings.EndpointConcurrency = 1+rand.IntN(64), 1+rand.IntN(16)
		err = s.Apply(ctx, settings)
	case 8:
		if id != "sub_ordered" { // it would be out of order
			_, err = s.RedeliverDead(ctx, Query{Subscription: id, Since: time.Now().Add(-time.Second)})
		}
	}
	if err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrConflict) {
		s.mu.Lock()
		s.note("%v", err)
		s.mu.Unlock()
	}
}

// settle makes all receivers succeed, and waits until no delivery is pending.
func (s *stress) settle() {
	s.mu.Lock()
	s.healthy = true
	s.mu.Unlock()
	must.Do(s.t, s.Apply(s.t.Context(), s.settings))
	end := time.Now().Add(stressPatience)
	for {
		for _, sub := range s.Subscriptions("", 0, 1000) {
			must.Get(s.Activate(s.t.Context(), sub.ID))(s.t)
		}
		st := must.Get(s.Status(s.t.Context()))(s.t)
		if st.Store.Pending == 0 && st.InFlight == 0 {
			return
		}
		if time.Now().After(end) {
			for _, sub := range st.Subscriptions {
				s.t.Logf("%+v", sub)
			}
			s.t.Fatalf("got %d pending deliveries and %d attempts in flight, want 0", st.Store.Pending, st.InFlight)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// check compares what was accepted with the store, and checks that the lanes are empty.
func (s *stress) check() {
	for _, l := range s.lanes.all() {
		l.mu.Lock()
		if l.queue.len() != 0 || l.reserved != 0 || l.running != 0 {
			s.t.Errorf("lane %v: got %d queued, %d reserved, %d running, want 0", l.key, l.queue.len(), l.reserved, l.running)
		}
		l.mu.Unlock()
	}
	if held := s.heldSize.Load(); held != 0 {
		s.t.Errorf("got held size %d with empty lanes, want 0", held)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.wrong[:min(len(s.wrong), 20)] {
		s.t.Error(w)
	}
	deliveries := 0
	for id, want := range s.accepted {
		found := must.Get(s.store.Deliveries(s.t.Context(), Query{EventID: id, Limit: 100}))(s.t)
		if len(found) != want {
			s.t.Errorf("event %s: got %d deliveries, want %d", id, len(found), want)
		}
		deliveries += len(found)
	}
	if len(s.arrived) == 0 {
		s.t.Error("ordered subscription: got no event")
	}
	s.t.Logf("%d events, %d deliveries", len(s.accepted), deliveries)
}
