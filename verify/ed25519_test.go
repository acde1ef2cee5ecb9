package verify_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// The sender has the private key, and the receiver the public one.
func TestEd25519(t *testing.T) {
	row := rowOf(t, "standard-webhooks-ed25519")
	private := secretFor(t, row)
	public := must.Get(verify.PublicKey(row, private))(t)
	old := secretFor(t, row)
	h := sign(t, row, outgoing(), private, old)
	if got := h.Get("webhook-signature"); strings.Count(got, "v1a,") != 2 {
		t.Errorf("signature %q, want one for each secret", got)
	}
	request := func() *http.Request {
		r := post(testURL)
		r.Header = h.Clone()
		return r
	}
	first := accept(t, verifierOf(t, row, public), request(), testBody)
	second := accept(t, verifierOf(t, row, old), request(), testBody)
	if !bytes.Equal(first.MAC, second.MAC) {
		t.Error("the MAC depends on the key that matched")
	}
	if first.Signed.String() != "id timestamp event_type body" {
		t.Errorf("signed %q, want all", first.Signed)
	}
	// An HMAC with Ed25519's tag is refused, and so are more signatures than are tried.
	forged := request()
	forged.Header.Set("webhook-signature", "v1a,"+sha256b64(public, "msg_1."+unixNow+"."+testBody))
	refuse(t, verifierOf(t, row, public), forged, testBody, verify.ReasonMalformedSignature)
	forged.Header.Set("webhook-signature", strings.Repeat("v1a,"+base64.StdEncoding.EncodeToString(make([]byte, 64))+" ", 5))
	refuse(t, verifierOf(t, row, public), forged, testBody, verify.ReasonMalformedSignature)
	// The public key is not the secret of an HMAC scheme.
	refuse(t, provider(t, "standard", "whsec_"+strings.TrimPrefix(public, "whpk_")), request(), testBody, verify.ReasonMissingSignature)
}

// Each try hashes the body again, so the bytes that all tries hash are limited. Two keys
// and two signatures, during a rotation, allow a body of any size.
func TestEd25519Bound(t *testing.T) {
	row := rowOf(t, "standard-webhooks-ed25519")
	private, other := secretFor(t, row), secretFor(t, row)
	var keys []string
	for range 14 {
		keys = append(keys, secretFor(t, row))
	}
	small, large := `"`+strings.Repeat("x", 2<<20)+`"`, `"`+strings.Repeat("x", 15<<20)+`"`
	for name, c := range map[string]struct {
		body    string
		keys    []string
		signers []string
		want    verify.Reason
	}{
		"a rotation":       {large, []string{private, other}, []string{other, private}, ""},
		"many keys":        {small, append(keys, other, private), []string{private}, ""},
		"many keys, large": {large, append(keys, other, private), []string{private}, verify.ReasonBodyTooLarge},
		"many of both":     {small, append(keys, other, private), []string{private, other, private}, verify.ReasonBodyTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			m := outgoing()
			m.Body = []byte(c.body)
			r := post(testURL)
			r.Header = sign(t, row, m, c.signers...)
			judge(t, verifierOf(t, row, c.keys...), r, c.body, c.want)
		})
	}
}

func TestEd25519Keys(t *testing.T) {
	row := rowOf(t, "standard-webhooks-ed25519")
	pair := ed25519.NewKeyFromSeed([]byte("0123456789abcdef0123456789abcdef"))
	b64 := base64.StdEncoding.EncodeToString
	want := "whpk_" + b64(pair[32:])
	for _, secret := range []string{"whsk_" + b64(pair), "whsk_" + b64(pair[:32]), b64(pair), want, b64(pair[32:])} {
		if got, err := verify.PublicKey(row, secret); err != nil || got != want {
			t.Errorf("public key of %q: got %q, error %v, want %q", secret, got, err, want)
		}
	}
	// Other schemes have another encoding of the key, or no key pairs.
	for name, want := range map[string][2]string{
		"discord":           {hex.EncodeToString(pair), hex.EncodeToString(pair[32:])},
		"telnyx":            {b64(pair), b64(pair[32:])},
		"standard-webhooks": {"whsec_" + b64(pair), ""},
	} {
		if got, err := verify.PublicKey(rowOf(t, name), want[0]); err != nil || got != want[1] {
			t.Errorf("%s: public key %q, error %v, want %q", name, got, err, want[1])
		}
	}
	mixed := bytes.Clone(pair)
	mixed[40] ^= 1
	// Points of small order, with which anyone can sign: zero, one, and one of order 8.
	zero, one := make([]byte, 32), append([]byte{1}, make([]byte, 31)...)
	eight, _ := hex.DecodeString("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")
	for _, secret := range []string{b64(zero), b64(one), "whpk_" + b64(eight), "", "whsk_", "whpk_", "whsk_!", "whpk_" + b64(pair[:31]), "whsk_" + b64(mixed), b64(append(pair, 0))} {
		if got, err := verify.PublicKey(row, secret); err == nil {
			t.Errorf("public key of %q: got %q, want an error", secret, got)
		}
		if _, err := verify.New(row, verify.Options{Secrets: []string{secret}}); err == nil {
			t.Errorf("New accepts the key %q", secret)
		} else if secret != "" && len(secret) > 6 && strings.Contains(err.Error(), secret) {
			t.Errorf("the error %q shows the key", err)
		}
	}
}
