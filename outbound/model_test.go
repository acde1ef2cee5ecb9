package outbound_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"

	"pgregory.net/rapid"
)

// TestModel performs random operations on an engine with real receivers and a real
// store, and compares what the receivers have got and the engine reports with a model:
// which events belong to which subscriptions, what each receiver has answered, which
// secrets are valid. In the end all receivers work, and nothing may be left pending.
func TestModel(t *testing.T) {
	t.Parallel()
	// An engine with a store on disk is slow, so unless the command line says otherwise
	// there are fewer runs than rapid's default, but longer ones.
	for name, value := range map[string]string{"rapid.checks": "15", "rapid.steps": "50"} {
		if f := flag.Lookup(name); f.Value.String() == f.DefValue {
			_ = f.Value.Set(value)
			defer func() { _ = f.Value.Set(f.DefValue) }()
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t)
		defer w.end()
		w.subscribe(rt)
		rt.Repeat(map[string]func(*rapid.T){
			"":              w.look,
			"publish":       w.publish,
			"publish more":  w.publish,
			"receiver":      w.changeAnswer,
			"time passes":   w.pass,
			"time goes on":  w.pass,
			"clock is set":  w.setClock,
			"subscribe":     w.subscribe,
			"update":        w.update,
			"rotate":        w.rotate,
			"deactivate":    w.deactivate,
			"activate":      w.activate,
			"delete":        w.delete,
			"redeliver":     w.redeliverOne,
			"redeliver all": w.redeliverDead,
			"replay":        w.replay,
			"restart":       w.restart,
		})
		w.heal(rt)
	})
}

var (
	modelSchedule = outbound.Schedule{time.Minute, 5 * time.Minute, 20 * time.Minute}
	modelTypes    = []string{"a", "b", "b.c", "b.d.e"}
	modelPatterns = [][]string{{"*"}, {"a"}, {"b.*"}, {"b", "b.d.*"}, {"a", "*"}}
	modelTenants  = []string{"", "", "", "t"}
	modelAnswers  = []int{200, 200, 204, 500, 503, 400, 429, 410, 302, 0} // 0: the receiver closes the connection
)

const (
	modelGrace = time.Hour
	modelPause = 2 * time.Minute // what a receiver asks for by Retry-After
)

var modelDisable = outbound.DisableAfter{Failures: 5, For: 10 * time.Minute}

// world is an engine, its receivers and the model of both.
type world struct {
	h        *harness
	receiver *httptest.Server
	began    time.Time // the engine's time at the start of the test
	zero     time.Time // the engine's time less what has elapsed; differs from began once a restart has found the clock set
	skewed   bool      // zero has differed from began
	broken   bool      // a restart may have broken off attempts

	mu        sync.Mutex
	step      time.Duration          // the last change of the wall clock; an attempt may have begun before it
	passed    time.Duration          // how much time the engine saw pass in that step
	jumped    time.Duration          // by how much restarts that broke off attempts moved the engine's time
	events    []*modelEvent          // by number, which is their payload
	chosen    map[string]*modelEvent // events whose id the publisher chose, by "tenant/id"
	subs      []*modelSub
	paths     map[string]*modelSub // by the path of their URL, also former ones
	violation string               // the first difference that a receiver has found
	gate      chan struct{}        // slow receivers answer once it is closed; nil if they don't wait
}

type modelEvent struct {
	id, tenant, kind string
	subs             map[*modelSub]*modelDelivery // those that it matched or was replayed to
	matched          int                          // how many it matched when it was published
}

type modelDelivery struct {
	answers  []answered
	requeued bool
	before   int  // how many of the answers came before it was last requeued
	late     bool // the clock was moved during an attempt
}

// answered is a receiver's answer to an attempt.
type answered struct {
	code int           // status, 0 if the connection was closed
	at   time.Duration // elapsed time at the request
}

