package verify_test

import (
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// A secret with two keys has one index. A secret that can't be decoded has one key.
func TestSecretWithTwoKeys(t *testing.T) {
	for kind, test := range map[string]struct {
		secret  string
		decoded string
	}{
		"text_or_hex":   {"00ff10ABCD", "\x00\xff\x10\xab\xcd"},
		"text_or_whsec": {"whsec_AP8Qq80=", "\x00\xff\x10\xab\xcd"},
	} {
		scheme := verify.Scheme{Name: "two", Key: kind, Signature: verify.Signature{Name: "X-Sig"}}
		v := must.Get(verify.New(scheme, verify.Options{Secrets: []string{"not to be decoded", test.secret}}))(t)
		for key, want := range map[string]int{"not to be decoded": 0, test.secret: 1, test.decoded: 1} {
			if m := accept(t, v, post(in, "X-Sig", sha256hex(key, testBody)), testBody); m.SecretIndex != want {
				t.Errorf("%s, key %q: secret index %d, want %d", kind, key, m.SecretIndex, want)
			}
		}
		refuse(t, v, post(in, "X-Sig", sha256hex(strings.ToLower(test.secret), testBody)), testBody, verify.ReasonBadSignature)
	}
}

// The shortest key counts, in bytes after decoding.
func TestShortestKey(t *testing.T) {
	text := func(n int) string { return strings.Repeat("x", n) }
	for name, tt := range map[string]struct {
		scheme  string
		secrets []string
		want    int
	}{
		"text":              {"github", []string{text(23)}, 23},
		"the second of two": {"github", []string{text(40), text(5)}, 5},
		"decoded":           {"standard-webhooks", []string{"whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI="}, 23},
		"a digest":          {"braintree", []string{text(5)}, 5},
		"invalid":           {"standard-webhooks", []string{"whsec_*"}, 0},
		"a token":           {"okta", []string{text(3)}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got := rowOf(t, tt.scheme).ShortestKey(tt.secrets); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}
