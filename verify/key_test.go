package verify_test

import (
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// A secret that may be read in two ways is one secret.
func TestSecretReadInTwoWays(t *testing.T) {
	scheme := verify.Scheme{Name: "two", Key: "text_or_hex", Signature: verify.Signature{Name: "X-Sig"}}
	v, err := verify.New(scheme, verify.Options{Secrets: []string{"not hexadecimal", "00ff10ABCD"}})
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]int{"not hexadecimal": 0, "00ff10ABCD": 1, "\x00\xff\x10\xab\xcd": 1} {
		if m := accept(t, v, post(in, "X-Sig", sha256hex(key, testBody)), testBody); m.SecretIndex != want {
			t.Errorf("the key %q is of secret %d, want %d", key, m.SecretIndex, want)
		}
	}
	refuse(t, v, post(in, "X-Sig", sha256hex("00ff10abcd", testBody)), testBody, verify.ReasonBadSignature)
}
