package store

import (
	"strings"
	"time"
)

// State is where a delivery stands.
type State uint8

// The states of a delivery.
const (
	Pending   State = iota // waits for its first attempt or for the next one
	Delivered              // answered 2xx
	Dead                   // given up: a dead letter, kept with its event
	Discarded              // a dead letter that somebody has deleted
)

var stateNames = [...]string{"pending", "delivered", "dead", "discarded"}

func (s State) String() string { return stateNames[s] }

// ParseState reads what String writes.
func ParseState(s string) (State, bool) {
	for i, name := range stateNames {
		if s == name {
			return State(i), true
		}
	}
	return 0, false
}

// Event is what was published: bytes with a type, stored once and delivered
// to every subscription that matched it.
type Event struct {
	Key         ID
	ID          string // public: chosen by the publisher, or Key with its prefix
	Tenant      string // "" where there are none
	Type        string
	ContentType string
	Headers     map[string]string // kept with the event and sent along
	Payload     []byte            // as it came in, to the byte
	TraceParent string            // W3C trace context of the publish, "" for none
	TraceState  string

	// PayloadRemoved: Payload is empty because Forget has removed it.
	PayloadRemoved bool
	// Damaged: what would be sent is not what was stored. It is only set when
	// the payload was read too.
	Damaged bool
}

// Created is when the event was accepted.
func (e *Event) Created() time.Time { return e.Key.Time() }

// Size returns how many bytes from the publisher the event keeps in memory:
// its payload and headers.
func (e *Event) Size() int {
	size := len(e.Payload)
	for name, value := range e.Headers {
		size += len(name) + len(value)
	}
	return size
}

// OperationalPrefix is the prefix of the types of operational events, which the
// engine publishes about itself.
const OperationalPrefix = "webhooks."

// Operational reports whether an event type is operational. A subscription to
// "*" doesn't receive such events.
func Operational(eventType string) bool { return strings.HasPrefix(eventType, OperationalPrefix) }

// Secret is one signing secret of a subscription.
type Secret struct {
	Value   string    `json:"value"`
	Expires time.Time `json:"expires,omitzero"` // zero: never
}

// OAuth2 is how to get an access token for the receiver: with the client
// credentials grant of RFC 6749, section 4.4.
type OAuth2 struct {
	TokenURL     string            `json:"token_url"` // "" for no token
	ClientID     string            `json:"client_id"`
	ClientSecret string            `json:"client_secret"`
	Scopes       []string          `json:"scopes,omitempty"`
	Params       map[string]string `json:"params,omitempty"`     // further parameters of the request, such as an audience
	AuthStyle    string            `json:"auth_style,omitempty"` // see the outbound package for the words
}

// Subscription says which events go where, and how they are signed.
type Subscription struct {
	Key         ID
	ID          string
	Tenant      string
	URL         string
	Description string
	Metadata    map[string]string // for its owner, not used here
	EventTypes  []string          // names, or prefixes that end in ".*", or "*"
	Headers     map[string]string // sent with each delivery
	Scheme      string            // how deliveries are signed: names with single spaces between them, "" for the engine's default
	Secrets     []Secret          // newest first
	OAuth2      OAuth2            // how to get an access token for the receiver
	Handshake   string            // the origin for which the receiver's permission is asked, "" if it isn't
	RateLimit   float64           // deliveries per second, 0 for no limit
	Timeout     time.Duration     // of an attempt, 0 for the engine's default
	Retry       []time.Duration   // the delays between attempts, nil for the engine's default
	Ordered     bool              // one at a time, in the order of publishing
	Filter      string            // CEL, "" for every event
	Transform   string            // CEL, "" for payloads as they are
	FromConfig  bool              // defined in the configuration, not by the API
	Active      bool
	Reason      string // why it is not active
	Updated     time.Time

	FailingSince time.Time // by the engine's clock, zero while the receiver works
}

// Created is when the subscription was created.
func (s *Subscription) Created() time.Time { return s.Key.Time() }

// EventType is an entry of the catalogue.
type EventType struct {
	Name        string
	Description string
	Schema      []byte // JSON Schema that a payload must meet, nil for none
	FromConfig  bool
}

// Attempt is one try at a delivery: what was sent when, and what came back.
type Attempt struct {
	ID              ID  // for the first attempt, that of its delivery
	Number          int // from 1, over all rounds
	At              time.Time
	URL             string // the subscription's URL then, "" for attempts made before it was recorded
	Latency         time.Duration
	Status          int    // 0 where there was no answer
	Class           string // "" on success; see the outbound package for the words
	Error           string // for people
	ResponseBody    []byte // its start
	ResponseHeaders map[string]string
	TraceID         string
}

// Delivery is an event on its way to one subscription.
type Delivery struct {
	ID           ID
	Event        ID
	Subscription ID // the subscription's key
	State        State
	Attempts     int       // made so far
	Round        int       // how many of Attempts came before it was last requeued; the retry schedule counts from there
	Due          time.Time // of the next attempt, while pending
	Reason       string    // why it is a dead letter, or was one before it was discarded
}

// Held is a delivery that the caller has taken: nobody else gets it until it
// is settled or released, or the caller's process is gone.
type Held struct {
	Delivery
	*Event // shared by the deliveries of one event
}

// Record is a delivery as lists show it.
type Record struct {
	Delivery
	EventID        string
	EventType      string
	Tenant         string
	SubscriptionID string
	URL            string
	Last           *Attempt // nil before the first attempt
	Payload        []byte   // if the query asked for it
	ContentType    string   // with the payload

	// The state of its subscription while the delivery is pending. The engine
	// sets it; stores don't.
	Held        bool      // it waits until the subscription is active
	PausedUntil time.Time // zero if the subscription isn't paused
}
