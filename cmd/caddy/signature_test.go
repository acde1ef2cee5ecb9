package main

import (
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

// standardSignature is that of Standard Webhooks.
func standardSignature(t *testing.T, secret, id, timestamp string, body []byte) string {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		t.Fatalf("the secret of a subscription is not base64: %v", err)
	}
	return "v1," + base64.StdEncoding.EncodeToString(hmacSHA256(key, id, ".", timestamp, ".", string(body)))
}

// signed fails the test unless a delivery is signed with exactly these
// secrets, just now.
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

// whsec makes a secret of the form that Standard Webhooks has.
func whsec(text string) string {
	return "whsec_" + base64.StdEncoding.EncodeToString([]byte(fmt.Sprintf("%-24s", text)))
}

// TestSignatureOfOnesOwn: receivers that verify a scheme of the operator's own go on
// to, by sign, and a subscription may still name another.
func TestSignatureOfOnesOwn(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	const sign = `
		sign hmac {
			algorithm sha512
			signature header X-Acme-Signature {
				prefix "v1="
			}
			content "{timestamp}.{id}.{body}"
			timestamp header X-Acme-Timestamp
			id header X-Acme-Delivery
		}
`
	const subscriptions = `
		subscription old {
			url http://{$RECEIVER}/old
			event_types *
			secret acme-secret
		}
		subscription std {
			url http://{$RECEIVER}/std
			event_types *
			secret {env.STD_SECRET}
			scheme standard-webhooks
		}
`
	std := whsec("std")
	s := startServer(t, withOptions(local+sign+subscriptions), "RECEIVER="+r.addr, "STD_SECRET="+std)
	judge := func(id, prefix string) {
		t.Helper()
		for _, d := range r.wait(2) {
			switch d.path {
			case "/old":
				h := hmac.New(sha512.New, []byte("acme-secret"))
				fmt.Fprintf(h, "%s.%s.%s", d.header.Get("X-Acme-Timestamp"), id, d.body)
				want := prefix + hex.EncodeToString(h.Sum(nil))
				if got := d.header.Get("X-Acme-Signature"); got != want || d.header.Get("X-Acme-Delivery") != id || d.header.Get("Webhook-Signature") != "" {
					t.Errorf("signed with %v, want %s", d.header, want)
				}
			case "/std":
				d.signed(t, std)
			}
		}
	}
	judge(s.publish(event{Type: "order.created"}), "v1=")

	r.forget()
	s.reload(withOptions(local + strings.Replace(sign, "v1=", "v2=", 1) + subscriptions))
	judge(s.publish(event{Type: "order.created"}), "v2=")
	s.manager().do("POST", "/subscriptions", object{"url": r.url("/x"), "event_types": []string{"a"}, "headers": object{"X-Acme-Delivery": "1"}}).
		problem(http.StatusUnprocessableEntity, "belongs to the signature of hmac")
}
