package outbound_test

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/egress"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store/postgres/pgtest"
)

// ourOrigin is the sender's name in the tests of handshakes.
const ourOrigin = "hooks.example.com"

// answers makes a receiver answer an OPTIONS request with these headers, alternately names
// and values, and anything else with 200.
func (r *receiver) answers(code int, headers ...string) {
	r.respond(func(w http.ResponseWriter, req *http.Request) {
		if req.Method != http.MethodOptions {
			return
		}
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(code)
	})
}

// allows makes a receiver allow deliveries at a rate.
func (r *receiver) allows(rate string) {
	r.answers(http.StatusOK, "WebHook-Allowed-Origin", ourOrigin, "WebHook-Allowed-Rate", rate)
}

// withHandshake starts a receiver that allows deliveries, and creates a subscription that
// asks it for permission.
func withHandshake(t *testing.T, h *harness, edit ...func(*outbound.SubscriptionSpec)) (*receiver, *outbound.Subscription) {
	t.Helper()
	r := newReceiver(t)
	r.allows("*")
	spec := outbound.SubscriptionSpec{URL: r.URL + "/hook?key=1", EventTypes: []string{"a"}, Handshake: ourOrigin}
	for _, f := range edit {
		f(&spec)
	}
	return r, h.subscribe(spec)
}

// methods publishes an event, waits for its delivery, and returns the methods of the
// requests that the receiver got.
func (h *harness) methods(r *receiver) string {
	h.t.Helper()
	h.publish("a", `{}`)
	if d := h.awaitAttemptEnd(); d.State != store.Delivered {
		h.t.Fatalf("got %+v, want a success", d.Attempt)
	}
	return r.methods(h.t)
}

// methods returns the methods of the requests until now, and forgets them.
func (r *receiver) methods(t *testing.T) string {
	t.Helper()
	var methods []string
	for range len(r.arrivals) {
		methods = append(methods, r.next(t).method)
	}
	return strings.Join(methods, " ")
}

// The permission is requested with the sender's name, the wanted rate and the subscription's
// headers, but nothing of the event. The delivery names the sender, too.
func TestHandshake(t *testing.T) {
	h := open(t)
	r, sub := withHandshake(t, h, func(s *outbound.SubscriptionSpec) {
		s.RateLimit, s.Headers = 2.51, map[string]string{"X-Key": "k", "Content-Type": "text/plain"}
		s.Transform = "payload"
	})
	must.Get(h.Publish(t.Context(), &outbound.NewEvent{Type: "a", Payload: []byte(`{}`), Headers: map[string]string{"X-Shop": "7"}}))(t)
	asked, delivery := r.next(t), r.next(t)
	h.awaitAttemptEnd()
	if asked.method != http.MethodOptions || asked.path != "/hook" || len(asked.body) > 0 {
		t.Errorf("got %s %s with %q, want OPTIONS /hook without a body", asked.method, asked.path, asked.body)
	}
	want := map[string]string{
		"WebHook-Request-Origin": ourOrigin, "WebHook-Request-Rate": "151", "X-Key": "k", "User-Agent": "caddy-webhooks",
		"X-Shop": "", "Webhook-Id": "", "Webhook-Signature": "", "Content-Type": "", "Traceparent": "",
	}
	for name, value := range want {
		if got := asked.header.Get(name); got != value {
			t.Errorf("request for permission: got %s: %q, want %q", name, got, value)
		}
	}
	check(t, h, delivery, sub.Secrets[0].Value)
	if h := delivery.header; delivery.method != http.MethodPost || h.Get("WebHook-Request-Origin") != ourOrigin || h.Get("WebHook-Request-Rate") != "" || h.Get("X-Shop") != "7" {
		t.Errorf("got %s with %v, want POST with the origin and the event's header, but no rate", delivery.method, h)
	}
}

// Without a rate limit, no rate is asked for. Without a handshake, nothing is asked for.
func TestHandshakeAsksForNoRate(t *testing.T) {
	h := open(t)
	r, sub := withHandshake(t, h)
	h.publish("a", `{}`)
	if got := r.next(t).header["Webhook-Request-Rate"]; got != nil {
		t.Errorf("got the rate %q, want none", got)
	}
	r.next(t)
	h.awaitAttemptEnd()
	h.update(sub.ID, func(s *outbound.SubscriptionSpec) { s.Handshake = "" })
	h.publish("a", `{}`)
	if a := r.next(t); a.method != http.MethodPost || a.header.Get("WebHook-Request-Origin") != "" {
		t.Errorf("got %s with %v, want POST without an origin", a.method, a.header)
	}
}

