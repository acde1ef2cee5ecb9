package egress

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

func TestCheckHeader(t *testing.T) {
	tests := []struct{ name, header, value, want string }{
		{"plain", "X-Env", "production", ""},
		{"lower case", "x-env", "production", ""},
		{"credentials", "Authorization", "Bearer abc", ""},
		{"cookie", "Cookie", "a=b", ""},
		{"user agent", "User-Agent", "acme/1", ""},
		{"content encoding", "Content-Encoding", "gzip", ""},
		{"empty value", "X-Env", "", ""},
		{"tab", "X-Env", "a\tb", ""},
		{"beyond ASCII", "X-Team", "Müller", ""},
		{"every token character", "!#$%&'*+-.^_`|~09azAZ", "x", ""},
		{"almost reserved", "X-Webhook-Id", "1", ""},
		{"almost reserved too", "Hosts", "1", ""},
		{"first word of reserved names", "Webhook", "1", ""},

		{"no name", "", "x", "name is empty"},
		{"space in the name", "X Env", "x", "may have"},
		{"colon in the name", "X-Env:", "x", "may have"},
		{"line break in the name", "X-Env\r\nHost", "x", "may have"},
		{"pseudo header", ":authority", "x", "may have"},
		{"name beyond ASCII", "X-Größe", "x", "may have"},
		{"CR", "X-Env", "a\rb", "line break"},
		{"LF", "X-Env", "a\nb", "line break"},
		{"injection", "X-Env", "a\r\nHost: b", "line break"},
		{"NUL", "X-Env", "a\x00b", "line break"},
		{"DEL", "X-Env", "a\x7fb", "line break"},
		{"longest", "X-Env", strings.Repeat("a", MaxHeaderBytes-len("X-Env")), ""},
		{"too long", "X-Env", strings.Repeat("a", MaxHeaderBytes), "most"},
		{"long name", strings.Repeat("a", MaxHeaderBytes+1), "", "most"},

		{"Host", "Host", "x", "cannot be set"},
		{"host", "host", "x", "cannot be set"},
		{"Content-Length", "Content-Length", "1", "cannot be set"},
		{"Content-Type", "Content-Type", "text/plain", "cannot be set"},
		{"Transfer-Encoding", "Transfer-Encoding", "chunked", "cannot be set"},
		{"Connection", "CONNECTION", "close", "cannot be set"},
		{"Keep-Alive", "Keep-Alive", "x", "cannot be set"},
		{"TE", "TE", "trailers", "cannot be set"},
		{"Trailer", "Trailer", "x", "cannot be set"},
		{"Upgrade", "Upgrade", "h2c", "cannot be set"},
		{"Expect", "Expect", "100-continue", "cannot be set"},
		{"HTTP2-Settings", "HTTP2-Settings", "x", "cannot be set"},
		{"Accept-Encoding", "Accept-Encoding", "gzip", "cannot be set"},
		{"Proxy-Authorization", "Proxy-Authorization", "x", "cannot be set"},
		{"proxy-anything", "proxy-anything", "x", "cannot be set"},
		{"webhook-id", "webhook-id", "x", "cannot be set"},
		{"webhook_id, to many the same", "webhook_id", "x", "cannot be set"},
		{"Content_Type, to many the same", "Content_Type", "x", "cannot be set"},
		{"Webhook-Verified", "Webhook-Verified", "x", "cannot be set"},
		{"Idempotency-Key", "Idempotency-Key", "x", "cannot be set"},
		{"X-Idempotency-Key", "X-Idempotency-Key", "x", "cannot be set"},
		{"traceparent", "Traceparent", "x", "cannot be set"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wantError(t, CheckHeader(tt.header, tt.value), tt.want)
		})
	}
}

// wantError checks that an error says something, or, if that is "", that there is none.
func wantError(t *testing.T, err error, says string) {
	t.Helper()
	if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
		t.Errorf("got %v, want %q in it", err, says)
	}
}

func TestCheckHeaders(t *testing.T) {
	many := func(n int) map[string]string {
		h := make(map[string]string)
		for i := range n {
			h["X-"+strings.Repeat("a", i+1)] = "x"
		}
		return h
	}
	tests := []struct {
		name    string
		headers map[string]string
		want    string
	}{
		{"none", nil, ""},
		{"two", map[string]string{"X-A": "1", "X-B": "2"}, ""},
		{"the most", many(MaxHeaders), ""},
		{"one too many", many(MaxHeaders + 1), "at most 32"},
		{"twice", map[string]string{"X-A": "1", "x-a": "2"}, "twice"},
		{"a bad one", map[string]string{"X-A": "1", "Host": "2"}, `"Host"`},
		{"the largest together", map[string]string{"X-A": strings.Repeat("a", MaxHeaderBytes/2-3), "X-B": strings.Repeat("a", MaxHeaderBytes/2-3)}, ""},
		{"too large together", map[string]string{"X-A": strings.Repeat("a", 3000), "X-B": strings.Repeat("a", 3000)}, "together"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wantError(t, CheckHeaders(tt.headers), tt.want)
		})
	}
}

// FuzzCheckHeader checks that a header that passes is sent as one header, with that name
// and value.
func FuzzCheckHeader(f *testing.F) {
	f.Add("X-Env", "production")
	f.Add("X-Env", "a\r\nHost: b")
	f.Add("webhook-id", "x")
	f.Add("X\x00", "ä")
	f.Fuzz(func(t *testing.T, name, value string) {
		if CheckHeader(name, value) != nil {
			return
		}
		var wire strings.Builder
		h := http.Header{name: {value}}
		must.Do(t, h.Write(&wire))
		if strings.Count(wire.String(), "\n") != 1 || !strings.HasPrefix(wire.String(), name+": ") {
			t.Fatalf("%q with %q: got it sent as %q", name, value, wire.String())
		}
	})
}
