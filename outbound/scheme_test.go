package outbound_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/outbound"
	"github.com/caddy-webhooks/caddy-webhooks/outbound/store"
	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// Every scheme that a subscription can be created with can sign its deliveries. One that
// can't is refused at creation instead of failing each attempt.
func TestEverySchemeThatIsAcceptedDelivers(t *testing.T) {
	h := open(t, retries())
	accepted := 0
	for _, scheme := range verify.Schemes() {
		r := newReceiver(t)
		s, err := h.CreateSubscription(t.Context(), outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"for." + scheme.Name}, Scheme: scheme.Name})
		if err != nil {
			continue
		}
		accepted++
		h.publish("for."+scheme.Name, `{"id":"1","type":"a"}`)
		if d := h.awaitAttempt(); d.Attempt.Class != "" {
			t.Errorf("%s: got error %q, want a success", s.Scheme, d.Attempt.Error)
		}
	}
	if accepted < 20 {
		t.Errorf("got %d schemes that can sign, want 20 at least", accepted)
	}
}

// A subscription with another scheme gets deliveries that verify by it.
func TestOtherSchemesSign(t *testing.T) {
	for scheme, signature := range map[string][2]string{
		"github": {"X-Hub-Signature-256", "sha256="},
		"hook0":  {"X-Hook0-Signature", ",h=content-type x-event-id x-event-type,v1="},
	} {
		t.Run(scheme, func(t *testing.T) {
			h := open(t)
			r := newReceiver(t)
			h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}, Scheme: scheme, Secrets: []string{"s3cret"}})
			h.publish("shop.order.created", `{"a":1}`)
			a := r.next(t)
			row, _ := verify.Lookup(scheme)
			v := must.Get(verify.New(row, verify.Options{Secrets: []string{"s3cret"}, Now: h.clock.Now}))(t)
			req, _ := http.NewRequest(http.MethodPost, r.URL, nil)
			req.Header = a.header
			if m, err := v.Verify(req, a.body); err != nil || m.EventType != "shop.order.created" {
				t.Errorf("verifying: got %+v, %v, want event type shop.order.created", m, err)
			}
			if got := a.header.Get(signature[0]); !strings.Contains(got, signature[1]) {
				t.Errorf("%s: got %q, want %q in it", signature[0], got, signature[1])
			}
		})
	}
}

// Deliveries of a subscription with several schemes have the signatures of each, and verify
// by each, with a given secret or a generated one. After a rotation, every scheme with room
// for several signatures also signs with the old secret until it expires.
func TestSeveralSchemesSign(t *testing.T) {
	h := open(t, func(s *outbound.Settings) {
		s.SecretGrace = time.Hour
		s.Schemes = verify.Table{
			"acme": {Name: "acme", Key: "hex", Signature: verify.Signature{Name: "X-Acme-Signature", Separator: ","}},
			"ours": {Name: "ours", Construction: "ed25519", Key: "ed25519", Signature: verify.Signature{Name: "X-Our-Signature", Separator: ","}},
		}
	})
	for names, c := range map[string]struct{ secret, next string }{
		"standard-webhooks github":            {},
		"github standard-webhooks":            {secret: longSecret},
		"standard-webhooks svix stripe hook0": {},
		"standard-webhooks acme":              {},
		"github acme":                         {secret: strings.Repeat("0123456789abcdef", 4), next: strings.Repeat("f", 48)},
		"standard-webhooks-ed25519 ours":      {},
		"":                                    {},
	} {
		t.Run(names, func(t *testing.T) {
			r := newReceiver(t)
			spec := outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}, Scheme: names}
			if c.secret != "" {
				spec.Secrets = []string{c.secret}
			}
			if names == "" {
				h.settings.Sign = "stripe standard-webhooks"
				must.Do(t, h.Apply(t.Context(), h.settings))
				names = h.settings.Sign
			}
			s := h.subscribe(spec)
			defer func() { must.Do(t, h.DeleteSubscription(t.Context(), s.ID)) }()
			verified := func(secret string, isNewest bool) {
				t.Helper()
				must.Get(h.Publish(t.Context(), &outbound.NewEvent{Type: "order.created", Payload: []byte(`{"a":1}`), Headers: map[string]string{"X-Hub-Signature-256": "forged", "Stripe-Signature": "forged"}}))(t)
				a := r.next(t)
				for name := range strings.FieldsSeq(names) {
					row, _ := h.settings.Schemes.Lookup(name)
					v := must.Get(verify.New(row, verify.Options{Secrets: []string{secret}, Now: h.clock.Now}))(t)
					req, _ := http.NewRequest(http.MethodPost, r.URL, nil)
					req.Header = a.header
					if _, err := v.Verify(req, a.body); (err == nil) != (isNewest || row.SignsWithAll()) {
						t.Errorf("%s: got %v for the newest secret: %t", name, err, isNewest)
					}
				}
			}
			old := s.Secrets[0].Value
			verified(old, true)
			rot := must.Get(h.RotateSecret(t.Context(), s.ID, c.next))(t)
			if all := !strings.Contains(names, "github") && !strings.Contains(names, "hook0"); rot.PreviousExpires.IsZero() == all {
				t.Errorf("got PreviousExpires %v, want a time only if all schemes sign with the previous secret", rot.PreviousExpires)
			}
			verified(rot.Secret, true)
			verified(old, false)
		})
	}
}

