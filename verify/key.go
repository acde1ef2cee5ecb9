package verify

import (
	"cmp"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strings"
	"sync"
)

// ShortestKey returns the length, in bytes, of the shortest key that secrets make, so
// that callers can warn of one that could be guessed. A key that is a digest counts as
// the secret's text, which is what is guessed. It returns 0 if there is no key, as with
// tokens: without a signature to compare with, each guess costs a request. Secrets that
// are not valid are left out.
func (s Scheme) ShortestKey(secrets []string) int {
	shortest := 0
	decode := keyKinds[s.Key]
	if s.Construction == "token" || decode == nil {
		return shortest
	}
	for _, secret := range secrets {
		key, err := decode(secret)
		if size := min(len(key), len(secret)); err == nil && (shortest == 0 || size < shortest) {
			shortest = size
		}
	}
	return shortest
}

func (s Scheme) checkAlgorithm() error {
	if s.Algorithm != "" && (s.Construction == "token" || s.Construction == "ed25519") {
		return fmt.Errorf("construction %s doesn't use one; drop it", s.Construction)
	}
	if s.Algorithm == "sha1" && s.asymmetric() {
		return errors.New("a signature with sha1 can be forged by anyone who chooses a part of what the provider signs; use sha256, sha384 or sha512")
	}
	return checkOptional(s.Algorithm, sortedKeys(algorithms))
}

func (s Scheme) checkKey() error {
	if s.asymmetric() {
		return checkOneOf(s.Key, keyPairKinds[s.Construction].keys)
	}
	if s.Key == "ed25519" || s.Key == "pem" {
		return fmt.Errorf("%q is for key pairs, and construction %s has none; set the construction too", s.Key, cmp.Or(s.Construction, "hmac"))
	}
	return checkOptional(s.Key, sortedKeys(keyKinds))
}

// keyKinds turn a configured secret into a key, by the value of Scheme.Key. Their
// errors never include the secret.
var keyKinds = map[string]func(secret string) ([]byte, error){
	"":              textKey,
	"text":          textKey,
	"text_or_hex":   textKey, // and alternateKeyKinds
	"text_or_whsec": textKey,
	"hex":           hexKey,
	"base64":        base64Key,
	"whsec":         whsecKey,
	"ed25519":       ed25519Key,
	"pem":           pemKey,
	"sha1": func(secret string) ([]byte, error) {
		sum := sha1.Sum([]byte(secret))
		return sum[:], nil
	},
	"sha256": func(secret string) ([]byte, error) {
		sum := sha256.Sum256([]byte(secret))
		return sum[:], nil
	},
}

// alternateKeyKinds make a second key from a secret, for providers of which it isn't
// certain what they use. The secret's text signs, and both keys verify. A secret that
// can't be decoded has no second key.
var alternateKeyKinds = map[string]func(secret string) ([]byte, error){
	"text_or_hex":   hexKey,
	"text_or_whsec": whsecKey,
}

func textKey(secret string) ([]byte, error) { return []byte(secret), nil }

func hexKey(secret string) ([]byte, error) {
	key, err := hex.DecodeString(secret)
	if err != nil {
		return nil, errors.New("it is not hexadecimal; copy all of it, without spaces")
	}
	return key, nil
}

// base64Key accepts any padding, since people copy secrets by hand.
func base64Key(secret string) ([]byte, error) {
	key, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(secret, "="))
	if err != nil {
		return nil, errors.New("it is not base64; copy all of it, without spaces")
	}
	return key, nil
}

// whsecKey accepts the forms in which Standard Webhooks secrets are shown:
// "v1,whsec_…", "whsec_…" and only the base64.
func whsecKey(secret string) ([]byte, error) {
	if strings.HasPrefix(secret, "whsk_") || strings.HasPrefix(secret, "whpk_") {
		return nil, errors.New("it belongs to a key pair; use the scheme standard-webhooks-ed25519 for it")
	}
	secret = strings.TrimPrefix(secret, "v1,")
	key, err := base64Key(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		return nil, errors.New("it is not whsec_ and base64; copy all of the secret, without spaces")
	}
	return key, nil
}

