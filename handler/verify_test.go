package handler

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/handler/internal/spool/spooltest"
	"github.com/caddy-webhooks/caddy-webhooks/internal/freeport"
	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

func TestVerifiedRequestReachesTheApp(t *testing.T) {
	app := newApp(t)
	s := serveSite(t, "", `
	webhook_verify github `+strconv.Quote(testSecret)+`
	reverse_proxy `+app.addr+` {
		header_up X-Placeholders "{http.webhook.provider}|{http.webhook.id}|{http.webhook.event_type}|{http.webhook.timestamp}|{http.webhook.secret_index}|{http.webhook.verified}|{http.webhook.signed}|{http.webhook.error}"
	}`)
	body := "{\"zen\": \"Keep it logically awesome.\"}\r\n\x00\xff"
	do(t, signGitHub(post(t, s.url+"/github?x=1", body), body)).want(t, http.StatusOK)
	got := app.one(t)
	if string(got.body) != body || got.ContentLength != int64(len(body)) {
		t.Errorf("the app got %q of length %d", got.body, got.ContentLength)
	}
	if v := got.Header["Webhook-Verified"]; len(v) != 1 || v[0] != "github" {
		t.Errorf("got Webhook-Verified: %q", v)
	}
	if p, want := got.Header.Get("X-Placeholders"), "github|72d3162e-cc78-11e3-81ab-4c9367dc0958|push||0|true|body|"; p != want {
		t.Errorf("got placeholders %q, want %q", p, want)
	}
	if got.URL.RequestURI() != "/github?x=1" {
		t.Errorf("the app got a request for %s", got.URL)
	}
}

func TestPlaceholdersOfASignedTimeAndID(t *testing.T) {
	app := newApp(t)
	s := serveSite(t, "", `
	webhook_verify hmac wrong `+strconv.Quote(testSecret)+` {
		name acme
		signature header X-Acme-Signature
		content "{id}|{timestamp}|{path}|{header.X-Acme-Kind}|{body}"
		timestamp header X-Acme-Timestamp unix
		id header X-Acme-Delivery
		event_type header X-Acme-Kind
	}
	reverse_proxy `+app.addr+` {
		header_up X-Placeholders "{http.webhook.provider}|{http.webhook.id}|{http.webhook.event_type}|{http.webhook.timestamp}|{http.webhook.secret_index}|{http.webhook.signed}"
	}`)
	at := time.Now().Truncate(time.Second)
	r := post(t, s.url+"/acme", `{"a":1}`)
	r.Header.Set("X-Acme-Delivery", "d-1")
	r.Header.Set("X-Acme-Kind", "order.created")
	r.Header.Set("X-Acme-Timestamp", strconv.FormatInt(at.Unix(), 10))
	r.Header.Set("X-Acme-Signature", mac(testSecret, fmt.Sprintf(`d-1|%d|/acme|order.created|{"a":1}`, at.Unix())))
	do(t, r).want(t, http.StatusOK)
	want := "acme|d-1|order.created|" + at.UTC().Format(time.RFC3339) + "|1|id timestamp event_type body"
	if got := app.one(t).Header.Get("X-Placeholders"); got != want {
		t.Errorf("got placeholders %q, want %q", got, want)
	}
}

// The Caddyfile adapter replaces {path} and others with their long forms before this
// module sees them, so both mean the same in content.
func TestBothSpellingsInContent(t *testing.T) {
	app := newApp(t)
	for _, content := range []string{
		"{method}|{host}|{path}|{query}|{query.q}|{header.X-N}|{body}",
		"{http.request.method}|{http.request.host}|{http.request.uri.path}|{http.request.uri.query}|{http.request.uri.query.q}|{http.request.header.X-N}|{body}",
	} {
		s := serveSite(t, "", `
		webhook_verify hmac `+strconv.Quote(testSecret)+` {
			signature header X-Signature
			content "`+content+`"
		}
		reverse_proxy `+app.addr)
		r := post(t, s.url+"/p?q=v", "b")
		r.Header.Set("X-N", "n")
		r.Header.Set("X-Signature", mac(testSecret, "POST|127.0.0.1|/p|q=v|v|n|b"))
		do(t, r).want(t, http.StatusOK)
		app.one(t)
	}
}

