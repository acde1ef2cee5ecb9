package verify

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"filippo.io/edwards25519"
)

// maxAsymmetric bounds the signatures that are tried where each costs as much
// as hashing 100 KiB.
const maxAsymmetric = 4

// ed25519Key takes Standard Webhooks' spellings of a key pair: "whsk_…" is the
// private key, "whpk_…" the public one, each in base64.
func ed25519Key(secret string) ([]byte, error) {
	rest, private := strings.CutPrefix(secret, "whsk_")
	raw, err := base64Key(strings.TrimPrefix(rest, "whpk_"))
	if err != nil {
		return nil, errors.New("what follows whsk_ or whpk_ is not base64; copy the key whole, without blanks")
	}
	if private && len(raw) == ed25519.SeedSize {
		raw = ed25519.NewKeyFromSeed(raw)
	}
	return raw, nil
}

// setPair takes a decoded key for a public key or, by its length, a private one.
func (k *key) setPair(raw []byte) error {
	switch len(raw) {
	case ed25519.PublicKeySize:
		k.public = raw
		return checkPoint(raw)
	case ed25519.PrivateKeySize:
		k.private = ed25519.NewKeyFromSeed(raw[:ed25519.SeedSize])
		k.public = k.private.Public().(ed25519.PublicKey)
		if string(k.private) != string(raw) {
			return errors.New("its two halves don't belong together; copy the key whole")
		}
		return nil
	}
	return fmt.Errorf("it has %d bytes, and an Ed25519 key %d, or %d with its private half; copy it whole", len(raw), ed25519.PublicKeySize, ed25519.PrivateKeySize)
}

// checkPoint refuses a public key for which anyone can make signatures: a point of
// small order, of which all zeros is one.
func checkPoint(public []byte) error {
	point, err := new(edwards25519.Point).SetBytes(public)
	if err != nil || new(edwards25519.Point).MultByCofactor(point).Equal(edwards25519.NewIdentityPoint()) == 1 {
		return errors.New("it is no Ed25519 public key; copy it from the provider whole")
	}
	return nil
}

// PublicKey is what a receiver verifies with what a private key has signed, in
// the spelling that the scheme's keys have: "whpk_…" to "whsk_…". It is "" for
// a scheme without key pairs.
func PublicKey(s Scheme, secret string) (string, error) {
	if s.Construction != "ed25519" {
		return "", nil
	}
	k, err := newKey(s, secret)
	if err != nil {
		return "", fmt.Errorf("finding the public key: %w", err)
	}
	return spellKey(s.Key, "whpk_", k.public), nil
}

// generatePair makes a private key, in the spelling of the scheme's keys.
func generatePair(kind string) (string, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", fmt.Errorf("generating a key pair: %w", err)
	}
	return spellKey(kind, "whsk_", private), nil
}

// spellKey writes half of a key pair as the scheme's keys are written; the prefix
// is for Standard Webhooks' own spelling.
func spellKey(kind, prefix string, key []byte) string {
	switch kind {
	case "hex":
		return hex.EncodeToString(key)
	case "base64":
		prefix = ""
	}
	return prefix + base64.StdEncoding.EncodeToString(key)
}

// matchPublic tries a lane's signatures with the public keys. What tells the
// message from others is the hash of what was signed.
func (c *check) matchPublic(l *lane) (uint32, Reason) {
	if len(l.macs) > maxAsymmetric {
		return 0, ReasonMalformedSignature
	}
	content, reason := appendContent(nil, &c.in, l, nil)
	if reason != "" {
		return 0, reason
	}
	var secrets uint32
	for _, k := range c.v.keys {
		for j := range l.macs {
			if ed25519.Verify(k.public, content, l.macs[j].bytes()) {
				secrets |= 1 << k.of
			}
		}
	}
	l.sum.sum, l.sum.size = sha512.Sum512(content), sha512.Size
	return secrets, ""
}
