package verify

import (
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

// keyKinds turn a configured secret into a key. Their errors never hold it.
var keyKinds = map[string]func(secret string) ([]byte, error){
	"":              textKey,
	"text":          textKey,
	"text_or_hex":   textKey, // beside its secondKinds
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

// secondKinds are the other reading of a secret where it isn't certain which of
// two the provider means: the first, its text, signs, and both verify. What can't
// be read so is text alone.
var alternateKeyKinds = map[string]func(secret string) ([]byte, error){
	"text_or_hex":   hexKey,
	"text_or_whsec": whsecKey,
}

func textKey(secret string) ([]byte, error) { return []byte(secret), nil }

func hexKey(secret string) ([]byte, error) {
	key, err := hex.DecodeString(secret)
	if err != nil {
		return nil, errors.New("it is not hexadecimal; copy it whole, without blanks")
	}
	return key, nil
}

// base64Key takes the padding as it comes: secrets are copied by people.
func base64Key(secret string) ([]byte, error) {
	key, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(secret, "="))
	if err != nil {
		return nil, errors.New("it is not base64; copy it whole, without blanks")
	}
	return key, nil
}

// whsecKey takes the spellings in which Standard Webhooks secrets are shown:
// "v1,whsec_…", "whsec_…" and the base64 alone.
func whsecKey(secret string) ([]byte, error) {
	secret = strings.TrimPrefix(secret, "v1,")
	key, err := base64Key(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		return nil, errors.New("what follows whsec_ is not base64; copy the secret whole, without blanks")
	}
	return key, nil
}

// key is a secret ready for use: its hash states are made once and reused.
type key struct {
	secret []byte // as derived
	index  int    // its place among the configured secrets
	states sync.Pool

	public  crypto.PublicKey // of a key pair, in place of the states
	private crypto.Signer    // nil where the public key is all there is
	hash    crypto.Hash
}

// newKeys derives the keys. An error names the secret by its place.
func newKeys(s Scheme, secrets []string) ([]*key, error) {
	if len(secrets) == 0 {
		return nil, errors.New("no secret is set; give at least one")
	}
	if len(secrets) > maxSecrets {
		return nil, fmt.Errorf("%d secrets are set; %d are the most that are tried for a request, so drop old ones", len(secrets), maxSecrets)
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

// secondKeys are those of the secrets' second readings.
func alternateKeys(s Scheme, secrets []string) (keys []*key) {
	second := alternateKeyKinds[s.Key]
	if second == nil {
		return nil
	}
	for i, secret := range secrets {
		if raw, err := second(secret); err == nil && len(raw) > 0 {
			k := s.keyFromBytes(raw)
			k.index = i
			keys = append(keys, k)
		}
	}
	return keys
}

// newKey derives a key from a configured secret.
func newKey(s Scheme, secret string) (*key, error) {
	if strings.TrimSpace(secret) == "" {
		return nil, errors.New("it is empty; see that the variable or file that it comes from is set")
	}
	raw, err := keyKinds[s.Key](secret)
	if err != nil {
		return nil, err
	}
	if len(raw) == 0 {
		return nil, errors.New("it decodes to nothing; copy it whole")
	}
	k := s.keyFromBytes(raw)
	if s.asymmetric() {
		return k, k.setKeyPair(s, raw)
	}
	return k, nil
}

// keyOf is the key of these bytes, with its hash states.
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

func (k *key) get() hash.Hash {
	h := k.states.Get().(hash.Hash)
	h.Reset()
	return h
}

func (k *key) put(h hash.Hash) { k.states.Put(h) }

// mac is the MAC of a short string, for handshakes that ask for one.
func (k *key) mac(content string) []byte {
	h := k.get()
	defer k.put(h)
	h.Write([]byte(content))
	return h.Sum(nil)
}

// algorithm is the scheme's hash. Tokens are compared by their SHA-256, so that
// neither their content nor their length shows in the time that it takes.
func (s Scheme) algorithm() crypto.Hash {
	if s.Construction == "token" {
		return crypto.SHA256
	}
	return algorithms[s.Algorithm]
}

// GenerateSecret makes a new secret of the kind that the scheme takes: 32 random
// bytes, or a private key where the scheme has key pairs.
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
	return "", fmt.Errorf("generating a secret: scheme %s has the unknown key %q; it is one of %s", s.Name, s.Key, strings.Join(sortedKeys(keyKinds), ", "))
}