func TestRefusals(t *testing.T) {
	app := newApp(t)
	s := serveSite(t, "", `
	handle /github {
		webhook_verify github `+strconv.Quote(testSecret)+` {
			max_body 1KiB
		}
		reverse_proxy `+app.addr+`
	}
	handle /stripe {
		webhook_verify stripe `+strconv.Quote(testSecret)+`
		reverse_proxy `+app.addr+`
	}
	handle /strict {
		webhook_verify github `+strconv.Quote(testSecret)+` {
			content_types application/json
			status_code 498
		}
		reverse_proxy `+app.addr+`
	}`)
	large := strings.Repeat("x", 1025)
	tests := []struct {
		name   string
		path   string
		body   string
		change func(*http.Request)
		status int
		reason string
	}{
		{"missing signature", "/github", "{}", func(r *http.Request) { r.Header.Del("X-Hub-Signature-256") }, 401, "missing_signature"},
		{"only the weak signature", "/github", "{}", func(r *http.Request) {
			r.Header.Del("X-Hub-Signature-256")
			r.Header.Set("X-Hub-Signature", "sha1=0000000000000000000000000000000000000000")
		}, 401, "missing_signature"},
		{"malformed signature", "/github", "{}", func(r *http.Request) { r.Header.Set("X-Hub-Signature-256", "sha256=zz") }, 401, "malformed_signature"},
		{"another's signature", "/github", "{}", func(r *http.Request) {
			r.Header.Set("X-Hub-Signature-256", "sha256="+mac("guess", "{}"))
		}, 401, "bad_signature"},
		{"one bit of the body flipped", "/github", "{}", func(r *http.Request) {
			r.Body = io.NopCloser(strings.NewReader("{|"))
		}, 401, "bad_signature"},
		{"signature twice", "/github", "{}", func(r *http.Request) {
			r.Header.Add("X-Hub-Signature-256", r.Header.Get("X-Hub-Signature-256"))
		}, 401, "repeated_header"},
		{"get", "/github", "", func(r *http.Request) { r.Method = "GET" }, 405, "method_not_allowed"},
		{"too large", "/github", large, nil, 413, "body_too_large"},
		{"too large, length unknown", "/github", large, func(r *http.Request) { r.ContentLength = -1 }, 413, "body_too_large"},
		{"stale", "/stripe", "{}", func(r *http.Request) { signStripe(r, "{}", time.Now().Add(-6*time.Minute)) }, 401, "stale_timestamp"},
		{"from the future", "/stripe", "{}", func(r *http.Request) { signStripe(r, "{}", time.Now().Add(6*time.Minute)) }, 401, "future_timestamp"},
		{"another content type", "/strict", "{}", func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, 415, "unsupported_content_type"},
		{"status of the row", "/strict", "{}", func(r *http.Request) {
			r.Header.Set("X-Hub-Signature-256", "sha256="+mac("guess", "{}"))
		}, 498, "bad_signature"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := signGitHub(post(t, s.url+tt.path, tt.body), tt.body)
			if tt.change != nil {
				tt.change(r)
			}
			got := do(t, r).want(t, tt.status)
			provider := "github"
			if tt.path == "/stripe" {
				provider = "stripe"
			}
			if want := tt.reason + "|" + tt.reason + "|" + provider + "|false"; got.body != want {
				t.Errorf("handle_errors got %q, want %q", got.body, want)
			}
			if tt.status == 405 && got.Header.Get("Allow") != "POST" {
				t.Errorf("Allow: %q", got.Header.Get("Allow"))
			}
			if tt.status == 413 && !got.Close {
				t.Error("the connection stays open")
			}
			app.none(t)
		})
	}
}

// The headers that belong to one of our reasons aren't sent if only the status, which the
// scheme chooses, is the same.
func TestStatusOfTheScheme(t *testing.T) {
	for _, status := range []int{http.StatusMethodNotAllowed, http.StatusConflict, http.StatusRequestEntityTooLarge} {
		s := serveSite(t, "", "webhook_verify github "+strconv.Quote(testSecret)+" {\nstatus_code "+strconv.Itoa(status)+"\n}")
		r := post(t, s.url, "{}")
		r.Header.Set("X-Hub-Signature-256", "sha256="+mac("guess", "{}"))
		got := do(t, r).want(t, status)
		if allow, retry := got.Header.Get("Allow"), got.Header.Get("Retry-After"); allow != "" || retry != "" || got.Close {
			t.Errorf("%d: got Allow %q, Retry-After %q, closed: %t", status, allow, retry, got.Close)
		}
	}
}

