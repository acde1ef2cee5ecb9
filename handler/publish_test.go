package handler

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-webhooks/caddy-webhooks/handler/internal/spool/spooltest"
	"github.com/caddy-webhooks/caddy-webhooks/internal/freeport"
	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
)

// deliveringTo returns global options for a store whose events are delivered to a URL.
func deliveringTo(t *testing.T, url string) string {
	return "webhooks {\nstore sqlite " + storePath(t) + "\n" + subscribing(url) + "\n}"
}

// subscribing returns the options of webhooks that have all events delivered to a URL.
func subscribing(url string) string {
	return "egress {\nallow 127.0.0.1\n}\nsubscription app {\nurl " + url + "\nevent_types *\n}"
}

// loggedPublishing returns global options for a store, with more options of webhooks, and
// for a file of warnings, and the path of that file.
func loggedPublishing(t *testing.T, webhooks string) (options, log string) {
	log = filepath.Join(t.TempDir(), "caddy.log")
	return fmt.Sprintf(`log default {
		output file %s
		format json
		level WARN
	}
	webhooks {
		store sqlite %s
		%s
	}`, log, storePath(t), webhooks), log
}

// A request that can't be published is refused with the right status, and logged, since
// the log is all that an operator sees of it.
func TestPublishRefusals(t *testing.T) {
	options, log := loggedPublishing(t, "max_payload 1KiB")
	s := serveSite(t, options, `request_body /small {
		max_size 500
	}
	webhook_publish order.created {
		tenant {header.X-Tenant}
	}`)
	for name, c := range map[string]struct {
		method, path, tenant, body string
		status                     int
		logged                     string
	}{
		"taken":           {"POST", "/", "acme", "{}", 202, ""},
		"too large":       {"POST", "/", "acme", strings.Repeat("x", 2000), 413, "max_payload"},
		"too large there": {"POST", "/small", "acme", strings.Repeat("x", 1000), 413, "too large"},
		"no tenant":       {"POST", "/", "a b", "{}", 422, "tenant"},
		"none at all":     {"POST", "/", "", "{}", 422, "tenant"},
		"not a POST":      {"GET", "/", "acme", "", 405, "only POST"},
		"just a look":     {"HEAD", "/", "acme", "", 405, "only POST"},
	} {
		t.Run(name, func(t *testing.T) {
			r := must.Get(http.NewRequest(c.method, s.url+c.path, strings.NewReader(c.body)))(t)
			r.Header.Set("X-Tenant", c.tenant)
			if c.path == "/small" {
				r.ContentLength = -1 // with a length, request_body would refuse it, and log nothing
			}
			got := do(t, r)
			if allow := got.Header.Get("Allow"); got.StatusCode != c.status || (allow == "POST") != (c.status == 405) {
				t.Errorf("got status %d with Allow: %s, want %d", got.StatusCode, allow, c.status)
			}
			written := must.Get(os.ReadFile(log))(t)
			os.Truncate(log, 0)
			if refused := strings.Contains(string(written), "event refused"); refused != (c.logged != "") || !strings.Contains(string(written), c.logged) {
				t.Errorf("got log %s, want %q in it", written, c.logged)
			}
		})
	}
	if used := payloads.Taken(); used != 0 {
		t.Errorf("got %d bytes in use, want 0", used)
	}
}

// While there is no memory for the payload, requests are refused with 503 and
// Retry-After.
func TestPublishWithoutRoom(t *testing.T) {
	s := serveSite(t, "webhooks {\nstore sqlite "+storePath(t)+"\n}", "webhook_publish order.created")
	others := payloads.Part()
	others.Grow(64 << 20)
	got := do(t, post(t, s.url, "{}"))
	others.Release()
	if got.StatusCode != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" {
		t.Errorf("got %s, %v, want 503 with Retry-After", got.Status, got.Header)
	}
	do(t, post(t, s.url, "{}")).want(t, http.StatusAccepted)
}

