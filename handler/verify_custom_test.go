package handler

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// customScheme is a custom scheme as a user writes it, with a request that is signed
// without package verify.
type customScheme struct {
	name, block string
	secret      string // testSecret when empty
	target      string // the URL's path and query
	contentType string // JSON when empty
	header      func(body string) map[string]string
	body        func() string
	id, event   string // what the app must get
}

// Durations are parsed in the same way in JSON as in the Caddyfile, where Caddy does it.
func TestDurationsInJSON(t *testing.T) {
	for _, text := range []string{"5m", "2d", "1d12h", "1.5d30m", "-1d", "d", "1..5d", "5", "day", ""} {
		var got verify.Duration
		want, wantErr := caddy.ParseDuration(text)
		if err := json.Unmarshal([]byte(strconv.Quote(text)), &got); time.Duration(got) != want || (err == nil) != (wantErr == nil) {
			t.Errorf("%q: got %v, %v, want Caddy's %v, %v", text, time.Duration(got), err, want, wantErr)
		}
	}
}

// Everything that a built-in scheme can define can be defined in a Caddyfile too.
func TestCustomSchemes(t *testing.T) {
	const body = `{"id":"m1","type":"a.b","data":{"n":1}}`
	now := time.Now().UTC()
	unix, millis := strconv.FormatInt(now.Unix(), 10), strconv.FormatInt(now.UnixMilli(), 10)
	b64 := base64.StdEncoding
	raw := func(key, content string) []byte {
		h := hmac.New(sha256.New, []byte(key))
		h.Write([]byte(content))
		return h.Sum(nil)
	}
	plain := func(text string) func() string { return func() string { return text } }
	one := func(name string, value func(body string) string) func(string) map[string]string {
		return func(body string) map[string]string { return map[string]string{name: value(body)} }
	}
	none := func(string) map[string]string { return nil }
	sum := sha256.Sum256([]byte(testSecret))
	timed := func(name, stamp string) func(string) map[string]string {
		return func(body string) map[string]string {
			return map[string]string{"X-Sig": mac(testSecret, stamp+"."+body), name: stamp}
		}
	}
	schemes := []customScheme{
		{name: "query", block: "signature query sig", target: "/?a=b&sig=" + mac(testSecret, body), header: none},
		{name: "json field", block: "signature json sig.value\ncontent \"{json.id}:{json.n}\"\nunbound_body allow", header: none,
			body: plain(`{"id":"m1","n":1.50,"sig":{"value":"` + mac(testSecret, "m1:1.50") + `"}}`)},
		{name: "form field", block: "signature form sig\ncontent \"{form.payload}\"", header: none, contentType: "application/x-www-form-urlencoded",
			body: plain("payload=%7B%7D&sig=" + mac(testSecret, "{}"))},
		{name: "k=v with semicolons", block: "signature header X-Sig {\nseparator \";\"\ntag s1 s0\n}\ntimestamp field ts\ncontent \"{timestamp}|{body}\"",
			header: one("X-Sig", func(body string) string {
				return "ts=" + unix + "; s0=00; s1=" + strings.Repeat("0", 64) + "; s1=" + mac(testSecret, unix+"|"+body)
			})},
		{name: "base64", block: "signature header X-Sig {\nprefix \"HMAC \"\nencoding base64\n}", header: one("X-Sig", func(body string) string { return "HMAC " + b64.EncodeToString(raw(testSecret, body)) })},
		{name: "base64url without padding", block: "signature header X-Sig {\nencoding base64url_raw\n}", header: one("X-Sig", func(body string) string { return base64.RawURLEncoding.EncodeToString(raw(testSecret, body)) })},
		{name: "base64url", block: "signature header X-Sig {\nencoding base64url\n}", header: one("X-Sig", func(body string) string { return base64.URLEncoding.EncodeToString(raw(testSecret, body)) })},
		{name: "hex in capitals", block: "signature header X-Sig", header: one("X-Sig", func(body string) string { return strings.ToUpper(mac(testSecret, body)) })},
		{name: "sha384", block: "algorithm sha384\nsignature header X-Sig", header: one("X-Sig", func(body string) string {
			h := hmac.New(sha512.New384, []byte(testSecret))
			h.Write([]byte(body))
			return hex.EncodeToString(h.Sum(nil))
		})},
		{name: "hash of the body, method, URL and a header", target: "/p%20q?b=2&a=1", block: "signature header X-Sig\npublic_url https://hooks.example.com\ncontent `{method}\\n{url}\\n{host}\\n{header.X-Tenant}\\n{body_sha256_hex}\\n{body_md5_base64}`",
			header: func(body string) map[string]string {
				digest, weak := sha256.Sum256([]byte(body)), md5.Sum([]byte(body))
				content := strings.Join([]string{"POST", "https://hooks.example.com/p%20q?b=2&a=1", "hooks.example.com", "acme", hex.EncodeToString(digest[:]), b64.EncodeToString(weak[:])}, "\n")
				return map[string]string{"X-Tenant": "acme", "X-Sig": mac(testSecret, content)}
			}},
		{name: "sorted form", block: "signature header X-Sig\ncontent \"{path}{form_sorted}\"", target: "/in", contentType: "application/x-www-form-urlencoded",
			body: plain("b=2&a=1+1&c="), header: one("X-Sig", func(string) string { return mac(testSecret, "/ina1 1b2c") })},
		{name: "hex key", secret: "00ff10", block: "key hex\nsignature header X-Sig", header: one("X-Sig", func(body string) string { return mac("\x00\xff\x10", body) })},
		{name: "base64 key", secret: b64.EncodeToString([]byte("\x00\xff\x10")), block: "key base64\nsignature header X-Sig", header: one("X-Sig", func(body string) string { return mac("\x00\xff\x10", body) })},
		{name: "whsec_ key", secret: "whsec_" + b64.EncodeToString([]byte("\x00\xff\x10")), block: "key whsec\nsignature header X-Sig", header: one("X-Sig", func(body string) string { return mac("\x00\xff\x10", body) })},
		{name: "derived key", block: "key sha256\nsignature header X-Sig", header: one("X-Sig", func(body string) string { return mac(string(sum[:]), body) })},
		{name: "seconds", block: "signature header X-Sig\ntimestamp header X-Time\ncontent \"{timestamp}.{body}\"", header: timed("X-Time", unix)},
		{name: "milliseconds", block: "signature header X-Sig\ntimestamp header X-Time unix_ms\ncontent \"{timestamp}.{body}\"", header: timed("X-Time", millis)},
		{name: "RFC 3339", block: "signature header X-Sig\ntimestamp header X-Time rfc3339\ncontent \"{timestamp}.{body}\"", header: timed("X-Time", now.Format(time.RFC3339Nano))},
		{name: "HTTP date", block: "signature header X-Sig\ntimestamp header Date http_date\ncontent \"{timestamp}.{body}\"", header: timed("Date", now.Format(http.TimeFormat))},
		{name: "id and event type in headers", block: "signature header X-Sig\nid header X-Id\nevent_type header X-Event\ncontent \"{id}.{event_type}.{body}\"", id: "m-1", event: "paid",
			header: func(body string) map[string]string {
				return map[string]string{"X-Id": "m-1", "X-Event": "paid", "X-Sig": mac(testSecret, "m-1.paid."+body)}
			}},
		{name: "id and event type in JSON", block: "signature header X-Sig\nid json id\nevent_type json type", id: "m1", event: "a.b", header: one("X-Sig", func(body string) string { return mac(testSecret, body) })},
		{name: "event type in the query", block: "signature header X-Sig\nevent_type query type", target: "/?type=x", event: "x", header: one("X-Sig", func(body string) string { return mac(testSecret, body) })},
	}
	app := newApp(t)
	var routes bytes.Buffer
	for i, s := range schemes {
		secret := s.secret
		if secret == "" {
			secret = testSecret
		}
		fmt.Fprintf(&routes, "@r%[1]d header X-Case %[1]d\nhandle @r%[1]d {\nwebhook_verify hmac {\nsecret %[2]s\n%[3]s\n}\nrequest_header X-Seen \"{http.webhook.id} {http.webhook.event_type}\"\nreverse_proxy %[4]s\n}\n", i, strconv.Quote(secret), s.block, app.addr)
	}
	server := serveSite(t, "", routes.String())
	for i, s := range schemes {
		t.Run(s.name, func(t *testing.T) {
			content := body
			if s.body != nil {
				content = s.body()
			}
			request := func(sent string) *http.Request {
				r := post(t, server.url+s.target, sent)
				if s.contentType != "" {
					r.Header.Set("Content-Type", s.contentType)
				}
				r.Header.Set("X-Case", strconv.Itoa(i))
				for name, value := range s.header(content) {
					r.Header.Set(name, value)
				}
				return r
			}
			do(t, request(content)).want(t, http.StatusOK)
			if got, want := app.one(t).Header.Get("X-Seen"), strings.TrimSpace(s.id+" "+s.event); strings.TrimSpace(got) != want {
				t.Errorf("the app got %q, want %q", got, want)
			}
			do(t, request(strings.Replace(content, "1", "2", 1)+" ")).want(t, http.StatusUnauthorized)
			app.none(t)
		})
	}
}

