package verify

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"filippo.io/edwards25519"
)

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

// readEd25519 tells a public key from a private one by its length, unless it comes
// from PEM.
func readEd25519(raw []byte) (crypto.PublicKey, crypto.Signer, error) {
	switch len(raw) {
	case ed25519.PublicKeySize:
		return ed25519.PublicKey(raw), nil, checkPoint(raw)
	case ed25519.PrivateKeySize:
		private := ed25519.NewKeyFromSeed(raw[:ed25519.SeedSize])
		if string(private) != string(raw) {
			return nil, nil, errors.New("its two halves don't belong together; copy the key whole")
		}
		return private.Public(), private, nil
	}
	public, private := readDER(raw)
	if key, ok := public.(ed25519.PublicKey); ok {
		return key, private, checkPoint(key)
	}
	return nil, nil, fmt.Errorf("it has %d bytes, and an Ed25519 key %d, or %d with its private half; copy it whole", len(raw), ed25519.PublicKeySize, ed25519.PrivateKeySize)
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

func generateEd25519() (crypto.Signer, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	return private, err
}