type modelSub struct {
	id, tenant, path string
	patterns         []string
	secrets          []store.Secret
	answer           int  // the status that its receiver answers now
	slow             bool // its receiver waits for the gate
	ordered, strict  bool // strict: ordered has never changed
	inactive, gone   bool // deactivated by hand, and by its receiver's 410
	deleted          bool
	still            int // requests when it was last settled and inactive; -1 if it wasn't
	requests, failed int
	latest           int           // the highest number of an event delivered in order
	pushed           bool          // it was activated by hand while its receiver works
	throttled        time.Duration // when its receiver last asked for a pause
}

func newWorld(t *testing.T) *world {
	w := &world{chosen: map[string]*modelEvent{}, paths: map[string]*modelSub{}}
	w.receiver = httptest.NewServer(http.HandlerFunc(w.receive))
	w.h = open(t, retries(modelSchedule...), func(s *outbound.Settings) { s.SecretGrace, s.DisableAfter = modelGrace, modelDisable })
	w.began = w.h.clock.Now()
	w.zero = w.began
	return w
}

// end closes the engine and the receivers.
func (w *world) end() {
	w.h.stop()
	w.receiver.Close()
}

// now returns the engine's time.
func (w *world) now() time.Time { return w.zero.Add(w.h.clock.Elapsed()) }

// matches reports whether a subscription should get an event. It shares no code with the
// engine's index.
func (s *modelSub) matches(ev *modelEvent) bool {
	return !s.deleted && s.tenant == ev.tenant && slices.ContainsFunc(s.patterns, func(p string) bool {
		prefix, all := strings.CutSuffix(p, "*")
		return p == ev.kind || all && strings.HasPrefix(ev.kind, prefix)
	})
}

// receive handles the requests to all receivers.
func (w *world) receive(rw http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.mu.Lock()
	s := w.paths[r.URL.Path]
	w.judge(s, r.URL.Path, r.Header, string(body))
	answer, gate := s.answer, w.gate
	slow := s.slow && gate != nil
	w.mu.Unlock()
	if slow {
		select {
		case <-gate:
		case <-r.Context().Done():
		}
	}
	switch answer {
	case 0:
		panic(http.ErrAbortHandler)
	case http.StatusTooManyRequests:
		rw.Header().Set("Retry-After", fmt.Sprint(modelPause.Seconds()))
	case http.StatusFound:
		rw.Header().Set("Location", "/elsewhere")
	}
	rw.WriteHeader(answer)
}

// judge records a request, and a violation if it isn't as the model wants it.
func (w *world) judge(s *modelSub, path string, h http.Header, body string) {
	n, err := strconv.Atoi(body)
	if err != nil || n >= len(w.events) {
		w.wrong("got payload %q, which wasn't published", body)
		return
	}
	ev := w.events[n]
	d := ev.subs[s]
	if d == nil {
		w.wrong("%s got event %d, which it doesn't match", s.id, n)
		return
	}
	if ev.id != "" && h.Get("webhook-id") != ev.id {
		w.wrong("got webhook-id %s, want %s", h.Get("webhook-id"), ev.id)
	}
	late := w.late(h)
	signed := w.now().Add(-w.jumped - time.Second) // less the precision of timestamps
	if late {
		signed = signed.Add(-w.passed)
	}
	w.judgeSignatures(s, h, body, signed)
	d.late = d.late || late
	s.requests++
	d.answers = append(d.answers, answered{s.answer, w.h.clock.Elapsed()})
	if s.answer == http.StatusTooManyRequests {
		s.throttled = w.h.clock.Elapsed()
	}
	switch {
	case s.answer < 200 || s.answer > 299:
		s.failed++
		s.gone = s.gone || s.answer == http.StatusGone && path == s.path
	case s.ordered && s.strict && !d.requeued:
		if n < s.latest && !d.took(len(d.answers)-1) {
			w.wrong("%s got event %d after event %d", s.id, n, s.latest)
		}
		s.latest = max(s.latest, n)
	}
}

// took reports whether one of the first n answers was a success.
func (d *modelDelivery) took(n int) bool {
	return slices.ContainsFunc(d.answers[:n], func(a answered) bool { return a.code/100 == 2 })
}

