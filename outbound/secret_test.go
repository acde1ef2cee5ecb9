package outbound_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

const (
	shortSecret = "whsec_c2hvcnQ="
	longSecret  = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"
)

// A short secret can be used, since receivers may already have it, but a warning is logged,
// wherever it comes from.
func TestShortSecretsAreWarnedOf(t *testing.T) {
	for _, c := range []struct {
		name   string
		secret string
		short  bool
	}{
		{"short", shortSecret, true},
		{"long enough", longSecret, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log journal
			h := open(t, logTo(&log))
			warned := func(by, id string) {
				t.Helper()
				line := log.line("short enough to be guessed")
				if (line != "") != c.short || c.short && !strings.Contains(line, "subscription_id="+id+" bytes=5 at_least=24") {
					t.Errorf("%s: got log line %q, want a warning", by, line)
				}
				if line := log.line(c.secret); line != "" {
					t.Errorf("got the secret in the log: %s", line)
				}
				log.Reset()
			}
			spec := outbound.SubscriptionSpec{URL: "https://receiver.example", EventTypes: []string{"*"}, Secrets: []string{c.secret}}
			warned("created", h.subscribe(spec).ID)
			spec.Secrets = nil
			made := h.subscribe(spec).ID
			if line := log.line("short enough"); line != "" {
				t.Errorf("generated secret: got a warning, want none: %s", line)
			}
			must.Get(h.RotateSecret(t.Context(), made, c.secret))(t)
			warned("rotated", made)
			spec.Name, spec.Secrets = "crm", []string{longSecret, c.secret}
			h.settings.Subscriptions = []outbound.SubscriptionSpec{spec}
			must.Do(t, h.Apply(t.Context(), h.settings))
			warned("configured", "sub_crm")
			h.restart()
			warned("after a restart", "sub_crm")
		})
	}
}

// With several schemes, the shortest key that one makes of a secret counts: this one is text
// of 24 characters for github.
func TestShortSecretForOneScheme(t *testing.T) {
	var log journal
	h := open(t, logTo(&log))
	h.subscribe(outbound.SubscriptionSpec{URL: "https://receiver.example", EventTypes: []string{"*"}, Scheme: "github standard-webhooks", Secrets: []string{"MDEyMzQ1Njc4OTAxMjM0NTY3"}})
	if line := log.line("short enough to be guessed"); !strings.Contains(line, "bytes=18 at_least=24") {
		t.Errorf("got log line %q, want a warning", line)
	}
}

// The error about a secret that doesn't fit its scheme describes the form that it needs, and
// doesn't repeat the secret.
func TestSecretsThatDoNotFit(t *testing.T) {
	h := open(t)
	for scheme, want := range map[string]string{"standard-webhooks": "whsec_", "onfleet": "openssl rand -hex 32"} {
		_, err := h.CreateSubscription(t.Context(), outbound.SubscriptionSpec{
			URL: "https://receiver.example", EventTypes: []string{"*"}, Scheme: scheme, Secrets: []string{"my-secret"},
		})
		var wrong *outbound.Invalid
		if !errors.As(err, &wrong) || wrong.Field != "secret" || !strings.Contains(wrong.What, want) || strings.Contains(err.Error(), "my-secret") || strings.Contains(err.Error(), "provider") {
			t.Errorf("%s: got %v, want an Invalid error of secret with %q", scheme, err, want)
		}
	}
}

// After a rotation both secrets sign until the grace has passed.
func TestRotationSignsWithBoth(t *testing.T) {
	h := open(t, func(s *outbound.Settings) { s.SecretGrace = time.Hour })
	r := newReceiver(t)
	s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	old := s.Secrets[0].Value
	rot := must.Get(h.RotateSecret(t.Context(), s.ID, ""))(t)
	if !rot.PreviousExpires.Equal(h.clock.Now().Add(time.Hour)) {
		t.Errorf("got PreviousExpires %v, want an hour from now", rot.PreviousExpires)
	}
	h.publish("a", `1`)
	a := r.next(t)
	check(t, h, a, old)
	check(t, h, a, rot.Secret)
	if n := len(strings.Fields(a.header.Get("webhook-signature"))); n != 2 {
		t.Errorf("got %d signatures, want 2", n)
	}
	h.clock.advance(time.Hour)
	h.publish("a", `2`)
	a = r.next(t)
	check(t, h, a, rot.Secret)
	if n := len(strings.Fields(a.header.Get("webhook-signature"))); n != 1 {
		t.Errorf("after the grace: got %d signatures, want 1", n)
	}
}

