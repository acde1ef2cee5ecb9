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

	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"

	"pgregory.net/rapid"
)

// TestModel does things at random to an engine with real receivers and a real
// store, and compares what both have seen with a model: which events belong to
// which subscriptions, what each receiver has answered, which secrets are
// valid. In the end all receivers are well, and nothing may wait.
func TestModel(t *testing.T) {
	t.Parallel()
	// An engine on a disk is slow, so there are fewer runs than rapid's own, but
	// longer ones, unless the command line says otherwise.
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
			"receiver":      w.turn,
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
	modelAnswers  = []int{200, 200, 204, 500, 503, 400, 429, 410, 302, 0} // 0: the connection breaks
)

const (
	modelGrace = time.Hour
	modelPause = 2 * time.Minute // what a receiver asks for
)

var modelDisable = outbound.DisableAfter{Failures: 5, For: 10 * time.Minute}

// world is an engine, its receivers and the model of both.
type world struct {
	h        *harness
	receiver *httptest.Server
	began    time.Time // the engine's time at first,
	zero     time.Time // and now without what has elapsed
	skewed   bool      // restarts have found another time than that
	broken   bool      // a restart may have broken off attempts

	mu        sync.Mutex
	step      time.Duration // of the clock, the last one: an attempt may have begun before
	passed    time.Duration // by that step, for the engine
	jumped    time.Duration // the engine's time, by a restart that has broken off attempts
	events    []*modelEvent // by number, which is their payload
	chosen    map[string]*modelEvent
	subs      []*modelSub
	paths     map[string]*modelSub
	violation string
	gate      chan struct{} // what slow receivers wait for; nil: they don't
}

type modelEvent struct {
	id, tenant, kind string
	subs             map[*modelSub]*modelDelivery // those that it matched, or was replayed to
	matched          int
}

type modelDelivery struct {
	answers  []answered
	requeued bool
	before   int  // of the answers, those before it was last requeued
	late     bool // the clock has gone on during an attempt
}

// answered is what a receiver has said to an attempt, and when.
type answered struct {
	code int // 0 for none
	at   time.Duration
}

type modelSub struct {
	id, tenant, path string
	patterns         []string
	secrets          []store.Secret
	answer           int // what its receiver answers now
	slow             bool
	ordered, strict  bool
	inactive, gone   bool // as told, by a person and by its receiver
	deleted          bool
	still            int // requests when it was found quiet and inactive; -1 for none
	requests, failed int
	latest           int           // the number of the last event that it took in order
	pushed           bool          // somebody has asked for what waits, and its receiver is well
	throttled        time.Duration // when it last asked for a pause
}

func newWorld(t *testing.T) *world {
	w := &world{chosen: map[string]*modelEvent{}, paths: map[string]*modelSub{}}
	w.receiver = httptest.NewServer(http.HandlerFunc(w.receive))
	w.h = open(t, retries(modelSchedule...), func(s *outbound.Settings) { s.SecretGrace, s.DisableAfter = modelGrace, modelDisable })
	w.began = w.h.clock.Now()
	w.zero = w.began
	return w
}

func (w *world) end() {
	w.h.stop()
	w.receiver.Close()
}

// now is the engine's time.
func (w *world) now() time.Time { return w.zero.Add(w.h.clock.Elapsed()) }

// matches says by itself what the engine's index should.
func (s *modelSub) matches(ev *modelEvent) bool {
	return !s.deleted && s.tenant == ev.tenant && slices.ContainsFunc(s.patterns, func(p string) bool {
		prefix, all := strings.CutSuffix(p, "*")
		return p == ev.kind || all && strings.HasPrefix(ev.kind, prefix)
	})
}

// receive is all receivers.
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

