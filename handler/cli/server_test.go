package cli

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/handler/api"
	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/egress"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/sqlite"
)

// standing is a stopped clock: attempts are due at once or never.
type standing struct{}

func (standing) Now() time.Time { return now }

func (standing) Elapsed() time.Duration { return 0 }

func (standing) At(elapsed time.Duration) <-chan time.Time {
	c := make(chan time.Time, 1)
	if elapsed <= 0 {
		c <- now
	}
	return c
}

// server is the API with a real engine and store, and with a receiver.
type server struct {
	t        *testing.T
	engine   *outbound.Engine
	handler  http.Handler
	address  string
	tenant   string // that the public API is for; "" for all
	receiver *httptest.Server
	answer   atomic.Int64 // the receiver's status
	config   atomic.Pointer[config]
	received chan *http.Request
	bodies   chan string
	attempts chan *outbound.AttemptDone
}

func (s *server) PublishDone(string, time.Duration)      {}
func (s *server) AttemptDone(a *outbound.AttemptDone)    { s.attempts <- a }
func (s *server) Buried([]*outbound.Record)              {}
func (s *server) Unjudged()                              {}
func (s *server) Operational(*outbound.OperationalEvent) {}

// start runs a server with one attempt for each delivery.
func start(t *testing.T) *server {
	t.Helper()
	s := &server{
		t: t, attempts: make(chan *outbound.AttemptDone, 10_000),
		received: make(chan *http.Request, 10_000), bodies: make(chan string, 10_000),
	}
	s.answer.Store(200)
	s.receiver = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.received <- r.Clone(context.Background()) // the server goes on using the original
		s.bodies <- string(body)
		w.WriteHeader(int(s.answer.Load()))
		io.WriteString(w, "thanks\x1b[2J")
	}))
	t.Cleanup(s.receiver.Close)
	loopback := must.Get(egress.NewPolicy([]string{"127.0.0.0/8"}, nil))(t)
	st := must.Get(sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "webhooks.db")}))(t)
	quiet := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	s.engine = must.Get(outbound.Open(t.Context(), st, outbound.Settings{Policy: loopback, Observer: s, Logger: quiet, Retry: outbound.Schedule{}}, outbound.WithClock(standing{})))(t)
	t.Cleanup(func() {
		s.engine.Close()
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	s.reload()
	s.handler = s.api()
	s.address = serve(t, s.handler.ServeHTTP)
	return s
}

// config is the context of a Caddy config.
type config struct {
	context.Context
	end context.CancelFunc
}

// reload ends the current config, if there is one, and begins another.
func (s *server) reload() {
	ctx, cancel := context.WithCancel(s.t.Context())
	if old := s.config.Swap(&config{ctx, cancel}); old != nil {
		old.end()
	}
}

// api returns the API, without authentication if there are no tokens.
func (s *server) api(tokens ...api.Token) http.Handler {
	s.t.Helper()
	c := api.Config{
		Tokens: tokens, NoAuth: len(tokens) == 0,
		Engine:  func() *outbound.Engine { return s.engine },
		Context: func() context.Context { return s.config.Load() },
		Logger:  slog.New(slog.DiscardHandler),
	}
	if s.tenant != "" {
		c.Tenant = func(*http.Request) (string, error) { return s.tenant, nil }
	}
	h := must.Get(api.New(c))(s.t)
	return http.StripPrefix(mount, h)
}

// run runs a command against the server.
func (s *server) run(input string, args ...string) result {
	s.t.Helper()
	return run(s.t, input, append(args, "--address", s.address)...)
}

// subscribe creates a subscription and returns its id.
func (s *server) subscribe(eventTypes string, flags ...string) string {
	s.t.Helper()
	args := append([]string{"subscriptions", "create", "--url", s.receiver.URL, "--event-types", eventTypes}, flags...)
	return field(s.t, s.run("", args...).want(s.t, 0).out, "Subscription")
}

// publish publishes an event, waits for the only attempt, and returns the delivery's id.
func (s *server) publish(eventType, payload string, flags ...string) string {
	s.t.Helper()
	s.run(payload, append([]string{"events", "publish", eventType}, flags...)...).want(s.t, 0)
	return s.attempted()
}

// attempted waits for an attempt, and returns its delivery's id.
func (s *server) attempted() string {
	s.t.Helper()
	return must.Receive(s.t, s.attempts, "an attempt").Delivery.With(store.DeliveryPrefix)
}

// field returns the value with a name in an output.
func field(t *testing.T, printed, name string) string {
	t.Helper()
	for line := range strings.Lines(printed) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("got no %s in %q", name, printed)
	return ""
}

var changing = []struct {
	form *regexp.Regexp
	by   string
}{
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "receiver.test:8"}, // of the same length, so that columns stay aligned
	{regexp.MustCompile(`whsec_[A-Za-z0-9+/=]+`), "whsec_…"},
	{regexp.MustCompile(`/\S+/webhooks\.db \(\S+ \S+\)`), "/data/webhooks.db (1 MiB)"},
}

// steady replaces what differs from run to run in an output.
func steady(out string) string {
	for _, c := range changing {
		out = c.form.ReplaceAllString(out, c.by)
	}
	return out
}