// Once it has given permission, attempts are made at the same time.
func TestAttemptsAtOnceWithPermission(t *testing.T) {
	h := open(t)
	r, _ := withHandshake(t, h)
	h.methods(r)
	r.block(t, http.StatusOK)
	for range 2 {
		h.publish("a", `{}`)
	}
	r.next(t)
	r.next(t) // although the first isn't answered
}

// A receiver gives permission by a header, whatever the status.
func TestPermissionIsGiven(t *testing.T) {
	for name, answer := range map[string]struct {
		code    int
		headers []string
	}{
		"our origin":      {200, []string{"WebHook-Allowed-Origin", ourOrigin, "WebHook-Allowed-Rate", "*"}},
		"in another case": {200, []string{"WEBHOOK-ALLOWED-ORIGIN", "Hooks.Example.COM", "WebHook-Allowed-Rate", "120"}},
		"any origin":      {204, []string{"WebHook-Allowed-Origin", "*", "WebHook-Allowed-Rate", "99999999999999999999999"}},
		"no rate":         {200, []string{"WebHook-Allowed-Origin", " * "}},
		"another status":  {405, []string{"WebHook-Allowed-Origin", "*"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			r, _ := withHandshake(t, h)
			r.answers(answer.code, answer.headers...)
			if got := h.methods(r); got != "OPTIONS POST" {
				t.Errorf("got %s, want OPTIONS POST", got)
			}
		})
	}
}

// If a receiver gives no permission, the attempt fails without a delivery, and says what
// the receiver must answer. It is retried, and goes through once the receiver agrees.
func TestPermissionIsRefused(t *testing.T) {
	const wanted = "handshake: to get deliveries, the receiver must answer OPTIONS with WebHook-Allowed-Origin: " + ourOrigin + " (or *), but it answered with "
	for _, c := range []struct {
		code    int
		headers []string
		class   string
		words   string
	}{
		{200, nil, outbound.ClassHandshake, wanted + "200 OK without it"},
		{404, []string{"WebHook-Allowed-Rate", "*"}, outbound.ClassHandshake, wanted + "404 Not Found without it"},
		{200, []string{"WebHook-Allowed-Origin", "hunter2.example"}, outbound.ClassHandshake, wanted + "another origin"},
		{200, []string{"WebHook-Allowed-Origin", ourOrigin + ", hunter2.example"}, outbound.ClassHandshake, wanted + "another origin"},
		{200, []string{"WebHook-Allowed-Origin", "*", "WebHook-Allowed-Rate", "0"}, outbound.ClassHandshake, "handshake: to get deliveries, the receiver must answer OPTIONS with WebHook-Allowed-Rate: <requests a minute> (or *), but it answered with something else"},
		{200, []string{"WebHook-Allowed-Origin", "*", "WebHook-Allowed-Rate", "-5"}, outbound.ClassHandshake, "WebHook-Allowed-Rate"},
		{200, []string{"WebHook-Allowed-Origin", "*", "WebHook-Allowed-Rate", "hunter2"}, outbound.ClassHandshake, "WebHook-Allowed-Rate"},
		{307, []string{"WebHook-Allowed-Origin", "*", "Location", "http://127.0.0.1:1/hunter2"}, outbound.ClassRedirect, "handshake: redirects are not followed: update the subscription's URL (it pointed to http://127.0.0.1:1)"},
	} {
		t.Run(strings.Join(c.headers, " "), func(t *testing.T) {
			var log journal
			h := open(t, retries(time.Second), logTo(&log))
			r, _ := withHandshake(t, h)
			r.answers(c.code, c.headers...)
			h.publish("a", `{}`)
			d := h.awaitAttemptEnd()
			if a := d.Attempt; d.State != store.Pending || a.Class != c.class || !strings.Contains(a.Error, c.words) || a.Status != 0 || len(a.ResponseHeaders) > 0 {
				t.Errorf("got state %v, attempt %+v, want pending with class %s and %q", d.State, a, c.class, c.words)
			}
			if said := d.Attempt.Error + log.line("hunter2"); strings.Contains(said, "hunter2") {
				t.Errorf("got what the receiver answered in the error or the log: %s", said)
			}
			if got := r.methods(t); got != "OPTIONS" {
				t.Errorf("got %s, want OPTIONS", got)
			}
			r.allows("*")
			h.clock.advance(time.Minute)
			if d := h.awaitAttemptEnd(); d.State != store.Delivered {
				t.Errorf("with permission: got %+v, want a success", d.Attempt)
			}
		})
	}
}