// late reports whether the clock was last moved after a request had been signed.
func (w *world) late(h http.Header) bool {
	at, err := strconv.ParseInt(h.Get("webhook-timestamp"), 10, 64)
	off := w.h.clock.Now().Sub(time.Unix(at, 0))
	before := off - w.step
	switch {
	case err == nil && off.Abs() <= time.Second:
		return false
	case err != nil || before.Abs() > time.Second:
		w.wrong("got a timestamp that is off by %v", off)
	}
	return true
}

// judgeSignatures checks a request's signatures without our own code: at least one is by
// a valid secret, and none by an expired or unknown one.
func (w *world) judgeSignatures(s *modelSub, h http.Header, body string, now time.Time) {
	unknown := strings.Fields(h.Get("webhook-signature"))
	live := 0
	for _, secret := range s.secrets {
		key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret.Value, "whsec_"))
		mac := hmac.New(sha256.New, key)
		fmt.Fprintf(mac, "%s.%s.%s", h.Get("webhook-id"), h.Get("webhook-timestamp"), body)
		signature := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
		i := slices.Index(unknown, signature)
		switch {
		case i < 0:
			continue
		case !secret.Expires.IsZero() && !secret.Expires.After(now):
			w.wrong("%s got a signature by a secret that expired at %v", s.id, secret.Expires)
		default:
			live++
		}
		unknown = slices.Delete(unknown, i, i+1)
	}
	if live == 0 || len(unknown) > 0 {
		w.wrong("%s got signatures by %d valid secrets and %d by unknown ones, want at least 1 and 0", s.id, live, len(unknown))
	}
}

// wrong records the first violation, which the next settle reports. The caller holds mu.
func (w *world) wrong(format string, args ...any) {
	if w.violation == "" {
		w.violation = fmt.Sprintf(format, args...)
	}
}

// pick draws a subscription that is not deleted.
func (w *world) pick(rt *rapid.T) *modelSub {
	some := slices.DeleteFunc(slices.Clone(w.subs), func(s *modelSub) bool { return s.deleted })
	if len(some) == 0 {
		rt.Skip("no subscription")
	}
	i := rapid.IntRange(0, len(some)-1).Draw(rt, "subscription")
	return some[i]
}

func (w *world) subscribe(rt *rapid.T) {
	if len(w.subs) > 5 {
		rt.Skip("enough subscriptions")
	}
	s := &modelSub{
		tenant: rapid.SampledFrom(modelTenants).Draw(rt, "tenant"), patterns: rapid.SampledFrom(modelPatterns).Draw(rt, "patterns"),
		ordered: rapid.Bool().Draw(rt, "ordered"), strict: true, answer: rapid.SampledFrom(modelAnswers).Draw(rt, "answer"), still: -1, latest: -1, throttled: -time.Hour,
	}
	w.move(s)
	made := must.Get(w.h.CreateSubscription(w.h.t.Context(), w.spec(s)))(rt)
	w.mu.Lock()
	s.id, s.secrets = made.ID, made.Secrets
	w.subs = append(w.subs, s)
	w.mu.Unlock()
}

// move gives a subscription a new URL.
func (w *world) move(s *modelSub) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s.path = fmt.Sprintf("/%d", len(w.paths))
	w.paths[s.path] = s
}

func (w *world) spec(s *modelSub) outbound.SubscriptionSpec {
	return outbound.SubscriptionSpec{URL: w.receiver.URL + s.path, EventTypes: s.patterns, Tenant: s.tenant, Ordered: s.ordered}
}

// openGate lets slow receivers answer.
func (w *world) openGate() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gate != nil {
		close(w.gate)
		w.gate = nil
	}
}

// closeGate makes slow receivers hold their answers back until the next settle.
func (w *world) closeGate() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gate == nil {
		w.gate = make(chan struct{})
	}
}