// key is the key made from a secret. Its hash states are reused.
type key struct {
	secret []byte // decoded
	index  int    // of the configured secret
	states sync.Pool

	// For a key pair, instead of states:
	public  crypto.PublicKey
	private crypto.Signer // nil if only the public key is known
	hash    crypto.Hash   // 0 for Ed25519
}

// newKeys makes the keys. An error gives the position of the secret.
func newKeys(s Scheme, secrets []string) ([]*key, error) {
	if len(secrets) == 0 {
		return nil, errors.New("no secret is set; give at least one")
	}
	if len(secrets) > maxSecrets {
		return nil, fmt.Errorf("%d secrets are set; at most %d are tried for a request, so drop old ones", len(secrets), maxSecrets)
	}
	keys := make([]*key, len(secrets))
	for i, secret := range secrets {
		k, err := newKey(s, secret)
		if err != nil {
			return nil, fmt.Errorf("secret %d of %d: %w", i+1, len(secrets), err)
		}
		k.index = i
		keys[i] = k
	}
	return keys, nil
}

// alternateKeys makes the second keys, where the scheme has them.
func alternateKeys(s Scheme, secrets []string) (keys []*key) {
	decode := alternateKeyKinds[s.Key]
	if decode == nil {
		return nil
	}
	for i, secret := range secrets {
		if raw, err := decode(secret); err == nil && len(raw) > 0 {
			k := s.keyFromBytes(raw)
			k.index = i
			keys = append(keys, k)
		}
	}
	return keys
}

// newKey makes a key from a configured secret.
func newKey(s Scheme, secret string) (*key, error) {
	if strings.TrimSpace(secret) == "" {
		return nil, errors.New("it is empty; check that the variable or file that it comes from is set")
	}
	raw, err := keyKinds[s.Key](secret)
	if err != nil {
		return nil, err
	}
	if len(raw) == 0 {
		return nil, errors.New("it decodes to nothing; copy all of it")
	}
	k := s.keyFromBytes(raw)
	if s.asymmetric() {
		return k, k.setKeyPair(s, raw)
	}
	return k, nil
}

// keyFromBytes makes a key from the decoded secret. That of a key pair is not complete
// without setKeyPair.
func (s Scheme) keyFromBytes(raw []byte) *key {
	k := &key{secret: raw}
	algorithm := s.algorithm()
	switch {
	case s.Construction == "", s.Construction == "hmac":
		k.states.New = func() any { return hmac.New(algorithm.New, raw) }
	case !s.asymmetric():
		k.states.New = func() any { return algorithm.New() }
	}
	return k
}

// get returns a hash state without any content, to be returned with put.
func (k *key) get() hash.Hash {
	h := k.states.Get().(hash.Hash)
	h.Reset()
	return h
}

func (k *key) put(h hash.Hash) { k.states.Put(h) }

// mac returns the MAC of a string, for handshakes that ask for one.
func (k *key) mac(content string) []byte {
	h := k.get()
	defer k.put(h)
	h.Write([]byte(content))
	return h.Sum(nil)
}

// algorithm returns the scheme's hash. Tokens are compared by their SHA-256, so that
// the time it takes reveals neither their content nor their length.
func (s Scheme) algorithm() crypto.Hash {
	if s.Construction == "token" {
		return crypto.SHA256
	}
	return algorithms[s.Algorithm]
}

// GenerateSecret returns a new secret in the form that the scheme expects: 32 random
// bytes, or a private key if the scheme uses key pairs.
func GenerateSecret(s Scheme) (string, error) {
	if s.asymmetric() {
		return generateKeyPair(s, keyPairKinds[s.Construction].generate)
	}
	var random [32]byte
	rand.Read(random[:]) // never fails: without randomness the program ends
	switch s.Key {
	case "", "text", "text_or_whsec", "sha1", "sha256", "whsec":
		return "whsec_" + base64.StdEncoding.EncodeToString(random[:]), nil
	case "base64":
		return base64.StdEncoding.EncodeToString(random[:]), nil
	case "hex", "text_or_hex":
		return hex.EncodeToString(random[:]), nil
	}
	return "", fmt.Errorf("generating a secret: scheme %s has the unknown key %q; use one of %s", s.Name, s.Key, strings.Join(sortedKeys(keyKinds), ", "))
}
