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

// ed25519Key decodes the form that Standard Webhooks has for key pairs: "whsk_…" is a
// private key, "whpk_…" a public one, both in base64.
func ed25519Key(secret string) ([]byte, error) {
	rest, private := strings.CutPrefix(secret, "whsk_")
	raw, err := base64Key(strings.TrimPrefix(rest, "whpk_"))
	if err != nil {
		return nil, errors.New("what follows whsk_ or whpk_ is not base64; copy all of the key, without spaces")
	}
	if private && len(raw) == ed25519.SeedSize {
		raw = ed25519.NewKeyFromSeed(raw)
	}
	return raw, nil
}

// readEd25519 reads a key from PEM, or a raw one, whose length tells whether it is
// public or private.
func readEd25519(raw []byte) (crypto.PublicKey, crypto.Signer, error) {
	switch len(raw) {
	case ed25519.PublicKeySize:
		return ed25519.PublicKey(raw), nil, checkPoint(raw)
	case ed25519.PrivateKeySize:
		private := ed25519.NewKeyFromSeed(raw[:ed25519.SeedSize])
		if string(private) != string(raw) {
			return nil, nil, errors.New("its two halves don't belong together; copy all of the key")
		}
		return private.Public(), private, nil
	}
	public, private := readDER(raw)
	if key, ok := public.(ed25519.PublicKey); ok {
		return key, private, checkPoint(key)
	}
	return nil, nil, fmt.Errorf("it has %d bytes, and an Ed25519 key %d, or %d with its private half; copy all of it", len(raw), ed25519.PublicKeySize, ed25519.PrivateKeySize)
}

// checkPoint returns an error for a public key with which anyone can make valid
// signatures: a point of small order, such as all zeros.
func checkPoint(public []byte) error {
	point, err := new(edwards25519.Point).SetBytes(public)
	if err != nil || new(edwards25519.Point).MultByCofactor(point).Equal(edwards25519.NewIdentityPoint()) == 1 {
		return errors.New("it is not an Ed25519 public key; copy all of it from the provider")
	}
	return nil
}

func generateEd25519() (crypto.Signer, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	return private, err
}
