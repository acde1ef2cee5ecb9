package api_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/caddy-webhooks/caddy-webhooks/handler/api"
	"github.com/caddy-webhooks/caddy-webhooks/internal/logged"
	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/egress"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	publishToken = "publish-0123456789"
	readToken    = "read-0123456789"
	manageToken  = "manage-0123456789-0123456789"
)

// prefix is the path that the API is mounted at, as with handle_path.
const prefix = "/webhooks"

// server is the API with a real engine, store and socket.
type server struct {
	*httptest.Server
	t        testing.TB
	api      http.Handler
	token    string // that requests have; "" for manageToken
	engine   *outbound.Engine
	store    *sqlite.Store
	closing  sync.Once
	config   context.Context // of the requests that begin now
	attempts chan *outbound.AttemptDone
	made     atomic.Int64 // how many kinds of rows were made
	log      *logged.Buffer
	contract *contract
}

type setting func(*outbound.Settings)

// PublishDone implements outbound.Observer.
func (s *server) PublishDone(string, time.Duration) {}

// AttemptDone implements outbound.Observer.
func (s *server) AttemptDone(a *outbound.AttemptDone) { s.attempts <- a }

// Buried implements outbound.Observer.
func (s *server) Buried([]*outbound.Record) {}

// Unjudged implements outbound.Observer.
func (s *server) Unjudged() {}

// Operational implements outbound.Observer.
func (s *server) Operational(*outbound.OperationalEvent) {}

func start(t testing.TB, set ...setting) *server {
	t.Helper()
	s := &server{t: t, attempts: make(chan *outbound.AttemptDone, 100_000), log: new(logged.Buffer), contract: readContract(t)}
	s.follow()
	loopback := must.Get(egress.NewPolicy([]string{"127.0.0.0/8"}, nil))(t)
	logger := slog.New(slog.NewTextHandler(s.log, nil))
	settings := outbound.Settings{Policy: loopback, Observer: s, Logger: logger, Retry: outbound.Schedule{time.Millisecond}}
	for _, f := range set {
		f(&settings)
	}
	s.store = must.Get(sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "webhooks.db"), Logger: logger}))(t)
	s.engine = must.Get(outbound.Open(t.Context(), s.store, settings))(t)
	s.api = s.handler(api.Config{Tokens: []api.Token{{publishToken, api.ScopePublish}, {readToken, api.ScopeRead}, {manageToken, api.ScopeManage}}})
	s.Server = httptest.NewServer(http.StripPrefix(prefix, s.api))
	t.Cleanup(func() {
		s.Server.Close()
		if taken := api.Taken(s.api); taken != 0 {
			t.Errorf("got %d bytes of bodies and answers still in use, want 0", taken)
		}
		s.engine.Close()
		s.closeStore()
	})
	return s
}

// handler returns the API with a configuration, of which it sets what all APIs share.
func (s *server) handler(c api.Config) http.Handler {
	s.t.Helper()
	c.Engine = func() *outbound.Engine { return s.engine }
	c.Context = func() context.Context { return s.config }
	c.Logger = slog.New(slog.NewTextHandler(s.log, nil))
	return must.Get(api.New(c))(s.t)
}

// with returns the same server with an API that is configured in another way.
func (s *server) with(c api.Config) *server {
	s.t.Helper()
	other := s.by("")
	other.Server = httptest.NewServer(http.StripPrefix(prefix, s.handler(c)))
	s.t.Cleanup(other.Server.Close)
	return other
}

// by returns the same server, to which requests are made with a token.
func (s *server) by(token string) *server {
	return &server{t: s.t, Server: s.Server, token: token, engine: s.engine, config: s.config, attempts: s.attempts, log: s.log, contract: s.contract}
}

// follow begins a config. Tails go on, and lines are published, until reload is called.
func (s *server) follow() (reload func()) {
	s.config, reload = context.WithCancel(s.t.Context())
	return reload
}

func (s *server) closeStore() {
	s.closing.Do(func() {
		if err := s.store.Close(); err != nil {
			s.t.Error(err)
		}
	})
}

// call is a request to make.
type call struct {
	method, path string
	body         string
	token        string // the server's, unless it is "-" for none
	header       http.Header
}

// answer is a response with its body.
type answer struct {
	*http.Response
	body []byte
}

// do makes a request, and compares the response with the contract.
func (s *server) do(c call) answer {
	s.t.Helper()
	r := must.Get(http.NewRequest(c.method, s.URL+prefix+c.path, strings.NewReader(c.body)))(s.t)
	if c.body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	switch c.token {
	case "-":
	case "":
		r.Header.Set("Authorization", "Bearer "+cmp.Or(s.token, manageToken))
	default:
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	for name, values := range c.header {
		r.Header[name] = values
	}
	resp := must.Get(s.Client().Do(r))(s.t)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatalf("%s %s: reading the response: %v", c.method, c.path, err)
	}
	a := answer{resp, body}
	s.contract.check(s.t, c, a)
	if a.StatusCode == http.StatusInternalServerError {
		s.t.Errorf("%s %s: got 500; the log:\n%s", c.method, c.path, s.log)
	}
	return a
}

