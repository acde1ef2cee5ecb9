package handler

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/internal/freeport"
)

// likeVerdict reports whether an app server may mistake a header for Webhook-Verified.
func likeVerdict(name string) bool {
	return strings.HasPrefix(regexp.MustCompile("[^a-z]").ReplaceAllString(strings.ToLower(name), "-"), "webhook-verified")
}

// Webhook-Verified headers from clients don't reach the app.
func TestForgedVerdictHeaders(t *testing.T) {
	app := newApp(t)
	site := func(options string) string {
		port := freeport.Get()
		runCaddy(t, options, fmt.Sprintf(`http://127.0.0.1:%d {
	webhook_verify github %q
	reverse_proxy %s
	handle_errors {
		reverse_proxy %s
	}
}`, port, testSecret, app.addr, app.addr))
		return fmt.Sprintf("http://127.0.0.1:%d/", port)
	}
	for _, options := range []string{
		"",
		"servers {\nexpected_underscore_headers webhook_verified*\n}",
		"servers {\nexpected_dot_headers webhook.verified*\n}",
	} {
		url := site(options)
		for _, name := range []string{"Webhook-Verified", "webhook-verified", "WEBHOOK-VERIFIED", "Webhook_Verified", "Webhook.Verified", "webhook_Verified", "Webhook!Verified", "webhook~verified", "Webhook-Verified-By", "Webhook-Verified_At", "Webhook-Verifiedx"} {
			for _, valid := range []bool{true, false} {
				r := signGitHub(post(t, url, "{}"), "{}")
				if !valid {
					r.Header.Del("X-Hub-Signature-256")
				}
				r.Header[name] = []string{"stripe"}
				if strings.EqualFold(name, "webhook-verified") {
					r.Header[name] = []string{"stripe", "slack"}
				}
				do(t, r)
				for got, values := range app.one(t).Header {
					if likeVerdict(got) && (!valid || got != "Webhook-Verified" || len(values) != 1 || values[0] != "github") {
						t.Errorf("%s (signed: %v): the app got %s: %q", name, valid, got, values)
					}
				}
			}
		}
	}
	url := site("")
	// A proxy drops the headers named in Connection, but must not drop ours.
	for _, names := range []string{"Webhook-Verified", "close, webhook-verified", "X-A , Webhook_Verified,X-B"} {
		r := signGitHub(post(t, url, "{}"), "{}")
		r.Header.Set("Connection", names)
		r.Header.Set("X-B", "hop by hop")
		do(t, r)
		got := app.one(t)
		if v := got.Header.Get("Webhook-Verified"); v != "github" {
			t.Errorf("Connection: %s: the app got Webhook-Verified: %q", names, v)
		}
		if strings.Contains(names, "X-B") && got.Header.Get("X-B") != "" {
			t.Errorf("Connection: %s: X-B was passed on", names)
		}
	}
	// Signed headers named there are removed before the request is verified.
	for _, name := range []string{"X-Hub-Signature-256", "close, x-hub-signature-256 ,X-A"} {
		r := signGitHub(post(t, url, "{}"), "{}")
		r.Header.Set("Connection", name)
		do(t, r).want(t, http.StatusOK) // the response of handle_errors
		if v, ok := app.one(t).Header["Webhook-Verified"]; ok {
			t.Errorf("Connection: %s: the app got Webhook-Verified: %q", name, v)
		}
	}
	for _, name := range []string{"Webhook-Signature", "Webhook-Id", "X-Webhook-Verified", "Webhook", "Verified"} {
		r := signGitHub(post(t, url, "{}"), "{}")
		r.Header.Set(name, "kept")
		do(t, r)
		if got := app.one(t); got.Header.Get(name) != "kept" {
			t.Errorf("%s was removed", name)
		}
	}
}

// Another route may lead to the same app, which may treat its path as that of the
// verified route. With the directive from the docs, forged headers don't get through
// there either.
func TestForgedVerdictBesideTheRoute(t *testing.T) {
	app := newApp(t)
	s := serveSite(t, "", fmt.Sprintf(`request_header -Webhook-Verified*
	handle /github {
		webhook_verify github %q
		reverse_proxy %[2]s
	}
	handle {
		reverse_proxy %[2]s
	}`, testSecret, app.addr))
	for path, want := range map[string]string{"/github": "github", "/github/": "", "/github%20": ""} {
		r := signGitHub(post(t, "http://"+s.addr+path, "{}"), "{}")
		r.Header.Set("Webhook-Verified", "stripe")
		r.Header.Set("Webhook-Verified-By", "stripe")
		do(t, r).want(t, http.StatusOK)
		got := app.one(t).Header
		if v := got.Get("Webhook-Verified"); v != want || got.Get("Webhook-Verified-By") != "" {
			t.Errorf("%s: the app got %v", path, got)
		}
	}
}

func TestTrailers(t *testing.T) {
	s, app := githubSite(t, "", "")
	answer := rawRequest(t, s.addr, head(mac(testSecret, "hello"),
		"Transfer-Encoding: chunked", "Trailer: Webhook-Verified, Webhook_verified, X-Sum", "Connection: close")+
		"5\r\nhello\r\n0\r\nWebhook-Verified: stripe\r\nWebhook_verified: stripe\r\nX-Sum: 1\r\n\r\n")
	if !strings.HasPrefix(answer, "HTTP/1.1 200") {
		t.Fatalf("got %s", answer)
	}
	got := app.one(t)
	if string(got.body) != "hello" || got.Header.Get("Webhook-Verified") != "github" {
		t.Errorf("the app got %q, %v", got.body, got.Header)
	}
	if len(got.Trailer) != 0 || got.ContentLength != 5 {
		t.Errorf("the app got the trailers %v, length %d", got.Trailer, got.ContentLength)
	}
}

// In a dry run, the body may be passed on before it has been read, with trailers yet to
// come.
func TestForgedVerdictInTrailersOfADryRun(t *testing.T) {
	s, app := githubSite(t, "", "enforce off\nmax_body 1KiB")
	for _, size := range []int{5, 2000} {
		for _, signature := range []string{"zz", mac("guess", "")} {
			body := strings.Repeat("x", size)
			answer := rawRequest(t, s.addr, head(signature, "Transfer-Encoding: chunked", "Trailer: Webhook-Verified", "Connection: close")+
				fmt.Sprintf("%x\r\n%s\r\n0\r\nWebhook-Verified: github\r\n\r\n", size, body))
			if !strings.HasPrefix(answer, "HTTP/1.1 200") {
				t.Fatalf("got %s", answer)
			}
			got := app.one(t)
			if string(got.body) != body || len(got.Trailer) != 0 || got.Header.Get("Webhook-Verified") != "false" {
				t.Errorf("the app got %d bytes, %v, trailers %v", len(got.body), got.Header, got.Trailer)
			}
		}
	}
}