// A config that can't verify doesn't load, and the error says what to do.
func TestConfigErrors(t *testing.T) {
	runCaddy(t, "", "")
	t.Setenv("VERIFY_TEST_EMPTY", "")
	tests := []struct{ name, directive, want string }{
		{"unknown provider", "webhook_verify gitub s", "webhook_verify gitub: unknown provider: did you mean github? "},
		{"unknown provider like none", "webhook_verify acme s", `webhook_verify: unknown provider: \"caddy webhooks providers\" lists`},
		{"tolerance without a time", "webhook_verify github s {\ntolerance 5m\n}", "tolerance: it needs a signed time"},
		{"no secret", "webhook_verify github", "webhook_verify github: there is no secret"},
		{"a variable that isn't set", "webhook_verify github {$NOT_SET_ANYWHERE}", "if it says {$NAME}, that variable isn't set"},
		{"empty secret", `webhook_verify github ""`, "webhook_verify github: secret 1: the secret is empty"},
		{"environment variable not set", "webhook_verify github {env.VERIFY_TEST_NONE}", "environment variable VERIFY_TEST_NONE is empty or not set"},
		{"second secret of nothing", "webhook_verify github s {\nsecret {env.VERIFY_TEST_EMPTY}\n}", "secret 2: the environment variable VERIFY_TEST_EMPTY"},
		{"missing file", "webhook_verify github {file./nowhere/secret}", "the file /nowhere/secret is empty, missing or not readable"},
		{"file named without a slash", "webhook_verify github {file.nowhere}", "the file nowhere is empty, missing or not readable"},
		{"secret that isn't base64", "webhook_verify standard whsec_!!!", "webhook_verify standard: "},
		{"secret that decodes to nothing", "webhook_verify standard whsec_", "webhook_verify standard: "},
		{"content without a signature", "webhook_verify hmac s", "webhook_verify hmac: "},
		{"unknown word in content", "webhook_verify hmac s {\nsignature header X\ncontent \"{bdy}\"\n}", "did you mean {body}?"},
		{"content without the body", "webhook_verify hmac s {\nsignature header X\ncontent \"{header.X-Y}\"\n}", "unbound_body"},
		{"unknown algorithm", "webhook_verify hmac s {\nsignature header X\nalgorithm md5\n}", "md5"},
		{"replay without a life", "webhook_verify github s {\nreplay ack\n}", "as in: replay ack 24h"},
		{"replay of what nothing tells apart", "webhook_verify mandrill s {\ncontent \"{url}\"\nunbound_body allow\nreplay ack 1h\n}", "two messages can't be told apart"},
		{"a replay life below the tolerance", "webhook_verify stripe s {\nreplay ack 1s\n}", "leave the duration out"},
		{"public URL with a path", "webhook_verify github s {\npublic_url https://hooks.example.com/github\n}", "path and query"},
		{"verify token of no handshake", "webhook_verify gitlab s {\nverify_token t\n}", "verify_token: the scheme has no handshake that uses one"},
		{"verify token of nothing", "webhook_verify meta s {\nverify_token {env.VERIFY_TEST_NONE}\n}", "verify_token: the environment variable VERIFY_TEST_NONE"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := loadCaddy(t, "", fmt.Sprintf("http://127.0.0.1:%d {\n%s\n}", freeport.Get(), tt.directive))
			if !strings.Contains(got, tt.want) {
				t.Fatalf("got %s; want an error with %q", got, tt.want)
			}
			if strings.Contains(got, "!!!") {
				t.Errorf("the error shows the secret: %s", got)
			}
		})
	}
	for field, want := range map[string]string{
		`"secret":"s"`:                      `unknown field`,
		`"replay":"drop"`:                   `replay \"drop\": write off, reject or ack`,
		`"replay":"ack","replay_for":-1`:    `replay_for must be at least a second`,
		`"replay":"ack","replay_for":86400`: `a plain number is in nanoseconds`,
		`"replay":"off","replay_for":"1h"`:  `replay off remembers nothing`,
		`"max_body":-1`:                     `max_body must not be negative`,
	} {
		t.Run("in JSON "+field, func(t *testing.T) {
			config := fmt.Sprintf(`{"admin":{"listen":"localhost:%d"},"apps":{"http":{"servers":{"s":{"listen":["127.0.0.1:%d"],"routes":[{"handle":[{"handler":"webhook_verify","provider":"github","secrets":["s"],%s}]}]}}}}}`, adminPort(), freeport.Get(), field)
			res := postLoad(t, "application/json", config)
			defer res.Body.Close()
			body, _ := io.ReadAll(res.Body)
			if res.StatusCode == http.StatusOK || !strings.Contains(string(body), want) {
				t.Errorf("got %s %s; want an error with %q", res.Status, body, want)
			}
		})
	}
}