func (w *world) publish(rt *rapid.T) {
	w.closeGate()
	var batch []*outbound.NewEvent
	var want []func(outbound.Answer)
	for range rapid.SampledFrom([]int{1, 1, 2, 5}).Draw(rt, "events") {
		n, check := w.event(rt)
		batch, want = append(batch, n), append(want, check)
	}
	if len(batch) == 1 {
		p, err := w.h.Publish(w.h.t.Context(), batch[0])
		want[0](outbound.Answer{Published: p, Err: err})
		return
	}
	for i, a := range w.h.PublishAll(w.h.t.Context(), batch) {
		want[i](a)
	}
}

// event draws an event to publish, and returns a function that checks the answer.
func (w *world) event(rt *rapid.T) (*outbound.NewEvent, func(outbound.Answer)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	ev := &modelEvent{
		id:     rapid.SampledFrom([]string{"", "", "x", "y", "z"}).Draw(rt, "event id"),
		kind:   rapid.SampledFrom(modelTypes).Draw(rt, "type"),
		tenant: rapid.SampledFrom(modelTenants).Draw(rt, "tenant"),
		subs:   map[*modelSub]*modelDelivery{},
	}
	number := len(w.events)
	if first := w.chosen[ev.tenant+"/"+ev.id]; ev.id != "" && first != nil {
		if rapid.Bool().Draw(rt, "the same") {
			kind, number := first.kind, slices.Index(w.events, first)
			return newEvent(first.id, first.tenant, kind, number), func(a outbound.Answer) {
				if a.Err != nil || !a.Duplicate || a.Deliveries != first.matched {
					rt.Fatalf("publishing %s again: got %+v, want a duplicate with %d deliveries", first.id, a, first.matched)
				}
			}
		}
		return newEvent(ev.id, ev.tenant, ev.kind, number+1_000_000), func(a outbound.Answer) {
			if reused := (*outbound.Reused)(nil); !errors.As(a.Err, &reused) {
				rt.Fatalf("publishing another event as %s: got %+v, want a Reused error", ev.id, a)
			}
		}
	}
	for _, s := range w.subs {
		if s.matches(ev) {
			ev.subs[s] = &modelDelivery{}
		}
	}
	ev.matched = len(ev.subs)
	w.events = append(w.events, ev)
	if ev.id != "" {
		w.chosen[ev.tenant+"/"+ev.id] = ev
	}
	return newEvent(ev.id, ev.tenant, ev.kind, number), func(a outbound.Answer) {
		if a.Err != nil || a.Duplicate || a.Deliveries != ev.matched {
			rt.Fatalf("publishing event %d: got %+v, want %d deliveries", number, a, ev.matched)
		}
		w.mu.Lock()
		ev.id = a.EventID
		w.mu.Unlock()
	}
}

func newEvent(id, tenant, kind string, number int) *outbound.NewEvent {
	return &outbound.NewEvent{ID: id, Tenant: tenant, Type: kind, Payload: []byte(strconv.Itoa(number))}
}

// changeAnswer changes what a receiver answers.
func (w *world) changeAnswer(rt *rapid.T) {
	s := w.pick(rt)
	answer := rapid.SampledFrom(modelAnswers).Draw(rt, "answer")
	slow := rapid.Bool().Draw(rt, "slow")
	w.mu.Lock()
	s.answer, s.slow, s.pushed = answer, slow, false
	w.mu.Unlock()
}

func (w *world) pass(rt *rapid.T) {
	w.settle(rt)
	w.advance(rapid.SampledFrom([]time.Duration{time.Second, time.Minute, 3 * time.Minute, 10 * time.Minute, time.Hour}).Draw(rt, "time"))
}

func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.step, w.passed = d, d
	w.h.clock.advance(d)
}

func (w *world) setClock(rt *rapid.T) {
	if rapid.IntRange(0, 2).Draw(rt, "really") > 0 {
		rt.Skip("rather not")
	}
	w.settle(rt)
	step := rapid.SampledFrom([]time.Duration{time.Hour, -time.Hour, time.Second, -time.Second}).Draw(rt, "step")
	w.mu.Lock()
	defer w.mu.Unlock()
	w.step, w.passed = step, 0
	w.h.clock.step(step)
}