func (s *server) get(path string) answer { s.t.Helper(); return s.do(call{method: "GET", path: path}) }
func (s *server) post(path, body string) answer {
	s.t.Helper()
	return s.do(call{method: "POST", path: path, body: body})
}

// want checks the status, and decodes the body.
func (a answer) want(t testing.TB, status int) object {
	t.Helper()
	if a.StatusCode != status {
		t.Fatalf("%s %s: got %d, want %d: %s", a.Request.Method, a.Request.URL, a.StatusCode, status, a.body)
	}
	if len(a.body) == 0 {
		return nil
	}
	return parse(t, a.body)
}

// refused checks the status and the problem's code.
func (a answer) refused(t testing.TB, status int, code string) object {
	t.Helper()
	p := a.want(t, status)
	if p["code"] != code {
		t.Errorf("%s %s: got code %v, want %s: %s", a.Request.Method, a.Request.URL, p["code"], code, a.body)
	}
	return p
}

// object is a JSON object.
type object map[string]any

func parse(t testing.TB, text []byte) object {
	t.Helper()
	var o object
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&o); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return o
}

// has checks the value of a field.
func (o object) has(t testing.TB, name string, want any) object {
	t.Helper()
	if fmt.Sprint(o[name]) != fmt.Sprint(want) {
		t.Errorf("got %s %v, want %v: %v", name, o[name], want, o)
	}
	return o
}

// contains checks that a field contains a text.
func (o object) contains(t testing.TB, name, text string) object {
	t.Helper()
	if !strings.Contains(o.text(name), text) {
		t.Errorf("got %s %q, want %q in it: %v", name, o[name], text, o)
	}
	return o
}

func (o object) text(name string) string { s, _ := o[name].(string); return s }

func (o object) rows() []object {
	data, _ := o["data"].([]any)
	rows := make([]object, len(data))
	for i, row := range data {
		rows[i] = object(row.(map[string]any))
	}
	return rows
}

// pages returns the rows of all pages of a list, whose path has a query.
func (s *server) pages(path string) (rows []object) {
	s.t.Helper()
	for cursor := ""; ; {
		page := s.get(path+cursor).want(s.t, 200)
		rows = append(rows, page.rows()...)
		if page["next_cursor"] == nil {
			return rows
		}
		cursor = "&cursor=" + page.text("next_cursor")
	}
}

// subscribe creates a subscription to all events.
func (s *server) subscribe(url string) object {
	s.t.Helper()
	return s.post("/subscriptions", `{"url":"`+url+`","event_types":["*"]}`).want(s.t, 201)
}

// publish publishes an event and returns its id.
func (s *server) publish(eventType, payload string) string {
	s.t.Helper()
	return s.post("/events", `{"event_type":"`+eventType+`","payload":`+payload+`}`).want(s.t, 202).text("event_id")
}

// attempt waits until the outcome of another attempt is stored.
func (s *server) attempt() *outbound.AttemptDone {
	s.t.Helper()
	return must.Receive(s.t, s.attempts, "the outcome of an attempt")
}

// buried waits until n more deliveries are dead letters.
func (s *server) buried(n int) {
	s.t.Helper()
	for n > 0 {
		if s.attempt().State == store.Dead {
			n--
		}
	}
}

// dead publishes an event to a receiver that refuses it, and returns the dead letter's
// id.
func (s *server) dead(eventType, payload string) string {
	s.t.Helper()
	s.publish(eventType, payload)
	for {
		if a := s.attempt(); a.State == store.Dead {
			return a.Delivery.With(store.DeliveryPrefix)
		}
	}
}

// receiver records deliveries, and responds with a status.
type receiver struct {
	*httptest.Server
	arrivals chan arrival

	mu     sync.Mutex
	status int
	body   []byte
}

type arrival struct {
	header http.Header
	body   []byte
}

func newReceiver(t testing.TB, status int) *receiver {
	t.Helper()
	r := &receiver{arrivals: make(chan arrival, 100_000), status: status}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.arrivals <- arrival{req.Header.Clone(), body}
		r.mu.Lock()
		status, answer := r.status, r.body
		r.mu.Unlock()
		w.WriteHeader(status)
		_, _ = w.Write(answer)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) answers(status int, body string) {
	r.mu.Lock()
	r.status, r.body = status, []byte(body)
	r.mu.Unlock()
}

func (r *receiver) next(t testing.TB) arrival {
	t.Helper()
	return must.Receive(t, r.arrivals, "a delivery")
}

// open returns an API without tokens for an engine.
func open(t testing.TB, engine func() *outbound.Engine) http.Handler {
	t.Helper()
	h := must.Get(api.New(api.Config{NoAuth: true, Engine: engine, Context: t.Context, Logger: slog.New(slog.DiscardHandler)}))(t)
	return h
}