func TestEnforceOff(t *testing.T) {
	app := newApp(t)
	s := serveSite(t, "", `
	webhook_verify github `+strconv.Quote(testSecret)+` {
		enforce off
		max_body 64KiB
	}
	reverse_proxy `+app.addr+` {
		header_up X-Placeholders "{http.webhook.verified}|{http.webhook.secret_index}|{http.webhook.error}"
	}`)
	large := string(spooltest.Bytes(300 << 10))
	tests := []struct {
		name   string
		method string
		body   string
		change func(*http.Request)
		header string
		want   string
	}{
		{"verified", "POST", "{}", nil, "github", "true|0|"},
		{"bad signature", "POST", "{}", func(r *http.Request) { r.Header.Set("X-Hub-Signature-256", "sha256="+mac("guess", "")) }, "false", "false||bad_signature"},
		{"no signature", "POST", "{}", func(r *http.Request) { r.Header.Del("X-Hub-Signature-256") }, "false", "false||missing_signature"},
		{"another method", "PUT", "{}", nil, "false", "false||method_not_allowed"},
		{"no body at all", "GET", "", nil, "false", "false||method_not_allowed"},
		{"too large", "POST", large, nil, "false", "false||body_too_large"},
		{"too large, length unknown", "POST", large, func(r *http.Request) { r.ContentLength = -1 }, "false", "false||body_too_large"},
		{"a claim from outside", "POST", "{}", func(r *http.Request) {
			r.Header.Del("X-Hub-Signature-256")
			r.Header.Set("Webhook-Verified", "github")
		}, "false", "false||missing_signature"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := signGitHub(post(t, s.url, tt.body), tt.body)
			r.Method = tt.method
			if tt.change != nil {
				tt.change(r)
			}
			do(t, r).want(t, http.StatusOK)
			got := app.one(t)
			if string(got.body) != tt.body {
				t.Errorf("the app got %d bytes, want %d", len(got.body), len(tt.body))
			}
			if v := got.Header["Webhook-Verified"]; len(v) != 1 || v[0] != tt.header {
				t.Errorf("Webhook-Verified: %q, want %q", v, tt.header)
			}
			if p := got.Header.Get("X-Placeholders"); p != tt.want {
				t.Errorf("got placeholders %q, want %q", p, tt.want)
			}
		})
	}
}

// If two handlers verify the same request, as when a new scheme is tried before the old
// one, the placeholders have the verdict of the last one.
func TestTheLatestVerdictCounts(t *testing.T) {
	app := newApp(t)
	s := serveSite(t, "", `
	route {
		webhook_verify stripe `+strconv.Quote(testSecret)+` {
			enforce off
		}
		request_header X-First "{http.webhook.provider}|{http.webhook.verified}|{http.webhook.error}"
		webhook_verify github `+strconv.Quote(testSecret)+`
		reverse_proxy `+app.addr+` {
			header_up X-Second "{http.webhook.provider}|{http.webhook.verified}|{http.webhook.error}|{http.webhook.id}"
		}
	}`)
	body := "{}"
	do(t, signGitHub(post(t, s.url, body), body)).want(t, http.StatusOK)
	got := app.one(t)
	if first := got.Header.Get("X-First"); first != "stripe|false|missing_signature" {
		t.Errorf("after the first: got %s", first)
	}
	if second := got.Header.Get("X-Second"); second != "github|true||72d3162e-cc78-11e3-81ab-4c9367dc0958" {
		t.Errorf("after the second: got %s", second)
	}
}

