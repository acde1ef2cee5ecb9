package outbound_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/egress"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
)

const clientSecret = "s3cret of the/client:+%"

// issues makes a token endpoint answer with token-1, token-2, …; more is added to the JSON
// object.
func (r *receiver) issues(more string) {
	n := 0
	r.respond(func(w http.ResponseWriter, _ *http.Request) {
		r.mu.Lock()
		n++
		token := n
		r.mu.Unlock()
		fmt.Fprintf(w, `{"access_token":"token-%d","token_type":"bearer"%s}`, token, more)
	})
}

// withOAuth2 starts a receiver and a token endpoint, and creates a subscription that uses
// both.
func withOAuth2(t *testing.T, h *harness) (r, issuer *receiver, sub *outbound.Subscription) {
	t.Helper()
	r, issuer = newReceiver(t), newReceiver(t)
	issuer.issues(`,"expires_in":3600`)
	sub = h.subscribe(outbound.SubscriptionSpec{
		URL: r.URL, EventTypes: []string{"a"},
		OAuth2: outbound.OAuth2{TokenURL: issuer.URL + "/token", ClientID: "web hooks", ClientSecret: clientSecret},
	})
	return r, issuer, sub
}

// bearer publishes an event, and returns the Authorization header of its delivery.
func (h *harness) bearer(r *receiver) string {
	h.t.Helper()
	h.publish("a", `{}`)
	a := r.next(h.t)
	h.awaitAttemptEnd()
	return a.header.Get("Authorization")
}

// The token request has the form and the credentials that the subscription's OAuth2 settings
// ask for, and the delivery has the token, its signature and its other headers.
func TestOAuth2(t *testing.T) {
	h := open(t)
	r, issuer := newReceiver(t), newReceiver(t)
	issuer.issues("")
	spec := outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}, Headers: map[string]string{"X-Env": "test"}, OAuth2: outbound.OAuth2{
		TokenURL: issuer.URL + "/token?tenant=1", ClientID: "web hooks", ClientSecret: clientSecret,
		Params: map[string]string{"audience": "https://crm.example.com"},
	}}
	for style, want := range map[string]struct {
		basic  bool
		scopes []string
		form   url.Values
	}{
		"":       {true, nil, url.Values{}},
		"header": {true, []string{"read", "write"}, url.Values{"scope": {"read write"}}},
		"body":   {false, []string{"read"}, url.Values{"scope": {"read"}, "client_id": {"web hooks"}, "client_secret": {clientSecret}}},
	} {
		spec.OAuth2.AuthStyle, spec.OAuth2.Scopes = style, want.scopes
		sub := h.subscribe(spec)
		must.Get(h.Publish(t.Context(), &outbound.NewEvent{Type: "a", Payload: []byte(`{}`), Headers: map[string]string{"Authorization": "of the event"}}))(t)
		asked, a := issuer.next(t), r.next(t)
		h.awaitAttemptEnd()
		check(t, h, a, sub.Secrets[0].Value)
		if got := a.header.Get("Authorization"); !strings.HasPrefix(got, "Bearer token-") || a.header.Get("X-Env") != "test" {
			t.Errorf("%q: got delivery header %v, want a token and X-Env", style, a.header)
		}
		want.form.Set("grant_type", "client_credentials")
		want.form.Set("audience", "https://crm.example.com")
		if got := string(asked.body); got != want.form.Encode() || asked.header.Get("Content-Type") != "application/x-www-form-urlencoded" {
			t.Errorf("%q: got token request %q with %v, want %q", style, got, asked.header, want.form.Encode())
		}
		id, secret, ok := (&http.Request{Header: asked.header}).BasicAuth()
		if ok != want.basic || ok && (id != url.QueryEscape("web hooks") || secret != url.QueryEscape(clientSecret)) {
			t.Errorf("%q: got basic auth %v with %q, %q, want %v", style, ok, id, secret, want.basic)
		}
		must.Do(t, h.DeleteSubscription(t.Context(), sub.ID))
	}
}

