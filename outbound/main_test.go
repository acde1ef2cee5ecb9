package outbound_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/egress"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/postgres"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/postgres/pgtest"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come; it is no assertion
// about speed.
const patience = 20 * time.Second

// clock is a wall clock that stands still until a test moves it.
type clock struct {
	mu      sync.Mutex
	now     time.Time
	elapsed time.Duration
	timers  []*timer
}

type timer struct {
	at time.Duration
	c  chan time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Elapsed() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.elapsed
}

func (c *clock) At(elapsed time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &timer{at: elapsed, c: make(chan time.Time, 1)}
	if elapsed <= c.elapsed {
		t.c <- c.now
	} else {
		c.timers = append(c.timers, t)
	}
	return t.c
}

// set moves the hands of the clock, and no time passes.
func (c *clock) set(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// advance lets time pass.
func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now, c.elapsed = c.now.Add(d), c.elapsed+d
	c.timers = slices.DeleteFunc(c.timers, func(t *timer) bool {
		if t.at > c.elapsed {
			return false
		}
		t.c <- c.now
		return true
	})
}

// waits tells whether something waits for that much time to pass.
func (c *clock) waits(d time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.timers, func(t *timer) bool { return t.at == c.elapsed+d })
}

// arrival is a request that a receiver has seen.
type arrival struct {
	path   string
	header http.Header
	body   []byte
}