func (w *world) update(rt *rapid.T) {
	s := w.pick(rt)
	w.settle(rt)
	s.pushed = false
	moved := rapid.Bool().Draw(rt, "moves")
	if moved {
		w.move(s)
	}
	s.patterns = rapid.SampledFrom(modelPatterns).Draw(rt, "patterns")
	if rapid.Bool().Draw(rt, "order") {
		w.mu.Lock()
		s.ordered, s.strict = !s.ordered, false
		w.mu.Unlock()
	}
	_, err := w.h.UpdateSubscription(w.h.t.Context(), s.id, func(spec *outbound.SubscriptionSpec) error {
		*spec = w.spec(s)
		return nil
	})
	must.Do(rt, err)
	if moved { // a 410 at the old URL may have come too late to count
		w.mu.Lock()
		s.gone = false
		w.mu.Unlock()
	}
}

func (w *world) rotate(rt *rapid.T) {
	s := w.pick(rt)
	secret := "whsec_" + base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%032d", rapid.IntRange(0, 1<<30).Draw(rt, "secret")))
	w.mu.Lock()
	known := slices.ContainsFunc(s.secrets, func(k store.Secret) bool { return k.Value == secret })
	live := 0
	for _, k := range s.secrets {
		if k.Expires.IsZero() || k.Expires.After(w.now()) {
			live++
		}
	}
	if !known && live < 10 {
		for i := range s.secrets {
			if k := &s.secrets[i]; k.Expires.IsZero() {
				k.Expires = w.now().Add(modelGrace)
			}
		}
		s.secrets = append(s.secrets, store.Secret{Value: secret})
	}
	w.mu.Unlock()
	if known || live >= 10 {
		rt.Skip("it would be refused")
	}
	must.Get(w.h.RotateSecret(w.h.t.Context(), s.id, secret))(rt)
}

func (w *world) deactivate(rt *rapid.T) {
	s := w.pick(rt)
	must.Get(w.h.Deactivate(w.h.t.Context(), s.id, outbound.ReasonByHand))(rt)
	w.mu.Lock()
	s.inactive, s.still = true, -1
	w.mu.Unlock()
}

func (w *world) activate(rt *rapid.T) {
	s := w.pick(rt)
	w.settle(rt)
	w.activateOne(rt, s)
}

func (w *world) activateOne(rt *rapid.T, s *modelSub) {
	w.mu.Lock()
	s.inactive, s.gone, s.still = false, false, -1
	s.pushed = s.answer/100 == 2 && w.h.clock.Elapsed()-s.throttled > modelPause &&
		(s.strict || !s.ordered) // a retry from before it was ordered keeps its time
	w.mu.Unlock()
	w.h.clock.advance(time.Millisecond) // or the engine can't tell that a late 410 was before the activation
	must.Get(w.h.Activate(w.h.t.Context(), s.id))(rt)
}

func (w *world) delete(rt *rapid.T) {
	s := w.pick(rt)
	if rapid.IntRange(0, 2).Draw(rt, "really") > 0 {
		rt.Skip("rather not")
	}
	must.Do(rt, w.h.DeleteSubscription(w.h.t.Context(), s.id))
	w.mu.Lock()
	s.deleted = true
	w.mu.Unlock()
}

func (w *world) redeliverOne(rt *rapid.T) {
	w.look(rt)
	all := w.deliveries(rt, outbound.Query{})
	if some := slices.DeleteFunc(slices.Clone(all), func(r *outbound.Record) bool { return !w.underWay(r) }); len(some) > 0 {
		all = some
	}
	if len(all) == 0 {
		rt.Skip("no deliveries")
	}
	r := all[rapid.IntRange(0, len(all)-1).Draw(rt, "delivery")]
	deleted := w.requeue(r)
	switch _, err := w.h.Redeliver(w.h.t.Context(), r.ID.With(store.DeliveryPrefix)); {
	case deleted && !errors.Is(err, outbound.ErrConflict):
		rt.Fatalf("redelivering to a deleted subscription: got %v, want %v", err, outbound.ErrConflict)
	case !deleted:
		must.Do(rt, err)
	}
}

