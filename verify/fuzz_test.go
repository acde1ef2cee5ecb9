package verify_test

import (
	"crypto/hmac"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// comparison is a request for a scheme that pick makes of bits. In its signature, {hex},
// {b64} and {url} stand for the right MAC of the content.
type comparison struct {
	bits                              uint32 // of the scheme
	signature, stamp, id, event, body string
}

// compare checks that the verifier and the naive implementation agree on a request.
func (c comparison) compare(t *testing.T) (accepted bool) {
	t.Helper()
	s := pick(c.bits)
	keys := []string{"new", "old"}
	signedAt := c.stamp
	if s.Timestamp.In == "field" {
		_, rest, _ := strings.Cut(c.signature, s.Timestamp.Name+assign(s))
		signedAt, _, _ = strings.Cut(rest, s.Signature.Separator)
		signedAt = strings.Trim(signedAt, " \t")
	}
	h := hmac.New(naiveHash(s.Algorithm), []byte(keys[c.bits%2]))
	h.Write([]byte(strings.NewReplacer("{id}", c.id, "{timestamp}", signedAt, "{body}", c.body).Replace(s.Content)))
	sum := h.Sum(nil)
	signature := strings.NewReplacer("{hex}", hex.EncodeToString(sum), "{b64}", base64.StdEncoding.EncodeToString(sum), "{url}", base64.RawURLEncoding.EncodeToString(sum)).Replace(c.signature)

	r := post(in)
	for name, value := range map[string]string{"X-Sig": signature, "X-Time": c.stamp, "X-Id": c.id, "X-Event": c.event} {
		r.Header[name] = []string{value}
	}
	v := verifierOf(t, s, keys...)
	m, err := v.Verify(r, []byte(c.body))
	if want := (naive{s, keys, testNow}).accepts(r, c.body); (err == nil) != want {
		t.Fatalf("scheme %+v\nheaders %q\nbody %q\naccepted: %t (%v), by the naive implementation: %t", s, r.Header, c.body, err == nil, err, want)
	}
	if err == nil && (m.ID != c.id || m.SecretIndex != int(c.bits%2)) {
		t.Fatalf("message %+v, want id %q and secret %d", m, c.id, c.bits%2)
	}
	return err == nil
}

func assign(s verify.Scheme) string {
	if s.Signature.Assign != "" {
		return s.Signature.Assign
	}
	return "="
}

// wrapped returns the text of a signature as the scheme's sender would write it, and the
// timestamp in its header.
func wrapped(s verify.Scheme) (text, stamp string) {
	stamp = unixNow
	if s.Timestamp.Format == "unix_ms" {
		stamp = milliNow
	}
	text = map[string]string{"": "{hex}", "base64": "{b64}", "base64url_raw": "{url}"}[s.Signature.Encoding]
	if len(s.Signature.Tags) > 0 {
		text = s.Signature.Tags[0] + assign(s) + text
	}
	if s.Timestamp.In == "field" {
		text = "t" + assign(s) + stamp + s.Signature.Separator + text
	}
	return s.Signature.Prefix + text, stamp
}

// Schemes of all kinds, with a good signature and with many changes to it.
func TestAgainstNaive(t *testing.T) {
	changes := []func(s verify.Scheme, c *comparison){
		func(_ verify.Scheme, c *comparison) {},
		func(_ verify.Scheme, c *comparison) { c.signature = "" },
		func(_ verify.Scheme, c *comparison) { c.signature = strings.ToUpper(c.signature) },
		func(_ verify.Scheme, c *comparison) { c.signature = " " + c.signature },
		func(_ verify.Scheme, c *comparison) { c.signature += "=" },
		func(_ verify.Scheme, c *comparison) { c.signature = strings.TrimSuffix(c.signature, "}") },
		func(s verify.Scheme, c *comparison) {
			c.signature = strings.TrimPrefix(c.signature, s.Signature.Prefix)
		},
		func(s verify.Scheme, c *comparison) { c.signature += s.Signature.Separator },
		func(s verify.Scheme, c *comparison) { c.signature += s.Signature.Separator + "v1" + assign(s) + "00" },
		func(s verify.Scheme, c *comparison) { c.signature += s.Signature.Separator + "v2" + assign(s) + "00" },
		func(s verify.Scheme, c *comparison) { c.signature += s.Signature.Separator + "t" + assign(s) + "1" },
		func(s verify.Scheme, c *comparison) { c.signature += " " + s.Signature.Separator + " junk" },
		func(_ verify.Scheme, c *comparison) { c.signature = strings.Replace(c.signature, "v2", "v1", 1) },
		func(_ verify.Scheme, c *comparison) { c.signature = strings.Replace(c.signature, "{", "0{", 1) },
		func(_ verify.Scheme, c *comparison) {
			c.signature = strings.NewReplacer("{hex}", "{b64}", "{b64}", "{hex}").Replace(c.signature)
		},
		func(_ verify.Scheme, c *comparison) { c.stamp += "0" },
		func(_ verify.Scheme, c *comparison) { c.stamp = "" },
		func(_ verify.Scheme, c *comparison) { c.stamp = "1600000000" },
		func(_ verify.Scheme, c *comparison) { c.id = "" },
		func(_ verify.Scheme, c *comparison) { c.id = "a.b" },
		func(_ verify.Scheme, c *comparison) { c.id = "a b" },
		func(_ verify.Scheme, c *comparison) { c.event = "a b " },
		func(_ verify.Scheme, c *comparison) { c.event = "Push Hook" },
		func(_ verify.Scheme, c *comparison) { c.event = "" },
		func(_ verify.Scheme, c *comparison) { c.body = "" },
	}
	accepted, refused := 0, 0
	for bits := uint32(0); bits < 4*3*3*5*4*2*2*2; bits += 7 { // seven has none of these factors: every pair of choices occurs
		s := pick(bits)
		for i, change := range changes {
			c := comparison{bits: bits, id: "m1", event: "push", body: testBody}
			c.signature, c.stamp = wrapped(s)
			change(s, &c)
			if c.compare(t) {
				accepted++
			} else if refused++; i == 0 {
				t.Fatalf("%+v refuses the good signature %+v", s, c)
			}
		}
	}
	if accepted < 5_000 || refused < 5_000 {
		t.Errorf("%d requests accepted and %d refused, want at least 5000 of each", accepted, refused)
	}
}

// The verifier and the naive implementation agree on every request.
func FuzzAgainstNaive(f *testing.F) {
	for bits := uint32(0); bits < 5760; bits += 37 {
		text, stamp := wrapped(pick(bits))
		f.Add(bits, text, stamp, "m1", "push", testBody)
	}
	f.Fuzz(func(t *testing.T, bits uint32, signature, stamp, id, event, body string) {
		comparison{bits, signature, stamp, id, event, body}.compare(t)
	})
}

// No text of a signature header panics or is accepted without the key.
func FuzzSignature(f *testing.F) {
	rows := providerRows()
	verifiers := make([]*verify.Verifier, len(rows))
	for i, s := range rows {
		verifiers[i] = verifierOf(f, s, secretFor(f, s))
		for _, value := range []string{"", "t=1700000000,v1=00", "sha256=00", "v1,AAAA v1a,x", "1700000000,00", "h=a b,v1=0,t=1700000000", "p|0&q|0", "Application k:x", "t=1,v1=0 t=2,v1=0"} {
			f.Add(uint8(i), value, testBody)
		}
	}
	f.Fuzz(func(t *testing.T, row uint8, value, body string) {
		s, v := rows[int(row)%len(rows)], verifiers[int(row)%len(rows)]
		r := post(in)
		for _, name := range headersOf(s) {
			r.Header[http.CanonicalHeaderKey(name)] = []string{value}
		}
		if m, err := v.Verify(r, []byte(body)); err == nil && m.Reply == nil {
			t.Fatalf("%s: %q accepted as %+v, want refused", s.Name, value, m)
		}
	})
}

// providerRows returns all rows but hmac, which has no place for a signature.
func providerRows() []verify.Scheme {
	return slices.DeleteFunc(verify.Schemes(), func(s verify.Scheme) bool { return s.Name == "hmac" })
}

// A content is refused with an error, or the verifier accepts what the signer signs with
// it and, if it covers the body, no other body.
func FuzzContent(f *testing.F) {
	for _, s := range verify.Schemes() {
		f.Add(s.Content, "a.b", testBody)
	}
	for _, content := range []string{"{body}", "{{{body}}}", `{id}\n{timestamp}\n{body}`, "{json.id?*}{body}", "{header.X-Extra}:{body_sha512_base64url}", "{", "}", "{}", "{body", `\`, "{form_sorted}", "{http.request.uri}{body}", "{func.hubspot_url}{body}"} {
		f.Add(content, "m1", testBody)
	}
	f.Fuzz(func(t *testing.T, content, id, body string) {
		s := verify.Scheme{
			Name:      "fuzz",
			Signature: verify.Signature{Name: "X-Sig", Separator: ",", Tags: []string{"v1"}},
			Content:   content,
			ID:        verify.Field{In: "header", Name: "X-Id"},
			EventType: verify.Field{In: "header", Name: "X-Event"},
		}
		if strings.Contains(content, "{timestamp}") {
			s.Timestamp = verify.Timestamp{In: "field", Name: "t"}
		}
		if err := s.Validate(); err != nil {
			if !strings.HasPrefix(err.Error(), "scheme fuzz: ") {
				t.Fatalf("%q: %v", content, err)
			}
			return
		}
		signer, err := verify.NewSigner(s, []string{"secret"})
		if err != nil {
			return
		}
		r := post(testURL, "X-Extra", "extra")
		if err := signer.Sign(r.Header, &verify.Outgoing{URL: testURL, ID: id, EventType: "a", Timestamp: testNow, Body: []byte(body)}); err != nil {
			return
		}
		v := verifierOf(t, s)
		if m, err := v.Verify(r, []byte(body)); err != nil {
			// Only the verifier refuses bodies that make the content ambiguous.
			if reason(err) == verify.ReasonBadSignature {
				t.Fatalf("%q: signed as %q, refused as %v", content, r.Header, err)
			}
		} else if m.Signed.Body && !strings.Contains(content, "form") {
			if m, err := v.Verify(r, []byte(body+"x")); err == nil {
				t.Fatalf("%q: another body accepted as %+v, want refused", content, m)
			}
		}
	})
}

// No handshake signs what passes as an event, replies with what a browser would run, or
// panics.
func FuzzHandshakes(f *testing.F) {
	for _, h := range handshakeTrials() {
		value := ""
		if len(h.header) > 0 {
			value = h.header[1]
		}
		f.Add(h.method, strings.TrimPrefix(h.target, "?"), value, h.body)
	}
	rows := providerRows()
	f.Fuzz(func(t *testing.T, method, query, value, body string) {
		for _, s := range rows {
			if s.Handshake == "" {
				continue
			}
			secret := secretsOf(s)[0]
			v := must.Get(verify.New(s, verify.Options{Secrets: []string{secret}, VerifyToken: "public", Now: func() time.Time { return testNow }}))(t)
			r := &http.Request{Method: method, URL: &url.URL{Path: "/in", RawQuery: query}, Host: "hooks.example.com", Header: http.Header{}}
			for _, name := range []string{"X-Hook-Secret", "X-Okta-Verification-Challenge", "X-Front-Challenge"} {
				r.Header.Set(name, value)
			}
			m, err := v.Verify(r, []byte(body))
			if err != nil {
				continue
			}
			if m.Reply == nil {
				t.Fatalf("%s: %s %q %q accepted as an event without a signature", s.Name, method, query, body)
			}
			if kind := m.Reply.Header.Get("Content-Type"); len(m.Reply.Body) > 0 && (m.Reply.Header.Get("X-Content-Type-Options") != "nosniff" || kind != "text/plain; charset=utf-8" && kind != "application/json") {
				t.Fatalf("%s: reply headers %v, want a type that browsers don't run", s.Name, m.Reply.Header)
			}
			for _, forged := range oracleEvents(r, m.Reply) {
				if m, err := v.Verify(forged.request(), []byte(forged.body)); err == nil && m.Reply == nil {
					t.Fatalf("%s: the reply %q signs the event %+v", s.Name, m.Reply.Body, m)
				}
			}
		}
	})
}

// oracleEvents returns events with the MAC of a reply as their signature.
func oracleEvents(r *http.Request, reply *verify.Reply) []trial {
	var list []trial
	var answer struct {
		X  string `json:"response_token"`
		LI string `json:"challengeResponse"`
	}
	json.Unmarshal(reply.Body, &answer)
	values, _ := url.ParseQuery(r.URL.RawQuery)
	if answer.X != "" {
		list = append(list, trial{url: in, header: header("x-twitter-webhooks-signature", answer.X), body: values.Get("crc_token")})
	}
	if answer.LI != "" {
		code := values.Get("challengeCode")
		list = append(list,
			trial{url: in, header: header("X-LI-Signature", answer.LI), body: code},
			trial{url: in, header: header("X-LI-Signature", answer.LI), body: strings.TrimPrefix(code, "hmacsha256=")})
	}
	if _, signature, ok := strings.Cut(string(reply.Body), "public|"); ok {
		body := url.Values{"bt_signature": {"p|" + signature}, "bt_payload": {values.Get("bt_challenge")}}.Encode()
		list = append(list, trial{url: in, header: header("Content-Type", "application/x-www-form-urlencoded"), body: body})
	}
	return list
}