// A token is used until shortly before it expires, or for five minutes if the answer
// doesn't say when that is.
func TestTokenExpires(t *testing.T) {
	for more, life := range map[string]time.Duration{
		`,"expires_in":3600`:                             time.Hour - 30*time.Second,
		`,"expires_in":"100"`:                            90 * time.Second,
		`,"expires_in":"100","token_type":"BearerToken"`: 90 * time.Second, // Apigee's
		``:                            5*time.Minute - 30*time.Second,
		`,"expires_in":null`:          5*time.Minute - 30*time.Second,
		`,"expires_in":1e300`:         24*time.Hour - 30*time.Second,
		`,"expires_in":0`:             5*time.Minute - 30*time.Second,
		`,"expires_in":-9999999999.5`: 5*time.Minute - 30*time.Second,
	} {
		h := open(t)
		r, issuer, _ := withOAuth2(t, h)
		issuer.issues(more)
		want := 1
		for _, wait := range []time.Duration{0, life - 1, 1} {
			h.clock.advance(wait)
			if wait == 1 {
				want++
			}
			if got := h.bearer(r); got != fmt.Sprint("Bearer token-", want) {
				t.Errorf("%s: after %v more, got %q, want token-%d", more, wait, got, want)
			}
		}
	}
}

// After a 401 the token isn't sent again; other failures don't affect it.
func TestTokenIsRefused(t *testing.T) {
	h := open(t, retries(time.Second, time.Second))
	r, _, _ := withOAuth2(t, h)
	if got := h.bearer(r); got != "Bearer token-1" {
		t.Fatalf("got %q, want token-1", got)
	}
	r.respond(func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Authorization") == "Bearer token-1" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	h.publish("a", `{}`)
	r.next(t)
	if d := h.awaitAttemptEnd(); d.Attempt.Class != outbound.ClassStatus || d.Attempt.Status != http.StatusUnauthorized {
		t.Fatalf("got %+v, want status 401", d.Attempt)
	}
	h.clock.advance(time.Minute)
	if got := r.next(t).header.Get("Authorization"); got != "Bearer token-2" {
		t.Errorf("next attempt: got %q, want token-2", got)
	}
	if d := h.awaitAttemptEnd(); d.State != store.Delivered {
		t.Errorf("next attempt: got %+v, want a success", d.Attempt)
	}
	r.respond(status(http.StatusForbidden)) // not the token's fault
	h.bearer(r)
	r.respond(nil)
	h.clock.advance(time.Minute)
	if got := r.next(t).header.Get("Authorization"); got != "Bearer token-2" {
		t.Errorf("after a 403: got %q, want token-2", got)
	}
}

// Attempts that need a token at the same time share one request for it.
func TestOneTokenForAll(t *testing.T) {
	h := open(t)
	r, issuer, _ := withOAuth2(t, h)
	unblock := make(chan struct{})
	issuer.respond(func(w http.ResponseWriter, _ *http.Request) {
		<-unblock
		fmt.Fprint(w, `{"access_token":"token"}`)
	})
	for range 100 {
		h.publish("a", `{}`)
	}
	issuer.next(t)
	must.Eventually(t, "all attempts to wait", func() bool { return h.InFlight() == 16 })
	close(unblock)
	for range 100 {
		if d := h.awaitAttempt(); d.State != store.Delivered {
			t.Fatalf("got %+v, want a success", d.Attempt)
		}
		if got := r.next(t).header.Get("Authorization"); got != "Bearer token" {
			t.Fatalf("got %q, want token", got)
		}
	}
	issuer.expectNone(t)
}

// If the shared request for a token fails, all attempts that wait for it fail.
func TestNoTokenForAll(t *testing.T) {
	h := open(t, retries(time.Hour))
	_, issuer, _ := withOAuth2(t, h)
	unblock := issuer.block(t, http.StatusInternalServerError)
	for range 16 {
		h.publish("a", `{}`)
	}
	must.Eventually(t, "all attempts to wait", func() bool { return h.InFlight() == 16 })
	unblock()
	for range 16 {
		if a := h.awaitAttempt().Attempt; a.Error != "no access token: the token endpoint answered 500 Internal Server Error" {
			t.Errorf("got %+v, want the token endpoint's 500", a)
		}
	}
	if n := len(issuer.arrivals); n > 8 { // some attempts may begin after the first request has failed
		t.Errorf("got %d token requests, want 8 at most", n)
	}
}

// A token is kept through changes of the subscription and reloads that don't change how it
// is requested.
func TestTokenIsKept(t *testing.T) {
	h := open(t)
	r, issuer, sub := withOAuth2(t, h)
	change := func(edit func(*outbound.SubscriptionSpec)) {
		t.Helper()
		h.update(sub.ID, edit)
	}
	for _, step := range []struct {
		what string
		do   func()
		want string
	}{
		{"at first", func() {}, "Bearer token-1"},
		{"with another description", func() {
			change(func(s *outbound.SubscriptionSpec) { s.Description = "new" })
		}, "Bearer token-1"},
		{"after a reload", func() {
			h.settings.Timeout = time.Minute
			must.Do(t, h.Apply(t.Context(), h.settings))
		}, "Bearer token-1"},
		{"with empty scopes and params instead of none", func() {
			change(func(s *outbound.SubscriptionSpec) {
				s.OAuth2.Scopes, s.OAuth2.Params = []string{}, map[string]string{}
			})
		}, "Bearer token-1"},
		{"with another scope", func() {
			change(func(s *outbound.SubscriptionSpec) { s.OAuth2.Scopes = []string{"write"} })
		}, "Bearer token-2"},
		{"with another secret", func() {
			change(func(s *outbound.SubscriptionSpec) { s.OAuth2.ClientSecret = "new" })
		}, "Bearer token-3"},
		{"without", func() {
			change(func(s *outbound.SubscriptionSpec) { s.OAuth2 = outbound.OAuth2{} })
		}, ""},
		{"with it again", func() {
			change(func(s *outbound.SubscriptionSpec) { s.OAuth2 = sub.OAuth2 })
		}, "Bearer token-4"},
		{"after a restart", h.restart, "Bearer token-5"},
	} {
		step.do()
		if got := h.bearer(r); got != step.want {
			t.Errorf("%s: got %q, want %q", step.what, got, step.want)
		}
	}
	if n := len(issuer.arrivals); n != 5 {
		t.Errorf("got %d token requests, want 5", n)
	}
}

// The same holds for a subscription in the configuration.
func TestOAuth2OfTheConfiguration(t *testing.T) {
	h := open(t)
	r, issuer := newReceiver(t), newReceiver(t)
	issuer.issues("")
	for _, step := range []struct{ scope, want string }{{"read", "Bearer token-1"}, {"read", "Bearer token-1"}, {"write", "Bearer token-2"}} {
		h.settings.Subscriptions = []outbound.SubscriptionSpec{{
			Name: "crm", URL: r.URL, EventTypes: []string{"a"},
			OAuth2: outbound.OAuth2{TokenURL: issuer.URL, ClientID: "id", ClientSecret: clientSecret, Scopes: []string{step.scope}},
		}}
		must.Do(t, h.Apply(t.Context(), h.settings))
		if got := h.bearer(r); got != step.want {
			t.Errorf("scope %s: got %q, want %q", step.scope, got, step.want)
		}
	}
}

// If a receiver is down because no token could be had, a change of the OAuth2 settings
// makes the engine attempt a delivery at once, and clears since when it fails.
func TestCorrectedOAuth2(t *testing.T) {
	for _, fromConfig := range []bool{false, true} {
		h := open(t, retries(time.Hour))
		r, issuer := newReceiver(t), newReceiver(t)
		issuer.respond(status(http.StatusUnauthorized))
		spec := outbound.SubscriptionSpec{Name: "crm", URL: r.URL, EventTypes: []string{"a"}, OAuth2: outbound.OAuth2{
			TokenURL: issuer.URL, ClientID: "id", ClientSecret: "wrong",
		}}
		apply := func() {
			t.Helper()
			h.settings.Subscriptions = []outbound.SubscriptionSpec{spec}
			must.Do(t, h.Apply(t.Context(), h.settings))
		}
		if fromConfig {
			apply()
		} else {
			h.subscribe(spec)
		}
		h.failTimes(10)
		must.Eventually(t, "the receiver to be stored as down", func() bool {
			return h.sub().Health == outbound.HealthDown && !h.sub().Subscription.FailingSince.IsZero()
		})

		issuer.issues("")
		spec.OAuth2.ClientSecret = clientSecret
		correct := func(s *outbound.SubscriptionSpec) error { s.OAuth2 = spec.OAuth2; return nil }
		if fromConfig {
			apply()
		} else if _, err := h.UpdateSubscription(t.Context(), h.sub().Subscription.ID, correct); err != nil {
			t.Fatal(err)
		}
		if !h.sub().Subscription.FailingSince.IsZero() {
			t.Errorf("got %+v, want no FailingSince", h.sub())
		}
		r.next(t)
	}
}

// If no token can be had, the attempt fails without a request to the receiver. Neither the
// error nor the log has anything of the credentials or of the token endpoint's answer,
// except for a registered error code.
func TestNoToken(t *testing.T) {
	says := func(code int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			fmt.Fprint(w, body)
		}
	}
	for _, c := range []struct {
		answer http.HandlerFunc
		words  string
	}{
		{says(401, `{"error":"invalid_client","error_description":"hunter2 is wrong"}`), "no access token: the token endpoint answered 401 Unauthorized: invalid_client"},
		{says(200, `{"error":"invalid_scope","access_token":"hunter2"}`), "no access token: the token endpoint answered 200 OK: invalid_scope"},
		{says(400, `{"error":"hunter2"}`), "no access token: the token endpoint answered 400 Bad Request"},
		{says(410, `hunter2`), "no access token: the token endpoint answered 410 Gone"},
		{says(500, `<html>hunter2`), "no access token: the token endpoint answered 500 Internal Server Error"},
		{says(200, ``), "not the JSON object"},
		{says(200, `hunter2`), "not the JSON object"},
		{says(200, `["hunter2"]`), "not the JSON object"},
		{says(200, `{"access_token":"hunter2","expires_in":"hunter2"}`), "not the JSON object"},
		{says(200, `{"access_token":"hunter2"}`+strings.Repeat(" ", 70_000)), "over 64 KiB"},
		{func(w http.ResponseWriter, _ *http.Request) {
			for range 64 {
				if _, err := w.Write(make([]byte, 1<<20)); err != nil {
					return
				}
			}
			t.Error("got 64 MiB of an answer read, want 64 KiB")
		}, "over 64 KiB"},
		{says(200, `{}`), "has no access_token"},
		{says(200, `{"access_token":"hunter2\r\nHost: x"}`), "has no access_token, or one that can't be sent"},
		{says(200, `{"access_token":"`+strings.Repeat("hunter2", 2000)+`"}`), "has no access_token, or one that can't be sent"},
		{says(200, `{"access_token":"hunter2","token_type":"hunter2"}`), "token_type that isn't Bearer"},
		{func(w http.ResponseWriter, req *http.Request) {
			http.Redirect(w, req, "http://127.0.0.1:1/hunter2", http.StatusTemporaryRedirect)
		}, "redirects are not followed: update its token_url (it pointed to http://127.0.0.1:1)"},
		{func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_, _ = io.WriteString(conn, "hunter2\r\n\r\n")
				_ = conn.Close()
			}
		}, "no access token: the response is not valid HTTP"},
		{func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, `{"access_token":"hunter2"}`)
		}, "no access token: the connection broke before"},
		{func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "no access token: the connection broke before the response"},
		{func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: hunter2\r\n\r\n")
				_, _ = io.Copy(io.Discard, conn) // for as long as it is open
				_ = conn.Close()
			}
		}, "no access token: the token endpoint answered 101 Switching Protocols"},
	} {
		t.Run(c.words, func(t *testing.T) {
			var log journal
			h := open(t, retries(time.Second), logTo(&log))
			r, issuer, _ := withOAuth2(t, h)
			issuer.respond(c.answer)
			h.publish("a", `{}`)
			issuer.next(t)
			d := h.awaitAttemptEnd()
			if a := d.Attempt; d.State != store.Pending || a.Class != outbound.ClassOAuth2 || !strings.Contains(a.Error, c.words) || a.Status != 0 || len(a.ResponseBody) > 0 || len(a.ResponseHeaders) > 0 {
				t.Errorf("got state %v, attempt %+v, want pending with class %s and %q", d.State, a, outbound.ClassOAuth2, c.words)
			}
			if said := d.Attempt.Error + log.line("hunter2") + log.line("s3cret"); strings.Contains(said, "hunter2") || strings.Contains(said, "s3cret") {
				t.Errorf("got a secret in the error or the log: %s", said)
			}
			r.expectNone(t)
			issuer.issues("")
			h.clock.advance(time.Minute)
			r.next(t)
			if d := h.awaitAttemptEnd(); d.State != store.Delivered {
				t.Errorf("with a token: got %+v, want a success", d.Attempt)
			}
		})
	}
}