// A failure of the request for permission is treated like one of a delivery: Retry-After
// is honoured, failures deactivate the subscription, and 410 does at once.
func TestHandshakeFails(t *testing.T) {
	h := open(t, retries(time.Second), func(s *outbound.Settings) { s.DisableAfter = outbound.DisableAfter{Failures: 3, For: time.Hour} })
	r, sub := withHandshake(t, h)
	r.respond(retryLater(http.StatusServiceUnavailable))
	h.publish("a", `{}`)
	d := h.awaitAttemptEnd()
	if wait := d.Due.Sub(h.clock.Now()); wait != 10*time.Minute {
		t.Errorf("got the next attempt in %v, want 10m: %+v", wait, d.Attempt)
	}
	r.answers(http.StatusInternalServerError)
	h.clock.advance(time.Hour)
	h.awaitAttemptEnd()
	h.failTimes(1)
	must.Eventually(t, "the deactivation", func() bool { return !h.sub().Subscription.Active })

	must.Get(h.Activate(t.Context(), sub.ID))(t)
	h.awaitAttemptEnd()
	r.answers(http.StatusGone)
	h.publish("a", `{}`)
	for h.awaitAttemptEnd().Attempt.Class != outbound.ClassGone {
	}
	must.Eventually(t, "the deactivation", func() bool { return h.sub().Subscription.Reason == outbound.ReasonGone })
	if strings.Contains(r.methods(t), http.MethodPost) {
		t.Error("got a delivery without permission")
	}
}

// The request for permission counts towards an attempt's timeout.
func TestHandshakeTakesTooLong(t *testing.T) {
	h := open(t, retries(time.Hour), func(s *outbound.Settings) { s.Timeout = time.Second }) // enough for a slow machine to make the request
	r, _ := withHandshake(t, h)
	r.block(t, http.StatusOK)
	h.publish("a", `{}`)
	if a := h.awaitAttempt().Attempt; a.Class != outbound.ClassTimeout || a.Error != "handshake: no response in time" {
		t.Errorf("got %+v, want class %s", a, outbound.ClassTimeout)
	}
	if got := r.methods(t); got != "OPTIONS" {
		t.Errorf("got %s, want OPTIONS", got)
	}
}

// The egress policy applies to the request for permission: a host that resolves to an
// address that isn't allowed gets none.
func TestHandshakeWithADeniedAddress(t *testing.T) {
	h := open(t, retries(time.Second), func(s *outbound.Settings) {
		s.Policy = must.Get(egress.NewPolicy([]string{"localhost"}, []string{"127.0.0.0/8", "::1"}))(t)
	})
	r, _ := withHandshake(t, h, func(s *outbound.SubscriptionSpec) { s.URL = strings.Replace(s.URL, "127.0.0.1", "localhost", 1) })
	h.publish("a", `{}`)
	d := h.awaitAttemptEnd()
	if d.State != store.Dead || d.Attempt.Class != outbound.ClassEgressDenied || !strings.HasPrefix(d.Attempt.Error, "handshake: ") {
		t.Errorf("got state %v, attempt %+v, want a dead letter of class %s", d.State, d.Attempt, outbound.ClassEgressDenied)
	}
	r.expectNone(t)
}

// Until the receiver has given permission, a single attempt is under way, which asks for
// it. All that waits goes through afterwards, without asking again.
func TestOneHandshakeForAll(t *testing.T) {
	h := open(t)
	r, _ := withHandshake(t, h)
	unblock := make(chan struct{})
	r.respond(func(w http.ResponseWriter, req *http.Request) {
		if req.Method == http.MethodOptions {
			<-unblock
			w.Header().Set("WebHook-Allowed-Origin", "*")
		}
	})
	for range 50 {
		h.publish("a", `{}`)
	}
	if got := r.next(t).method; got != http.MethodOptions {
		t.Fatalf("got %s, want OPTIONS", got)
	}
	if n := h.InFlight(); n != 1 {
		t.Errorf("got %d attempts under way, want 1", n)
	}
	close(unblock)
	for range 50 {
		if d := h.awaitAttempt(); d.State != store.Delivered {
			t.Fatalf("got %+v, want a success", d.Attempt)
		}
	}
	if got := r.methods(t); strings.Contains(got, http.MethodOptions) {
		t.Errorf("got %s, want no more OPTIONS", got)
	}
}

