package verify_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"hash"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

const (
	in       = "https://hooks.example.com/in"
	testURL  = in + "?b=2&a=1"
	testBody = `{"id":"evt_1","type":"a.b","n":1}`
	testTime = 1700000000

	// testNow as a timestamp
	unixNow  = "1700000000"
	milliNow = "1700000000000"
)

var testNow = time.Unix(testTime, 0)

// mac computes an HMAC without any code of the package under test.
func mac(newHash func() hash.Hash, key, content string) []byte {
	h := hmac.New(newHash, []byte(key))
	h.Write([]byte(content))
	return h.Sum(nil)
}

func sha256hex(key, content string) string { return hex.EncodeToString(mac(sha256.New, key, content)) }

func sha256b64(key, content string) string {
	return base64.StdEncoding.EncodeToString(mac(sha256.New, key, content))
}

func sha256sum(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// base returns a scheme with a hexadecimal signature in X-Sig, after a change.
func base(change func(*verify.Scheme)) verify.Scheme {
	s := verify.Scheme{Name: "acme", Signature: verify.Signature{Name: "X-Sig"}}
	if change != nil {
		change(&s)
	}
	return s
}

func rowOf(t testing.TB, name string) verify.Scheme {
	t.Helper()
	s, ok := verify.Lookup(name)
	if !ok {
		t.Fatalf("there is no scheme %s", name)
	}
	return s
}

// provider returns a verifier of a built-in scheme, with the clock at testNow.
func provider(t testing.TB, name string, secrets ...string) *verify.Verifier {
	t.Helper()
	return verifierOf(t, rowOf(t, name), secrets...)
}

// verifierOf returns a verifier with the clock at testNow. Its default secret is "secret".
func verifierOf(t testing.TB, scheme verify.Scheme, secrets ...string) *verify.Verifier {
	t.Helper()
	if len(secrets) == 0 {
		secrets = []string{"secret"}
	}
	return must.Get(verify.New(scheme, verify.Options{Secrets: secrets, Now: func() time.Time { return testNow }}))(t)
}

func signerOf(t testing.TB, scheme verify.Scheme, secrets ...string) *verify.Signer {
	t.Helper()
	return must.Get(verify.NewSigner(scheme, secrets))(t)
}

func secretFor(t testing.TB, scheme verify.Scheme) string {
	t.Helper()
	return must.Get(verify.GenerateSecret(scheme))(t)
}

// sign returns the headers of a signed delivery.
func sign(t testing.TB, scheme verify.Scheme, m *verify.Outgoing, secrets ...string) http.Header {
	t.Helper()
	h := http.Header{"Content-Type": {"application/json"}}
	must.Do(t, signerOf(t, scheme, secrets...).Sign(h, m))
	return h
}

func outgoing() *verify.Outgoing {
	return &verify.Outgoing{URL: testURL, ID: "msg_1", EventType: "order.created", Timestamp: testNow, Body: []byte(testBody)}
}

// post returns a request. kv are the names and values of its headers, which may be repeated.
func post(target string, kv ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, target, nil)
	for i := 0; i < len(kv); i += 2 {
		r.Header.Add(kv[i], kv[i+1])
	}
	return r
}

func accept(t *testing.T, v *verify.Verifier, r *http.Request, body string) *verify.Message {
	t.Helper()
	m, err := v.Verify(r, []byte(body))
	if err != nil {
		t.Fatalf("%s %s %v %q: refused as %v", r.Method, r.URL, r.Header, body, err)
	}
	return m
}

// judge checks that a request is refused for a reason, or accepted if that is empty.
func judge(t *testing.T, v *verify.Verifier, r *http.Request, body string, want verify.Reason) {
	t.Helper()
	if want == "" {
		accept(t, v, r, body)
	} else {
		refuse(t, v, r, body, want)
	}
}

// refuse checks that a request is refused, and for this reason if one is given.
func refuse(t *testing.T, v *verify.Verifier, r *http.Request, body string, want verify.Reason) {
	t.Helper()
	m, err := v.Verify(r, []byte(body))
	if err == nil {
		t.Errorf("%s %s %v %q: accepted as %+v, want refused", r.Method, r.URL, r.Header, body, m)
	} else if want != "" && reason(err) != want {
		t.Errorf("%s %s %v: refused as %v, want %s", r.Method, r.URL, r.Header, err, want)
	}
}

// reason returns the reason of a refusal, or "".
func reason(err error) verify.Reason {
	if e, ok := errors.AsType[*verify.Error](err); ok {
		return e.Reason
	}
	return ""
}
