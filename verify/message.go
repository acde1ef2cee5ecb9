package verify

import (
	"net/http"
	"strings"
	"time"
)

// Message is the result of verifying a request.
type Message struct {
	// Provider is the scheme's name.
	Provider string
	// ID is the delivery id, or empty if there is none.
	ID string
	// EventType is the event type, or empty if there is none.
	EventType string
	// Timestamp is the time of signing, or zero if there is none.
	Timestamp time.Time
	// SecretIndex is the index of the configured secret that matched, or -1 for a
	// handshake without a signature.
	SecretIndex int
	// Signed says which parts of the message the signature covers.
	Signed Signed
	// MAC identifies the message, and ReplayKey is made from it. It is the MAC of
	// the signed content under the first secret, whichever secret matched, so that
	// removing one of two signatures does not make it another message. For key pairs
	// it is a hash of the content. It is nil if nothing tells one message from another,
	// as with a shared token.
	MAC []byte
	// Reply, if it isn't nil, is the response to a handshake, which must not be
	// passed on as an event. If the provider signs it, it has been verified.
	Reply *Reply
}

// Signed says what a signature covers.
type Signed struct {
	ID, Timestamp, EventType, Body bool
}

// String returns the parts that are covered, such as "id timestamp body".
func (s Signed) String() string {
	var words []string
	for _, w := range []struct {
		covered bool
		word    string
	}{{s.ID, "id"}, {s.Timestamp, "timestamp"}, {s.EventType, "event_type"}, {s.Body, "body"}} {
		if w.covered {
			words = append(words, w.word)
		}
	}
	return strings.Join(words, " ")
}

// Reply is the response to a handshake, to be sent unchanged.
type Reply struct {
	Status int
	Header http.Header
	Body   []byte // may be empty
}
