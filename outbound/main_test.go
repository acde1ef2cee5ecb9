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

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/egress"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/postgres"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/postgres/pgtest"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.M{M: m}) }

// clock is an [outbound.Clock] that stands still until a test moves it.
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

// step changes the wall clock's reading by d although no time passes, as when an
// operator or NTP sets a computer's clock.
func (c *clock) step(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// advance lets d pass, and fires the timers that are due by then.
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

// hasTimer reports whether a timer is set that fires exactly d from now.
func (c *clock) hasTimer(d time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.timers, func(t *timer) bool { return t.at == c.elapsed+d })
}

// arrival is a request that a receiver has got.
type arrival struct {
	method string
	path   string
	header http.Header
	body   []byte
}

// receiver is an HTTP server that deliveries are sent to. It records each request in
// arrivals and answers it with handler, or with 200 if handler is nil.
type receiver struct {
	*httptest.Server
	arrivals chan arrival

	mu      sync.Mutex
	handler http.HandlerFunc
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{arrivals: make(chan arrival, 10_000)}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.arrivals <- arrival{req.Method, req.URL.Path, req.Header.Clone(), body}
		r.mu.Lock()
		handler := r.handler
		r.mu.Unlock()
		if handler != nil {
			handler(w, req)
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// respond makes the receiver answer with f from now on.
func (r *receiver) respond(f http.HandlerFunc) {
	r.mu.Lock()
	r.handler = f
	r.mu.Unlock()
}

// block makes the receiver hold back its answers, which have that status, until
// unblock is called or the test ends.
func (r *receiver) block(t *testing.T, code int) (unblock func()) {
	unblocked := make(chan struct{})
	r.respond(func(w http.ResponseWriter, _ *http.Request) {
		<-unblocked
		w.WriteHeader(code)
	})
	unblock = sync.OnceFunc(func() { close(unblocked) })
	t.Cleanup(unblock)
	return unblock
}

// status answers with that status and no body.
func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// next waits for the next request.
func (r *receiver) next(t *testing.T) arrival {
	t.Helper()
	return must.Receive(t, r.arrivals, "a delivery")
}

// expectNone fails the test if a request has arrived that next hasn't returned. It
// doesn't wait: call it when anything that could be sent has been.
func (r *receiver) expectNone(t *testing.T) {
	t.Helper()
	select {
	case a := <-r.arrivals:
		t.Fatalf("unexpected delivery to %s: %s", a.path, a.body)
	default:
	}
}

// observer is an [outbound.Observer] that passes on what the engine reports.
type observer struct {
	attempts chan *outbound.AttemptDone
	buried   chan string // "<subscription id> <number of dead letters>"
	unjudged atomic.Int32
	changes  chan *outbound.OperationalEvent // all events but those in dead
	dead     chan *outbound.OperationalEvent // events of type DeliveryDead
}

func newObserver() *observer {
	return &observer{attempts: make(chan *outbound.AttemptDone, 10_000), buried: make(chan string, 100), changes: make(chan *outbound.OperationalEvent, 100), dead: make(chan *outbound.OperationalEvent, 10_000)}
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

// harness is an engine on a real store, with helpers for tests. Methods that wait
// fail the test after must.Patience.
type harness struct {
	*outbound.Engine
	*observer
	t         *testing.T
	clock     *clock // nil for the real time
	path      string // file of a SQLite store, else ""
	settings  outbound.Settings
	store     store.Store
	openStore storeOpener
}

// setting changes the settings that an engine is opened with.
type setting func(*outbound.Settings)

// retries sets the retry schedule; without delays, there is a single attempt.
func retries(delays ...time.Duration) setting {
	return func(s *outbound.Settings) { s.Retry = append(outbound.Schedule{}, delays...) }
}

// open starts an engine on the default store, with a clock that the test moves.
func open(t *testing.T, set ...setting) *harness {
	t.Helper()
	openStore, path := defaultStore(t)
	h := newHarness(t, openStore, set...)
	h.path, h.clock = path, newClock()
	h.start()
	return h
}

// storeOpener opens a store, possibly several times in a row.
type storeOpener func(*slog.Logger) (store.Store, error)

// newHarness returns a harness whose engine isn't started yet, and which uses the
// real time unless its clock is set before. Deliveries to loopback are allowed.
func newHarness(t *testing.T, openStore storeOpener, set ...setting) *harness {
	t.Helper()
	loopback := must.Get(egress.NewPolicy([]string{"127.0.0.0/8"}, nil))(t)
	h := &harness{t: t, openStore: openStore, observer: newObserver()}
	h.settings = outbound.Settings{
		Policy: loopback, Observer: h.observer, Logger: slog.New(slog.DiscardHandler),
		Timeout: 5 * time.Minute, // longer than any test waits: on a slow machine, no attempt may fail by chance
	}
	for _, s := range set {
		s(&h.settings)
	}
	t.Cleanup(func() { h.stop() })
	return h
}

// storeVariable names the environment variable that chooses the store of tests that
// run on any: "postgres", else SQLite.
const storeVariable = "WEBHOOKS_TEST_STORE"

// defaultStore returns an empty store of the chosen kind, and the file of a SQLite
// one.
func defaultStore(t *testing.T) (openStore storeOpener, path string) {
	t.Helper()
	if os.Getenv(storeVariable) == "postgres" {
		return postgresStore(pgtest.Tables(t), 0), ""
	}
	path = filepath.Join(t.TempDir(), "webhooks.db")
	return func(log *slog.Logger) (store.Store, error) {
		return sqlite.Open(context.Background(), sqlite.Config{Path: path, Logger: log})
	}, path
}

// postgresStore opens a Postgres store, which several engines can share.
func postgresStore(dsn string, lease time.Duration) storeOpener {
	return func(log *slog.Logger) (store.Store, error) {
		return postgres.Open(context.Background(), postgres.Config{DSN: dsn, Host: "test", Lease: lease, Logger: log})
	}
}

// file returns the SQLite store's file, and skips the test on another store.
func (h *harness) file() string {
	h.t.Helper()
	if h.path == "" {
		h.t.Skip("this test needs the SQLite store")
	}
	return h.path
}

// start opens the store and the engine.
func (h *harness) start() {
	h.t.Helper()
	h.store = must.Get(h.openStore(h.settings.Logger))(h.t)
	var options []outbound.Option
	if h.clock != nil {
		options = append(options, outbound.WithClock(h.clock))
	}
	h.Engine = must.Get(outbound.Open(context.Background(), h.store, h.settings, options...))(h.t)
}

// stop closes the engine, which breaks off attempts, and the store.
func (h *harness) stop() {
	if h.Engine == nil {
		return
	}
	h.Engine.Close()
	if err := h.store.Close(); err != nil {
		h.t.Error(err)
	}
	h.Engine = nil
}

func (h *harness) restart() {
	h.t.Helper()
	h.stop()
	h.start()
}

func (h *harness) subscribe(spec outbound.SubscriptionSpec) *outbound.Subscription {
	h.t.Helper()
	return must.Get(h.CreateSubscription(h.t.Context(), spec))(h.t)
}

// update changes a subscription.
func (h *harness) update(id string, change func(*outbound.SubscriptionSpec)) *outbound.Subscription {
	h.t.Helper()
	return must.Get(h.UpdateSubscription(h.t.Context(), id, func(s *outbound.SubscriptionSpec) error { change(s); return nil }))(h.t)
}

func (h *harness) publish(eventType, payload string) outbound.Published {
	h.t.Helper()
	return must.Get(h.Publish(h.t.Context(), &outbound.NewEvent{Type: eventType, Payload: []byte(payload)}))(h.t)
}

// awaitAttempt waits until the outcome of one more attempt is stored.
func (h *harness) awaitAttempt() *outbound.AttemptDone {
	h.t.Helper()
	return must.Receive(h.t, h.attempts, "the outcome of an attempt")
}

// awaitAttemptEnd is awaitAttempt, but also waits until no attempt is in flight, when
// the engine has updated its breakers, pauses and counts.
func (h *harness) awaitAttemptEnd() *outbound.AttemptDone {
	h.t.Helper()
	d := h.awaitAttempt()
	must.Eventually(h.t, "the end of the attempt", func() bool { return h.InFlight() == 0 })
	return d
}
