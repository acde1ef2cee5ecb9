package handler

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// The signed URL is the one that the provider called, whatever a rewrite or a header
// says.
func TestSignedURL(t *testing.T) {
	app := newApp(t)
	block := func(extra string) string {
		return "webhook_verify hmac " + strconv.Quote(testSecret) + " {\nsignature header X-Signature\ncontent \"{url}|{body}\"\n" + extra + "\n}\nreverse_proxy " + app.addr
	}
	forwarded := map[string]string{"X-Forwarded-Host": "hooks.example.com", "X-Forwarded-Proto": "https"}
	tests := []struct {
		name, options, directives string
		request                   string // path and query
		headers                   map[string]string
		signed                    string // %s is the server's own address
		verified                  bool
	}{
		{"as it came", "", block(""), "/a?b=c", nil, "http://%s/a?b=c", true},
		{"escapes and order are kept", "", block(""), "/a%2Fb/%7Ec?z=1&a=%20x+y&z", nil, "http://%s/a%2Fb/%7Ec?z=1&a=%20x+y&z", true},
		{"double slash", "", block(""), "//a/", nil, "http://%s//a/", true},
		{"rewritten before", "", "rewrite * /inner?x=1\n" + block(""), "/outer?q=1", nil, "http://%s/outer?q=1", true},
		{"prefix stripped before", "", "handle_path /outer/* {\n" + block("") + "\n}", "/outer/in", nil, "http://%s/outer/in", true},
		{"public_url", "", block("public_url https://hooks.example.com"), "/a?b=c", nil, "https://hooks.example.com/a?b=c", true},
		{"public_url from a placeholder", "", block("public_url https://{env.VERIFY_TEST_HOST}"), "/a", nil, "https://hooks.example.com/a", true},
		{"public_url and no other", "", block("public_url https://hooks.example.com"), "/a", nil, "http://%s/a", false},
		{"forwarded by a stranger", "", block(""), "/a", forwarded, "https://hooks.example.com/a", false},
		{"forwarded by a stranger, ignored", "", block(""), "/a", forwarded, "http://%s/a", true},
		{"forwarded by a trusted proxy", "servers {\ntrusted_proxies static 127.0.0.1/32\n}", block(""), "/a", forwarded, "https://hooks.example.com/a", true},
		{"the nearest proxy's values count", "servers {\ntrusted_proxies static 127.0.0.1/32\n}", block(""), "/a",
			map[string]string{"X-Forwarded-Host": "evil.example.com, hooks.example.com", "X-Forwarded-Proto": "http, https"}, "https://hooks.example.com/a", true},
		{"nonsense from a trusted proxy", "servers {\ntrusted_proxies static 127.0.0.1/32\n}", block(""), "/a",
			map[string]string{"X-Forwarded-Proto": "javascript"}, "http://%s/a", true},
		{"a path in the forwarded host", "servers {\ntrusted_proxies static 127.0.0.1/32\n}", block(""), "/b",
			map[string]string{"X-Forwarded-Host": "hooks.example.com/a"}, "http://hooks.example.com/a/b", false},
		{"original URL in a header", "", block(""), "/a", map[string]string{"X-Original-URL": "/b", "X-Rewrite-URL": "/b", "Forwarded": "host=b;proto=https"}, "http://%s/a", true},
	}
	t.Setenv("VERIFY_TEST_HOST", "hooks.example.com")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := serveSite(t, tt.options, tt.directives)
			signed := tt.signed
			if strings.Contains(signed, "://%s/") {
				signed = strings.Replace(signed, "%s", s.addr, 1)
			}
			request := "POST " + tt.request + " HTTP/1.1\r\nHost: " + s.addr + "\r\nConnection: close\r\nContent-Length: 2\r\nX-Signature: " + mac(testSecret, signed+"|{}") + "\r\n"
			for name, value := range tt.headers {
				request += name + ": " + value + "\r\n"
			}
			answer := rawRequest(t, s.addr, request+"\r\n{}")
			if verified := strings.HasPrefix(answer, "HTTP/1.1 200"); verified != tt.verified {
				t.Errorf("got %s", answer)
			}
			app.take()
		})
	}
	t.Run("user and host in the request line", func(t *testing.T) {
		s := serveSite(t, "", block(""))
		answer := rawRequest(t, s.addr, "POST http://user:pass@"+s.addr+"/a HTTP/1.1\r\nHost: evil.example.com\r\nConnection: close\r\nContent-Length: 2\r\nX-Signature: "+mac(testSecret, "http://"+s.addr+"/a|{}")+"\r\n\r\n{}")
		if !strings.HasPrefix(answer, "HTTP/1.1 200") {
			t.Errorf("got %s", answer)
		}
	})
}

// The scheme of a request over TLS is https, unless a trusted proxy says otherwise.
func TestSignedURLOverTLS(t *testing.T) {
	r := prepared(httptest.NewRequest(http.MethodPost, "https://hooks.example.com/a?b=c", nil))
	for trusted, want := range map[bool]string{false: "https://hooks.example.com/a?b=c", true: "http://hooks.example.com/a?b=c"} {
		r.Header.Set("X-Forwarded-Proto", "http")
		caddyhttp.SetVar(r.Context(), caddyhttp.TrustedProxyVarKey, trusted)
		if _, got := asSent(r); got.String() != want {
			t.Errorf("trusted: %t: got %s, want %s", trusted, got.String(), want)
		}
	}
}

// No spelling of the path reaches the app without being verified.
func TestPathConfusion(t *testing.T) {
	app := newApp(t)
	s := serveSite(t, "", `
	handle /in/* {
		webhook_verify github `+strconv.Quote(testSecret)+`
		reverse_proxy `+app.addr+`
	}
	handle {
		respond "outside" 404
	}`)
	for _, path := range []string{"/in/", "//in/", "/in//", "/IN/", "/%69n/", "/in%2f", "/in/..;/", "/in/../in/", "/./in/", "/x/../in/", "/in/%2e%2e/in/", "/in/x%00", `/in\x`, "/in/;a=b"} {
		answer := rawRequest(t, s.addr, "POST "+path+" HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")
		if strings.HasPrefix(answer, "HTTP/1.1 200") {
			t.Errorf("%s: got %s", path, answer)
		}
		app.none(t)
	}
}