// underWay reports whether the receiver has seen an attempt whose outcome isn't stored.
func (w *world) underWay(r *outbound.Record) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, d := w.find(r)
	return r.State == store.Pending && len(d.answers) > r.Attempts
}

func (w *world) redeliverDead(rt *rapid.T) {
	w.settle(rt)
	want := 0
	for _, r := range w.deliveries(rt, outbound.Query{States: []store.State{store.Dead}}) {
		if !w.requeue(r) {
			want++
		}
	}
	n := must.Get(w.h.RedeliverDead(w.h.t.Context(), outbound.Query{}))(rt)
	if n != want {
		rt.Fatalf("RedeliverDead: got %d, want %d", n, want)
	}
}

// replay sends a subscription the events that match it and that it didn't get.
func (w *world) replay(rt *rapid.T) {
	s := w.pick(rt)
	want := 0
	w.mu.Lock()
	for _, ev := range w.events {
		if s.matches(ev) && ev.subs[s] == nil {
			ev.subs[s] = &modelDelivery{requeued: true}
			want++
		}
	}
	w.mu.Unlock()
	n := must.Get(w.h.Replay(w.h.t.Context(), s.id, outbound.Query{}))(rt)
	if n != want {
		rt.Fatalf("Replay: got %d, want %d", n, want)
	}
}

// requeue records that a delivery is redelivered, unless its subscription is deleted,
// which it reports.
func (w *world) requeue(r *outbound.Record) (deleted bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, d := w.find(r)
	if !s.deleted {
		d.requeued, d.before = true, len(d.answers)
	}
	return s.deleted
}

// find returns the model's counterpart of a delivery, nil if there is none.
func (w *world) find(r *outbound.Record) (*modelSub, *modelDelivery) {
	for _, ev := range w.events {
		if ev.id == r.EventID && ev.tenant == r.Tenant {
			for s, d := range ev.subs {
				if s.id == r.SubscriptionID {
					return s, d
				}
			}
		}
	}
	return nil, nil
}

// restart closes and opens the engine, mostly after a drain.
func (w *world) restart(rt *rapid.T) {
	if rapid.IntRange(0, 9).Draw(rt, "gently") > 0 {
		w.openGate()
		w.h.Drain(w.h.t.Context())
	} else {
		w.broken = true
	}
	w.h.Engine.Close()
	_, last, err := w.h.store.Identity(w.h.t.Context())
	must.Do(rt, err)
	now := w.h.clock.Now()
	if last.Time().After(now) {
		now = last.Time()
	}
	w.mu.Lock()
	before := w.zero
	w.zero = now.Add(-w.h.clock.Elapsed())
	if w.broken {
		w.jumped = max(w.jumped, w.zero.Sub(before))
	}
	w.skewed = w.skewed || w.zero.Sub(w.began).Abs() > time.Second
	for _, s := range w.subs {
		s.gone, s.pushed = false, false // the engine may have closed before that had an effect
	}
	w.mu.Unlock()
	must.Do(rt, w.h.store.Close())
	w.h.Engine = nil
	w.h.start()
}

func (w *world) deliveries(rt *rapid.T, q outbound.Query) []*outbound.Record {
	q.Limit = 10_000
	rs := must.Get(w.h.Deliveries(w.h.t.Context(), q))(rt)
	return rs
}

// look compares the engine with the model in a third of the calls.
func (w *world) look(rt *rapid.T) {
	if rapid.IntRange(0, 2).Draw(rt, "look") == 0 {
		w.settle(rt)
	}
}

// settle waits until the engine has done everything that it can do now, and agrees with
// the model.
func (w *world) settle(rt *rapid.T) {
	rt.Helper()
	w.openGate()
	for end := time.Now().Add(must.Patience); ; {
		began := time.Now()
		wrong := w.compare(rt)
		w.mu.Lock()
		violation := w.violation
		w.mu.Unlock()
		switch {
		case violation != "":
			rt.Fatal(violation)
		case wrong == "":
			return
		case began.After(end):
			rt.Fatal(wrong)
		}
		time.Sleep(max(time.Since(began), time.Millisecond)) // so that the engine has half of a single processor
	}
}