// A refusal is a Caddy handler error, with a unique id, by which its log entry can be
// found, and with its origin.
func TestRefusalIsAHandlerError(t *testing.T) {
	s := serveSite(t, "", `
	webhook_verify github `+strconv.Quote(testSecret)+`
	handle_errors {
		respond "{http.error.status_code} {http.error.message} {http.error.trace} {http.error.id}"
	}`)
	seen := map[string]bool{}
	for range 20 {
		answer := do(t, post(t, s.url, "{}")).want(t, http.StatusUnauthorized)
		id, ok := strings.CutPrefix(answer.body, "401 missing_signature webhook_verify ")
		if !ok || !regexp.MustCompile(`^[a-z2-9]{9}$`).MatchString(id) || seen[id] {
			t.Errorf("got %q after %d others", answer.body, len(seen))
		}
		seen[id] = true
	}
}

// Slack's handshake is verified and then answered by the handler, or passed on to the app
// with handshake off.
func TestHandshake(t *testing.T) {
	app := newApp(t)
	s := serveSite(t, "", `
	handle /on {
		webhook_verify slack `+strconv.Quote(testSecret)+`
		reverse_proxy `+app.addr+`
	}
	handle /off {
		webhook_verify slack `+strconv.Quote(testSecret)+` {
			handshake off
		}
		reverse_proxy `+app.addr+`
	}`)
	body := `{"type":"url_verification","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"}`
	sign := func(r *http.Request) *http.Request {
		at := strconv.FormatInt(time.Now().Unix(), 10)
		r.Header.Set("X-Slack-Request-Timestamp", at)
		r.Header.Set("X-Slack-Signature", "v0="+mac(testSecret, "v0:"+at+":"+body))
		return r
	}
	got := do(t, sign(post(t, s.url+"/on", body))).want(t, http.StatusOK)
	if !strings.Contains(got.body, "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P") || got.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("got %q, %v", got.body, got.Header)
	}
	app.none(t)
	forged := sign(post(t, s.url+"/on", body))
	forged.Header.Set("X-Slack-Signature", "v0="+mac("guess", body))
	if got := do(t, forged).want(t, http.StatusUnauthorized); strings.Contains(got.body, "3eZbrw1") {
		t.Errorf("a forged handshake was answered: %q", got.body)
	}
	do(t, sign(post(t, s.url+"/off", body))).want(t, http.StatusOK)
	if got := app.one(t); string(got.body) != body {
		t.Errorf("the app got %q", got.body)
	}
}

// A handshake that can only be recognized by its body is answered, and nothing else gets
// past the missing token.
func TestUnsignedHandshake(t *testing.T) {
	app := newApp(t)
	s := serveSite(t, "", `
	handle /monday {
		webhook_verify monday token
		reverse_proxy `+app.addr+`
	}
	handle /grid {
		webhook_verify azure-event-grid token
		reverse_proxy `+app.addr+`
	}`)
	if got := do(t, post(t, s.url+"/monday", `{"challenge":"3eZbrw"}`)).want(t, http.StatusOK); got.body != `{"challenge":"3eZbrw"}` {
		t.Errorf("got %q", got.body)
	}
	for _, body := range []string{`{"event":{}}`, `{"challenge":"x","event":{}}`, strings.Repeat(" ", 9<<10) + `{"challenge":"x"}`} {
		if got := do(t, post(t, s.url+"/monday", body)).want(t, http.StatusUnauthorized); !strings.HasPrefix(got.body, "missing_signature") {
			t.Errorf("got %q", got.body)
		}
	}
	options := post(t, s.url+"/grid", "")
	options.Method = http.MethodOptions
	options.Header.Set("WebHook-Request-Origin", "eventgrid.azure.net")
	if got := do(t, options).want(t, http.StatusOK); got.Header.Get("WebHook-Allowed-Origin") != "eventgrid.azure.net" {
		t.Errorf("got %v", got.Header)
	}
	app.none(t)
	do(t, post(t, s.url+"/monday?token=token", `{"event":{}}`)).want(t, http.StatusOK)
	app.one(t)
}

