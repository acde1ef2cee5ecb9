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

// If a subscription's scheme is removed from the settings, or changed so that it can't
// sign, attempts fail without a request, and a warning is logged. Once the scheme is back,
// pending deliveries are attempted at once.
func TestSchemeThatIsGone(t *testing.T) {
	acme := verify.Scheme{Name: "acme", Signature: verify.Signature{In: "header", Name: "X-Acme-Signature"}}
	table := verify.Table{"acme": acme}
	for name, without := range map[string]struct {
		table verify.Table
		words string
	}{
		"removed": {nil, `unknown signature scheme "acme"`},
		"unusable": {verify.Table{"acme": acme.Merge(verify.Scheme{ID: verify.Field{In: "header", Name: "Idempotency-Key"}})},
			"acme can't sign deliveries: the header idempotency-key"},
	} {
		t.Run(name, func(t *testing.T) {
			var log journal
			h := open(t, retries(time.Hour, time.Hour), logTo(&log), func(s *outbound.Settings) { s.Schemes = table })
			r := newReceiver(t)
			s := h.subscribe(outbound.SubscriptionSpec{URL: r.URL, EventTypes: []string{"*"}, Scheme: "acme", Secrets: []string{"a-secret-of-24-characters"}})
			apply := func(table verify.Table) (warning string) {
				t.Helper()
				log.b.Reset()
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