// A token endpoint's Retry-After is honoured, and its failures can deactivate the
// subscription, like a receiver's.
func TestTokenEndpointFails(t *testing.T) {
	h := open(t, retries(time.Second), func(s *outbound.Settings) { s.DisableAfter = outbound.DisableAfter{Failures: 3, For: time.Hour} })
	_, issuer, _ := withOAuth2(t, h)
	issuer.respond(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "120")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	h.publish("a", `{}`)
	d := h.awaitAttemptEnd()
	if wait := d.Due.Sub(h.clock.Now()); wait != 2*time.Minute {
		t.Errorf("got the next attempt in %v, want 2m: %+v", wait, d.Attempt)
	}
	issuer.respond(status(http.StatusInternalServerError))
	h.clock.advance(time.Hour)
	h.awaitAttemptEnd()
	h.failTimes(1)
	must.Eventually(t, "the deactivation", func() bool { return !h.sub().Subscription.Active })
}

// Waiting for a token counts towards an attempt's timeout, also if another attempt has
// requested it.
func TestTokenTakesTooLong(t *testing.T) {
	h := open(t, retries(time.Hour), func(s *outbound.Settings) { s.Timeout = 10 * time.Minute })
	r, issuer, _ := withOAuth2(t, h)
	unblock := issuer.block(t, 200)
	h.publish("a", `{}`)
	issuer.next(t)                   // this attempt has the long timeout
	h.settings.Timeout = time.Second // enough for a slow machine to make the request
	must.Do(t, h.Apply(t.Context(), h.settings))
	tooLong := func() {
		t.Helper()
		h.publish("a", `{}`)
		if a := h.awaitAttempt().Attempt; a.Class != outbound.ClassOAuth2 || a.Error != "no access token: no response in time" {
			t.Errorf("got %+v, want class %s, no response in time", a, outbound.ClassOAuth2)
		}
	}
	tooLong()
	issuer.expectNone(t)
	unblock()
	h.awaitAttempt()
	issuer.block(t, 200)
	tooLong()
	issuer.next(t)
	r.expectNone(t)
}