// The rate that the receiver allows spaces the attempts, if the subscription's own isn't
// lower.
func TestAllowedRate(t *testing.T) {
	for _, c := range []struct {
		allowed string
		own     float64
		want    time.Duration
	}{
		{"30", 0, 2 * time.Second},
		{"30", 100, 2 * time.Second},
		{"600", .5, 2 * time.Second},
		{"*", .5, 2 * time.Second},
	} {
		t.Run(c.allowed, func(t *testing.T) {
			h := open(t)
			healthy := newReceiver(t)
			r, _ := withHandshake(t, h, func(s *outbound.SubscriptionSpec) { s.RateLimit = c.own })
			r.allows(c.allowed)
			if got := h.methods(r); got != "OPTIONS POST" {
				t.Fatalf("got %s, want OPTIONS POST", got)
			}
			h.clock.advance(time.Minute)
			for range 5 {
				h.publish("a", `{}`)
			}
			for range 4 {
				h.expectPauseAfter(r, healthy, c.want)
			}
			r.next(t)
		})
	}
}

// A permission is kept for a day, through reloads and changes of the subscription that
// don't change what is asked or whom.
func TestPermissionIsKept(t *testing.T) {
	h := open(t)
	r, sub := withHandshake(t, h)
	change := func(edit func(*outbound.SubscriptionSpec)) func() {
		return func() { h.update(sub.ID, edit) }
	}
	for _, step := range []struct {
		what string
		do   func()
		asks bool
	}{
		{"at first", func() {}, true},
		{"again", func() {}, false},
		{"with another description", change(func(s *outbound.SubscriptionSpec) { s.Description = "new" }), false},
		{"after a reload", func() {
			h.settings.Timeout = time.Minute
			must.Do(t, h.Apply(t.Context(), h.settings))
		}, false},
		{"after almost a day", func() { h.clock.advance(24*time.Hour - 1) }, false},
		{"after a day", func() { h.clock.advance(1) }, true},
		{"at another URL", change(func(s *outbound.SubscriptionSpec) { s.URL += "&more=1" }), true},
		{"with another rate", change(func(s *outbound.SubscriptionSpec) { s.RateLimit = 1000 }), true},
		{"with another header", change(func(s *outbound.SubscriptionSpec) { s.Headers = map[string]string{"X-Key": "k"} }), true},
		{"with another name", change(func(s *outbound.SubscriptionSpec) { s.Handshake = "other.example.com" }), true},
		{"without", change(func(s *outbound.SubscriptionSpec) { s.Handshake = "" }), false},
		{"with it again", change(func(s *outbound.SubscriptionSpec) { s.Handshake = ourOrigin }), true},
		{"after a restart", h.restart, true},
	} {
		r.answers(http.StatusOK, "WebHook-Allowed-Origin", "*")
		step.do()
		want := "POST"
		if step.asks {
			want = "OPTIONS POST"
		}
		if got := h.methods(r); got != want {
			t.Errorf("%s: got %s, want %s", step.what, got, want)
		}
	}
}

// The same holds for a subscription in the configuration.
func TestHandshakeOfTheConfiguration(t *testing.T) {
	h := open(t)
	r := newReceiver(t)
	r.answers(http.StatusOK, "WebHook-Allowed-Origin", "*")
	for _, step := range []struct{ origin, want string }{
		{ourOrigin, "OPTIONS POST"}, {ourOrigin, "POST"}, {"other.example.com", "OPTIONS POST"}, {"", "POST"},
	} {
		h.settings.Subscriptions = []outbound.SubscriptionSpec{{Name: "crm", URL: r.URL, EventTypes: []string{"a"}, Handshake: step.origin}}
		must.Do(t, h.Apply(t.Context(), h.settings))
		if got := h.methods(r); got != step.want {
			t.Errorf("%q: got %s, want %s", step.origin, got, step.want)
		}
	}
}

