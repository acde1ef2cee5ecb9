package verify

import (
	"errors"
	"net/http"
	"time"
)

// Outgoing is a message to be signed.
type Outgoing struct {
	Method, URL, ID, EventType string
	Timestamp                  time.Time
	Body                       []byte
}

// Signer signs messages by one scheme. It is safe for concurrent use.
type Signer struct {
	scheme Scheme
}

// NewSigner makes a signer. It fails where the scheme can't sign, and says why.
func NewSigner(s Scheme, secrets []string) (*Signer, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	return &Signer{scheme: s}, nil
}

// Sign sets the scheme's headers. With several secrets all signatures stand
// side by side where the scheme has room for them, else the first one alone.
func (s *Signer) Sign(h http.Header, m *Outgoing) error {
	return errors.New("signing: the scheme has no signature yet")
}

// GenerateSecret makes a new secret of the kind that the scheme takes.
func GenerateSecret(s Scheme) (string, error) {
	return "", errors.New("generating a secret: the scheme has no key yet")
}
