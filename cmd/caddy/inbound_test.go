package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

// Secrets of providers, as the environment has them.
const (
	githubSecret = "github-secret-41f0a6"
	stripeSecret = "whsec_stripe-secret-5d1c20"
	stripeOld    = "whsec_stripe-old-secret-88e3b7"
	slackSecret  = "slack-secret-0b9e6d"
	zoomSecret   = "zoom-secret-c3f7a1"
	acmeSecret   = "acme-secret-72d4e9"
)

var standardSecret = whsec("standard-secret-e5b3")

// providers is a site with a route for each provider, in front of one app.
const providers = `{` + head + `}

http://:{$PORT} {
	handle /github {
		webhook_verify github {env.GITHUB_WEBHOOK_SECRET}
		request_header X-Seen "{http.webhook.provider} {http.webhook.id} {http.webhook.event_type} {http.webhook.verified} {http.webhook.secret_index}"
		reverse_proxy {$APP}
	}
	handle /stripe {
		webhook_verify stripe {
			secret {env.STRIPE_SECRET}
			secret {env.STRIPE_OLD_SECRET}
			tolerance 5m
			max_body 1MiB
			replay ack
		}
		request_header X-Secret-Index {http.webhook.secret_index}
		reverse_proxy {$APP}
	}
	handle /stripe-reject {
		webhook_verify stripe {
			secret {env.STRIPE_SECRET}
			replay reject
		}
		reverse_proxy {$APP}
	}
	handle /standard {
		webhook_verify standard-webhooks {env.STANDARD_SECRET}
		reverse_proxy {$APP}
	}
	handle /slack {
		webhook_verify slack {env.SLACK_SECRET}
		reverse_proxy {$APP}
	}
	handle /zoom {
		webhook_verify zoom {env.ZOOM_SECRET}
		reverse_proxy {$APP}
	}
	handle /acme {
		webhook_verify hmac {                    # any other provider, as data
			secret {env.ACME_SECRET}
			algorithm sha256                     # sha1 (only when named) | sha256 | sha384 | sha512
			signature header X-Acme-Signature {
				prefix "sha256="
				encoding hex
			}
			content "{timestamp}.{body}"
			timestamp header X-Acme-Timestamp unix
			id header X-Acme-Delivery
			event_type header X-Acme-Event
		}
		request_header X-Seen "{http.webhook.id} {http.webhook.event_type} {http.webhook.signed}"
		reverse_proxy {$APP}
	}
	handle /dry-run {
		webhook_verify github {
			secret {env.GITHUB_WEBHOOK_SECRET}
			enforce off
		}
		reverse_proxy {$APP}
	}
	handle_errors {
		respond "refused: {http.webhook.error}"
	}
}
`

// startProviders starts a server with all providers, and the app behind it.
func startProviders(t *testing.T) (*server, *receiver) {
	t.Helper()
	app := newReceiver(t)
	return startServer(t, providers,
		"APP="+app.addr,
		"GITHUB_WEBHOOK_SECRET="+githubSecret,
		"STRIPE_SECRET="+stripeSecret,
		"STRIPE_OLD_SECRET="+stripeOld,
		"STANDARD_SECRET="+standardSecret,
		"SLACK_SECRET="+slackSecret,
		"ZOOM_SECRET="+zoomSecret,
		"ACME_SECRET="+acmeSecret,
	), app
}

// inbound is a provider's webhook.
type inbound struct {
	path, provider string
	signature      string // the header that has it
	sign           func(t *testing.T, at time.Time, body []byte) http.Header
	timed          bool // the timestamp is signed
}