// If a receiver is down because it gave no permission, another name for the sender makes
// the engine ask again at once, and clears since when it fails.
func TestCorrectedHandshake(t *testing.T) {
	h := open(t, retries(time.Hour))
	r, sub := withHandshake(t, h, func(s *outbound.SubscriptionSpec) { s.Handshake = "typo.example.com" })
	h.failTimes(10)
	must.Eventually(t, "the receiver to be stored as down", func() bool {
		return h.sub().Health == outbound.HealthDown && !h.sub().Subscription.FailingSince.IsZero()
	})
	r.methods(t)
	h.update(sub.ID, func(s *outbound.SubscriptionSpec) { s.Handshake = ourOrigin })
	if !h.sub().Subscription.FailingSince.IsZero() {
		t.Errorf("got %+v, want no FailingSince", h.sub())
	}
	for _, want := range []string{http.MethodOptions, http.MethodPost} {
		if got := r.next(t).method; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// Permission is asked for before an access token.
func TestHandshakeWithOAuth2(t *testing.T) {
	h := open(t, retries(time.Hour))
	issuer := newReceiver(t)
	issuer.issues("")
	r, _ := withHandshake(t, h, func(s *outbound.SubscriptionSpec) {
		s.OAuth2 = outbound.OAuth2{TokenURL: issuer.URL, ClientID: "id", ClientSecret: clientSecret}
	})
	r.answers(http.StatusOK)
	h.publish("a", `{}`)
	h.awaitAttemptEnd()
	issuer.expectNone(t)
	r.allows("*")
	h.publish("a", `{}`)
	h.awaitAttemptEnd()
	for _, want := range []string{"", "", "Bearer token-1"} { // refused, allowed, delivered
		if got := r.next(t).header.Get("Authorization"); got != want {
			t.Errorf("got Authorization %q, want %q", got, want)
		}
	}
}

// Only DNS names are accepted.
func TestHandshakeIsRefused(t *testing.T) {
	h := open(t)
	label := strings.Repeat("a", 63)
	for origin, valid := range map[string]bool{
		"hooks.example.com": true, "HOOKS-1.example.com": true, "localhost": true, "1.2.example": true, "xn--bcher-kva.example": true, label + ".example": true,
		"https://hooks.example.com": false, "hooks.example.com:443": false, "hooks.example.com/": false, "*": false, "*.example.com": false,
		"hooks..example.com": false, "example.com.": false, "-a.example": false, "a-.example": false, "a_b.example": false, "192.0.2.1": false, "::1": false,
		"a b": false, "hooks.example.com\r\nX: y": false, "hooks.example.com\n": false, "bücher.example": false, label + "a.example": false,
		strings.Repeat(label+".", 4) + "example": false,
	} {
		_, err := h.CreateSubscription(t.Context(), outbound.SubscriptionSpec{URL: "https://example.com", EventTypes: []string{"a"}, Handshake: origin})
		var refused *outbound.Invalid
		if valid && err != nil || !valid && (!errors.As(err, &refused) || refused.Field != "handshake") {
			t.Errorf("%q: got %v, want valid %v", origin, err, valid)
		}
	}
}

// Of several nodes, one at a time delivers, so that the receiver's rate holds for all of
// them together.
func TestNodesWithHandshake(t *testing.T) {
	dsn := pgtest.Database(t)
	var nodes []*harness
	for range 2 {
		h := newHarness(t, postgresStore(dsn, 0)) // with the default lease, which isn't lost on a slow machine
		h.start()
		nodes = append(nodes, h)
	}
	r, other := newReceiver(t), newReceiver(t)
	unblocked := make(chan struct{})
	unblock := sync.OnceFunc(func() { close(unblocked) })
	t.Cleanup(unblock)
	r.respond(func(w http.ResponseWriter, _ *http.Request) {
		<-unblocked
		w.Header().Set("WebHook-Allowed-Origin", "*")
	})
	s := nodes[0].subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}, Handshake: ourOrigin})
	alike := nodes[0].subscribe(outbound.SubscriptionSpec{URL: other.URL, EventTypes: []string{"b"}, Ordered: true})
	for _, h := range nodes {
		h.awaitSubscription(s.ID, true)
		h.awaitSubscription(alike.ID, true)
		h.publish("a", `{}`)
	}
	for _, h := range nodes {
		h.publish("b", `{}`) // claimed after the events above
		other.next(t)
	}
	if got := r.methods(t); got != "OPTIONS" {
		t.Errorf("got %s, want OPTIONS from one node", got)
	}
	unblock()
	nodes[0].awaitSettled()
}