// If the app can't be reached, an error route can proxy the same request elsewhere.
func TestErrorRoutesGetTheBody(t *testing.T) {
	fallback := newApp(t)
	port := freeport.Get()
	runCaddy(t, "", fmt.Sprintf(`http://127.0.0.1:%d {
	webhook_verify github %q
	reverse_proxy 127.0.0.1:%d
	handle_errors {
		reverse_proxy %s {
			header_up X-Length {header.Content-Length}
		}
	}
}`, port, testSecret, freeport.Get(), fallback.addr))
	body := string(spooltest.Bytes(200 << 10))
	do(t, signGitHub(post(t, fmt.Sprintf("http://127.0.0.1:%d/", port), body), body)).want(t, http.StatusOK)
	if got := fallback.one(t); string(got.body) != body {
		t.Errorf("the fallback got %d bytes", len(got.body))
	}
	must.Eventually(t, "all bodies to be released", func() bool { return bodies.Taken() == 0 })
	// A refused request reaches an error route without its body and forged headers.
	forged := signGitHub(post(t, fmt.Sprintf("http://127.0.0.1:%d/", port), body), "other")
	forged.Header.Set("Webhook-Verified", "github")
	do(t, forged)
	if got := fallback.one(t); len(got.body) != 0 || got.Header.Get("X-Length") != "" || got.Header["Webhook-Verified"] != nil {
		t.Errorf("the error route got %d bytes, %v", len(got.body), got.Header)
	}
}

// Logs and metrics have the reason of a refusal, and contain no secret.
func TestLogsAndMetricsOfRefusals(t *testing.T) {
	app := newApp(t)
	log := filepath.Join(t.TempDir(), "log.json")
	secret := "s3cret-that-nobody-sees"
	t.Setenv("VERIFY_TEST_SECRET", secret)
	s := serveSite(t, "metrics\n\tlog {\n\toutput file "+log+"\n\tformat json\n\tlevel DEBUG\n\t}", `
	log
	handle /github {
		webhook_verify github {env.VERIFY_TEST_SECRET}
		reverse_proxy `+app.addr+`
	}
	handle /typeform {
		webhook_verify typeform {env.VERIFY_TEST_SECRET}
	}
	handle /token {
		webhook_verify hmac {env.VERIFY_TEST_SECRET} {
			construction token
			signature query token
			unbound_body allow
		}
		reverse_proxy `+app.addr+`
	}
	handle /rollout {
		webhook_verify meta {env.VERIFY_TEST_SECRET} {
			enforce off
		}
	}`)
	body := "{}"
	r := signGitHub(post(t, s.url+"/github", body), body)
	r.Header.Set("X-Hub-Signature-256", "sha256="+mac(secret, body))
	do(t, r).want(t, http.StatusOK)
	r = post(t, s.url+"/github?token=query-token", body)
	r.Header.Set("X-Hub-Signature-256", "sha256="+mac("guess", body))
	do(t, r).want(t, http.StatusUnauthorized)
	do(t, post(t, s.url+"/rollout", body)).want(t, http.StatusOK)

	metrics := admin(t, "GET", "/metrics", "").body
	for _, want := range []string{
		`caddy_webhooks_verify_requests_total{provider="github",reason="",verdict="verified"}`,
		`caddy_webhooks_verify_requests_total{provider="github",reason="bad_signature",verdict="refused"}`,
		`caddy_webhooks_verify_secret_matches_total{provider="github",secret_index="0"}`,
		`caddy_webhooks_verify_secret_matches_total{provider="typeform",secret_index="0"} 0`,
		`caddy_webhooks_verify_replay_evictions_total`,
		`caddy_webhooks_verify_body_memory_bytes 0`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("there is no metric %s", want)
		}
	}
	written := must.Get(os.ReadFile(log))(t)
	var refused, access string
	for line := range strings.Lines(string(written)) {
		switch {
		case strings.Contains(line, `"webhook refused"`):
			refused = line
		case strings.Contains(line, "http.log.access"):
			access += line
		}
	}
	for _, want := range []string{`"level":"warn"`, "http.handlers.webhook_verify", `"provider":"github"`, `"reason":"bad_signature"`, `"status":401`, `"client_ip":"127.0.0.1"`, `"path":"/github"`} {
		if !strings.Contains(refused, want) {
			t.Errorf("there is no %s in the log of a refusal: %s", want, refused)
		}
	}
	if strings.Contains(refused, "query-token") || strings.Contains(refused, "sha256=") {
		t.Errorf("the log of a refusal contains the query or a signature: %s", refused)
	}
	for _, want := range []string{
		`"webhook":{"provider":"github","verdict":"verified","secret_index":0,"id":"72d3162e-cc78-11e3-81ab-4c9367dc0958","event_type":"push"}`,
		`"webhook":{"provider":"github","verdict":"refused","reason":"bad_signature"}`,
	} {
		if !strings.Contains(access, want) {
			t.Errorf("there is no %s in the access log: %s", want, access)
		}
	}
	for _, want := range []string{"request>uri query { delete token }", "enforce off: every request is passed on", "because there is no verify_token", "webhook would be refused (enforce off)"} {
		if n := strings.Count(string(written), want); n != 1 {
			t.Errorf("got %d warnings, want 1: %s", n, want)
		}
	}
	config := admin(t, "GET", "/config/", "").body
	for where, text := range map[string]string{"log": string(written), "metrics": metrics, "config": config} {
		if strings.Contains(text, secret) {
			t.Errorf("the %s shows the secret", where)
		}
	}
}