var inbounds = []inbound{
	{"/github", "github", "X-Hub-Signature-256", func(_ *testing.T, _ time.Time, body []byte) http.Header {
		return githubHeaders(githubSecret, "72d3162e", "push", body)
	}, false},
	{"/stripe", "stripe", "Stripe-Signature", func(_ *testing.T, at time.Time, body []byte) http.Header {
		return stripeHeaders(stripeSecret, at, body)
	}, true},
	{"/standard", "standard-webhooks", "Webhook-Signature", func(t *testing.T, at time.Time, body []byte) http.Header {
		return standardHeaders(t, standardSecret, "msg_"+strconv.FormatInt(at.UnixNano(), 36), at, body)
	}, true},
	{"/slack", "slack", "X-Slack-Signature", func(_ *testing.T, at time.Time, body []byte) http.Header {
		return slackHeaders(slackSecret, at, body)
	}, true},
	{"/zoom", "zoom", "X-Zm-Signature", func(_ *testing.T, at time.Time, body []byte) http.Header {
		return zoomHeaders(zoomSecret, at, body)
	}, true},
	{"/acme", "hmac", "X-Acme-Signature", func(_ *testing.T, at time.Time, body []byte) http.Header {
		return acmeHeaders(acmeSecret, "a-1", "thing.done", at, body)
	}, true},
}

