package verify_test

import (
	"cmp"
	"hash"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// vector is a request with a good signature. It was published, or its signature is
// computed here, with nothing but hash functions and private keys.
type vector struct {
	scheme string
	source string // where it was published
	secret string
	at     time.Time // when it is verified
	url    string    // default https://hooks.example.com/in
	header map[string]string
	body   string
	id     string // the expected message
	event  string

	// How to compute the signature, for which {hex}, {base64} and the like stand in the
	// URL, the headers and the body.
	signed string                      // what is signed; {body}, the default, stands for the body
	key    string                      // default: the secret
	hash   func() hash.Hash            // default SHA-256
	plain  bool                        // a plain hash instead of an HMAC
	sign   func(content string) []byte // with a private key, instead of all these
}

func (v vector) request() *http.Request {
	r := httptest.NewRequest(http.MethodPost, cmp.Or(v.url, in), strings.NewReader(v.body))
	for name, value := range v.header {
		r.Header.Set(name, value)
	}
	return r
}

func (v vector) verifier(t testing.TB) *verify.Verifier {
	t.Helper()
	return must.Get(verify.New(rowOf(t, v.scheme), verify.Options{Secrets: []string{v.secret}, Now: func() time.Time { return v.at }}))(t)
}

// Every scheme has a vector. Each is accepted, but not with another secret or body.
func TestVectors(t *testing.T) {
	seen := make(map[string]bool)
	for _, v := range append(published(), computed()...) {
		seen[v.scheme] = true
		t.Run(v.scheme, func(t *testing.T) {
			m, err := v.verifier(t).Verify(v.request(), []byte(v.body))
			if err != nil {
				t.Fatalf("the signature (%s) is refused as %v", v.source, err)
			}
			if m.ID != v.id || m.EventType != v.event {
				t.Errorf("id %q, event type %q, want %q, %q", m.ID, m.EventType, v.id, v.event)
			}
			other := v
			other.secret = "0123456789abcdef0123456789abcdef" // valid for every kind of key, except
			if row := rowOf(t, v.scheme); row.Construction == "ed25519" || row.Key == "pem" {
				other.secret = secretFor(t, row)
			}
			if _, err := other.verifier(t).Verify(v.request(), []byte(v.body)); err == nil {
				t.Error("accepted with another secret")
			}
			if !m.Signed.Body {
				return
			}
			for _, changed := range []string{v.body + "\n", v.body + " ", strings.TrimSuffix(v.body, "}"), ""} {
				if changed == v.body {
					continue
				}
				if _, err := v.verifier(t).Verify(v.request(), []byte(changed)); err == nil {
					t.Errorf("accepted with the body %q", changed)
				}
			}
		})
	}
	for _, s := range verify.Schemes() {
		if !seen[s.Name] && s.Name != "hmac" {
			t.Errorf("%s has no vector; add one to vectors_published_test.go or vectors_computed_test.go", s.Name)
		}
	}
}

// Every scheme that can sign accepts its own signature, but not for another body.
func TestSignThenVerify(t *testing.T) {
	body := `{"type":"a.b","id":"evt_1","webhookTimestamp":1700000000000,"event":{"type":"a.b"}}`
	for _, scheme := range verify.Schemes() {
		t.Run(scheme.Name, func(t *testing.T) {
			if scheme.Signature.Name == "" && scheme.Signature.Names == nil {
				scheme.Signature.Name = "X-Signature"
			}
			if err := scheme.CanSign(); err != nil {
				t.Skip(err)
			}
			secret := secretFor(t, scheme)
			verifier := verifierOf(t, scheme, secret)
			r := post(testURL)
			r.Header = sign(t, scheme, &verify.Outgoing{URL: testURL, ID: "evt_1", EventType: "a.b", Timestamp: testNow, Body: []byte(body)}, secret)
			m, err := verifier.Verify(r, []byte(body))
			if err != nil {
				t.Fatalf("%v: refused as %v, want accepted", r.Header, err)
			}
			if m.SecretIndex != 0 || m.Provider != scheme.Name {
				t.Errorf("message %+v, want the id and event type that were signed", m)
			}
			if m.Signed.Body {
				if _, err := verifier.Verify(r, []byte(body+" ")); err == nil {
					t.Error("accepted with a changed body")
				}
			}
		})
	}
}