// By default, the event id is the provider's delivery id if the signature covers it, so
// that a provider's retry is a duplicate.
func TestProvidersRetryIsADuplicate(t *testing.T) {
	port := freeport.Get()
	runCaddy(t, fmt.Sprintf("webhooks {\nstore sqlite %s\n}", filepath.Join(t.TempDir(), "webhooks.db")), fmt.Sprintf(`http://127.0.0.1:%d {
		handle /standard {
			webhook_verify standard-webhooks whsec_%s
			webhook_publish a
		}
		handle /order {
			webhook_verify standard-webhooks whsec_%[2]s
			webhook_publish a {
				event_id order-{header.X-Order}
			}
		}
		handle /github {
			webhook_verify github %[3]q
			webhook_publish a
		}
	}`, port, base64.StdEncoding.EncodeToString([]byte(testSecret)), testSecret))
	t.Cleanup(func() { runCaddy(t, "", "") }) // before the store's directory is removed
	now := time.Now().Unix()
	for path, id := range map[string]string{"standard": "msg_1", "order": "order-7"} {
		for i, again := range []bool{false, true} {
			r := post(t, fmt.Sprintf("http://127.0.0.1:%d/%s", port, path), "{}")
			at := fmt.Sprint(now - int64(i)) // each attempt has a timestamp of its own
			sum := must.Get(hex.DecodeString(mac(testSecret, "msg_1."+at+".{}")))(t)
			r.Header = http.Header{"Webhook-Id": {"msg_1"}, "Webhook-Timestamp": {at}, "Webhook-Signature": {"v1," + base64.StdEncoding.EncodeToString(sum)}, "X-Order": {"7"}}
			if got := do(t, r); !strings.Contains(got.body, fmt.Sprintf(`"event_id":%q,"deliveries":0,"duplicate":%v`, id, again)) {
				t.Errorf("%s, attempt %d: %s %s", path, i+1, got.Status, got.body)
			}
		}
	}
	for _, body := range []string{`{"a":1}`, `{"a":2}`} {
		r := signGitHub(post(t, fmt.Sprintf("http://127.0.0.1:%d/github", port), body), body)
		r.Header.Set("X-GitHub-Delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958") // it is not signed
		if got := do(t, r); !strings.Contains(got.body, `"duplicate":false`) {
			t.Errorf("%s: %s %s", body, got.Status, got.body)
		}
	}
}

// Several providers may use the same ids, whatever their event types: nobody's webhooks are
// dropped, nor are their retries stored again.
func TestProvidersWithTheSameIDs(t *testing.T) {
	port := freeport.Get()
	runCaddy(t, fmt.Sprintf("webhooks {\nstore sqlite %s\n}", filepath.Join(t.TempDir(), "webhooks.db")), fmt.Sprintf(`http://127.0.0.1:%d {
		webhook_verify standard-webhooks whsec_%s
		webhook_publish {header.X-Event-Type}
	}`, port, base64.StdEncoding.EncodeToString([]byte(testSecret))))
	t.Cleanup(func() { runCaddy(t, "", "") }) // before the store's directory is removed
	hash := func(eventType, id string) string {
		return fmt.Sprintf("sha256_%x", sha256.Sum256([]byte(eventType+"\n"+id)))
	}
	now := time.Now().Unix()
	for i, tt := range []struct {
		eventType, id, body, want string
		duplicate                 bool
	}{
		{"one", "7", "{}", "7", false},
		{"two", "7", "{}", hash("two", "7"), false},
		{"two", "7", "{}", hash("two", "7"), true},
		{"two", "7", "[]", hash("two", "7"), true},
		{"one", "7", "[]", "7", true},
		{"a.b", "7", "{}", hash("a.b", "7"), false},
		{"a-b", "7", "{}", hash("a-b", "7"), false},
		{"a-b", "7", "[]", hash("a-b", "7"), true},
		{"one", "b-7", "{}", "b-7", false},
		{"a", "b-7", "{}", hash("a", "b-7"), false},
	} {
		r := post(t, fmt.Sprintf("http://127.0.0.1:%d/", port), tt.body)
		at := fmt.Sprint(now - int64(i)) // or it would be a replay
		sum := must.Get(hex.DecodeString(mac(testSecret, tt.id+"."+at+"."+tt.body)))(t)
		r.Header = http.Header{"Webhook-Id": {tt.id}, "Webhook-Timestamp": {at}, "Webhook-Signature": {"v1," + base64.StdEncoding.EncodeToString(sum)}, "X-Event-Type": {tt.eventType}}
		if got := do(t, r); !strings.Contains(got.body, fmt.Sprintf(`"event_id":%q,"deliveries":0,"duplicate":%v`, tt.want, tt.duplicate)) {
			t.Errorf("%s of %s, %s: got %s %s, want %s, duplicate %v", tt.id, tt.eventType, tt.body, got.Status, got.body, tt.want, tt.duplicate)
		}
	}
}