// A short secret can be used, since the provider already has it, but a warning is logged
// when the config is loaded. A token has no signature by which it could be guessed.
func TestShortSecretsAreWarnedOf(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log.json")
	serveSite(t, "log {\n\toutput file "+log+"\n\tformat json\n\t}", `
	handle /long {
		webhook_verify typeform `+strconv.Quote(testSecret)+`
	}
	handle /short {
		webhook_verify github hunter2
	}
	handle /again {
		webhook_verify github hunter2 `+strconv.Quote(testSecret)+`
	}
	handle /token {
		webhook_verify okta hunter2
	}`)
	written := must.Get(os.ReadFile(log))(t)
	var warnings []string
	for line := range strings.Lines(string(written)) {
		if strings.Contains(line, "short enough to be guessed") {
			warnings = append(warnings, line)
		}
		if strings.Contains(line, "hunter2") {
			t.Errorf("the log shows the secret: %s", line)
		}
	}
	if len(warnings) != 2 {
		t.Fatalf("got %d warnings, want one for each of the two handlers: %q", len(warnings), warnings)
	}
	both := strings.Join(warnings, "")
	for want, n := range map[string]int{`"level":"warn"`: 2, `"logger":"http.handlers.webhook_verify"`: 2, `"provider":"github"`: 2, `"bytes":7,"at_least":15`: 2, `"route":"2"`: 1} {
		if got := strings.Count(both, want); got != n {
			t.Errorf("got %s %d times, want %d times in %s", want, got, n, both)
		}
	}
}

// The responses to all invalid signatures are the same.
func TestSameResponseToAllInvalidSignatures(t *testing.T) {
	app := newApp(t)
	port := freeport.Get()
	runCaddy(t, "", fmt.Sprintf("http://127.0.0.1:%d {\nwebhook_verify stripe one two\nreverse_proxy %s\n}", port, app.addr))
	now := strconv.FormatInt(time.Now().Unix(), 10)
	for name, signature := range map[string]string{
		"missing":     "",
		"malformed":   "t=" + now + ",v1=zz",
		"wrong":       "t=" + now + ",v1=" + mac("guess", ""),
		"no time":     "v1=" + mac("one", ".{}"),
		"stale":       "t=1000000000,v1=" + mac("one", "1000000000.{}"),
		"weak scheme": "t=" + now + ",v0=" + mac("one", now+".{}"),
	} {
		r := post(t, fmt.Sprintf("http://127.0.0.1:%d/", port), "{}")
		if signature != "" {
			r.Header.Set("Stripe-Signature", signature)
		}
		got := do(t, r)
		got.Header.Del("Date")
		if got.StatusCode != http.StatusUnauthorized || got.body != "" || len(got.Header) != 2 { // Server, Content-Length
			t.Errorf("%s: got %s %q %v", name, got.Status, got.body, got.Header)
		}
	}
	app.none(t)
}