// judge notes a request, and what is wrong with it.
func (w *world) judge(s *modelSub, path string, h http.Header, body string) {
	n, err := strconv.Atoi(body)
	if err != nil || n >= len(w.events) {
		w.wrong("a payload that nobody published: %q", body)
		return
	}
	ev := w.events[n]
	d := ev.subs[s]
	if d == nil {
		w.wrong("event %d came to %s, which it doesn't match", n, s.id)
		return
	}
	if ev.id != "" && h.Get("webhook-id") != ev.id {
		w.wrong("event %s came as %s", ev.id, h.Get("webhook-id"))
	}
	late := w.late(h)
	signed := w.now().Add(-w.jumped - time.Second) // by what a timestamp is exact to
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
			w.wrong("event %d came to %s after event %d", n, s.id, s.latest)
		}
		s.latest = max(s.latest, n)
	}
}

// took tells whether one of the first n answers was a good one.
func (d *modelDelivery) took(n int) bool {
	return slices.ContainsFunc(d.answers[:n], func(a answered) bool { return a.code/100 == 2 })
}

// late tells whether the clock has made its last step since a request was made.
func (w *world) late(h http.Header) bool {
	at, err := strconv.ParseInt(h.Get("webhook-timestamp"), 10, 64)
	off := w.h.clock.Now().Sub(time.Unix(at, 0))
	before := off - w.step
	switch {
	case err == nil && off.Abs() <= time.Second:
		return false
	case err != nil || before.Abs() > time.Second:
		w.wrong("the timestamp is off by %v", off)
	}
	return true
}

// judgeSignatures checks them with nothing of our own.
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
		w.wrong("%s got signatures by %d of its secrets and %d that are by none", s.id, live, len(unknown))
	}
}

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

func check1(rt *rapid.T, err error) {
	rt.Helper()
	if err != nil {
		rt.Fatal(err)
	}
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
	made, err := w.h.CreateSubscription(w.h.t.Context(), w.spec(s))
	check1(rt, err)
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

// event draws one to publish, and says what the answer must be.
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
					rt.Fatalf("publishing %s again: %+v", first.id, a)
				}
			}
		}
		return newEvent(ev.id, ev.tenant, ev.kind, number+1_000_000), func(a outbound.Answer) {
			if reused := (*outbound.Reused)(nil); !errors.As(a.Err, &reused) {
				rt.Fatalf("publishing another %s: %+v", ev.id, a)
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
			rt.Fatalf("publishing event %d for %d subscriptions: %+v", number, ev.matched, a)
		}
		w.mu.Lock()
		ev.id = a.EventID
		w.mu.Unlock()
	}
}

func newEvent(id, tenant, kind string, number int) *outbound.NewEvent {
	return &outbound.NewEvent{ID: id, Tenant: tenant, Type: kind, Payload: []byte(strconv.Itoa(number))}
}

// turn has a receiver answer otherwise.
func (w *world) turn(rt *rapid.T) {
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
	check1(rt, err)
	if moved { // what the receiver said where it was may have come too late
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
	_, err := w.h.RotateSecret(w.h.t.Context(), s.id, secret)
	check1(rt, err)
}

func (w *world) deactivate(rt *rapid.T) {
	s := w.pick(rt)
	_, err := w.h.Deactivate(w.h.t.Context(), s.id, outbound.ReasonByHand)
	check1(rt, err)
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
		(s.strict || !s.ordered) // what waited for a retry before there was an order keeps its time
	w.mu.Unlock()
	_, err := w.h.Activate(w.h.t.Context(), s.id)
	check1(rt, err)
}

func (w *world) delete(rt *rapid.T) {
	s := w.pick(rt)
	if rapid.IntRange(0, 2).Draw(rt, "really") > 0 {
		rt.Skip("rather not")
	}
	check1(rt, w.h.DeleteSubscription(w.h.t.Context(), s.id))
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
		rt.Fatalf("redelivering to a deleted subscription: %v", err)
	case !deleted:
		check1(rt, err)
	}
}