// compare returns the first difference between the engine and the model, "" for none. It
// may be one that goes away when the engine has done more.
func (w *world) compare(rt *rapid.T) string {
	records := w.deliveries(rt, outbound.Query{})
	st := must.Get(w.h.Status(w.h.t.Context()))(rt)
	if st.InFlight > 0 {
		return fmt.Sprintf("got %d attempts in flight, want 0", st.InFlight)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	lanes := map[string]outbound.SubscriptionStatus{}
	for _, s := range st.Subscriptions {
		lanes[s.Subscription.ID] = s
	}
	for _, s := range w.subs {
		if wrong := w.compareSub(s, lanes); wrong != "" {
			return wrong
		}
	}
	found := map[*modelDelivery]bool{}
	for _, r := range records {
		s, d := w.find(r)
		if d == nil || found[d] {
			return fmt.Sprintf("got an unexpected delivery: %+v", r)
		}
		found[d] = true
		if wrong := w.compareDelivery(rt, s, d, r, lanes[s.id]); wrong != "" {
			return fmt.Sprintf("event %s to %s: %s: %+v", r.EventID, s.id, wrong, r.Delivery)
		}
	}
	for n, ev := range w.events {
		for s, d := range ev.subs {
			if !found[d] {
				return fmt.Sprintf("got no delivery of event %d to %s, want one", n, s.id)
			}
		}
	}
	return ""
}

// compareSub compares a subscription with its status in the engine.
func (w *world) compareSub(s *modelSub, lanes map[string]outbound.SubscriptionStatus) string {
	lane, known := lanes[s.id]
	if known == s.deleted {
		return fmt.Sprintf("%s: got known %v, want %v", s.id, known, !s.deleted)
	}
	if known {
		active := lane.Subscription.Active
		failed := lane.Subscription.Reason == outbound.ReasonFailing && s.failed >= modelDisable.Failures
		if s.inactive && active || s.gone && active || !s.inactive && !s.gone && !active && !failed && lane.Subscription.Reason != outbound.ReasonGone {
			return fmt.Sprintf("%s: got active %v with reason %q, but deactivated by hand %v and gone %v", s.id, active, lane.Subscription.Reason, s.inactive, s.gone)
		}
		if active {
			return ""
		}
	}
	if s.still >= 0 && s.requests > s.still {
		w.wrong("%s got %d requests while it was inactive or deleted", s.id, s.requests-s.still)
	}
	s.still = s.requests
	return ""
}

// compareDelivery compares a delivery with its record in the engine.
func (w *world) compareDelivery(rt *rapid.T, s *modelSub, d *modelDelivery, r *outbound.Record, lane outbound.SubscriptionStatus) string {
	made := r.Attempts
	if len(d.answers) < made || len(d.answers) > made && !w.broken {
		return fmt.Sprintf("got %d attempts, want %d, as the receiver has seen", made, len(d.answers))
	}
	attempts := must.Get(w.h.Attempts(w.h.t.Context(), r.ID.With(store.DeliveryPrefix)))(rt)
	if len(attempts) != made {
		return fmt.Sprintf("got %d attempts listed, want %d", len(attempts), made)
	}
	for i, a := range attempts {
		if a.Number != i+1 {
			return fmt.Sprintf("got attempt number %d, want %d", a.Number, i+1)
		}
	}
	good := made > 0 && attempts[made-1].Class == ""
	if good != (made > 0 && attempts[made-1].Status/100 == 2) || good && !d.took(len(d.answers)) {
		return "the class of the last attempt doesn't fit its status or the receiver's answers"
	}
	inRound := made - r.Round
	if inRound < 0 || inRound > len(modelSchedule)+1 {
		return fmt.Sprintf("got %d attempts in a round, want 0 to %d", inRound, len(modelSchedule)+1)
	}
	settled := r.State != store.Pending && r.Reason != outbound.ReasonDeleted
	if settled && d.requeued && len(d.answers) == d.before {
		return "settled without an attempt since it was redelivered"
	}
	switch r.State {
	case store.Delivered:
		if !good {
			return "delivered without a success"
		}
	case store.Dead:
		if r.Reason != outbound.ReasonDeleted && (inRound <= len(modelSchedule) || good) {
			return "dead before the end of its schedule, or after a success"
		}
	case store.Pending:
		if wrong := w.compareWaiting(s, r, lane); wrong != "" {
			return wrong
		}
		if good && !d.requeued {
			return "pending after a success"
		}
	}
	return w.compareSchedule(s, d, r)
}

// compareWaiting checks that a pending delivery has a reason to wait, and won't wait for
// too long.
func (w *world) compareWaiting(s *modelSub, r *outbound.Record, lane outbound.SubscriptionStatus) string {
	now := w.h.clock.Now()
	longest := 22 * time.Minute // the last delay with its jitter
	switch {
	case s.deleted:
		return "pending for a deleted subscription"
	case r.Due.Sub(now) > longest && !w.skewed:
		return "due too late"
	case lane.Subscription.Active && s.pushed && !(s.ordered && w.skewed): // after a restart, something redelivered may be due later
		return "pending although its subscription was activated by hand"
	case lane.Subscription.Active && !r.Due.After(now) && !lane.PausedUntil.After(now):
		return "due, but not attempted"
	}
	return ""
}

// compareSchedule checks that each attempt was made on schedule, or ahead of it without
// having been counted, and that the next one is due on schedule.
func (w *world) compareSchedule(s *modelSub, d *modelDelivery, r *outbound.Record) string {
	if w.broken || w.skewed || d.requeued || d.late || r.Reason == outbound.ReasonDeleted || !s.strict || s.ordered || len(d.answers) == 0 {
		return ""
	}
	var from, to time.Duration // when the next attempt is due
	early := 0
	for i, a := range d.answers {
		switch {
		case i > 0 && a.at < from && a.code/100 == 2:
		case i > 0 && a.at < from:
			early++
		case i > 0 && a.at <= to:
			return "" // with jitter, it may have been on schedule or ahead of it
		case i-early < len(modelSchedule):
			delay := modelSchedule[i-early]
			from, to = a.at+delay*9/10, a.at+delay*11/10
		}
		if a.code == http.StatusTooManyRequests {
			from, to = max(from, a.at+modelPause), max(to, a.at+modelPause)
		}
	}
	if early != r.Round {
		return fmt.Sprintf("got %d attempts that don't count, want %d, which were ahead of schedule", r.Round, early)
	}
	due := r.Due.Sub(w.h.clock.Now()) + w.h.clock.Elapsed()
	if r.State == store.Pending && (due < from-time.Second || due > to+time.Second) {
		return fmt.Sprintf("got the next attempt at %v, want %v to %v", due, from, to)
	}
	return ""
}

// heal makes all receivers succeed and all subscriptions active, and checks that then
// everything is delivered, except to deleted subscriptions.
func (w *world) heal(rt *rapid.T) {
	w.settle(rt)
	w.mu.Lock()
	for s := range maps.Values(w.paths) {
		s.answer, s.slow = http.StatusOK, false
	}
	w.mu.Unlock()
	for _, s := range w.subs {
		if !s.deleted {
			w.activateOne(rt, s)
		}
	}
	w.redeliverDead(rt)
	w.settle(rt)
	for range 4 {
		w.advance(30 * time.Minute)
		w.settle(rt)
	}
	if w.skewed {
		w.advance(24 * time.Hour)
		w.settle(rt)
	}
	for _, r := range w.deliveries(rt, outbound.Query{}) {
		if s, _ := w.find(r); r.State != store.Delivered && !s.deleted {
			rt.Fatalf("all receivers work, but %s is not delivered to %s: %+v", r.EventID, s.id, r.Delivery)
		}
	}
}