// If it can't be read which event has the id of a webhook, since the request ends before
// that, the webhook isn't taken for a duplicate.
func TestRequestEndsBeforeItsIDIsCompared(t *testing.T) {
	runCaddy(t, "webhooks {\nstore sqlite "+storePath(t)+"\n}", "")
	app := must.Get(caddy.ActiveContext().App("webhooks"))(t).(*App)
	p := &Publish{app: app, refusals: newRefusalLog(zap.NewNop())}
	ctx, end := context.WithCancel(t.Context())
	for _, tt := range []struct {
		ctx       context.Context
		eventType string
		err       error
	}{
		{t.Context(), "one.created", nil},
		{&endsWhenAsked{ctx, end}, "two.created", context.Canceled},
	} {
		r := httptest.NewRequestWithContext(tt.ctx, "POST", "/", nil)
		res, err := p.store(r, app.current(), &outbound.NewEvent{ID: "7", Type: tt.eventType, Payload: []byte("1")})
		if !errors.Is(err, tt.err) || res.Duplicate {
			t.Errorf("%s: got %+v, error %v, want %v", tt.eventType, res, err, tt.err)
		}
	}
}

// endsWhenAsked is a context that ends once it has been asked whether it has ended, which
// is so before an event is stored, and not again until it is.
type endsWhenAsked struct {
	context.Context
	end func()
}

func (c *endsWhenAsked) Err() error {
	defer c.end()
	return c.Context.Err()
}

// An event with the id of another one counts as a duplicate even if its body differs,
// since providers' retries may differ. It is dropped, which is logged.
func TestPublishDropped(t *testing.T) {
	options, log := loggedPublishing(t, `subscription app {
			url https://app.example/
			event_types *
		}`)
	s := serveSite(t, options, `webhook_publish order.{header.X-Verb} {
		event_id {header.X-Delivery}
	}`)
	publish := func(verb, body string, status int) (answer, logged string) {
		r := post(t, s.url, body)
		r.Header.Set("X-Delivery", "one")
		r.Header.Set("X-Verb", verb)
		answer = do(t, r).want(t, status).body
		return answer, string(must.Get(os.ReadFile(log))(t))
	}
	publish("created", "first", 202)
	again, logged := publish("created", "first", 200)
	if strings.Contains(logged, "dropped") {
		t.Errorf("an identical event was logged as dropped: %s", logged)
	}
	other, logged := publish("created", "second", 200)
	if other != again || !strings.Contains(other, `"deliveries":1,"duplicate":true`) {
		t.Errorf("got %s, want %s, as for an identical event", other, again)
	}
	if !strings.Contains(logged, "event dropped") || !strings.Contains(logged, `"event_id":"one"`) || strings.Contains(logged, "second") {
		t.Errorf("logged %s", logged)
	}
	if other, _ := publish("deleted", "first", 200); other != again {
		t.Errorf("got %s for another type, want %s", other, again)
	}
}