// underWay tells whether the receiver has seen an attempt that isn't over.
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
	n, err := w.h.RedeliverDead(w.h.t.Context(), outbound.Query{})
	check1(rt, err)
	if n != want {
		rt.Fatalf("%d dead letters were queued again, want %d", n, want)
	}
}

// replay has a subscription get what it wants and didn't get.
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
	n, err := w.h.Replay(w.h.t.Context(), s.id, outbound.Query{})
	check1(rt, err)
	if n != want {
		rt.Fatalf("%d events were replayed, want %d", n, want)
	}
}

// requeue notes that a delivery is queued again, and tells whether its
// subscription is deleted, so that it isn't.
func (w *world) requeue(r *outbound.Record) (deleted bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, d := w.find(r)
	if !s.deleted {
		d.requeued, d.before = true, len(d.answers)
	}
	return s.deleted
}

// find returns what the model has of a delivery.
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

func (w *world) restart(rt *rapid.T) {
	if rapid.IntRange(0, 9).Draw(rt, "gently") > 0 {
		w.openGate()
		w.h.Drain(w.h.t.Context())
	} else {
		w.broken = true
	}
	w.h.Engine.Close()
	_, last, err := w.h.store.Identity(w.h.t.Context())
	check1(rt, err)
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
		s.gone, s.pushed = false, false // it may have ended before that had an effect
	}
	w.mu.Unlock()
	check1(rt, w.h.store.Close())
	w.h.Engine = nil
	w.h.start()
}

func (w *world) deliveries(rt *rapid.T, q outbound.Query) []*outbound.Record {
	q.Limit = 10_000
	rs, err := w.h.Deliveries(w.h.t.Context(), q)
	check1(rt, err)
	return rs
}

// look compares, now and then.
func (w *world) look(rt *rapid.T) {
	if rapid.IntRange(0, 2).Draw(rt, "look") == 0 {
		w.settle(rt)
	}
}

// settle waits until the engine has done all that it can do now, and all is
// as the model says.
func (w *world) settle(rt *rapid.T) {
	rt.Helper()
	w.openGate()
	for end := time.Now().Add(waitLimit); ; time.Sleep(time.Millisecond) {
		wrong := w.compare(rt)
		w.mu.Lock()
		violation := w.violation
		w.mu.Unlock()
		switch {
		case violation != "":
			rt.Fatal(violation)
		case wrong == "":
			return
		case time.Now().After(end):
			rt.Fatal(wrong)
		}
	}
}

// compare says what isn't as it should be, or not yet.
func (w *world) compare(rt *rapid.T) string {
	records := w.deliveries(rt, outbound.Query{})
	st, err := w.h.Status(w.h.t.Context())
	check1(rt, err)
	if st.InFlight > 0 {
		return fmt.Sprintf("%d attempts are under way", st.InFlight)
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
			return fmt.Sprintf("a delivery from nowhere: %+v", r)
		}
		found[d] = true
		if wrong := w.compareDelivery(rt, s, d, r, lanes[s.id]); wrong != "" {
			return fmt.Sprintf("event %s to %s: %s: %+v", r.EventID, s.id, wrong, r.Delivery)
		}
	}
	for n, ev := range w.events {
		for s, d := range ev.subs {
			if !found[d] {
				return fmt.Sprintf("event %d is lost to %s", n, s.id)
			}
		}
	}
	return ""
}

