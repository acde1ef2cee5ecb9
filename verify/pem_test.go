package verify_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
	"github.com/caddy-webhooks/caddy-webhooks/verify"
)

// rsaPair is generated once, since that takes longer than all tests with it.
var rsaPair = sync.OnceValue(func() *rsa.PrivateKey {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return private
})

var ecdsaPair = sync.OnceValue(func() *ecdsa.PrivateKey {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return private
})

func ecdsaPublicBase64() string {
	return base64.StdEncoding.EncodeToString(pkix(ecdsaPair().Public()))
}

func signECDSA(content string) []byte {
	sum := sha256.Sum256([]byte(content))
	signature, err := ecdsa.SignASN1(rand.Reader, ecdsaPair(), sum[:])
	if err != nil {
		panic(err)
	}
	return signature
}

func rsaPublicPEM() string { return inPEM("PUBLIC KEY", pkix(rsaPair().Public())) }

func signRSA(content string) []byte {
	sum := sha256.Sum256([]byte(content))
	signature, err := rsa.SignPKCS1v15(nil, rsaPair(), crypto.SHA256, sum[:])
	if err != nil {
		panic(err)
	}
	return signature
}

func inPEM(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func pkix(public any) []byte {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		panic(err)
	}
	return der
}

// A key is accepted in every form in which providers and tools write it, with the same
// public key.
func TestPEM(t *testing.T) {
	b64 := base64.StdEncoding.EncodeToString
	ecPrivate, _ := x509.MarshalECPrivateKey(ecdsaPair())
	ecPKCS8, _ := x509.MarshalPKCS8PrivateKey(ecdsaPair())
	ec := pkix(ecdsaPair().Public())
	rsaPKCS8, _ := x509.MarshalPKCS8PrivateKey(rsaPair())
	modulus := pkix(rsaPair().Public())
	pair := ed25519.NewKeyFromSeed([]byte("0123456789abcdef0123456789abcdef"))
	point := pkix(pair.Public())
	seed, _ := x509.MarshalPKCS8PrivateKey(pair)
	for construction, test := range map[string]struct {
		public string
		forms  []string
	}{
		"ecdsa": {b64(ec), []string{
			b64(ec), inPEM("PUBLIC KEY", ec), strings.ReplaceAll(inPEM("PUBLIC KEY", ec), "\n", `\n`), strings.ReplaceAll(inPEM("PUBLIC KEY", ec), "\n", " "),
			inPEM("EC PRIVATE KEY", ecPrivate), inPEM("PRIVATE KEY", ecPKCS8), b64(ecPKCS8),
		}},
		"ed25519": {b64(point), []string{
			b64(point), inPEM("PUBLIC KEY", point), inPEM("PRIVATE KEY", seed),
		}},
		"rsa": {b64(modulus), []string{
			b64(modulus), rsaPublicPEM(), strings.Join(strings.Split(rsaPublicPEM(), "\n")[1:8], "\n"),
			inPEM("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&rsaPair().PublicKey)),
			inPEM("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaPair())), inPEM("PRIVATE KEY", rsaPKCS8),
		}},
	} {
		row := pairedRow(construction)
		for _, form := range test.forms {
			if got, err := verify.PublicKey(row, form); err != nil || got != test.public {
				t.Errorf("%s: public key of %q: got %q, error %v", construction, form, got, err)
			}
		}
	}
}

func TestPEMRefused(t *testing.T) {
	short := must.Get(rsa.GenerateKey(rand.Reader, 1024))(t)
	small := must.Get(ecdsa.GenerateKey(elliptic.P224(), rand.Reader))(t)
	ed, _ := verify.PublicKey(rowOf(t, "telnyx"), secretFor(t, rowOf(t, "telnyx")))
	for _, tt := range []struct{ construction, secret, want string }{
		{"rsa", inPEM("PUBLIC KEY", pkix(short.Public())), "1024 bits"},
		{"rsa", inPEM("PUBLIC KEY", pkix(&rsa.PublicKey{N: rsaPair().N, E: 2})), "damaged"},
		{"rsa", inPEM("PUBLIC KEY", pkix(&rsa.PublicKey{N: new(big.Int).Add(rsaPair().N, big.NewInt(1)), E: rsaPair().E})), "damaged"},
		{"rsa", inPEM("PUBLIC KEY", pkix(small.Public())), "not an RSA key"},
		{"ecdsa", inPEM("PUBLIC KEY", pkix(small.Public())), "224 bits"},
		{"ecdsa", rsaPublicPEM(), "not an ECDSA key"},
		{"ecdsa", ed, "not an ECDSA key"},
		{"ed25519", rsaPublicPEM(), "an Ed25519 key 32"},
		{"ed25519", inPEM("PUBLIC KEY", pkix(ed25519.PublicKey(make([]byte, 32)))), "not an Ed25519 public key"},
		{"ecdsa", "-----BEGIN PUBLIC KEY-----", "decodes to nothing"},
		{"ecdsa", strings.TrimSuffix(inPEM("PUBLIC KEY", pkix(small.Public())), "-\n"), "neither PEM"},
		{"rsa", "a shared secret", "neither PEM"},
		{"rsa", inPEM("PUBLIC KEY", nil), "decodes to nothing"},
		{"rsa", "", "empty"},
	} {
		_, err := verify.New(pairedRow(tt.construction), verify.Options{Secrets: []string{tt.secret}})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: key %q: error %v, want %q in it", tt.construction, tt.secret, err, tt.want)
		}
	}
}

// The sender has the private key, and the receiver the public one.
func TestPairsSign(t *testing.T) {
	for _, construction := range []string{"ecdsa", "ed25519", "rsa"} {
		row := pairedRow(construction)
		private := secretFor(t, row)
		public := must.Get(verify.PublicKey(row, private))(t)
		if _, err := verify.NewSigner(row, []string{public}); err == nil || !strings.Contains(err.Error(), "public key") {
			t.Errorf("%s: NewSigner with a public key: error %v, want one that says so", construction, err)
		}
		h := sign(t, row, outgoing(), private)
		signature := h.Get("X-Sig")
		request := func(signature string) *http.Request { return post(testURL, "X-Sig", signature) }
		v := verifierOf(t, row, public)
		first := accept(t, v, request(signature), testBody)
		for i := range len(testBody) {
			changed := []byte(testBody)
			changed[i] ^= 1
			refuse(t, v, request(signature), string(changed), verify.ReasonBadSignature)
		}
		refuse(t, verifierOf(t, row, secretFor(t, row)), request(signature), testBody, verify.ReasonBadSignature)
		raw, _ := base64.StdEncoding.DecodeString(signature)
		for i := range raw {
			changed := bytes.Clone(raw)
			changed[i] ^= 1
			refuse(t, v, request(base64.StdEncoding.EncodeToString(changed)), testBody, verify.ReasonBadSignature)
		}
		want := verify.ReasonBadSignature
		if construction == "ed25519" { // its signatures have a fixed length
			want = verify.ReasonMalformedSignature
		}
		for _, other := range [][]byte{raw[:len(raw)-1], append(bytes.Clone(raw), 0), []byte(sha256b64(public, testBody)), {1}} {
			refuse(t, v, request(base64.StdEncoding.EncodeToString(other)), testBody, want)
		}
		for _, malformed := range []string{
			signature[:8] + "\n" + signature[8:], signature + "\n", signature + "=", "!", signature + signature[:4],
			base64.StdEncoding.EncodeToString(make([]byte, 513)),
		} {
			r := request("")
			r.Header["X-Sig"] = []string{malformed}
			refuse(t, v, r, testBody, "")
		}
		if construction == "ecdsa" {
			// Its twin is also valid, and must not count as another message.
			second := accept(t, v, request(base64.StdEncoding.EncodeToString(twin(t, raw))), testBody)
			if !bytes.Equal(first.MAC, second.MAC) {
				t.Error("the twin of the signature has another MAC")
			}
		}
	}
}

// Asymmetric signatures are expensive, so few are tried.
func TestPairsInLists(t *testing.T) {
	row := pairedRow("rsa")
	row.Signature.Separator = ","
	good := base64.StdEncoding.EncodeToString(signRSA(testBody))
	bad := base64.StdEncoding.EncodeToString(make([]byte, 256))
	v := verifierOf(t, row, rsaPublicPEM())
	accept(t, v, post(testURL, "X-Sig", strings.Repeat(bad+",", 3)+good), testBody)
	refuse(t, v, post(testURL, "X-Sig", strings.Repeat(bad+",", 4)+good), testBody, verify.ReasonMalformedSignature)
}

func pairedRow(construction string) verify.Scheme {
	return verify.Scheme{Name: "pair", Construction: construction, Key: "pem", Signature: verify.Signature{Name: "X-Sig", Encoding: "base64"}}
}

// twin returns the other valid signature for an ECDSA signature: s can be replaced with
// the order of the curve minus s.
func twin(t *testing.T, signature []byte) []byte {
	t.Helper()
	var parts struct{ R, S *big.Int }
	must.Get(asn1.Unmarshal(signature, &parts))(t)
	parts.S.Sub(elliptic.P256().Params().N, parts.S)
	return must.Get(asn1.Marshal(parts))(t)
}
