package main

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

// TestInbox checks that a webhook is verified, stored and acknowledged while the app is down,
// and delivered when it is up.
func TestInbox(t *testing.T) {
	t.Parallel()
	app := downReceiver(t)
	s := startServer(t, `{`+head+`
	webhooks {
		store sqlite {$DB}
		retry exponential {
			base 100ms
			factor 1
			attempts 100
		}
		egress {
			allow 127.0.0.1
		}
		subscription app {
			url http://{$APP}/hooks
			event_types github.*
			secret {env.APP_SECRET}
		}
	}
}

http://:{$PORT} {
	handle /github {
		webhook_verify github {env.GITHUB_WEBHOOK_SECRET}
		webhook_publish github.{http.webhook.event_type} {
			event_id {http.webhook.id}
			forward_headers X-GitHub-*
		}
	}
	handle_path /webhooks/* {
		webhook_api {
			token {env.READ_TOKEN} read
		}
	}
}
`, "APP="+app.addr, "APP_SECRET="+whsec("app"), "GITHUB_WEBHOOK_SECRET="+githubSecret)

	body := []byte("{ \"ref\":\t\"refs/heads/main\" }\r\n")
	h := githubHeaders(githubSecret, "72d3162e-cc78-11e3", "push", body)
	h.Set("Content-Type", "application/json; charset=utf-8")
	o := s.post("/github", body, h).want(http.StatusAccepted).object()
	if o.num("deliveries") != 1 || o.text("event_id") != "72d3162e-cc78-11e3" {
		t.Errorf("the answer is %v", o)
	}
	again := s.post("/github", body, h).want(http.StatusOK).object()
	if again["duplicate"] != true {
		t.Errorf("the answer to the provider's retry is %v", again)
	}
	forged := bytes.Clone(body)
	forged[3] ^= 1
	s.post("/github", forged, h).want(http.StatusUnauthorized)

	must.Eventually(t, "attempts while the app is down", func() bool {
		return s.delivery("72d3162e-cc78-11e3", "sub_app").num("attempts") >= 2
	})
	s.stop()
	s.start()
	app.up()
	d := app.wait(1)[0]
	d.signed(t, whsec("app"))
	if !bytes.Equal(d.body, body) || d.header.Get("Content-Type") != "application/json; charset=utf-8" {
		t.Errorf("the app got %q, %q", d.body, d.header.Get("Content-Type"))
	}
	if d.header.Get("X-GitHub-Event") != "push" || d.header.Get("X-GitHub-Delivery") != "72d3162e-cc78-11e3" {
		t.Errorf("the headers were not forwarded: %v", d.header)
	}
	got := s.settled("72d3162e-cc78-11e3", "sub_app", "delivered")
	if got.text("event_type") != "github.push" {
		t.Errorf("the event type is %q", got.text("event_type"))
	}
	if events := s.reader().list("/events"); len(events) != 1 {
		t.Errorf("%d events are stored, want 1", len(events))
	}
}

// TestInboxKeepsTheBody checks that a body is delivered exactly as the provider sent it, with
// its content type, and that its signed id becomes the event's.
func TestInboxKeepsTheBody(t *testing.T) {
	t.Parallel()
	app := newReceiver(t)
	s := startServer(t, `{`+head+`
	webhooks {
		store sqlite {$DB}
		max_payload 64KiB
		egress {
			allow 127.0.0.1
		}
		subscription app {
			url http://{$APP}/
			event_types standard.*
			secret {env.APP_SECRET}
		}
	}
}

http://:{$PORT} {
	webhook_verify standard-webhooks {env.STANDARD_SECRET}
	webhook_publish standard.{header.X-Kind}
}
`, "APP="+app.addr, "APP_SECRET="+whsec("app"), "STANDARD_SECRET="+standardSecret)
	binary := sized(64 << 10)
	for _, c := range []struct {
		id, kind, contentType string
		body                  []byte
	}{
		{"msg_form", "form", "application/x-www-form-urlencoded", []byte("a=1&b=%20&a=2")},
		{"msg_text", "text", "text/plain; charset=iso-8859-1", []byte("\xe4\r\n")},
		{"msg_json", "json", "application/json", []byte("{ \"type\" : \"a\" }\n")},
		{"msg_binary", "binary", "application/octet-stream", binary},
	} {
		h := standardHeaders(t, standardSecret, c.id, time.Now(), c.body)
		h.Set("Content-Type", c.contentType)
		h.Set("X-Kind", c.kind)
		o := s.post("/", c.body, h).want(http.StatusAccepted).object()
		if o.text("event_id") != c.id {
			t.Errorf("%s: the event's id is %q", c.id, o.text("event_id"))
		}
		d := app.waitID(c.id)
		d.signed(t, whsec("app"))
		if !bytes.Equal(d.body, c.body) || d.header.Get("Content-Type") != c.contentType {
			t.Errorf("%s: %d bytes of %d have arrived, as %q", c.id, len(d.body), len(c.body), d.header.Get("Content-Type"))
		}
	}
	large := sized(64<<10 + 1)
	s.post("/", large, standardHeaders(t, standardSecret, "msg_large", time.Now(), large)).want(http.StatusRequestEntityTooLarge)
	must.Eventually(t, "the word of what is too large", func() bool { return strings.Contains(s.log(), "raise max_payload") })

	// The provider's retry after a restart, with a new signature, is not a second event.
	s.stop()
	s.start()
	again := standardHeaders(t, standardSecret, "msg_binary", time.Now().Add(time.Second), binary)
	again.Set("Content-Type", "application/octet-stream")
	again.Set("X-Kind", "binary")
	if o := s.post("/", binary, again).want(http.StatusOK).object(); o["duplicate"] != true {
		t.Errorf("the answer to the retry is %v", o)
	}
	if n := len(app.all()); n != 4 {
		t.Errorf("%d deliveries have arrived, want 4", n)
	}
}