// sized is a body of random bytes.
func sized(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func (s *server) post(path string, body []byte, h http.Header) answer {
	s.t.Helper()
	return send(s.t, "POST", s.url(path), bytes.NewReader(body), h)
}

// postChunked sends the body without its length.
func (s *server) postChunked(path string, body []byte, h http.Header) answer {
	s.t.Helper()
	return send(s.t, "POST", s.url(path), io.MultiReader(bytes.NewReader(body)), h)
}

// refused fails the test unless a request was refused in the words of
// handle_errors.
func (a answer) refused(status int, reason string) {
	a.t.Helper()
	a.want(status)
	if want := "refused: " + reason; string(a.body) != want {
		a.t.Errorf("%s: the answer is %q, want %q", a.asked, a.body, want)
	}
}

// subtests runs subtests that share a server and the app behind it.
func subtests(t *testing.T, s *server, app *receiver) func(name string, f func(*testing.T, *server, *receiver)) {
	return func(name string, f func(*testing.T, *server, *receiver)) {
		t.Run(name, func(t *testing.T) { f(t, s.on(t), app.on(t)) })
	}
}

// TestInbound sends valid and invalid webhooks of each provider.
func TestInbound(t *testing.T) {
	t.Parallel()
	s, app := startProviders(t)
	for _, in := range inbounds {
		t.Run(in.provider, func(t *testing.T) { testInbound(t, s.on(t), app.on(t), in) })
	}
	if got := strings.Count(s.log(), "webhook refused"); got == 0 {
		t.Error("the log says nothing of what was refused")
	}
}

func testInbound(t *testing.T, s *server, app *receiver, in inbound) {
	run := subtests(t, s, app)
	now := time.Now()
	body := sized(3000)
	good := in.sign(t, now, body)

	run("exact bytes reach the app", func(t *testing.T, s *server, app *receiver) {
		h := good.Clone()
		h.Set("Webhook-Verified", "forged")
		h.Set("Webhook-Verified-By", "forged")
		h.Set("X-Other", "kept")
		s.post(in.path, body, h).want(http.StatusOK)
		got := app.one()
		if !bytes.Equal(got.body, body) || got.length != int64(len(body)) {
			t.Errorf("the app got %d bytes with Content-Length %d, want the %d that were sent", len(got.body), got.length, len(body))
		}
		if v := got.header.Values("Webhook-Verified"); !slices.Equal(v, []string{in.provider}) {
			t.Errorf("Webhook-Verified is %q, want %q", v, in.provider)
		}
		if v := got.header.Get("Webhook-Verified-By"); v != "" {
			t.Errorf("Webhook-Verified-By: %s came from outside", v)
		}
		if got.header.Get("X-Other") != "kept" || got.header.Get(in.signature) != good.Get(in.signature) {
			t.Error("headers are missing")
		}
	})
	run("a large body without its length", func(t *testing.T, s *server, app *receiver) {
		large := sized(700 << 10)
		s.postChunked(in.path, large, in.sign(t, now.Add(time.Second), large)).want(http.StatusOK)
		if got := app.one(); !bytes.Equal(got.body, large) || got.length != int64(len(large)) {
			t.Errorf("the app got %d bytes with Content-Length %d, want %d", len(got.body), got.length, len(large))
		}
	})
	run("a byte of the body is forged", func(t *testing.T, s *server, app *receiver) {
		forged := bytes.Clone(body)
		forged[len(forged)/2] ^= 1
		s.post(in.path, forged, good).refused(http.StatusUnauthorized, "bad_signature")
	})
	run("a digit of the signature is forged", func(t *testing.T, s *server, app *receiver) {
		h := good.Clone()
		h.Set(in.signature, forge(h.Get(in.signature)))
		s.post(in.path, body, h).refused(http.StatusUnauthorized, "bad_signature")
	})
	run("no signature", func(t *testing.T, s *server, app *receiver) {
		h := good.Clone()
		h.Del(in.signature)
		s.post(in.path, body, h).refused(http.StatusUnauthorized, "missing_signature")
	})
	run("two signatures", func(t *testing.T, s *server, app *receiver) {
		h := good.Clone()
		h.Add(in.signature, good.Get(in.signature))
		s.post(in.path, body, h).refused(http.StatusUnauthorized, "repeated_header")
	})
	run("no body", func(t *testing.T, s *server, app *receiver) {
		s.post(in.path, nil, good).refused(http.StatusUnauthorized, "bad_signature")
	})
	run("another method", func(t *testing.T, s *server, app *receiver) {
		send(t, "PUT", s.url(in.path), bytes.NewReader(body), good).refused(http.StatusMethodNotAllowed, "method_not_allowed")
	})
	if in.timed {
		run("an old time", func(t *testing.T, s *server, app *receiver) {
			s.post(in.path, body, in.sign(t, now.Add(-6*time.Minute), body)).refused(http.StatusUnauthorized, "stale_timestamp")
		})
		run("a time to come", func(t *testing.T, s *server, app *receiver) {
			s.post(in.path, body, in.sign(t, now.Add(6*time.Minute), body)).refused(http.StatusUnauthorized, "future_timestamp")
		})
	}
	app.none()
}

// forge changes a digit of a signature, which stays well-formed.
func forge(signature string) string {
	b := []byte(signature)
	i := len(b) - 12
	if b[i] == '0' {
		b[i] = '1'
	} else {
		b[i] = '0'
	}
	return string(b)
}

func TestInboundPlaceholders(t *testing.T) {
	t.Parallel()
	s, app := startProviders(t)
	body := []byte(`{"zen":"Keep it logically awesome."}`)

	s.post("/github", body, githubHeaders(githubSecret, "72d3162e", "issues", body)).want(http.StatusOK)
	if got, want := app.one().header.Get("X-Seen"), "github 72d3162e issues true 0"; got != want {
		t.Errorf("github: the placeholders are %q, want %q", got, want)
	}

	s.post("/acme", body, acmeHeaders(acmeSecret, "a-1", "thing.done", time.Now(), body)).want(http.StatusOK)
	if got, want := app.one().header.Get("X-Seen"), "a-1 thing.done timestamp body"; got != want {
		t.Errorf("acme: the placeholders are %q, want %q", got, want)
	}
}

// TestInboundRotation checks that both secrets are accepted, and that the app sees which one
// was used.
func TestInboundRotation(t *testing.T) {
	t.Parallel()
	s, app := startProviders(t)
	for i, secret := range []string{stripeSecret, stripeOld} {
		body := fmt.Appendf(nil, `{"id":"evt_%d","type":"charge.succeeded"}`, i)
		s.post("/stripe", body, stripeHeaders(secret, time.Now(), body)).want(http.StatusOK)
		if got, want := app.one().header.Get("X-Secret-Index"), strconv.Itoa(i); got != want {
			t.Errorf("the index of secret %d is %q", i, got)
		}
	}
	body := []byte(`{}`)
	s.post("/stripe", body, stripeHeaders("whsec_other", time.Now(), body)).refused(http.StatusUnauthorized, "bad_signature")
	app.none()
}

func TestInboundMaxBody(t *testing.T) {
	t.Parallel()
	s, app := startProviders(t)
	now := time.Now()

	fits := sized(1 << 20)
	s.post("/stripe", fits, stripeHeaders(stripeSecret, now, fits)).want(http.StatusOK)
	if got := app.one(); !bytes.Equal(got.body, fits) {
		t.Errorf("the app got %d bytes of %d", len(got.body), len(fits))
	}
	over := sized(1<<20 + 1)
	h := stripeHeaders(stripeSecret, now, over)
	h.Set("Expect", "100-continue") // otherwise the client might not read the response while it sends
	s.post("/stripe", over, h).refused(http.StatusRequestEntityTooLarge, "body_too_large")
	s.postChunked("/stripe", over, stripeHeaders(stripeSecret, now, over)).refused(http.StatusRequestEntityTooLarge, "body_too_large")
	app.none()
}

// TestInboundReplay sends messages again. They are acknowledged or rejected if the app has
// accepted them, and passed on if it hasn't.
func TestInboundReplay(t *testing.T) {
	t.Parallel()
	s, app := startProviders(t)
	run := subtests(t, s, app)
	body := []byte(`{"id":"evt_1","type":"charge.succeeded"}`)
	at := time.Now()

	run("ack", func(t *testing.T, s *server, app *receiver) {
		h := stripeHeaders(stripeSecret, at, body)
		s.post("/stripe", body, h).want(http.StatusOK)
		app.one()
		s.post("/stripe", body, h).want(http.StatusOK)
		app.none()
	})
	run("the memory outlives a reload", func(t *testing.T, s *server, app *receiver) {
		s.reload(strings.Replace(providers, "max_body 1MiB", "max_body 2MiB", 1))
		s.post("/stripe", body, stripeHeaders(stripeSecret, at, body)).want(http.StatusOK)
		app.none()
	})
	run("the same bytes with another time are no replay", func(t *testing.T, s *server, app *receiver) {
		s.post("/stripe", body, stripeHeaders(stripeSecret, at.Add(time.Second), body)).want(http.StatusOK)
		app.one()
	})
	run("another route has its own memory, and rejects", func(t *testing.T, s *server, app *receiver) {
		h := stripeHeaders(stripeSecret, at, body)
		s.post("/stripe-reject", body, h).want(http.StatusOK)
		app.one()
		s.post("/stripe-reject", body, h).refused(http.StatusConflict, "replayed")
		app.none()
	})
	run("a retry after the app's failure passes", func(t *testing.T, s *server, app *receiver) {
		h := stripeHeaders(stripeSecret, at.Add(2*time.Second), body)
		app.answerStatus(http.StatusInternalServerError)
		s.post("/stripe", body, h).want(http.StatusInternalServerError)
		app.one()
		app.answerStatus(http.StatusNoContent)
		s.post("/stripe", body, h).want(http.StatusNoContent)
		app.one()
		s.post("/stripe", body, h).want(http.StatusOK)
		app.none()
	})
	run("a second copy while the app works on the first", func(t *testing.T, s *server, app *receiver) {
		h := stripeHeaders(stripeSecret, at.Add(3*time.Second), body)
		release := make(chan struct{})
		app.answer(func(http.ResponseWriter, *request) { <-release })
		first := make(chan int)
		go func() {
			req, _ := http.NewRequestWithContext(t.Context(), "POST", s.url("/stripe"), bytes.NewReader(body))
			req.Header = h.Clone()
			res, err := plain.Do(req)
			if err != nil {
				first <- 0
				return
			}
			res.Body.Close()
			first <- res.StatusCode
		}()
		app.wait(1)
		second := s.post("/stripe", body, h)
		second.refused(http.StatusConflict, "in_flight")
		if second.header.Get("Retry-After") == "" {
			t.Error("Retry-After is missing")
		}
		close(release)
		if status := <-first; status != http.StatusOK {
			t.Errorf("the first copy got %d", status)
		}
		app.one()
	})
	run("what is forged is not remembered", func(t *testing.T, s *server, app *receiver) {
		app.answer(nil)
		h := stripeHeaders(stripeSecret, at.Add(4*time.Second), body)
		wrong := h.Clone()
		wrong.Set("Stripe-Signature", forge(h.Get("Stripe-Signature")))
		s.post("/stripe", body, wrong).refused(http.StatusUnauthorized, "bad_signature")
		s.post("/stripe", body, h).want(http.StatusOK)
		app.one()
	})
}

func TestInboundHandshakes(t *testing.T) {
	t.Parallel()
	s, app := startProviders(t)
	run := subtests(t, s, app)
	now := time.Now()

	run("slack", func(t *testing.T, s *server, app *receiver) {
		body := []byte(`{"token":"x","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P","type":"url_verification"}`)
		got := s.post("/slack", body, slackHeaders(slackSecret, now, body)).want(http.StatusOK)
		if !strings.Contains(string(got.body), "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P") {
			t.Errorf("the answer is %q", got.body)
		}
		s.post("/slack", body, slackHeaders("other", now, body)).refused(http.StatusUnauthorized, "bad_signature")
	})
	run("zoom", func(t *testing.T, s *server, app *receiver) {
		const token = "qgg8vlvZRS6UYooatFL8Aw"
		body := []byte(`{"event":"endpoint.url_validation","payload":{"plainToken":"` + token + `"},"event_ts":1654503849680}`)
		var got struct{ PlainToken, EncryptedToken string }
		must.Do(t, json.Unmarshal(s.post("/zoom", body, zoomHeaders(zoomSecret, now, body)).want(http.StatusOK).body, &got))
		if got.PlainToken != token || got.EncryptedToken != hexSHA256(zoomSecret, token) {
			t.Errorf("the answer is %+v", got)
		}
		s.post("/zoom", body, zoomHeaders("other", now, body)).refused(http.StatusUnauthorized, "bad_signature")
	})
	run("zoom does not sign what could pass for an event", func(t *testing.T, s *server, app *receiver) {
		forged := fmt.Sprintf(`v0:%d:{\"event\":\"x\"}`, now.Unix())
		body := []byte(`{"event":"endpoint.url_validation","payload":{"plainToken":"` + forged + `"}}`)
		got := s.post("/zoom", body, zoomHeaders(zoomSecret, now, body))
		if got.status < 400 {
			t.Errorf("the answer is %d %s", got.status, got.body)
		}
	})
	app.none()
}

// TestInboundDryRun checks that everything is passed on, with the verdict.
func TestInboundDryRun(t *testing.T) {
	t.Parallel()
	s, app := startProviders(t)
	body := []byte(`{}`)
	s.post("/dry-run", body, githubHeaders(githubSecret, "1", "push", body)).want(http.StatusOK)
	if got := app.one().header.Values("Webhook-Verified"); !slices.Equal(got, []string{"github"}) {
		t.Errorf("verified: Webhook-Verified is %q", got)
	}
	h := githubHeaders("wrong", "1", "push", body)
	h.Set("Webhook-Verified", "github")
	s.post("/dry-run", body, h).want(http.StatusOK)
	got := app.one()
	if v := got.header.Values("Webhook-Verified"); !slices.Equal(v, []string{"false"}) {
		t.Errorf("forged: Webhook-Verified is %q, want false", v)
	}
	if !bytes.Equal(got.body, body) {
		t.Errorf("forged: the app got %q", got.body)
	}
}

// TestInboundProxyRetry checks that the second upstream gets the whole body if the first one
// can't be dialled.
func TestInboundProxyRetry(t *testing.T) {
	t.Parallel()
	dead, app := downReceiver(t), newReceiver(t)
	s := startServer(t, `{`+head+`}

http://:{$PORT} {
	webhook_verify github {env.GITHUB_WEBHOOK_SECRET}
	reverse_proxy {$DEAD} {$APP} {
		lb_policy first
		lb_retries 3
		fail_duration 30s
	}
}
`, "DEAD="+dead.addr, "APP="+app.addr, "GITHUB_WEBHOOK_SECRET="+githubSecret)
	for _, n := range []int{10, 3 << 20} {
		body := sized(n)
		s.post("/", body, githubHeaders(githubSecret, "1", "push", body)).want(http.StatusOK)
		if got := app.one(); !bytes.Equal(got.body, body) || got.length != int64(n) {
			t.Errorf("the second upstream got %d bytes with Content-Length %d, want %d", len(got.body), got.length, n)
		}
	}
}