// TestPublishUnknownPlaceholder: the log says which event type has a placeholder that
// nothing sets, but not of one that is empty for this webhook.
func TestPublishUnknownPlaceholder(t *testing.T) {
	options, log := loggedPublishing(t, "")
	s := serveSite(t, options, `handle /short {
		webhook_publish short.{event_type}
	}
	handle /set {
		map {path} {event_type} {
			default created
		}
		webhook_publish set.{event_type}
	}
	handle /empty {
		webhook_publish empty.{header.X-Event}
	}
	handle /verified {
		webhook_verify github "`+testSecret+`"
		webhook_publish verified.{http.webhook.event_type}
	}`)
	for _, path := range []string{"/set", "/empty", "/verified", "/short"} {
		do(t, signGitHub(post(t, s.url+path, "{}"), "{}")).want(t, 202)
	}
	logged := string(must.Get(os.ReadFile(log))(t))
	if n := strings.Count(logged, "placeholder in the event type"); n != 1 || !strings.Contains(logged, `"event_type":"short.{event_type}"`) {
		t.Errorf("logged %d times:\n%s", n, logged)
	}
}

// Events without the header that their id is made of get ids of their own.
func TestPublishWithoutAnID(t *testing.T) {
	s := serveSite(t, "webhooks {\nstore sqlite "+storePath(t)+"\n}", `handle /whole {
		webhook_publish order.created {
			event_id {header.X-Delivery}
		}
	}
	handle /part {
		webhook_publish order.created {
			event_id order-{header.X-Delivery}
		}
	}`)
	for _, path := range []string{"/whole", "/part"} {
		for _, body := range []string{"first", "second", "second"} {
			do(t, post(t, s.url+path, body)).want(t, http.StatusAccepted)
		}
	}
}

// With webhook_publish before webhook_verify, requests are refused if the config uses a
// placeholder of webhook_verify. Without one, webhook_verify isn't required.
func TestPublishBeforeVerify(t *testing.T) {
	s := serveSite(t, "webhooks {\nstore sqlite "+storePath(t)+"\n}", `route /wrong {
		webhook_publish github.{http.webhook.event_type}
		webhook_verify github s3cret
	}
	route /id {
		webhook_publish github.push {
			event_id {http.webhook.id}
		}
	}
	route /tenant {
		webhook_publish github.push {
			tenant {http.webhook.id}
		}
	}
	route /none {
		webhook_publish order.created
	}
	route /rollout {
		webhook_verify github s3cret {
			enforce off
		}
		webhook_publish github.{http.webhook.event_type}
	}`)
	for path, status := range map[string]int{"wrong": 403, "id": 403, "tenant": 403, "none": 202, "rollout": 202} {
		for _, body := range []string{"{}", ""} {
			do(t, post(t, s.url+"/"+path, body)).want(t, status)
		}
	}
}

// If the app fails, an error route stores the complete webhook, even if its body was read
// before. Without webhook_verify, which keeps the body, the request is refused: an event
// without its payload would be worse than none.
func TestPublishWhatTheAppHasRead(t *testing.T) {
	spooltest.TempDir(t)
	t.Setenv("OTEL_TRACES_EXPORTER", "none")
	broken, _ := brokenApp(t, 50, func(net.Conn) {})
	down := newApp(t)
	down.respond(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	verify := fmt.Sprintf("webhook_verify github %q\n", testSecret)
	away := "reverse_proxy " + freeport.Address()
	instead := fmt.Sprintf("reverse_proxy %s {\n@down status 503\nhandle_response @down {\nwebhook_publish app.down\n}\n}", down.addr)
	for name, c := range map[string]struct {
		directives string
		length     int64
		status     int
	}{
		"away":                  {verify + away, 100 << 10, 202},
		"away, traced":          {"tracing\n" + verify + away, 100 << 10, 202}, // error routes have another copy of the request
		"away, traced, chunked": {"tracing\n" + verify + away, -1, 202},
		"breaks off":            {verify + "reverse_proxy " + broken, 100 << 10, 202},
		"down":                  {verify + instead, 100 << 10, 202},
		"down, not verified":    {instead, 100 << 10, 500},
	} {
		t.Run(name, func(t *testing.T) {
			got := make(chan string, 1)
			receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				got <- string(body)
			}))
			t.Cleanup(receiver.Close)
			port := freeport.Get()
			runCaddy(t, deliveringTo(t, receiver.URL), fmt.Sprintf(`http://127.0.0.1:%d {
				%s
				handle_errors 502 {
					webhook_publish app.down
				}
			}`, port, c.directives))
			body := strings.Repeat("x", 100<<10)
			r := signGitHub(post(t, fmt.Sprintf("http://127.0.0.1:%d/", port), body), body)
			r.ContentLength = c.length
			do(t, r).want(t, c.status)
			if c.status != 202 {
				return
			}
			if payload := <-got; payload != body {
				t.Errorf("got %d of %d bytes delivered", len(payload), len(body))
			}
			must.Eventually(t, "all bodies to be released", func() bool { return bodies.Taken()+payloads.Taken() == 0 })
		})
	}
}

