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

// armour is what surrounds the base64 in PEM: its first and last line, and the
// line breaks, for which "\n" stands in variables of one line and blanks in
// fields of a form.
var armour = regexp.MustCompile(`-----(BEGIN|END) [A-Z ]+-----|\\n|\s`)

// pemKey takes a key in PEM, or the base64 in it alone, as some providers show it.
func pemKey(secret string) ([]byte, error) {
	der, err := base64Key(armour.ReplaceAllString(secret, ""))
	if err != nil {
		return nil, errors.New("it is neither PEM nor the base64 in it; copy the key whole")
	}
	return der, nil
}

// derParsers are tried in turn: what is in PEM is in one of these forms.
var derParsers = []func(der []byte) (any, error){
	x509.ParsePKIXPublicKey,
	func(der []byte) (any, error) { return x509.ParsePKCS1PublicKey(der) },
	x509.ParsePKCS8PrivateKey,
	func(der []byte) (any, error) { return x509.ParseECPrivateKey(der) },
	func(der []byte) (any, error) { return x509.ParsePKCS1PrivateKey(der) },
}

// readDER reads a public or a private key.
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
		return nil, nil, errors.New("it is no key of ECDSA; copy it from the provider whole")
	}
	if bits := key.Params().BitSize; bits < 256 {
		return nil, nil, fmt.Errorf("its curve has %d bits, too few to be safe; P-256 has enough", bits)
	}
	return public, private, nil
}

// The RSA keys that are taken: shorter ones can be broken, and longer ones cost
// more than a webhook is worth.
const (
	minRSABits = 2048
	maxRSABits = 4096
)

// maxSigned is how many bytes the longest signature has.
const maxSignatureSize = maxRSABits / 8

func readRSA(der []byte) (crypto.PublicKey, crypto.Signer, error) {
	public, private := readDER(der)
	key, ok := public.(*rsa.PublicKey)
	if !ok {
		return nil, nil, errors.New("it is no key of RSA; copy it from the provider whole")
	}
	if bits := key.N.BitLen(); bits < minRSABits || bits > maxRSABits {
		return nil, nil, fmt.Errorf("it has %d bits; %d to %d are taken", bits, minRSABits, maxRSABits)
	}
	// a key that no signature can be good for, such as one with an even modulus, is
	// told from others by the error for a bad one
	digest, signature := make([]byte, sha256.Size), make([]byte, key.Size())
	if err := rsa.VerifyPKCS1v15(key, crypto.SHA256, digest, signature); !errors.Is(err, rsa.ErrVerification) {
		return nil, nil, fmt.Errorf("it is damaged (%w); copy it from the provider whole", err)
	}
	return public, private, nil
}

func generateECDSA() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

func generateRSA() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, minRSABits) }
