package verify_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// hook0Names returns the headers that a signature covers if Hook0's client libraries accept
// it: they keep one part of each name, and prefer v1 to v0.
func hook0Names(h http.Header, body, secret string) (string, error) {
	parts := map[string]string{}
	for part := range strings.SplitSeq(h.Get("X-Hook0-Signature"), ",") {
		if name, value, ok := strings.Cut(part, "="); ok {
			parts[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
	}
	if parts["v1"] == "" {
		if want := sha256hex(secret, parts["t"]+"."+body); parts["v0"] != want {
			return "", fmt.Errorf("v0 is %q, want %q", parts["v0"], want)
		}
		return "", nil
	}
	var values []string
	for name := range strings.SplitSeq(parts["h"], " ") {
		if h.Values(name) == nil {
			return "", fmt.Errorf("there is no header %q", name)
		}
		values = append(values, h.Get(name))
	}
	if want := sha256hex(secret, parts["t"]+"."+parts["h"]+"."+strings.Join(values, ".")+"."+body); parts["v1"] != want {
		return "", fmt.Errorf("v1 is %q, want %q", parts["v1"], want)
	}
	return parts["h"], nil
}

// Receivers that use Hook0's client libraries accept what is signed as Hook0, and so does our
// verifier.
func TestSignAsHook0(t *testing.T) {
	row := rowOf(t, "hook0")
	for name, tt := range map[string]struct {
		eventType, contentType, body string
		signs                        string
	}{
		"as Hook0 sends it":     {"shop.order.created", "application/json", testBody, "content-type x-event-id x-event-type"},
		"an empty body":         {"shop.order.created", "text/plain", "", "content-type x-event-id x-event-type"},
		"binary":                {"shop.order.created", "application/octet-stream", "\x00.\xff.{", "content-type x-event-id x-event-type"},
		"two words":             {"order.created", "application/json", testBody, "content-type x-event-id"},
		"four words":            {"shop.eu.order.created", "application/json", testBody, "content-type x-event-id"},
		"no event type":         {"", "application/json", testBody, "content-type x-event-id"},
		"a dot in another type": {"shop.order.created", "application/vnd.acme+json", testBody, "x-event-id x-event-type"},
		"no content type":       {"shop.order.created", "", testBody, "x-event-id x-event-type"},
	} {
		t.Run(name, func(t *testing.T) {
			h := http.Header{"X-Event-Type": {"of.another.event"}, "X-Env": {"test"}}
			if tt.eventType == "" {
				h.Del("X-Event-Type")
			}
			if tt.contentType != "" {
				h.Set("Content-Type", tt.contentType)
			}
			m := &verify.Outgoing{ID: "msg_1", EventType: tt.eventType, Timestamp: testNow, Body: []byte(tt.body)}
			must.Do(t, signerOf(t, row, "new", "old").Sign(h, m))
			if got, err := hook0Names(h, tt.body, "new"); err != nil || got != tt.signs {
				t.Errorf("%q: got headers %q signed, error %v, want %q", h.Get("X-Hook0-Signature"), got, err, tt.signs)
			}
			if h.Get("X-Event-Id") != "msg_1" || h.Get("X-Event-Type") != tt.eventType {
				t.Errorf("got headers %v, want the id and the event type", h)
			}
			v := verifierOf(t, row, "new")
			r := post(testURL)
			r.Header = h
			if m := accept(t, v, r, tt.body); m.ID != "msg_1" || m.EventType != tt.eventType {
				t.Errorf("got message %+v", m)
			}
			refuse(t, v, r, tt.body+".", verify.ReasonBadSignature)
			for name := range strings.SplitSeq(tt.signs, " ") {
				r.Header = h.Clone()
				r.Header.Set(name, strings.Replace(h.Get(name), h.Get(name)[:1], "X", 1))
				refuse(t, v, r, tt.body, verify.ReasonBadSignature)
			}
		})
	}
}

// Receivers that only know v0 need a variant of the row.
func TestSignAsOldHook0(t *testing.T) {
	row := rowOf(t, "hook0").Merge(verify.Scheme{Name: "hook0-v0", Signature: verify.Signature{Tags: []string{"v0"}}})
	must.Do(t, row.CanSign())
	h := sign(t, row, outgoing(), "secret")
	if want := "t=" + unixNow + ",v0=" + sha256hex("secret", unixNow+"."+testBody); h.Get("X-Hook0-Signature") != want {
		t.Errorf("got %q, want %q", h.Get("X-Hook0-Signature"), want)
	}
	if _, err := hook0Names(h, testBody, "secret"); err != nil {
		t.Error(err)
	}
	r := post(testURL)
	r.Header = h
	accept(t, provider(t, "hook0"), r, testBody)
}
