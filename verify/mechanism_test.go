package verify_test

import (
	"cmp"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// trial is a request that a scheme accepts.
type trial struct {
	name   string
	scheme verify.Scheme
	secret string          // "secret" when empty
	url    string          // testURL when empty
	header []string        // names and values, as for post
	body   string          // testBody when empty
	want   *verify.Message // ID, EventType, Timestamp and Signed are compared; if nil, the whole body is signed, and nothing else is known
}

func (tr trial) request() *http.Request { return post(cmp.Or(tr.url, testURL), tr.header...) }

func (tr trial) verifier(t testing.TB) *verify.Verifier {
	t.Helper()
	return verifierOf(t, tr.scheme, cmp.Or(tr.secret, "secret"))
}

func header(kv ...string) []string { return kv }

func parameterTrials() []trial {
	const form = "application/x-www-form-urlencoded"
	stamp := fmt.Sprint(testTime)
	hexOf := sha256hex
	bodySum := sha256.Sum256([]byte(testBody))
	bodyMD5 := md5.Sum([]byte(testBody))
	return []trial{
		{
			name:   "body alone, hex",
			scheme: base(nil),
			header: header("X-Sig", hexOf("secret", testBody)),
		},
		{
			name:   "hex in upper case",
			scheme: base(nil),
			header: header("X-Sig", strings.ToUpper(hexOf("secret", testBody))),
		},
		{
			name:   "a header for each signature",
			scheme: base(func(s *verify.Scheme) { s.Signature.Repeated = true }),
			header: header("X-Sig", hexOf("old", testBody), "X-Sig", "not hex", "X-Sig", hexOf("secret", testBody)),
		},
		{
			name: "a header for each list",
			scheme: base(func(s *verify.Scheme) {
				s.Signature.Repeated, s.Signature.Separator, s.Signature.Tags = true, ",", []string{"sha256"}
			}),
			header: header("X-Sig", "sha256="+hexOf("old", testBody), "X-Sig", "sha256="+hexOf("older", testBody)+", sha256="+hexOf("secret", testBody)),
		},
		{
			name:   "sha1, prefix",
			scheme: base(func(s *verify.Scheme) { s.Algorithm = "sha1"; s.Signature.Prefix = "sha1=" }),
			header: header("X-Sig", "sha1="+hex.EncodeToString(mac(sha1.New, "secret", testBody))),
		},
		{
			name:   "sha384, base64",
			scheme: base(func(s *verify.Scheme) { s.Algorithm = "sha384"; s.Signature.Encoding = "base64" }),
			header: header("X-Sig", base64.StdEncoding.EncodeToString(mac(sha512.New384, "secret", testBody))),
		},
		{
			name:   "sha512, base64 without padding",
			scheme: base(func(s *verify.Scheme) { s.Algorithm = "sha512"; s.Signature.Encoding = "base64_raw" }),
			header: header("X-Sig", base64.RawStdEncoding.EncodeToString(mac(sha512.New, "secret", testBody))),
		},
		{
			name:   "base64url",
			scheme: base(func(s *verify.Scheme) { s.Signature.Encoding = "base64url" }),
			header: header("X-Sig", base64.URLEncoding.EncodeToString(mac(sha256.New, "secret", testBody))),
		},
		{
			name:   "base64url without padding",
			scheme: base(func(s *verify.Scheme) { s.Signature.Encoding = "base64url_raw" }),
			header: header("X-Sig", base64.RawURLEncoding.EncodeToString(mac(sha256.New, "secret", testBody))),
		},
		{
			name:   "hex key",
			scheme: base(func(s *verify.Scheme) { s.Key = "hex" }),
			secret: "00ffAA",
			header: header("X-Sig", hexOf("\x00\xff\xaa", testBody)),
		},
		{
			name:   "base64 key",
			scheme: base(func(s *verify.Scheme) { s.Key = "base64" }),
			secret: "AP+q",
			header: header("X-Sig", hexOf("\x00\xff\xaa", testBody)),
		},
		{
			name:   "key derived by SHA-256",
			scheme: base(func(s *verify.Scheme) { s.Key = "sha256" }),
			header: header("X-Sig", hexOf(func() string { sum := sha256.Sum256([]byte("secret")); return string(sum[:]) }(), testBody)),
		},
		{
			name:   "base64 key without padding",
			scheme: base(func(s *verify.Scheme) { s.Key = "base64" }),
			secret: "AP8",
			header: header("X-Sig", hexOf("\x00\xff", testBody)),
		},
		{
			name:   "whsec key as Supabase shows it",
			scheme: base(func(s *verify.Scheme) { s.Key = "whsec" }),
			secret: "v1,whsec_AP+q",
			header: header("X-Sig", hexOf("\x00\xff\xaa", testBody)),
		},
		{
			name:   "whsec key bare",
			scheme: base(func(s *verify.Scheme) { s.Key = "whsec" }),
			secret: "AP+q",
			header: header("X-Sig", hexOf("\x00\xff\xaa", testBody)),
		},
		{
			name:   "sha1 key",
			scheme: base(func(s *verify.Scheme) { s.Key = "sha1" }),
			header: header("X-Sig", func() string {
				key := sha1.Sum([]byte("secret"))
				return hexOf(string(key[:]), testBody)
			}()),
		},
		{
			name: "list with tags, time in it",
			scheme: base(func(s *verify.Scheme) {
				s.Signature.Separator, s.Signature.Tags = ",", []string{"v1"}
				s.Content = "{timestamp}.{body}"
				s.Timestamp = verify.Timestamp{In: "field", Name: "t"}
			}),
			header: header("X-Sig", "t="+stamp+", v0=00, v1="+strings.Repeat("0", 64)+", v1="+hexOf("secret", stamp+"."+testBody)),
			want:   &verify.Message{Timestamp: testNow, Signed: verify.Signed{Timestamp: true, Body: true}},
		},
		{
			name: "groups of lists, each with its time",
			scheme: base(func(s *verify.Scheme) {
				s.Signature.Separator, s.Signature.Tags, s.Signature.Groups = ",", []string{"v1"}, " "
				s.Content = "{timestamp}.{body}"
				s.Timestamp = verify.Timestamp{In: "field", Name: "t"}
			}),
			header: header("X-Sig", "t=1600000000,v1="+hexOf("old", "1600000000."+testBody)+" t="+stamp+",v1="+hexOf("secret", stamp+"."+testBody)),
			want:   &verify.Message{Timestamp: testNow, Signed: verify.Signed{Timestamp: true, Body: true}},
		},
		{
			name: "groups of lists, one of which is none",
			scheme: base(func(s *verify.Scheme) {
				s.Signature.Separator, s.Signature.Tags, s.Signature.Groups = ",", []string{"v1"}, " "
				s.Content = "{timestamp}.{body}"
				s.Timestamp = verify.Timestamp{In: "field", Name: "t"}
			}),
			header: header("X-Sig", "t="+stamp+",v1=x junk t="+stamp+",v1="+hexOf("secret", stamp+"."+testBody)),
			want:   &verify.Message{Timestamp: testNow, Signed: verify.Signed{Timestamp: true, Body: true}},
		},
		{
			name: "time first in the list",
			scheme: base(func(s *verify.Scheme) {
				s.Signature.Separator = ","
				s.Content = "{timestamp}.{body}"
				s.Timestamp = verify.Timestamp{In: "first"}
			}),
			header: header("X-Sig", stamp+","+hexOf("old", stamp+"."+testBody)+","+hexOf("secret", stamp+"."+testBody)),
			want:   &verify.Message{Timestamp: testNow, Signed: verify.Signed{Timestamp: true, Body: true}},
		},
		{
			name:   "bare list",
			scheme: base(func(s *verify.Scheme) { s.Signature.Separator = "," }),
			header: header("X-Sig", hexOf("old", testBody)+", "+hexOf("secret", testBody)),
		},
		{
			name: "several headers, the second matches",
			scheme: base(func(s *verify.Scheme) {
				s.Signature = verify.Signature{Names: []string{"X-Sig-Primary", "X-Sig-Secondary"}}
			}),
			header: header("X-Sig-Primary", hexOf("old", testBody), "X-Sig-Secondary", hexOf("secret", testBody)),
		},
		{
			name: "several headers, one is there",
			scheme: base(func(s *verify.Scheme) {
				s.Signature = verify.Signature{Names: []string{"X-Sig-Primary", "X-Sig-Secondary"}}
			}),
			header: header("X-Sig-Secondary", hexOf("secret", testBody)),
		},
		{
			name:   "numbered headers",
			scheme: base(func(s *verify.Scheme) { s.Signature = verify.Signature{Name: "X-Sig-", Numbered: true} }),
			header: header("X-Sig-1", hexOf("old", testBody), "X-Sig-100", hexOf("secret", testBody)),
		},
		{
			name:   "signature in the query",
			scheme: base(func(s *verify.Scheme) { s.Signature = verify.Signature{In: "query", Name: "signature"} }),
			url:    "https://hooks.example.com/in?signature=" + hexOf("secret", testBody),
		},
		{
			name: "signature in JSON",
			scheme: base(func(s *verify.Scheme) {
				s.Signature = verify.Signature{In: "json", Name: "sig.value"}
				s.Content = "{timestamp}{id}"
				s.Timestamp = verify.Timestamp{In: "json", Name: "sig.at"}
				s.ID = verify.Field{In: "json", Name: "sig.token"}
				s.EventType = verify.Field{In: "json", Name: "event.0.kind"}
				s.UnboundBody = true
			}),
			body: `{"event":[{"kind":"opened"}],"sig":{"at":` + stamp + `,"token":"tok","value":"` + hexOf("secret", stamp+"tok") + `"}}`,
			want: &verify.Message{ID: "tok", EventType: "opened", Timestamp: testNow, Signed: verify.Signed{ID: true, Timestamp: true}},
		},
		{
			name: "signature in a form",
			scheme: base(func(s *verify.Scheme) {
				s.Signature = verify.Signature{In: "form", Name: "sig", Separator: "&", Tags: []string{"*"}, Assign: "|"}
				s.Content = "{form.payload}"
			}),
			header: header("Content-Type", form),
			body:   "payload=a+%26+b&sig=other%7C" + strings.Repeat("0", 64) + "%26pub%7C" + hexOf("secret", "a & b"),
		},
		{
			name: "each element of an array",
			scheme: base(func(s *verify.Scheme) {
				s.Signature = verify.Signature{In: "json", Each: "items", Name: "sig"}
				s.Content = "{json.a}:{json.b?}"
				s.UnboundBody = true
			}),
			body: `{"items":[{"a":1,"b":true,"sig":"` + hexOf("secret", "1:true") + `"},{"a":"x","b":null,"sig":"` + hexOf("secret", "x:") + `"}]}`,
			want: &verify.Message{},
		},
		{
			name: "time, id and event type in headers, all signed",
			scheme: base(func(s *verify.Scheme) {
				s.Content = "{id}.{timestamp}.{event_type}.{body}"
				s.Timestamp = verify.Timestamp{In: "header", Name: "x-time", Format: "unix_ms"}
				s.ID = verify.Field{In: "header", Name: "x-id"}
				s.EventType = verify.Field{In: "header", Name: "x-event"}
			}),
			header: header("X-Sig", hexOf("secret", "m1."+stamp+"000.push."+testBody), "X-Time", stamp+"000", "X-Id", "m1", "X-Event", "push"),
			want:   &verify.Message{ID: "m1", EventType: "push", Timestamp: testNow, Signed: verify.Signed{ID: true, Timestamp: true, EventType: true, Body: true}},
		},
		{
			name: "time as RFC 3339 with an offset",
			scheme: base(func(s *verify.Scheme) {
				s.Content = "{body}{timestamp}"
				s.Timestamp = verify.Timestamp{In: "header", Name: "X-Time", Format: "rfc3339"}
			}),
			header: header("X-Sig", hexOf("secret", testBody+"2023-11-14T14:13:20.000-08:00"), "X-Time", "2023-11-14T14:13:20.000-08:00"),
			want:   &verify.Message{Timestamp: testNow, Signed: verify.Signed{Timestamp: true, Body: true}},
		},
		{
			name: "time as an HTTP date",
			scheme: base(func(s *verify.Scheme) {
				s.Content = `{timestamp}\n{body}`
				s.Timestamp = verify.Timestamp{In: "header", Name: "Date", Format: "http_date"}
			}),
			header: header("X-Sig", hexOf("secret", "Tue, 14 Nov 2023 22:13:20 GMT\n"+testBody), "Date", "Tue, 14 Nov 2023 22:13:20 GMT"),
			want:   &verify.Message{Timestamp: testNow, Signed: verify.Signed{Timestamp: true, Body: true}},
		},
		{
			name: "time in seconds or milliseconds",
			scheme: base(func(s *verify.Scheme) {
				s.Content = "{timestamp}.{body}"
				s.Timestamp = verify.Timestamp{In: "header", Name: "X-Time", Format: "unix_or_ms"}
			}),
			header: header("X-Sig", hexOf("secret", stamp+"000."+testBody), "X-Time", stamp+"000"),
			want:   &verify.Message{Timestamp: testNow, Signed: verify.Signed{Timestamp: true, Body: true}},
		},
		{
			name: "time in the query",
			scheme: base(func(s *verify.Scheme) {
				s.Content = "{query.ts}.{body}"
				s.Timestamp = verify.Timestamp{In: "query", Name: "ts"}
			}),
			url:    "https://hooks.example.com/in?ts=" + stamp,
			header: header("X-Sig", hexOf("secret", stamp+"."+testBody)),
			want:   &verify.Message{Timestamp: testNow, Signed: verify.Signed{Timestamp: true, Body: true}},
		},
		{
			name: "time in a form",
			scheme: base(func(s *verify.Scheme) {
				s.Content = "{timestamp}{form.token}"
				s.Timestamp = verify.Timestamp{In: "form", Name: "ts"}
			}),
			header: header("X-Sig", hexOf("secret", stamp+"tok"), "Content-Type", form),
			body:   "ts=" + stamp + "&token=tok",
			want:   &verify.Message{Timestamp: testNow, Signed: verify.Signed{Timestamp: true, Body: true}},
		},
		{
			name: "URL and method",
			scheme: base(func(s *verify.Scheme) {
				s.Content = "{method}{url}{body}"
			}),
			header: header("X-Sig", hexOf("secret", "POST"+testURL+testBody)),
		},
		{
			name: "parts of the URL",
			scheme: base(func(s *verify.Scheme) {
				s.Content = `{url_no_query}\n{host}\n{path}\n{query}\n{query.a}\n{uri}\n{body}`
			}),
			url:    "https://hooks.example.com/a%2Fb/c?b=2&a=1",
			header: header("X-Sig", hexOf("secret", "https://hooks.example.com/a%2Fb/c\nhooks.example.com\n/a%2Fb/c\nb=2&a=1\n1\n/a%2Fb/c?b=2&a=1\n"+testBody)),
		},
		{
			name: "Caddy's spellings",
			scheme: base(func(s *verify.Scheme) {
				s.Content = `{http.request.method}\n{http.request.host}\n{http.request.uri.path}\n{http.request.uri.query}\n{http.request.uri.query.a}\n{http.request.uri}\n{http.request.header.x-extra}\n{http.request.body}`
			}),
			header: header("X-Sig", hexOf("secret", "POST\nhooks.example.com\n/in\nb=2&a=1\n1\n/in?b=2&a=1\nextra\n"+testBody), "X-Extra", "extra"),
		},
		{
			name:   "hash of the body",
			scheme: base(func(s *verify.Scheme) { s.Content = "{body_sha256_hex}.{body_md5_base64}" }),
			header: header("X-Sig", hexOf("secret", hex.EncodeToString(bodySum[:])+"."+base64.StdEncoding.EncodeToString(bodyMD5[:]))),
		},
		{
			name:   "hash of the body that may be missing",
			scheme: base(func(s *verify.Scheme) { s.Content = "{method}.{body_sha256_hex?}.{path}" }),
			header: header("X-Sig", hexOf("secret", "POST."+hex.EncodeToString(bodySum[:])+"./in")),
		},
		{
			name:   "form sorted",
			scheme: base(func(s *verify.Scheme) { s.Content = "{url}{form_sorted}" }),
			header: header("X-Sig", hexOf("secret", testURL+"Az ÄBbx&y"), "Content-Type", "Application/X-WWW-Form-Urlencoded; charset=UTF-8"),
			body:   "Bb=x%26y&A=z+%C3%84",
		},
		{
			name: "form field, with the signature in the form",
			scheme: base(func(s *verify.Scheme) {
				s.Signature.In, s.Signature.Name = "form", "sig"
				s.Content, s.FormContent = "{form.other}", "{form.payload}"
			}),
			header: header("Content-Type", form),
			body:   "payload=x&sig=" + hexOf("secret", "x"),
		},
		{
			name: "another content for forms",
			scheme: base(func(s *verify.Scheme) {
				s.FormContent = "{form.payload}"
			}),
			header: header("X-Sig", hexOf("secret", testBody), "Content-Type", form),
			body:   "payload=" + strings.NewReplacer("{", "%7B", "}", "%7D", `"`, "%22", ",", "%2C", ":", "%3A").Replace(testBody),
		},
		{
			name: "the usual content beside one for forms",
			scheme: base(func(s *verify.Scheme) {
				s.FormContent = "{form.payload}"
			}),
			header: header("X-Sig", hexOf("secret", testBody), "Content-Type", "application/json"),
		},
		{
			name: "body digest in the URL",
			scheme: base(func(s *verify.Scheme) {
				s.Content, s.FormContent, s.BodyDigest = "{url}", "{url}{form_sorted}", "sum"
			}),
			url:    "https://hooks.example.com/in?sum=" + hex.EncodeToString(bodySum[:]),
			header: header("X-Sig", hexOf("secret", "https://hooks.example.com/in?sum="+hex.EncodeToString(bodySum[:])), "Content-Type", "application/json"),
		},
		{
			name:   "URL with its default port",
			scheme: base(func(s *verify.Scheme) { s.Content = "{url}{body}"; s.DefaultPort = "either" }),
			header: header("X-Sig", hexOf("secret", "https://hooks.example.com:443/in?b=2&a=1"+testBody)),
		},
		{
			name:   "URL without its default port",
			scheme: base(func(s *verify.Scheme) { s.Content = "{url}{body}"; s.DefaultPort = "either" }),
			url:    "https://hooks.example.com:443/in",
			header: header("X-Sig", hexOf("secret", "https://hooks.example.com/in"+testBody)),
		},
		{
			name:   "URL without a port of its own",
			scheme: base(func(s *verify.Scheme) { s.Content = "{url}{body}"; s.DefaultPort = "either" }),
			url:    "https://[::1]:8443/in",
			header: header("X-Sig", hexOf("secret", "https://[::1]/in"+testBody)),
		},
		{
			name: "plain hash with the secret in front",
			scheme: base(func(s *verify.Scheme) {
				s.Construction, s.Content = "hash", "{secret}{method}{body}"
			}),
			header: header("X-Sig", func() string {
				sum := sha256.Sum256([]byte("secretPOST" + testBody))
				return hex.EncodeToString(sum[:])
			}()),
		},
		{
			name:   "shared token",
			scheme: base(func(s *verify.Scheme) { s.Construction, s.UnboundBody = "token", true }),
			header: header("X-Sig", "secret"),
			want:   &verify.Message{},
		},
		{
			name:   "braces that are signed",
			scheme: base(func(s *verify.Scheme) { s.Content = `{{"b":{body}}}\\` }),
			header: header("X-Sig", hexOf("secret", `{"b":`+testBody+`}\`)),
		},
		{
			name: "ids and event types from JSON",
			scheme: base(func(s *verify.Scheme) {
				s.ID = verify.Field{In: "json", Name: "id"}
				s.EventType = verify.Field{In: "json", Name: "type"}
			}),
			header: header("X-Sig", hexOf("secret", testBody)),
			want:   &verify.Message{ID: "evt_1", EventType: "a.b", Signed: verify.Signed{ID: true, EventType: true, Body: true}},
		},
		{
			name: "ids and event types from the query",
			scheme: base(func(s *verify.Scheme) {
				s.ID = verify.Field{In: "query", Name: "a"}
				s.EventType = verify.Field{In: "query", Name: "b"}
			}),
			header: header("X-Sig", hexOf("secret", testBody)),
			want:   &verify.Message{ID: "1", EventType: "2", Signed: verify.Signed{Body: true}},
		},
		{
			name: "ids and event types from a form",
			scheme: base(func(s *verify.Scheme) {
				s.ID = verify.Field{In: "form", Name: "id"}
				s.EventType = verify.Field{In: "form", Name: "kind"}
			}),
			header: header("X-Sig", hexOf("secret", "id=7&kind=sms"), "Content-Type", form),
			body:   "id=7&kind=sms",
			want:   &verify.Message{ID: "7", EventType: "sms", Signed: verify.Signed{ID: true, EventType: true, Body: true}},
		},
		{
			name: "JSON in a field of a multipart form",
			scheme: base(func(s *verify.Scheme) {
				s.Signature = verify.Signature{In: "json", Name: "e.sig"}
				s.Content, s.JSONField, s.UnboundBody = "{json.e.k}", "json", true
				s.EventType = verify.Field{In: "json", Name: "e.k"}
			}),
			header: header("Content-Type", "multipart/form-data; boundary=xyz"),
			body:   "--xyz\r\nContent-Disposition: form-data; name=\"json\"\r\n\r\n{\"e\":{\"k\":\"signed\",\"sig\":\"" + hexOf("secret", "signed") + "\"}}\r\n--xyz--\r\n",
			want:   &verify.Message{EventType: "signed", Signed: verify.Signed{EventType: true}},
		},
		{
			name: "a value right beside the body",
			scheme: base(func(s *verify.Scheme) {
				s.Content = "{body}{id}"
				s.ID = verify.Field{In: "header", Name: "X-Id"}
			}),
			header: header("X-Sig", hexOf("secret", testBody+"m1"), "X-Id", "m1"),
			want:   &verify.Message{ID: "m1", Signed: verify.Signed{ID: true, Body: true}},
		},
		{
			name: "the time in the body, after the fact",
			scheme: base(func(s *verify.Scheme) {
				s.Timestamp = verify.Timestamp{In: "json", Name: "at"}
			}),
			header: header("X-Sig", hexOf("secret", `{"at":"`+stamp+`"}`)),
			body:   `{"at":"` + stamp + `"}`,
			want:   &verify.Message{Timestamp: testNow, Signed: verify.Signed{Timestamp: true, Body: true}},
		},
		{
			name: "an authentication scheme in either case",
			scheme: base(func(s *verify.Scheme) {
				s.Signature = verify.Signature{Name: "Authorization", Prefix: "HMAC "}
			}),
			header: header("Authorization", "hmac "+hexOf("secret", testBody)),
		},
	}
}

func TestEveryParameter(t *testing.T) {
	for _, tr := range parameterTrials() {
		t.Run(tr.name, func(t *testing.T) {
			tr.body = cmp.Or(tr.body, testBody)
			v := tr.verifier(t)
			m, err := v.Verify(tr.request(), []byte(tr.body))
			if err != nil {
				t.Fatalf("refused as %v, want accepted", err)
			}
			want := cmp.Or(tr.want, &verify.Message{Signed: verify.Signed{Body: true}})
			if !m.Timestamp.Equal(want.Timestamp) || m.ID != want.ID || m.EventType != want.EventType || m.Signed != want.Signed {
				t.Errorf("message %+v, want %+v", m, want)
			}
			if bounds := tr.scheme.Bounds(); bounds.Body != m.Signed.Body || bounds.Message != (m.MAC != nil) {
				t.Errorf("bounds %+v, but the message is %+v", bounds, m)
			}

			other := tr
			other.secret = "0123456789abcdef" // valid for every kind of key
			if _, err := other.verifier(t).Verify(tr.request(), []byte(tr.body)); reason(err) != verify.ReasonBadSignature {
				t.Errorf("another secret: error %v, want bad_signature", err)
			}
			if m.Signed.Body && tr.scheme.Signature.In != "form" { // there, the signature is a part of the body
				for i := range tr.body {
					changed := []byte(tr.body)
					changed[i] ^= 1
					refuse(t, v, tr.request(), string(changed), "")
				}
				for _, changed := range []string{tr.body + "\n", "\xef\xbb\xbf" + tr.body, tr.body[:len(tr.body)-1], tr.body + tr.body, ""} {
					refuse(t, v, tr.request(), changed, "")
				}
			}
			again, err := v.Verify(tr.request(), []byte(tr.body))
			if err != nil || !reflect.DeepEqual(m, again) {
				t.Errorf("verified again: %+v, error %v, want %+v", again, err, m)
			}
		})
	}
}

// A scheme that is written to JSON and read from it is the same, except for what only rows
// have.
func TestSchemeJSON(t *testing.T) {
	for _, s := range verify.Schemes() {
		text := must.Get(json.Marshal(s))(t)
		var back verify.Scheme
		must.Do(t, json.Unmarshal(text, &back))
		if s.Sent = nil; !reflect.DeepEqual(s, back) {
			t.Errorf("%s: got %+v, want %+v", s.Name, back, s)
		}
	}
}