// The egress policy also applies to token endpoints, when they are set and when they are
// used.
func TestTokenOfADeniedAddress(t *testing.T) {
	h := open(t, retries(time.Second))
	r, issuer, sub := withOAuth2(t, h)
	for _, denied := range []string{"http://169.254.169.254/token", "http://10.0.0.1/token", "http://[::1]/token", "ftp://127.0.0.1/", "//127.0.0.1/", "http://user:password@127.0.0.1/"} {
		spec := outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"a"}, OAuth2: sub.OAuth2}
		spec.OAuth2.TokenURL = denied
		var refused *outbound.Invalid
		if _, err := h.CreateSubscription(t.Context(), spec); !errors.As(err, &refused) || refused.Field != "oauth2.token_url" {
			t.Errorf("%s: got %v, want an Invalid error of oauth2.token_url", denied, err)
		}
		_, err := h.UpdateSubscription(t.Context(), sub.ID, func(s *outbound.SubscriptionSpec) error { s.OAuth2.TokenURL = denied; return nil })
		if !errors.As(err, &refused) || refused.Field != "oauth2.token_url" {
			t.Errorf("%s: got %v, want an Invalid error of oauth2.token_url", denied, err)
		}
	}
	policy := must.Get(egress.NewPolicy([]string{"127.0.0.0/8"}, []string{"127.0.0.2"}))(t)
	h.update(sub.ID, func(s *outbound.SubscriptionSpec) {
		s.OAuth2.TokenURL = strings.Replace(s.OAuth2.TokenURL, "127.0.0.1", "127.0.0.2", 1)
	})
	h.settings.Policy = policy
	must.Do(t, h.Apply(t.Context(), h.settings))
	h.publish("a", `{}`)
	d := h.awaitAttemptEnd()
	if d.State != store.Dead || d.Attempt.Class != outbound.ClassOAuth2 || !strings.HasPrefix(d.Attempt.Error, "no access token: deliveries to this host are not allowed") {
		t.Errorf("got state %v, attempt %+v, want a dead letter of class %s", d.State, d.Attempt, outbound.ClassOAuth2)
	}
	r.expectNone(t)
	issuer.expectNone(t)
}

