package verify

import (
	"net/http"
	"strings"
	"time"
)

// Message is what is known of a verified request.
type Message struct {
	// Provider is the scheme's name.
	Provider string
	// ID is the delivery's id, empty where there is none.
	ID string
	// EventType is the event type, empty where there is none.
	EventType string
	// Timestamp is the time of signing, zero where there is none.
	Timestamp time.Time
	// SecretIndex is which of the configured secrets matched: 0 is the first; -1
	// for a handshake that nothing signs.
	SecretIndex int
	// Signed says which of these the signature covers.
	Signed Signed
	// MAC is the MAC of what was signed, under the first secret whichever of
	// them matched: taking away one of two signatures does not make another
	// message. Nil where nothing tells one message from another (a shared
	// token). The replay key is built on it.
	MAC []byte
	// Reply, when it isn't nil, answers a handshake, which was verified first
	// where the provider signs it. It must not be passed on as an event.
	Reply *Reply
}

// Signed says what a signature covers.
type Signed struct {
	ID, Timestamp, EventType, Body bool
}

// String lists what is covered, such as "id timestamp body".
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

// Reply is the answer to a handshake, to be sent as it is.
type Reply struct {
	Status int
	Header http.Header
	Body   []byte // may be empty
}
