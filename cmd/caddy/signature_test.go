package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/freeport"
	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

func hmacSHA256(key []byte, parts ...string) []byte {
	m := hmac.New(sha256.New, key)
	for _, p := range parts {
		m.Write([]byte(p))
	}
	return m.Sum(nil)
}

func hexSHA256(key string, parts ...string) string {
	return hex.EncodeToString(hmacSHA256([]byte(key), parts...))
}

// standardSignature returns the signature of Standard Webhooks.
func standardSignature(t *testing.T, secret, id, timestamp string, body []byte) string {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		t.Fatalf("the secret of a subscription is not base64: %v", err)
	}
	return "v1," + base64.StdEncoding.EncodeToString(hmacSHA256(key, id, ".", timestamp, ".", string(body)))
}

// signed fails the test unless a delivery was signed with exactly these secrets, just now.
func (d *request) signed(t *testing.T, secrets ...string) {
	t.Helper()
	id, timestamp := d.id(), d.header.Get("webhook-timestamp")
	at, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || math.Abs(d.at.Sub(time.Unix(at, 0)).Minutes()) > 5 {
		t.Errorf("webhook-timestamp is %q at %v", timestamp, d.at)
	}
	want := make([]string, len(secrets))
	for i, s := range secrets {
		want[i] = standardSignature(t, s, id, timestamp, d.body)
	}
	got := strings.Split(d.header.Get("webhook-signature"), " ")
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("webhook-signature is %q, want %q", got, want)
	}
}

// The headers that providers send with a body.

func githubHeaders(secret, delivery, eventType string, body []byte) http.Header {
	return headers(
		"X-Hub-Signature-256", "sha256="+hexSHA256(secret, string(body)),
		"X-GitHub-Event", eventType,
		"X-GitHub-Delivery", delivery,
		"Content-Type", "application/json",
	)
}

func stripeHeaders(secret string, at time.Time, body []byte) http.Header {
	timestamp := strconv.FormatInt(at.Unix(), 10)
	return headers("Stripe-Signature", "t="+timestamp+",v1="+hexSHA256(secret, timestamp, ".", string(body)))
}

func standardHeaders(t *testing.T, secret, id string, at time.Time, body []byte) http.Header {
	t.Helper()
	timestamp := strconv.FormatInt(at.Unix(), 10)
	return headers(
		"Webhook-Id", id,
		"Webhook-Timestamp", timestamp,
		"Webhook-Signature", standardSignature(t, secret, id, timestamp, body),
	)
}

func slackHeaders(secret string, at time.Time, body []byte) http.Header {
	timestamp := strconv.FormatInt(at.Unix(), 10)
	return headers(
		"X-Slack-Request-Timestamp", timestamp,
		"X-Slack-Signature", "v0="+hexSHA256(secret, "v0:", timestamp, ":", string(body)),
	)
}

func zoomHeaders(secret string, at time.Time, body []byte) http.Header {
	timestamp := strconv.FormatInt(at.Unix(), 10)
	return headers(
		"X-Zm-Request-Timestamp", timestamp,
		"X-Zm-Signature", "v0="+hexSHA256(secret, "v0:", timestamp, ":", string(body)),
	)
}

// acmeHeaders are of the custom scheme that the Caddyfiles describe.
func acmeHeaders(secret, delivery, eventType string, at time.Time, body []byte) http.Header {
	timestamp := strconv.FormatInt(at.Unix(), 10)
	return headers(
		"X-Acme-Timestamp", timestamp,
		"X-Acme-Signature", "sha256="+hexSHA256(secret, timestamp, ".", string(body)),
		"X-Acme-Delivery", delivery,
		"X-Acme-Event", eventType,
	)
}

// headers makes a header of names and values.
func headers(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Set(pairs[i], pairs[i+1])
	}
	return h
}

// whsec returns a secret in the format of Standard Webhooks.
func whsec(text string) string {
	return "whsec_" + base64.StdEncoding.EncodeToString([]byte(fmt.Sprintf("%-24s", text)))
}