// With intercept, the provider gets the whole response, although the app's had another
// length and encoding.
func TestPublishInsteadOfAResponse(t *testing.T) {
	app := newApp(t)
	app.respond(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "br")
		w.WriteHeader(http.StatusServiceUnavailable)
		io.WriteString(w, strings.Repeat("down ", 100))
	})
	s := serveSite(t, "webhooks {\nstore sqlite "+storePath(t)+"\n}", fmt.Sprintf(`webhook_verify github %q
	intercept {
		@down status 503
		handle_response @down {
			webhook_publish app.down
		}
	}
	reverse_proxy %s`, testSecret, app.addr))
	a := do(t, signGitHub(post(t, s.url, "{}"), "{}")).want(t, 202)
	if !strings.Contains(a.body, "event_id") || a.Header.Get("Content-Encoding") != "" {
		t.Errorf("got %q with the headers %v", a.body, a.Header)
	}
}

// A webhook that the app couldn't accept, but an error route stored, is remembered: a copy
// of it is a replay, even once the app is back.
func TestPublishedInsteadIsRemembered(t *testing.T) {
	app := newApp(t)
	port := freeport.Get()
	away := freeport.Get()
	site := fmt.Sprintf(`http://127.0.0.1:%d {
		webhook_verify stripe %q {
			replay reject
		}
		reverse_proxy {header.X-App}
		handle_errors 502 {
			webhook_publish app.down
		}
	}`, port, testSecret)
	runCaddy(t, "webhooks {\nstore sqlite "+storePath(t)+"\n}", site)
	body, at := fmt.Sprintf("%q", t.Name()), time.Now()
	send := func(upstream string) answered {
		r := signStripe(post(t, fmt.Sprintf("http://127.0.0.1:%d/", port), body), body, at)
		r.Header.Set("X-App", upstream)
		return do(t, r)
	}
	send(fmt.Sprintf("127.0.0.1:%d", away)).want(t, 202)
	send(app.addr).want(t, 409)
	app.none(t)
}

// An error route that publishes refuses what webhook_verify has refused.
func TestPublishRefused(t *testing.T) {
	port := freeport.Get()
	runCaddy(t, "webhooks {\nstore sqlite "+storePath(t)+"\n}", fmt.Sprintf(`http://127.0.0.1:%d {
		webhook_verify github s3cret
		reverse_proxy 127.0.0.1:%d
		handle_errors {
			webhook_publish app.down
		}
	}`, port, freeport.Get()))
	r := post(t, fmt.Sprintf("http://127.0.0.1:%d/", port), "{}")
	do(t, r).want(t, 401)
	do(t, signGitHub(r, "other")).want(t, 401)
}

// An error route gets the requests of all routes. It publishes none that has failed
// without having passed through webhook_verify, or anybody could publish while the app is
// away.
func TestErrorRoutePublishesOnlyWhatIsVerified(t *testing.T) {
	port := freeport.Get()
	away := freeport.Address()
	runCaddy(t, "webhooks {\nstore sqlite "+storePath(t)+"\n}", fmt.Sprintf(`http://127.0.0.1:%d {
		handle /github {
			webhook_verify github %q
			reverse_proxy %[3]s
		}
		handle /login {
			forward_auth %[3]s {
				uri /auth
			}
			webhook_verify github %[2]q
			reverse_proxy %[3]s
		}
		handle {
			reverse_proxy %[3]s
		}
		handle_errors 502 {
			webhook_publish app.down
		}
	}`, port, testSecret, away))
	for path, status := range map[string]int{"github": 202, "github/": 502, "login": 502, "other": 502} {
		r := signGitHub(post(t, fmt.Sprintf("http://127.0.0.1:%d/%s", port, path), "{}"), "{}")
		do(t, r).want(t, status)
	}
}