// Schemes that can't sign the same deliveries, or not with the same secrets, can't be chosen
// together. What is checked of one scheme is checked of each.
func TestSchemesThatCanNotBeCombined(t *testing.T) {
	h := open(t)
	acme := func(change func(*verify.Scheme)) verify.Table {
		s := verify.Scheme{Name: "acme", Signature: verify.Signature{Name: "X-Acme-Signature"}}
		if change != nil {
			change(&s)
		}
		return verify.Table{"acme": s}
	}
	for name, c := range map[string]struct {
		scheme      string
		table       verify.Table
		change      func(*outbound.SubscriptionSpec)
		field, want string
	}{
		"two spaces":       {scheme: "github  stripe", field: "scheme", want: `"github  stripe" doesn't name signature schemes: write one, or several with single spaces`},
		"a space in front": {scheme: " github", field: "scheme", want: "single spaces"},
		"only a space":     {scheme: " ", field: "scheme", want: "single spaces"},
		"a comma":          {scheme: "github,stripe", field: "scheme", want: "single spaces"},
		"a line break":     {scheme: "github\nstripe", field: "scheme", want: `unknown signature scheme "github\nstripe"`},
		"too many":         {scheme: "standard-webhooks svix github stripe hook0", field: "scheme", want: "more than 4 signature schemes"},
		"unknown":          {scheme: "standard-webhooks sripe", field: "scheme", want: `unknown signature scheme "sripe": did you mean stripe?`},
		"twice":            {scheme: "github github", field: "scheme", want: "github and github can't sign the same deliveries: they are the same scheme; name it once"},
		"by an alias":      {scheme: "github standard standard-webhooks", field: "scheme", want: "standard-webhooks and standard-webhooks can't sign the same deliveries"},
		"same headers":     {scheme: "standard-webhooks github gitlab", field: "scheme", want: "standard-webhooks and gitlab can't sign the same deliveries: both set the header Webhook-"},
		"same header":      {scheme: "github acme", table: acme(func(s *verify.Scheme) { s.Signature.Name = "x-hub-signature-256" }), field: "scheme", want: "github and acme can't sign the same deliveries: both set the header X-Hub-Signature-256; leave one out"},
		"event type's":     {scheme: "acme github", table: acme(func(s *verify.Scheme) { s.EventType = verify.Field{In: "header", Name: "x-github-event"} }), field: "scheme", want: "acme and github can't sign the same deliveries: both set the header X-Github-Event; leave one out"},
		"in the body":      {scheme: "github mailgun", field: "scheme", want: "mailgun can't sign deliveries: signing as mailgun: its signature is in the body, and only headers are added to a delivery; choose a scheme with a header"},
		"in the URL":       {scheme: "github acme", table: acme(func(s *verify.Scheme) { s.Signature = verify.Signature{In: "query", Name: "sig"} }), field: "scheme", want: "acme can't sign deliveries: signing as acme: its signature is in the URL"},
		"reserved header":  {scheme: "github acme", table: acme(func(s *verify.Scheme) { s.Signature.Name = "Expect" }), field: "scheme", want: "acme can't sign deliveries: the header expect"},
		"a token":          {scheme: "github okta", field: "scheme", want: "okta can't sign deliveries"},
		"a key pair":       {scheme: "github standard-webhooks-ed25519", field: "scheme", want: "key pair"},
		"secret of one":    {scheme: "github standard-webhooks", change: func(s *outbound.SubscriptionSpec) { s.Secrets = []string{"hunter2!"} }, field: "secret", want: "signing as standard-webhooks: secret 1 of 1: it is not whsec_ and base64"},
		"key pair's key":   {scheme: "github standard-webhooks", change: func(s *outbound.SubscriptionSpec) { s.Secrets = []string{"whsk_MDEy"} }, field: "secret", want: "secret 1 of 1: it belongs to a key pair; use the scheme standard-webhooks-ed25519"},
		"second secret":    {scheme: "github standard-webhooks", change: func(s *outbound.SubscriptionSpec) { s.Secrets = []string{longSecret, "hunter2!"} }, field: "secret", want: "signing as standard-webhooks: secret 2 of 2"},
		"header":           {scheme: "standard-webhooks github", change: func(s *outbound.SubscriptionSpec) { s.Headers = map[string]string{"x-github-delivery": "1"} }, field: "headers", want: `"x-github-delivery" cannot be set, because it belongs to the signature of github`},
		"access token": {scheme: "standard-webhooks acme", table: acme(func(s *verify.Scheme) { s.Signature.Name = "authorization" }), change: func(s *outbound.SubscriptionSpec) {
			s.OAuth2 = outbound.OAuth2{TokenURL: "https://login.example.com/token", ClientID: "id", ClientSecret: "hunter2!"}
		}, field: "oauth2", want: "can't be used with the scheme acme"},
	} {
		t.Run(name, func(t *testing.T) {
			h.settings.Schemes, h.settings.Sign = c.table, ""
			must.Do(t, h.Apply(t.Context(), h.settings))
			spec := outbound.SubscriptionSpec{URL: "https://receiver.example", EventTypes: []string{"*"}, Scheme: c.scheme}
			if c.change != nil {
				c.change(&spec)
			}
			_, err := h.CreateSubscription(t.Context(), spec)
			var refused *outbound.Invalid
			if !errors.As(err, &refused) || refused.Field != c.field || !strings.Contains(refused.What, c.want) || strings.Contains(err.Error(), "hunter2!") {
				t.Errorf("got %v, want an Invalid error of %s with %q", err, c.field, c.want)
			}
			if c.change == nil {
				h.settings.Sign = c.scheme
				if err := h.Apply(t.Context(), h.settings); err == nil || !strings.HasPrefix(err.Error(), "sign: ") || !strings.Contains(err.Error(), c.want) {
					t.Errorf("as default: got %v, want an error of sign with %q", err, c.want)
				}
			}
		})
	}
}