// TestSchemesOfOnesOwn checks that a custom scheme can be used by its name to verify on
// several routes, and to sign the deliveries of all subscriptions or of one, whether that is
// in the Caddyfile or was created through the API.
func TestSchemesOfOnesOwn(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	const schemes = `
		scheme acme {
			signature header X-Acme-Signature {
				prefix "sha256="
			}
			content "{timestamp}.{body}"
			timestamp header X-Acme-Timestamp
			tolerance 1h
			id header X-Acme-Delivery
			event_type header X-Acme-Event
		}
		scheme initech acme {
			algorithm sha512
			signature header X-Initech-Signature {
				prefix "v1="
			}
		}
		sign acme
`
	const subscriptions = `
		subscription acme {
			url http://{$RECEIVER}/acme
			event_types order.*
			secret ` + acmeSecret + `
		}
		subscription initech {
			url http://{$RECEIVER}/initech
			event_types order.*
			secret ` + acmeSecret + `
			scheme initech
		}
		subscription std {
			url http://{$RECEIVER}/std
			event_types order.*
			secret {env.STD_SECRET}
			scheme standard-webhooks
		}
`
	const inbound = `
http://:{$IN} {
	handle /one {
		webhook_verify acme {env.ACME_SECRET}
		respond "{http.webhook.provider} {http.webhook.id} {http.webhook.signed}"
	}
	handle /other {
		webhook_verify acme {
			secret other-` + acmeSecret + `
			name other
			tolerance 1m
		}
		respond "{http.webhook.provider} {http.webhook.id} {http.webhook.signed}"
	}
}
`
	std, in := whsec("std"), fmt.Sprint(freeport.Get())
	s := startServer(t, withOptions(local+schemes+subscriptions)+inbound, "RECEIVER="+r.addr, "STD_SECRET="+std, "ACME_SECRET="+acmeSecret, "IN="+in)
	created := s.manager().do("POST", "/subscriptions", object{"url": r.url("/created"), "event_types": []string{"order.*"}, "scheme": "initech", "secret": acmeSecret}).
		want(http.StatusCreated).object()
	if created["scheme"] != "initech" {
		t.Errorf("created %v", created)
	}
	judge := func(eventType, prefix string) {
		t.Helper()
		r.forget()
		id := s.publish(event{Type: eventType})
		for _, d := range r.wait(4) {
			at := d.header.Get("X-Acme-Timestamp")
			want := http.Header{}
			switch d.path {
			case "/acme":
				want.Set("X-Acme-Signature", "sha256="+hexSHA256(acmeSecret, at, ".", string(d.body)))
			case "/std":
				d.signed(t, std)
				continue
			default:
				h := hmac.New(sha512.New, []byte(acmeSecret))
				fmt.Fprintf(h, "%s.%s", at, d.body)
				want.Set("X-Initech-Signature", prefix+hex.EncodeToString(h.Sum(nil)))
			}
			for _, name := range []string{"X-Acme-Signature", "X-Initech-Signature", "Webhook-Signature"} {
				if got := d.header.Get(name); got != want.Get(name) {
					t.Errorf("%s has the %s %q, want %q", d.path, name, got, want.Get(name))
				}
			}
			if d.header.Get("X-Acme-Delivery") != id || d.header.Get("X-Acme-Event") != eventType {
				t.Errorf("%s: the delivery of %s came with %v", d.path, id, d.header)
			}
		}
	}
	judge("order.created", "v1=")
	s.reload(withOptions(local+strings.Replace(schemes, "v1=", "v2=", 1)+subscriptions) + inbound)
	judge("order.paid", "v2=")

	body := []byte(`{"n":1}`)
	for _, c := range []struct {
		path, secret string
		ago          time.Duration
		code         int
		answer       string
	}{
		{"/one", acmeSecret, 30 * time.Minute, http.StatusOK, "acme d1 timestamp body"},
		{"/one", "other-" + acmeSecret, 0, http.StatusUnauthorized, ""},
		{"/other", "other-" + acmeSecret, 0, http.StatusOK, "other d1 timestamp body"},
		{"/other", "other-" + acmeSecret, 30 * time.Minute, http.StatusUnauthorized, ""},
	} {
		got := send(t, "POST", "http://127.0.0.1:"+in+c.path, bytes.NewReader(body), acmeHeaders(c.secret, "d1", "order.created", time.Now().Add(-c.ago), body))
		if got.status != c.code || string(got.body) != c.answer {
			t.Errorf("%+v: %d %s", c, got.status, got.body)
		}
	}

	s.manager().do("POST", "/subscriptions", object{"url": r.url("/x"), "event_types": []string{"a"}, "headers": object{"X-Acme-Delivery": "1"}}).
		problem(http.StatusUnprocessableEntity, "belongs to the signature of acme")
	s.manager().do("POST", "/subscriptions", object{"url": r.url("/x"), "event_types": []string{"a"}, "scheme": "acne"}).
		problem(http.StatusUnprocessableEntity, "nor a scheme of the server's configuration")
}

// TestMigrationToAnotherScheme checks that a receiver can move from one scheme to another at
// any time while deliveries have the signatures of both. The receivers are webhook_verify
// routes of another server, whose connections a reload doesn't close.
func TestMigrationToAnotherScheme(t *testing.T) {
	t.Parallel()
	env := []string{"SECRET=" + whsec("crm"), fmt.Sprint("IN=", freeport.Get())}
	startServer(t, withOptions("")+`
http://127.0.0.1:{$IN} {
	handle /old {
		webhook_verify github {env.SECRET}
		respond 204
	}
	handle /new {
		webhook_verify standard-webhooks {env.SECRET}
		respond 204
	}
	handle /both {
		webhook_verify github {env.SECRET}
		webhook_verify standard-webhooks {env.SECRET}
		respond 204
	}
}
`, env...)
	subscriptions := func(scheme string) string {
		options := local
		for _, name := range []string{"old", "new", "both"} {
			options += "subscription " + name + " {\nurl http://127.0.0.1:{$IN}/" + name + "\nevent_types order.*\nsecret {env.SECRET}\nscheme " + scheme + "\nretry 1h\n}\n"
		}
		return withOptions(options)
	}
	s := startServer(t, subscriptions("github"), env...)
	before := s.publish(event{Type: "order.created"})
	s.settled(before, "sub_old", "delivered")
	must.Eventually(t, "a refusal", func() bool { return s.delivery(before, "sub_new").num("attempts") > 0 })

	s.reload(subscriptions("github standard-webhooks"))
	during := s.publish(event{Type: "order.paid"})
	for _, id := range []string{"sub_old", "sub_new", "sub_both"} {
		s.settled(during, id, "delivered")
	}
	s.settled(before, "sub_new", "delivered")

	s.reload(subscriptions("standard-webhooks"))
	after := s.publish(event{Type: "order.shipped"})
	s.settled(after, "sub_new", "delivered")
	must.Eventually(t, "a refusal", func() bool { return s.delivery(after, "sub_old").num("attempts") > 0 })
	if d := s.delivery(after, "sub_old"); d.text("state") != "pending" {
		t.Errorf("got %v, want a pending delivery", d)
	}
}