// A placeholder in the event type that is unknown becomes "unknown", so that subscriptions
// to a prefix still match. The content type has a default too.
func TestPublishUnknownType(t *testing.T) {
	r := httptest.NewRequest("POST", "/", nil)
	r = r.WithContext(context.WithValue(r.Context(), caddy.ReplacerCtxKey, caddy.NewReplacer()))
	for written, want := range map[string]string{"acme.{http.webhook.event_type}": "acme.unknown", "{http.webhook.event_type}": "unknown", "acme.push": "acme.push", "acme/check {http.webhook.event_type}": "acme.check_unknown"} {
		got := must.Get((&Publish{EventType: written, refusals: newRefusalLog(zap.NewNop())}).event(r, nil, nil))(t)
		if got.Type != want || got.ContentType != "application/octet-stream" {
			t.Errorf("%s: got event type %s with content type %s, want %s", written, got.Type, got.ContentType, want)
		}
	}
}

// If the provider doesn't treat every 2xx status as success, it gets the response that
// its scheme defines, for an event and for a retry of it.
func TestPublishAcknowledges(t *testing.T) {
	s := serveSite(t, "webhooks {\nstore sqlite "+storePath(t)+"\n}", `handle /github {
		webhook_verify github secret
		webhook_publish github.push
	}
	handle /xero {
		webhook_verify xero secret
		webhook_publish xero.event
	}
	handle /whatsapp {
		webhook_verify whatsapp {
			secret secret
			verify_token token
		}
		webhook_publish whatsapp.event
	}
	handle /sign {
		webhook_verify dropbox-sign secret {
			replay off
		}
		webhook_publish sign.event
	}
	handle /own {
		webhook_verify hmac secret {
			signature header X-Signature
			acknowledge 201 "ack"
			replay ack 1h
		}
		webhook_publish own.event
	}`)
	body := `{"events":[{"eventType":"UPDATE"}]}`
	at := fmt.Sprint(time.Now().Unix())
	sign := fmt.Sprintf(`{"event":{"event_time":"%s","event_type":"sent","event_hash":"%s"}}`, at, mac("secret", at+"sent"))
	for _, c := range []struct {
		path, header, value, body string
		status                    int
		contentType, answer       string
	}{
		{"/github", "X-Hub-Signature-256", "sha256=" + mac("secret", body), body, 202, "application/json", `"duplicate":false`},
		{"/xero", "X-Xero-Signature", base64.StdEncoding.EncodeToString(must.Get(hex.DecodeString(mac("secret", body)))(t)), body, 200, "", ""},
		{"/whatsapp", "X-Hub-Signature-256", "sha256=" + mac("secret", body), body, 200, "", ""},
		{"/sign", "", "", sign, 200, "text/plain; charset=utf-8", "Hello API Event Received"},
		{"/own", "X-Signature", mac("secret", body), body, 201, "text/plain; charset=utf-8", "ack"},
	} {
		for _, time := range []string{"first", "again"} {
			r := post(t, s.url+c.path, c.body)
			if c.header != "" {
				r.Header.Set(c.header, c.value)
			}
			r.Header.Set("Content-Type", "application/json")
			got := do(t, r).want(t, c.status)
			if exact := c.status != 202; exact && got.body != c.answer || !strings.Contains(got.body, c.answer) || got.Header.Get("Content-Type") != c.contentType {
				t.Errorf("%s, %s: got %q of type %q", c.path, time, got.body, got.Header.Get("Content-Type"))
			}
		}
	}
}
