package verify

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"
)

// keyPairKinds are the constructions with key pairs, for which a receiver only needs
// the public key.
var keyPairKinds = map[string]keyPairKind{
	"ed25519": {keys: []string{"ed25519", "hex", "base64", "pem"}, read: readEd25519, generate: generateEd25519, size: ed25519.SignatureSize},
	"ecdsa":   {keys: []string{"pem"}, read: readECDSA, generate: generateECDSA},
	"rsa":     {keys: []string{"pem"}, read: readRSA, generate: generateRSA},
}

// keyPairKind is how the key pairs of a construction are read and generated.
type keyPairKind struct {
	keys     []string // the values of Scheme.Key that it allows
	read     func(raw []byte) (crypto.PublicKey, crypto.Signer, error)
	generate func() (crypto.Signer, error)
	size     int // of a signature in bytes; 0 where it depends on the key
}

func (s Scheme) asymmetric() bool { return keyPairKinds[s.Construction].read != nil }

// setKeyPair reads a decoded key, which may be public or private.
func (k *key) setKeyPair(s Scheme, raw []byte) (err error) {
	k.public, k.private, err = keyPairKinds[s.Construction].read(raw)
	if s.Construction != "ed25519" {
		k.hash = s.algorithm()
	}
	return err
}

// PublicKey returns the public key of a private one, with which receivers verify, in
// the form of the scheme's keys, such as "whpk_…" for "whsk_…". It returns "" for a
// scheme without key pairs.
func PublicKey(s Scheme, secret string) (string, error) {
	if !s.asymmetric() {
		return "", nil
	}
	k, err := newKey(s, secret)
	if err != nil {
		return "", fmt.Errorf("finding the public key: %w", err)
	}
	return encodeKey(s.Key, k.public)
}

// generateKeyPair returns a new private key in the form of the scheme's keys.
func generateKeyPair(s Scheme, generate func() (crypto.Signer, error)) (string, error) {
	private, err := generate()
	if err != nil {
		return "", fmt.Errorf("generating a key pair: %w", err)
	}
	return encodeKey(s.Key, private)
}

// encodeKey encodes a key in the form of the scheme's keys: the raw bytes of Ed25519,
// except for PEM, and the DER inside PEM for all others.
func encodeKey(kind string, key any) (string, error) {
	if kind != "pem" {
		switch raw := key.(type) {
		case ed25519.PublicKey:
			return encodeRawKey(kind, "whpk_", raw), nil
		case ed25519.PrivateKey:
			return encodeRawKey(kind, "whsk_", raw), nil
		}
	}
	marshal := x509.MarshalPKIXPublicKey
	if _, private := key.(crypto.Signer); private {
		marshal = x509.MarshalPKCS8PrivateKey
	}
	der, err := marshal(key)
	return base64.StdEncoding.EncodeToString(der), err
}

// encodeRawKey encodes the bytes of a key, with the prefix that Standard Webhooks has
// for it if the kind is "ed25519".
func encodeRawKey(kind, prefix string, raw []byte) string {
	switch kind {
	case "hex":
		return hex.EncodeToString(raw)
	case "base64":
		prefix = ""
	}
	return prefix + base64.StdEncoding.EncodeToString(raw)
}

// sign makes a signature with a private key.
func (k *key) sign(content []byte) ([]byte, error) {
	return k.private.Sign(rand.Reader, k.digest(content), k.hash)
}

// verify reports whether a signature over a digest is from the private key.
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

// digest returns what the key signs: the hash of the content or, for Ed25519, which
// hashes it by itself, the content.
func (k *key) digest(content []byte) []byte {
	if k.hash == 0 {
		return content
	}
	state := k.hash.New()
	state.Write(content)
	return state.Sum(nil)
}
