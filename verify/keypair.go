package verify

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"
)

// pairKinds are the constructions with a key pair, whose receiver needs no secret.
var pairKinds = map[string]pairKind{
	"ed25519": {keys: []string{"ed25519", "hex", "base64", "pem"}, read: readEd25519, generate: generateEd25519, size: ed25519.SignatureSize},
	"ecdsa":   {keys: []string{"pem"}, read: readECDSA, generate: generateECDSA},
	"rsa":     {keys: []string{"pem"}, read: readRSA, generate: generateRSA},
}

// pairKind is what one of them makes of its keys.
type pairKind struct {
	keys     []string // the kinds of key that it takes
	read     func(raw []byte) (crypto.PublicKey, crypto.Signer, error)
	generate func() (crypto.Signer, error)
	size     int // of a signature; 0 where it depends on the key
}

// paired tells whether the scheme has key pairs.
func (s Scheme) paired() bool { return pairKinds[s.Construction].read != nil }

// setPair takes a decoded key for a public or a private one.
func (k *key) setPair(s Scheme, raw []byte) (err error) {
	k.public, k.private, err = pairKinds[s.Construction].read(raw)
	if s.Construction != "ed25519" {
		k.hash = s.algorithm()
	}
	return err
}

// PublicKey is what a receiver verifies with what a private key has signed, in
// the spelling that the scheme's keys have: "whpk_…" to "whsk_…". It is "" for
// a scheme without key pairs.
func PublicKey(s Scheme, secret string) (string, error) {
	if !s.paired() {
		return "", nil
	}
	k, err := newKey(s, secret)
	if err != nil {
		return "", fmt.Errorf("finding the public key: %w", err)
	}
	return spellPublic(s.Key, k.public)
}

// generatePair makes a private key, in the spelling of the scheme's keys.
func generatePair(s Scheme) (string, error) {
	private, err := pairKinds[s.Construction].generate()
	if err != nil {
		return "", fmt.Errorf("generating a key pair: %w", err)
	}
	return spellPrivate(s.Key, private)
}

// spellPublic writes a public key as the scheme's keys are written.
func spellPublic(kind string, public crypto.PublicKey) (string, error) {
	if raw, ok := public.(ed25519.PublicKey); ok && kind != "pem" {
		return spellRaw(kind, "whpk_", raw), nil
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	return base64.StdEncoding.EncodeToString(der), err
}

// spellPrivate writes a private key as the scheme's keys are written.
func spellPrivate(kind string, private crypto.Signer) (string, error) {
	if raw, ok := private.(ed25519.PrivateKey); ok && kind != "pem" {
		return spellRaw(kind, "whsk_", raw), nil
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	return base64.StdEncoding.EncodeToString(der), err
}

// spellRaw is for Ed25519 but in PEM; the prefix is that of Standard Webhooks' own spelling.
func spellRaw(kind, prefix string, key []byte) string {
	switch kind {
	case "hex":
		return hex.EncodeToString(key)
	case "base64":
		prefix = ""
	}
	return prefix + base64.StdEncoding.EncodeToString(key)
}

// sign makes a signature with a private key.
func (k *key) sign(content []byte) ([]byte, error) {
	return k.private.Sign(rand.Reader, k.digest(content), k.hash)
}

// verify tells whether the private key has signed what has this digest.
func (k *key) verify(digest, signature []byte) bool {
	switch public := k.public.(type) {
	case ed25519.PublicKey:
		return ed25519.Verify(public, digest, signature)
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(public, digest, signature)
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(public, k.hash, digest, signature) == nil
	}
	return false
}

// digest is what the key signs: the hash of the content, or for Ed25519, which
// hashes by itself, the content.
func (k *key) digest(content []byte) []byte {
	if k.hash == 0 {
		return content
	}
	state := k.hash.New()
	state.Write(content)
	return state.Sum(nil)
}

// maxAsymmetric bounds the signatures that are tried where each costs as much
// as hashing 100 KiB.
const maxAsymmetric = 4

// matchPublic tries a lane's signatures with the public keys. What tells the
// message from others is the hash of what was signed, since there may be several
// signatures of it.
func (c *check) matchPublic(l *lane) (uint32, Reason) {
	if len(l.macs) > maxAsymmetric {
		return 0, ReasonMalformedSignature
	}
	content, reason := appendContent(nil, &c.in, l, nil)
	if reason != "" {
		return 0, reason
	}
	var secrets uint32
	digest := c.v.keys[0].digest(content) // as under any other: the content may be long
	for _, k := range c.v.keys {
		for j := range l.macs {
			if k.verify(digest, l.macs[j].bytes()) {
				secrets |= 1 << k.of
			}
		}
	}
	l.sum.sum, l.sum.size = sha512.Sum512(content), sha512.Size
	return secrets, ""
}