// An attempt that is broken off while it waits for a token doesn't count.
func TestStoppedWhileATokenIsAskedFor(t *testing.T) {
	h := open(t)
	r, issuer, _ := withOAuth2(t, h)
	unblock := issuer.block(t, 200)
	h.publish("a", `{}`)
	h.publish("a", `{}`)
	issuer.next(t)
	must.Eventually(t, "both attempts to wait", func() bool { return h.InFlight() == 2 })
	h.stop()
	unblock()
	issuer.issues("")
	h.start()
	for range 2 {
		r.next(t)
		if d := h.awaitAttempt(); d.State != store.Delivered || d.Attempt.Number != 1 {
			t.Errorf("got state %v, attempt %+v, want delivered by attempt 1", d.State, d.Attempt)
		}
	}
}

// Invalid OAuth2 settings are refused, with the field but without secrets in the error.
func TestOAuth2IsRefused(t *testing.T) {
	h := open(t)
	good := outbound.OAuth2{TokenURL: "https://login.example.com/token", ClientID: "id", ClientSecret: "secret"}
	for _, c := range []struct {
		field string
		edit  func(*outbound.SubscriptionSpec)
	}{
		{"oauth2.token_url", func(s *outbound.SubscriptionSpec) { s.OAuth2.TokenURL = "" }},
		{"oauth2.client_id", func(s *outbound.SubscriptionSpec) { s.OAuth2.ClientID = "" }},
		{"oauth2.client_id", func(s *outbound.SubscriptionSpec) { s.OAuth2.ClientID = "a\x00" }},
		{"oauth2.client_secret", func(s *outbound.SubscriptionSpec) { s.OAuth2.ClientSecret = "" }},
		{"oauth2.client_secret", func(s *outbound.SubscriptionSpec) { s.OAuth2.ClientSecret = "hunter2\n" }},
		{"oauth2.client_secret", func(s *outbound.SubscriptionSpec) { s.OAuth2.ClientSecret = "hunter2\xff" }},
		{"oauth2.scopes", func(s *outbound.SubscriptionSpec) { s.OAuth2.Scopes = []string{"a b"} }},
		{"oauth2.scopes", func(s *outbound.SubscriptionSpec) { s.OAuth2.Scopes = []string{""} }},
		{"oauth2.scopes", func(s *outbound.SubscriptionSpec) { s.OAuth2.Scopes = []string{"read", "a\xff"} }},
		{"oauth2.params", func(s *outbound.SubscriptionSpec) {
			s.OAuth2.Params = map[string]string{"grant_type": "password"}
		}},
		{"oauth2.params", func(s *outbound.SubscriptionSpec) { s.OAuth2.Params = map[string]string{"scope": "all"} }},
		{"oauth2.params", func(s *outbound.SubscriptionSpec) { s.OAuth2.Params = map[string]string{"client_id": "other"} }},
		{"oauth2.params", func(s *outbound.SubscriptionSpec) {
			s.OAuth2.Params = map[string]string{"client_secret": "hunter2"}
		}},
		{"oauth2.auth_style", func(s *outbound.SubscriptionSpec) { s.OAuth2.AuthStyle = "Header" }},
		{"oauth2", func(s *outbound.SubscriptionSpec) {
			s.OAuth2.Params = map[string]string{"a": strings.Repeat("x", 9000)}
		}},
		{"headers", func(s *outbound.SubscriptionSpec) { s.Headers = map[string]string{"authorization": "hunter2"} }},
		{"oauth2", func(s *outbound.SubscriptionSpec) { s.Scheme = "teams" }},
	} {
		spec := outbound.SubscriptionSpec{URL: "https://example.com", EventTypes: []string{"a"}, OAuth2: good}
		c.edit(&spec)
		var refused *outbound.Invalid
		if _, err := h.CreateSubscription(t.Context(), spec); !errors.As(err, &refused) || refused.Field != c.field || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got %v, want an Invalid error of %s without the secret", err, c.field)
		}
	}
	sub := h.subscribe(outbound.SubscriptionSpec{URL: "https://example.com", EventTypes: []string{"a"}, Headers: map[string]string{"Authorization": "x"}})
	if _, err := h.UpdateSubscription(t.Context(), sub.ID, func(s *outbound.SubscriptionSpec) error { s.OAuth2 = good; return nil }); err == nil {
		t.Error("OAuth2 beside an Authorization header: got no error")
	}
}
