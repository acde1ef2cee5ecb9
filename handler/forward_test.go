package handler

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

// A pattern with an asterisk doesn't match credentials, which receivers and everyone
// who can read events would see. A credential that is named in full is forwarded.
func TestForwardHeaders(t *testing.T) {
	got := make(chan http.Header, 1)
	receiver := newApp(t)
	receiver.respond(func(_ http.ResponseWriter, r *http.Request) { got <- r.Header })
	s := serveSite(t, deliveringTo(t, receiver.URL), `webhook_publish order.created {
		forward_headers * X-Named-Token
	}`)
	r := post(t, s.url, "{}")
	kept := []string{"X-Named-Token", "X-GitHub-Event", "X-Author", "X-Hub-Signature-256"}
	left := []string{"Authorization", "Proxy-Authorization", "Cookie", "X-Api-Key", "X-Gitlab-Token", "X-Goog-Channel-Token", "X-AdobeSign-ClientId", "Api-Key", "X-Auth-Request-Email",
		"X-ApiKey", "X-Credential", "X-Credentials", "X-JWT", "X-Password", "X-Secret", "X-Session"}
	for _, name := range slices.Concat(kept, left) {
		r.Header.Set(name, "value")
	}
	do(t, r).want(t, 202)
	h := <-got
	for _, name := range kept {
		if h.Get(name) != "value" {
			t.Errorf("%s was not forwarded", name)
		}
	}
	for _, name := range left {
		if h.Get(name) != "" {
			t.Errorf("%s was forwarded", name)
		}
	}
}

// A webhook with too many or too large headers isn't refused: those over the limit are
// left out, and named in the log.
func TestForwardsWhatFits(t *testing.T) {
	receiver := newApp(t)
	got := make(chan http.Header, 1)
	receiver.respond(func(_ http.ResponseWriter, r *http.Request) { got <- r.Header })
	options, log := loggedPublishing(t, subscribing(receiver.URL))
	s := serveSite(t, options, `webhook_publish order.created {
		forward_headers X-*
	}`)
	r := post(t, s.url, "{}")
	r.Header.Set("X-Large", strings.Repeat("x", 5000))
	for i := range 40 {
		r.Header.Set(fmt.Sprintf("X-Number-%d", 10+i), "value")
	}
	do(t, r).want(t, 202)
	h := <-got
	for name, want := range map[string]string{"X-Large": "", "X-Number-10": "value", "X-Number-41": "value", "X-Number-42": ""} {
		if h.Get(name) != want {
			t.Errorf("%s: got %d bytes forwarded, want %q", name, len(h.Get(name)), want)
		}
	}
	written := must.Get(os.ReadFile(log))(t)
	if n := strings.Count(string(written), "headers are not forwarded"); n != 1 || !strings.Contains(string(written), "X-Large, X-Number-42, ") {
		t.Errorf("logged %s", written)
	}
}

// A compressed webhook is delivered as it was sent, with the encoding that says how to
// read it, even if no headers are forwarded.
func TestCompressedWebhookIsPublished(t *testing.T) {
	delivered := make(chan bool, 1)
	receiver := newApp(t)
	receiver.respond(func(http.ResponseWriter, *http.Request) { delivered <- true })
	s := serveSite(t, deliveringTo(t, receiver.URL), fmt.Sprintf("webhook_verify github %q\nwebhook_publish app.push", testSecret))
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	w.Write([]byte(`{"ref":"main"}`))
	w.Close()
	r := signGitHub(post(t, s.url, packed.String()), packed.String())
	r.Header.Set("Content-Encoding", "gzip")
	do(t, r).want(t, 202)
	<-delivered
	got := receiver.one(t)
	if got.Header.Get("Content-Encoding") != "gzip" || got.Header.Get("X-Github-Event") != "" {
		t.Errorf("got the headers %v", got.Header)
	}
	if !bytes.Equal(got.body, packed.Bytes()) {
		t.Errorf("got %q, want the body as it was sent", got.body)
	}
}

func TestForwardedHeaders(t *testing.T) {
	h := http.Header{
		"X-Github-Event":    {"push"},
		"X-Github-Delivery": {"1", "2"},
		"X-Other":           {"x"},
		"Connection":        {"close"},
		"Webhook-Id":        {"evil"},
	}
	got, _ := forwarded(h, []string{"x-github-*", "Connection", "Webhook-Id"})
	if len(got) != 2 || got["X-Github-Event"] != "push" || got["X-Github-Delivery"] != "1, 2" {
		t.Errorf("got %v", got)
	}
	if got, _ := forwarded(h, nil); got != nil {
		t.Errorf("without a pattern: %v", got)
	}
	if got, left := forwarded(h, []string{"*"}); len(got) != 3 || len(left) != 0 {
		t.Errorf("with all headers allowed: got %v, %v omitted", got, left)
	}
}