// A preview leaves out the signatures of all schemes, and shows what else they set.
func TestPreviewOfSeveralSchemes(t *testing.T) {
	h := open(t)
	s := h.subscribe(outbound.SubscriptionSpec{URL: "https://receiver.example", EventTypes: []string{"*"}, Scheme: "github standard-webhooks"})
	p := must.Get(h.Preview(t.Context(), s.ID, &outbound.NewEvent{Type: "a", Payload: []byte("1")}))(t)
	for _, name := range []string{"X-Hub-Signature-256", "Webhook-Signature"} {
		if got := p.Header.Get(name); got != outbound.PreviewSignature {
			t.Errorf("%s: got %q, want no signature", name, got)
		}
	}
	if got := p.Header.Get("Webhook-Id"); got == "" || got != p.Header.Get("X-GitHub-Delivery") {
		t.Errorf("got ids %q and %q, want the same", got, p.Header.Get("X-GitHub-Delivery"))
	}
}

// If a subscription's scheme is removed from the settings, or changed so that it can't
// sign, or not beside the other one, attempts fail without a request, and a warning is logged. Once the scheme is back,
// pending deliveries are attempted at once.
func TestSchemeThatIsGone(t *testing.T) {
	acme := verify.Scheme{Name: "acme", Signature: verify.Signature{In: "header", Name: "X-Acme-Signature"}}
	table := verify.Table{"acme": acme}
	for name, without := range map[string]struct {
		scheme string
		table  verify.Table
		words  string
	}{
		"removed":         {"acme", nil, `unknown signature scheme "acme"`},
		"removed, of two": {"github acme", nil, `unknown signature scheme "acme"`},
		"unusable": {"acme", verify.Table{"acme": acme.Merge(verify.Scheme{ID: verify.Field{In: "header", Name: "Idempotency-Key"}})},
			"acme can't sign deliveries: the header idempotency-key"},
		"in the way": {"github acme", verify.Table{"acme": acme.Merge(verify.Scheme{ID: verify.Field{In: "header", Name: "X-GitHub-Delivery"}})},
			"github and acme can't sign the same deliveries: both set the header X-Github-Delivery"},
	} {
		t.Run(name, func(t *testing.T) {
			var log journal
			h := open(t, retries(time.Hour, time.Hour), logTo(&log), func(s *outbound.Settings) { s.Schemes = table })
			r := newReceiver(t)
			s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}, Scheme: without.scheme, Secrets: []string{"a-secret-of-24-characters"}})
			apply := func(table verify.Table) (warning string) {
				t.Helper()
				log.Reset()
				h.settings.Schemes = table
				must.Do(t, h.Apply(t.Context(), h.settings))
				return log.line("no delivery can be made")
			}
			if got := apply(without.table); !strings.Contains(got, "subscriptions=1 subscription_id="+s.ID) || !strings.Contains(strings.ReplaceAll(got, `\`, ""), without.words) {
				t.Errorf("got warning %q, want %q for %s", got, without.words, s.ID)
			}
			h.publish("a", `{"n":1}`)
			if d := h.awaitAttemptEnd(); d.State != store.Pending || d.Attempt.Class != outbound.ClassConfig || !strings.Contains(d.Attempt.Error, without.words) {
				t.Errorf("got state %s, attempt %+v, want pending with class %s", d.State, d.Attempt, outbound.ClassConfig)
			}
			r.expectNone(t)
			if without.table == nil { // the form of a new secret is unknown
				var refused *outbound.Invalid
				if _, err := h.RotateSecret(t.Context(), s.ID, ""); !errors.As(err, &refused) || refused.Field != "scheme" {
					t.Errorf("RotateSecret: got %v, want an Invalid error of scheme", err)
				}
			}

			if got := apply(table); got != "" {
				t.Errorf("with the scheme back: got warning %q, want none", got)
			}
			if d := h.awaitAttempt(); d.State != store.Delivered {
				t.Errorf("with the scheme back: got state %s, attempt %+v, want delivered", d.State, d.Attempt)
			}
			a := r.next(t)
			m := hmac.New(sha256.New, []byte("a-secret-of-24-characters"))
			m.Write(a.body)
			if got := a.header.Get("X-Acme-Signature"); got != hex.EncodeToString(m.Sum(nil)) {
				t.Errorf("got signature %q, want %x", got, m.Sum(nil))
			}
		})
	}
}
