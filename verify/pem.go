package verify

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"regexp"
)

// armour matches what surrounds the base64 in PEM: its first and last line, and line
// breaks. In environment variables a line break is often written as "\n", and form
// fields turn it into a space.
var armour = regexp.MustCompile(`-----(BEGIN|END) [A-Z ]+-----|\\n|\s`)

// pemKey decodes a key in PEM, or only the base64 in it, which some providers show.
func pemKey(secret string) ([]byte, error) {
	der, err := base64Key(armour.ReplaceAllString(secret, ""))
	if err != nil {
		return nil, errors.New("it is neither PEM nor the base64 in it; copy all of the key")
	}
	return der, nil
}

// derParsers are tried in turn. The DER in PEM has one of these forms.
var derParsers = []func(der []byte) (any, error){
	x509.ParsePKIXPublicKey,
	func(der []byte) (any, error) { return x509.ParsePKCS1PublicKey(der) },
	x509.ParsePKCS8PrivateKey,
	func(der []byte) (any, error) { return x509.ParseECPrivateKey(der) },
	func(der []byte) (any, error) { return x509.ParsePKCS1PrivateKey(der) },
}

// readDER reads a public or a private key. Both results are nil if it can't.
func readDER(der []byte) (crypto.PublicKey, crypto.Signer) {
	for _, parse := range derParsers {
		key, err := parse(der)
		if err != nil {
			continue
		}
		if private, ok := key.(crypto.Signer); ok {
			return private.Public(), private
		}
		return key, nil
	}
	return nil, nil
}

func readECDSA(der []byte) (crypto.PublicKey, crypto.Signer, error) {
	public, private := readDER(der)
	key, ok := public.(*ecdsa.PublicKey)
	if !ok {
		return nil, nil, errors.New("it is not an ECDSA key; copy all of it from the provider")
	}
	if bits := key.Params().BitSize; bits < 256 {
		return nil, nil, fmt.Errorf("its curve has %d bits, which is too few to be safe; P-256 has enough", bits)
	}
	return public, private, nil
}

// The sizes of RSA keys that are accepted: shorter ones can be broken, and longer ones
// cost more time than a webhook is worth.
const (
	minRSABits = 2048
	maxRSABits = 4096
)

// maxSignatureSize is the size of the longest signature in bytes.
const maxSignatureSize = maxRSABits / 8

func readRSA(der []byte) (crypto.PublicKey, crypto.Signer, error) {
	public, private := readDER(der)
	key, ok := public.(*rsa.PublicKey)
	if !ok {
		return nil, nil, errors.New("it is not an RSA key; copy all of it from the provider")
	}
	if bits := key.N.BitLen(); bits < minRSABits || bits > maxRSABits {
		return nil, nil, fmt.Errorf("it has %d bits; use a key of %d to %d bits", bits, minRSABits, maxRSABits)
	}
	// A bad signature is rsa.ErrVerification for a sound key. A key for which no signature
	// can be valid, such as one with an even modulus, gives another error.
	digest, signature := make([]byte, sha256.Size), make([]byte, key.Size())
	if err := rsa.VerifyPKCS1v15(key, crypto.SHA256, digest, signature); !errors.Is(err, rsa.ErrVerification) {
		return nil, nil, fmt.Errorf("it is damaged (%w); copy all of it from the provider", err)
	}
	return public, private, nil
}

func generateECDSA() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

func generateRSA() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, minRSABits) }