// The grace of the last rotation also shortens that of earlier ones, so that a leaked secret
// soon stops signing.
func TestRotationShortensTheGrace(t *testing.T) {
	h := open(t, func(s *outbound.Settings) { s.SecretGrace = 24 * time.Hour })
	r := newReceiver(t)
	s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	rotate := func() {
		t.Helper()
		must.Get(h.RotateSecret(t.Context(), s.ID, ""))(t)
	}
	rotate()
	h.settings.SecretGrace = time.Hour
	must.Do(t, h.Apply(t.Context(), h.settings))
	rotate()
	for _, want := range []int{3, 1} {
		h.publish("a", `1`)
		if n := len(strings.Fields(r.next(t).header.Get("webhook-signature"))); n != want {
			t.Errorf("got %d signatures, want %d", n, want)
		}
		h.clock.advance(time.Hour)
	}
}

// Each of several previous secrets signs until its own grace has passed.
func TestGraceOfEachRotation(t *testing.T) {
	h := open(t, func(s *outbound.Settings) { s.SecretGrace = time.Hour })
	r := newReceiver(t)
	s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}})
	must.Get(h.RotateSecret(t.Context(), s.ID, ""))(t)
	h.clock.advance(30 * time.Minute)
	must.Get(h.RotateSecret(t.Context(), s.ID, ""))(t)
	for _, want := range []int{3, 2, 1} {
		h.publish("a", `1`)
		if n := len(strings.Fields(r.next(t).header.Get("webhook-signature"))); n != want {
			t.Errorf("got %d signatures, want %d", n, want)
		}
		h.clock.advance(30 * time.Minute)
	}
}

// A previous secret is only shown while the present scheme signs with it.
func TestRotationThenAnotherScheme(t *testing.T) {
	h := open(t, func(s *outbound.Settings) { s.SecretGrace = time.Hour })
	s := h.subscribe(outbound.SubscriptionSpec{URL: "https://receiver.example", EventTypes: []string{"*"}})
	rot := must.Get(h.RotateSecret(t.Context(), s.ID, ""))(t)
	for _, c := range []struct {
		scheme string
		until  time.Time
	}{{"github", time.Time{}}, {"stripe", rot.PreviousExpires}} {
		s := h.update(s.ID, func(s *outbound.SubscriptionSpec) { s.Scheme = c.scheme })
		if got := h.Signing(s); got.Secret != rot.Secret || !got.PreviousExpires.Equal(c.until) {
			t.Errorf("%s: got %+v, want the previous secret until %v", c.scheme, got, c.until)
		}
	}
}

// Another scheme can be chosen once the secrets that are no keys for it have been rotated
// away and have expired.
func TestRotationForAnotherScheme(t *testing.T) {
	h := open(t, func(s *outbound.Settings) { s.SecretGrace = time.Hour })
	r := newReceiver(t)
	s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}, Scheme: "stripe", Secrets: []string{"not-base64"}})
	refused := func() {
		t.Helper()
		_, err := h.UpdateSubscription(t.Context(), s.ID, func(s *outbound.SubscriptionSpec) error { s.Scheme = "standard-webhooks"; return nil })
		var wrong *outbound.Invalid
		if !errors.As(err, &wrong) || wrong.Field != "scheme" || !strings.Contains(wrong.What, "first rotate") {
			t.Errorf("got %v, want an Invalid error of scheme", err)
		}
	}
	refused()
	secret := must.Get(h.RotateSecret(t.Context(), s.ID, ""))(t).Secret
	refused() // the old one still signs
	h.clock.advance(time.Hour)
	h.update(s.ID, func(s *outbound.SubscriptionSpec) { s.Scheme = "standard-webhooks" })
	h.publish("a", `1`)
	check(t, h, r.next(t), secret)
}

// For a scheme with a single signature, a rotation reports no grace, since only the new
// secret signs.
func TestRotationWithOneSignature(t *testing.T) {
	h := open(t)
	r := newReceiver(t)
	s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}, Scheme: "github"})
	var rot outbound.Signing
	for _, secret := range append(make([]string, 12), "the new one") { // earlier rotations don't block later ones
		rot = must.Get(h.RotateSecret(t.Context(), s.ID, secret))(t)
	}
	now := must.Get(h.Subscription(s.ID))(t)
	if shown := h.Signing(now); shown != rot || rot.Secret != "the new one" || !rot.PreviousExpires.IsZero() {
		t.Errorf("got rotation %+v and subscription %+v, want no previous secret", rot, shown)
	}
	h.publish("push", `{"a":1}`)
	row, _ := verify.Lookup("github")
	v := must.Get(verify.New(row, verify.Options{Secrets: []string{rot.Secret}}))(t)
	a := r.next(t)
	req, _ := http.NewRequest(http.MethodPost, r.URL, nil)
	req.Header = a.header
	if _, err := v.Verify(req, a.body); err != nil {
		t.Errorf("verifying with the new secret: %v", err)
	}
}