func (w *world) compareSub(s *modelSub, lanes map[string]outbound.SubscriptionStatus) string {
	lane, known := lanes[s.id]
	if known == s.deleted {
		return fmt.Sprintf("%s is known: %v", s.id, known)
	}
	if known {
		active := lane.Subscription.Active
		failed := lane.Subscription.Reason == outbound.ReasonFailing && s.failed >= modelDisable.Failures
		if s.inactive && active || s.gone && active || !s.inactive && !s.gone && !active && !failed && lane.Subscription.Reason != outbound.ReasonGone {
			return fmt.Sprintf("%s is active: %v, %s", s.id, active, lane.Subscription.Reason)
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

// compareDelivery tells what is wrong with one.
func (w *world) compareDelivery(rt *rapid.T, s *modelSub, d *modelDelivery, r *outbound.Record, lane outbound.SubscriptionStatus) string {
	made := r.Attempts
	if len(d.answers) < made || len(d.answers) > made && !w.broken {
		return fmt.Sprintf("%d attempts, but the receiver has seen %d", made, len(d.answers))
	}
	attempts, err := w.h.Attempts(w.h.t.Context(), r.ID.With(store.DeliveryPrefix))
	check1(rt, err)
	if len(attempts) != made {
		return fmt.Sprintf("%d attempts are kept of %d", len(attempts), made)
	}
	for i, a := range attempts {
		if a.Number != i+1 {
			return fmt.Sprintf("attempt %d has the number %d", i+1, a.Number)
		}
	}
	good := made > 0 && attempts[made-1].Class == ""
	if good != (made > 0 && attempts[made-1].Status/100 == 2) || good && !d.took(len(d.answers)) {
		return "an attempt counts as good, and the receiver's answer was none"
	}
	inRound := made - r.Round
	if inRound < 0 || inRound > len(modelSchedule)+1 {
		return fmt.Sprintf("%d attempts in a round", inRound)
	}
	settled := r.State != store.Pending && r.Reason != outbound.ReasonDeleted
	if settled && d.requeued && len(d.answers) == d.before {
		return "not attempted since it was queued again"
	}
	switch r.State {
	case store.Delivered:
		if !good {
			return "delivered without a good answer"
		}
	case store.Dead:
		if r.Reason != outbound.ReasonDeleted && (inRound <= len(modelSchedule) || good) {
			return "given up too early"
		}
	case store.Pending:
		if wrong := w.compareWaiting(s, r, lane); wrong != "" {
			return wrong
		}
		if good && !d.requeued {
			return "it waits after a good answer"
		}
	}
	return w.compareSchedule(s, d, r)
}

// compareWaiting tells whether a pending delivery has a reason to wait, and
// won't for too long.
func (w *world) compareWaiting(s *modelSub, r *outbound.Record, lane outbound.SubscriptionStatus) string {
	now := w.h.clock.Now()
	longest := 22 * time.Minute // the last delay with its jitter
	switch {
	case s.deleted:
		return "waits for a deleted subscription"
	case r.Due.Sub(now) > longest && !w.skewed:
		return "waits for too long"
	case lane.Subscription.Active && s.pushed && !(s.ordered && w.skewed): // what was queued again may be due later than a restart begins
		return "waits though it was asked for"
	case lane.Subscription.Active && !r.Due.After(now) && !lane.PausedUntil.After(now):
		return "is due"
	}
	return ""
}

// compareSchedule checks that each attempt came at its time, or ahead of it without
// having been counted, and that the next one comes at its time.
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
			return "" // it may have been ahead of its time, or not
		case i-early < len(modelSchedule):
			delay := modelSchedule[i-early]
			from, to = a.at+delay*9/10, a.at+delay*11/10
		}
		if a.code == http.StatusTooManyRequests {
			from, to = max(from, a.at+modelPause), max(to, a.at+modelPause)
		}
	}
	if early != r.Round {
		return fmt.Sprintf("%d attempts came ahead of their time, and %d don't count", early, r.Round)
	}
	due := r.Due.Sub(w.h.clock.Now()) + w.h.clock.Elapsed()
	if r.State == store.Pending && (due < from-time.Second || due > to+time.Second) {
		return fmt.Sprintf("the next attempt is at %v, the schedule says %v to %v", due, from, to)
	}
	return ""
}

// heal has all receivers answer well and all subscriptions active, until
// everything is delivered, but for what belongs to deleted subscriptions.
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
			rt.Fatalf("with all receivers well, %s is not delivered to %s: %+v", r.EventID, s.id, r.Delivery)
		}
	}
}