// A handshake that can only be recognized by its body is answered, and nothing else gets
// past the missing token.
func TestUnsignedHandshake(t *testing.T) {
	app := newApp(t)
	s := serveSite(t, "", `
	handle /monday {
		webhook_verify monday token
		reverse_proxy `+app.addr+`
	}
	handle /grid {
		webhook_verify azure-event-grid token
		reverse_proxy `+app.addr+`
	}`)
	if got := do(t, post(t, s.url+"/monday", `{"challenge":"3eZbrw"}`)).want(t, http.StatusOK); got.body != `{"challenge":"3eZbrw"}` {
		t.Errorf("got %q", got.body)
	}
	for _, body := range []string{`{"event":{}}`, `{"challenge":"x","event":{}}`, strings.Repeat(" ", 9<<10) + `{"challenge":"x"}`} {
		if got := do(t, post(t, s.url+"/monday", body)).want(t, http.StatusUnauthorized); !strings.HasPrefix(got.body, "missing_signature") {
			t.Errorf("got %q", got.body)
		}
	}
	options := post(t, s.url+"/grid", "")
	options.Method = http.MethodOptions
	options.Header.Set("WebHook-Request-Origin", "eventgrid.azure.net")
	if got := do(t, options).want(t, http.StatusOK); got.Header.Get("WebHook-Allowed-Origin") != "eventgrid.azure.net" {
		t.Errorf("got %v", got.Header)
	}
	app.none(t)
	do(t, post(t, s.url+"/monday?token=token", `{"event":{}}`)).want(t, http.StatusOK)
	app.one(t)
}