// receiver is an endpoint that notes what arrives and answers as it is told.
type receiver struct {
	*httptest.Server
	arrivals chan arrival

	mu     sync.Mutex
	answer http.HandlerFunc
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{arrivals: make(chan arrival, 100_000)}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.arrivals <- arrival{req.URL.Path, req.Header.Clone(), body}
		r.mu.Lock()
		answer := r.answer
		r.mu.Unlock()
		if answer != nil {
			answer(w, req)
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// answers sets what is answered from now on.
func (r *receiver) answers(f http.HandlerFunc) {
	r.mu.Lock()
	r.answer = f
	r.mu.Unlock()
}

// waits has the receiver answer so, once it is told to go on.
func (r *receiver) waits(t *testing.T, code int) (goOn func()) {
	there := make(chan struct{})
	r.answers(func(w http.ResponseWriter, _ *http.Request) {
		<-there
		w.WriteHeader(code)
	})
	goOn = sync.OnceFunc(func() { close(there) })
	t.Cleanup(goOn)
	return goOn
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func (r *receiver) next(t *testing.T) arrival {
	t.Helper()
	return receive(t, r.arrivals, "a delivery")
}

// none makes sure that nothing has arrived, after everything that could have.
func (r *receiver) none(t *testing.T) {
	t.Helper()
	select {
	case a := <-r.arrivals:
		t.Fatalf("unexpected delivery to %s: %s", a.path, a.body)
	default:
	}
}

func receive[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}

// observer passes on what the engine tells.
type observer struct {
	attempts chan *outbound.AttemptDone
	buried   chan string
	unjudged atomic.Int32
	changes  chan *outbound.OperationalEvent // all but those of dead letters
	dead     chan *outbound.OperationalEvent
}

func newObserver() *observer {
	return &observer{attempts: make(chan *outbound.AttemptDone, 100_000), buried: make(chan string, 100), changes: make(chan *outbound.OperationalEvent, 100), dead: make(chan *outbound.OperationalEvent, 100_000)}
}

func (o *observer) PublishDone(string, time.Duration)   {}
func (o *observer) AttemptDone(a *outbound.AttemptDone) { o.attempts <- a }
func (o *observer) Buried(rs []*outbound.Record) {
	o.buried <- fmt.Sprint(rs[0].SubscriptionID, " ", len(rs))
}
func (o *observer) Unjudged() { o.unjudged.Add(1) }
func (o *observer) Operational(ev *outbound.OperationalEvent) {
	if ev.Type == outbound.DeliveryDead {
		o.dead <- ev
	} else {
		o.changes <- ev
	}
}

// house is an engine on a real store.
type house struct {
	*outbound.Engine
	*observer
	t        *testing.T
	clock    *clock // nil: the time of day
	path     string // of the embedded store, "" with another
	settings outbound.Settings
	store    store.Store
	place    opener // of the store
}

type setting func(*outbound.Settings)

func retries(delays ...time.Duration) setting {
	return func(s *outbound.Settings) { s.Retry = append(outbound.Schedule{}, delays...) }
}

func open(t *testing.T, set ...setting) *house {
	t.Helper()
	place, path := anyPlace(t)
	h := newHouse(t, place, set...)
	h.path, h.clock = path, newClock()
	h.start()
	return h
}

// opener opens a store.
type opener func(*slog.Logger) (store.Store, error)

// newHouse makes one that isn't open, and goes by the time of day.
func newHouse(t *testing.T, place opener, set ...setting) *house {
	t.Helper()
	loopback, err := egress.NewPolicy([]string{"127.0.0.0/8"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, place: place, observer: newObserver()}
	h.settings = outbound.Settings{Policy: loopback, Observer: h.observer, Logger: slog.New(slog.DiscardHandler)}
	for _, s := range set {
		s(&h.settings)
	}
	t.Cleanup(func() { h.shut() })
	return h
}

// storeVariable of the environment chooses the store of the tests that have no
// other: postgres, or the embedded one.
const storeVariable = "WEBHOOKS_TEST_STORE"

// anyPlace is where such a test has its store, and the file of an embedded one.
func anyPlace(t *testing.T) (place opener, path string) {
	t.Helper()
	if os.Getenv(storeVariable) == "postgres" {
		return database(pgtest.Database(t), 0), ""
	}
	path = filepath.Join(t.TempDir(), "webhooks.db")
	return func(log *slog.Logger) (store.Store, error) {
		return sqlite.Open(context.Background(), sqlite.Config{Path: path, Logger: log})
	}, path
}

// database opens a store that others may share.
func database(dsn string, lease time.Duration) opener {
	return func(log *slog.Logger) (store.Store, error) {
		return postgres.Open(context.Background(), postgres.Config{DSN: dsn, Host: "test", Lease: lease, Logger: log})
	}
}

// file is the embedded store's, for tests of that.
func (h *house) file() string {
	h.t.Helper()
	if h.path == "" {
		h.t.Skip("it is about the embedded store")
	}
	return h.path
}

func (h *house) start() {
	h.t.Helper()
	st, err := h.place(h.settings.Logger)
	if err != nil {
		h.t.Fatal(err)
	}
	h.store = st
	var options []outbound.Option
	if h.clock != nil {
		options = append(options, outbound.WithClock(h.clock))
	}
	h.Engine, err = outbound.Open(context.Background(), st, h.settings, options...)
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) shut() {
	if h.Engine == nil {
		return
	}
	h.Engine.Close()
	if err := h.store.Close(); err != nil {
		h.t.Error(err)
	}
	h.Engine = nil
}

func (h *house) restart() {
	h.t.Helper()
	h.shut()
	h.start()
}

func (h *house) subscribe(spec outbound.SubscriptionSpec) *outbound.Subscription {
	h.t.Helper()
	s, err := h.CreateSubscription(h.t.Context(), spec)
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

func (h *house) publish(eventType, payload string) outbound.Published {
	h.t.Helper()
	p, err := h.Publish(h.t.Context(), &outbound.NewEvent{Type: eventType, Payload: []byte(payload)})
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

// attempt waits until the outcome of one more attempt is stored.
func (h *house) attempt() *outbound.AttemptDone {
	h.t.Helper()
	return receive(h.t, h.attempts, "the outcome of an attempt")
}

// ended is the outcome of an attempt, once the engine has drawn its conclusions.
func (h *house) ended() *outbound.AttemptDone {
	h.t.Helper()
	d := h.attempt()
	h.eventually("the end of the attempt", func() bool { return h.InFlight() == 0 })
	return d
}

// eventually is for what has no signal of its own.
func (h *house) eventually(what string, f func() bool) {
	h.t.Helper()
	for end := time.Now().Add(patience); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			h.t.Fatalf("waited in vain for %s", what)
		}
	}
}
